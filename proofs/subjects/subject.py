"""A pool's code, seen as the steps that proofs are about: its argument check, and the loop of pool_initialise_page.

A body is written once, as a function of a path and a `Subject`. The series, v6.12 and v6.1 in Python are subjects here, a
kernel's own C in `proofs.subjects.c_loop`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, update_wrapper
from itertools import islice
from typing import Any, NamedTuple, Protocol

from impl import layout, v6_1, v6_12
from impl.layout import Cursor, Geometry
from model.promises import SERIES, V6_1, V6_12, Promises
from proofs.engine.path import Body

PAGE_SIZE = 4096

OTHERWISE = "something else is said"
"""In the log of a kernel's C, for a message that shows what it should not; what impl/ says, hunts compare."""


class ReachedTail(BaseException):
    """The code goes on in a part of a list or of a tree that is as unknown as the whole was: in `part`, looking for `sought`.

    There, the induction hypothesis says what it does.
    """

    promise = "the code goes no further than to the blocks and pages that are known"

    def __init__(self, part: Any = None, sought: Any = None) -> None:
        super().__init__(part)
        self.part = part
        self.sought = sought


def give_back(pool: Any, vaddr: Any, dma: Any) -> None:
    """Free a block, and note the DMA address by which the code has to look for its page."""
    pool.sought = dma
    pool.free(vaddr, dma)


def show_sought(path: Any, pool: Any, dma: Any) -> None:
    """Show that a page is looked for by the address that `give_back` was given, for which a lemma says what is found."""
    path.show("the page is looked for by the DMA address that is freed", lambda: dma == pool.sought)


OPTIONS = "debug", "init_on_alloc", "init_on_free"

OPERATIONS = "alloc", "alloc with a new page", "free"


def any_options(path: Any, named: tuple[str, ...]) -> Iterator[bool]:
    """The `OPTIONS`, of which those that are named have any value; the others are off."""
    return (option in named and path.one_of(option, False, True) for option in OPTIONS)


class Turn(NamedTuple):
    """What a turn of the loop does."""

    placed: Any  # the offset of the block that it places; None if it places none
    following: Any  # the Cursor of the next turn; None if there is none
    last: Any = None  # the offset of the block that was placed last, by then


class PageLoop(Protocol):
    """pool_initialise_page at work on a page, cut where its loop begins a turn."""

    def first(self) -> Cursor:
        """Where the first turn begins."""

    def turn(self, at: Cursor, last: Any = None) -> Turn:
        """One turn from there; `last` is the offset of the block that was placed before, if any."""

    def link(self, at: Cursor) -> Any:
        """What the block that this turn has placed there links to, as an offset."""

    def total(self) -> Any:
        """What the pools file says of a pool with this one page, after the last turn: its blocks."""


Blocks = list[tuple[int, int | None]]
"""The offsets of blocks; of each, how far the DMA address in it is from the page's, None where none is stored."""

Place = Callable[[Geometry, int], tuple[Blocks, str]]
"""Places the blocks of a page, at most so many, on plain integers; and says what else goes wrong."""


@dataclass(frozen=True)
class Subject:
    """A revision's code, on numbers of any kind."""

    revision: str
    promises: Promises
    create: Callable[[Any, Any, Any, Any], Geometry | None]
    """dma_pool_create: the geometry that the pool keeps of size, align, boundary and page size, in bytes; None if refused."""
    page: Callable[[Any, Geometry], PageLoop]
    place: Place
    skips: bool = False
    """A turn of the loop places no block where that would cross a boundary."""
    writes: bool = False
    """A turn writes into the page, into the block before as well, and is not followed where that leaves the page."""

    @property
    def smallest(self) -> int:
        """Bytes that a free block needs."""
        return self.promises.smallest_block


def about(body: Callable[..., None], subject: Any) -> Body:
    """A body that is written for any subject, about one of them."""
    of_subject = partial(body, subject=subject)
    update_wrapper(of_subject, body)
    return of_subject


def any_geometry(path: Any) -> Geometry:
    """Any geometry."""
    return Geometry(path.number("size"), path.number("boundary"), path.number("allocation"))


def any_cursor(path: Any) -> Cursor:
    """The loop anywhere."""
    return Cursor(path.number("offset"), path.number("next_boundary"))


@dataclass
class SeriesLoop:
    """Of the series: every turn places a block."""

    geometry: Geometry
    next_block = staticmethod(layout.next_block)

    def first(self) -> Cursor:
        return layout.first_block(self.geometry)

    def turn(self, at: Cursor, last: Any = None) -> Turn:
        del last
        following = self.next_block(self.geometry, at)
        return Turn(at.offset, following if layout.goes_on(self.geometry, following) else None, at.offset)

    def link(self, at: Cursor) -> Any:
        return self.next_block(self.geometry, at).offset

    def total(self) -> Any:
        return layout.blks_per_alloc(self.geometry)


class V6_1Loop(SeriesLoop):
    """Of v6.1, in the same way."""

    next_block = staticmethod(v6_1.next_block)

    def total(self) -> Any:
        return v6_1.blks_per_alloc(self.geometry)


class StackLoop(SeriesLoop):
    """Of v6.12: the loop ends at a turn that has no room. What it counts while it places blocks is the series' formula."""

    def turn(self, at: Cursor, last: Any = None) -> Turn:
        if not v6_12.goes_on(self.geometry, at):
            return Turn(None, None, last)
        placed = None if v6_12.skips(self.geometry, at) else at.offset
        return Turn(placed, v6_12.turn(self.geometry, at), last if placed is None else placed)


def kept(admit: Callable[..., Geometry | None]) -> Callable[[Any, Any, Any, Any], Geometry | None]:
    """dma_pool_create of a revision that checks its arguments in size_t, and keeps the geometry in unsigned int."""

    def create(size: Any, align: Any, boundary: Any, page_size: Any) -> Geometry | None:
        geometry = admit(size, align, boundary, page_size)
        return None if geometry is None else layout.kept(geometry)

    return create


def placed_by(offsets: Callable[[Geometry], Iterator[int]]) -> Place:
    def place(geometry: Geometry, most: int) -> tuple[Blocks, str]:
        placed: Blocks = []
        try:
            for offset in islice(offsets(geometry), most):
                placed.append((offset, None))
        except TimeoutError as endless:
            return placed, str(endless)
        return placed, ""

    return place


def by_links(turn: Callable[[Geometry, Cursor], Cursor]) -> Place:
    """Where a page is laid out block by block."""
    return placed_by(lambda geometry: (offset for offset, _ in layout.laid_blocks(geometry, turn)))


V6_1_IN_PYTHON = Subject("v6.1", V6_1, v6_1.admit, lambda _, geometry: V6_1Loop(geometry), by_links(v6_1.next_block))
SERIES_IN_PYTHON = Subject(
    "series", SERIES, kept(layout.admit), lambda _, geometry: SeriesLoop(geometry), by_links(layout.next_block)
)
STACK_IN_PYTHON = Subject(
    "v6.12",
    V6_12,
    kept(v6_12.admit),
    lambda _, geometry: StackLoop(geometry),
    placed_by(v6_12.laid_offsets),
    skips=True,
)
IN_PYTHON = (SERIES_IN_PYTHON, STACK_IN_PYTHON)
"""Those that are meant to be right."""
