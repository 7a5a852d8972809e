"""Layout: the blocks that pool_initialise_page places in a page, for every geometry that admission lets through.

By induction over the turns of its loop, of every subject alike. The invariant is two claims, `next_boundary_is_a_multiple`
and `layout_stays_between_boundaries`; each is shown of the first turn, and of the next one wherever it holds of some turn.
The other claims follow from it at an arbitrary turn. Where a turn may place no block, the second claim is about a block
without bytes, for a turn may begin where no block fits below the boundary any more.

Premises with products come after the code has run, because the solver then has fewer branches to weigh with them in hand.
"""

from typing import Any, NamedTuple

from impl import layout, v6_1
from impl.layout import Cursor, Geometry
from model import claims
from model import geometry as promise
from proofs.counterexamples import explain_page
from proofs.engine.obligation import Counterexample, Explain, Obligations
from proofs.engine.path import Theory
from proofs.subjects.subject import (
    IN_PYTHON,
    PAGE_SIZE,
    SERIES_IN_PYTHON,
    V6_1_IN_PYTHON,
    PageLoop,
    Place,
    Subject,
    about,
    any_cursor,
    any_geometry,
)

obligation = Obligations(__name__)

WIDTHS = (Theory.INTEGERS, Theory.U32)


class Anywhere(NamedTuple):
    """The loop at the beginning of any turn; `last` is the offset of the block before, None before the first block."""

    geometry: Geometry
    page: PageLoop
    first: Cursor
    at: Cursor
    last: Any


def any_page(path: Any, subject: Subject, ordered: bool = True, fits: bool = True) -> tuple[Geometry, PageLoop, Cursor]:
    """Any geometry that dma_pool_create promises, a page of it, and where its first turn begins.

    A body that needs less leaves out that the sizes are `ordered`, or that each `fits` an int.
    """
    geometry = any_geometry(path)
    if ordered:
        path.assume_claim(claims.admitted_geometry_is_ordered, geometry)
    if fits and path.theory is not Theory.INTEGERS:  # where sums can wrap around, what keeps them from it
        path.assume_claim(claims.admitted_geometry_fits_an_int, geometry, subject.smallest)
    page = subject.page(path, geometry)
    return geometry, page, page.first()


def any_turn(
    path: Any,
    subject: Subject,
    *,
    ordered: bool = True,
    fits: bool = True,
    invariant: bool = True,
    knows_last: bool = False,
) -> Anywhere:
    """Any turn of any page. A body says that it needs less than the `invariant`, or more: it `knows_last`, where the block
    before ends. What a turn writes is known to stay in the page only where both hold."""
    geometry, page, first = any_page(path, subject, ordered or subject.writes, fits or subject.writes)
    if subject.skips and path.one_of("first turn", False, True):
        return Anywhere(geometry, page, first, first, None)
    at = any_cursor(path)
    last: Any = path.number("last") if subject.skips else None
    if invariant or subject.writes:
        path.assume_claim(claims.layout_stays_between_boundaries, *at, place_of_a_turn(subject, geometry))
    if subject.skips and (knows_last or subject.writes):
        path.assume("the block before ends before this turn's place", lambda: last + geometry.size <= at.offset)
    return Anywhere(geometry, page, first, at, last)


def place_of_a_turn(subject: Subject, geometry: Geometry) -> Geometry:
    """What the invariant is about: a block, or the place where a turn begins, whether or not a block fits there."""
    return Geometry(0, geometry.boundary, geometry.allocation) if subject.skips else geometry


def next_boundary_is_a_multiple(path: Any, subject: Subject) -> None:
    geometry, page, first, at, last = any_turn(path, subject, invariant=False)
    path.show_claim(claims.next_boundary_is_a_multiple, first.next_boundary, geometry.boundary)
    following = page.turn(at, last).following
    path.assume("the loop goes on", lambda: following is not None)
    path.assume_claim(claims.next_boundary_is_a_multiple, at.next_boundary, geometry.boundary)
    path.show_claim(claims.next_boundary_is_a_multiple, following.next_boundary, geometry.boundary)


def layout_stays_between_boundaries(path: Any, subject: Subject) -> None:
    geometry, page, first, at, last = any_turn(path, subject, knows_last=True)
    place = place_of_a_turn(subject, geometry)
    path.show_claim(claims.layout_stays_between_boundaries, *first, place)
    turn = page.turn(at, last)
    following = turn.following
    path.assume("the loop goes on", lambda: following is not None)
    path.assume_claim(claims.boundary_divides_the_allocation, geometry)
    path.assume_claim(claims.next_boundary_is_a_multiple, at.next_boundary, geometry.boundary)
    if turn.placed is not None:
        path.show_claim(claims.layout_stays_between_boundaries, *at, geometry)
    path.show_claim(claims.layout_stays_between_boundaries, *following, place)
    path.show("a block has been placed", lambda: turn.last is not None)
    path.show("it ends before the next turn's place", lambda: turn.last + geometry.size <= following.offset)


def block_lies_inside_its_page(path: Any, subject: Subject) -> None:
    geometry, page, _, at, last = any_turn(path, subject)
    placed = page.turn(at, last).placed
    path.assume("a block is placed", lambda: placed is not None)
    assert placed is not None
    path.show_claim(claims.block_lies_inside_its_page, placed, geometry.size, geometry.allocation)


def no_block_crosses_a_boundary(path: Any, subject: Subject) -> None:
    geometry, page, _, at, last = any_turn(path, subject)
    placed = page.turn(at, last).placed
    path.assume("a block is placed", lambda: placed is not None)
    assert placed is not None
    path.assume_claim(claims.next_boundary_is_a_multiple, at.next_boundary, geometry.boundary)
    above = at.next_boundary // geometry.boundary
    path.show("there is a boundary above", lambda: above >= 1)
    path.show("the block starts below it", lambda: placed // geometry.boundary == above - 1)
    path.show("the block ends below it", lambda: (placed + geometry.size - 1) // geometry.boundary == above - 1)
    path.show_claim(claims.no_block_crosses_a_boundary, placed, geometry.size, geometry.boundary)


def blocks_are_disjoint(path: Any, subject: Subject) -> None:
    geometry, page, _, at, last = any_turn(path, subject, ordered=False)
    earlier = path.number("earlier")
    path.assume("an earlier block ends before this turn's place", lambda: earlier + geometry.size <= at.offset)
    placed, following, _ = page.turn(at, last)
    path.assume("a block is placed, or the loop goes on", lambda: following is not None or placed is not None)
    assert following is not None or placed is not None
    if placed is not None:
        path.show_claim(claims.blocks_are_disjoint, earlier, placed, geometry.size)
    if following is not None:
        path.show("it ends before the next place", lambda: earlier + geometry.size <= following.offset)
        path.show(
            "so does a block that is placed", lambda: placed is None or placed + geometry.size <= following.offset
        )


def blocks_are_aligned(path: Any, subject: Subject) -> None:
    geometry, page, first, at, last = any_turn(path, subject)
    placed, following, _ = page.turn(at, last)
    align = path.number("align")
    path.assume("there is an alignment", lambda: align >= 1)
    path.assume_claim(claims.alignment_divides_size_and_boundary, geometry, align)
    path.show("the first place is aligned", lambda: first.offset % align == 0 and first.next_boundary % align == 0)
    path.assume("this turn's place is aligned", lambda: claims.blocks_are_aligned(at.offset, align))
    path.assume("its boundary is aligned", lambda: at.next_boundary % align == 0)
    if placed is not None:
        path.show_claim(claims.blocks_are_aligned, placed, align)
    if following is not None:
        path.show("the next place is aligned", lambda: following.offset % align == 0)
        path.show("the next boundary is aligned", lambda: following.next_boundary % align == 0)


def layout_ends(path: Any, subject: Subject) -> None:
    """A turn that places no block raises the boundary, and none goes back: no two such turns end alike."""
    _, page, _, at, last = any_turn(path, subject)
    placed, following, _ = page.turn(at, last)
    path.assume("the loop goes on", lambda: following is not None)
    if placed is not None:
        path.show_claim(claims.layout_ends, at.offset, following.offset)
    path.show("the next place is not below", lambda: following.offset >= at.offset)
    path.show(
        "a turn without a block raises the boundary",
        lambda: placed is not None or following.next_boundary > at.next_boundary,
    )


def no_room_is_wasted(path: Any, subject: Subject) -> None:
    geometry, page, first, at, last = any_turn(path, subject, fits=False)
    path.show(
        "the first block is at the page's start", lambda: first.offset == 0 and page.turn(first).placed is not None
    )
    placed, following, _ = page.turn(at, last)
    path.assume("a block is placed", lambda: placed is not None)
    assert placed is not None
    gap = placed + geometry.size, next_place(path, subject, geometry, page, following, placed)
    path.show_claim(claims.no_room_is_wasted, gap, path.number("start"), geometry.size, geometry.boundary)


def next_place(path: Any, subject: Subject, geometry: Geometry, page: PageLoop, at: Any, last: Any) -> Any:
    """Where the block after one is placed; the page's end, if there is none. Of two turns, one places a block."""
    if at is None or not subject.skips:
        return geometry.allocation if at is None else at.offset
    placed, following, _ = page.turn(at, last)
    if placed is None and following is not None:
        path.assume_claim(claims.layout_stays_between_boundaries, *following, place_of_a_turn(subject, geometry))
        placed, following, _ = page.turn(following, last)
        path.show(
            "after a turn that places no block comes one that does", lambda: following is None or placed is not None
        )
    return geometry.allocation if placed is None else placed


def offsets_fit_the_int_link(path: Any, subject: Subject) -> None:
    _, page, _, at, last = any_turn(path, subject, ordered=False)
    page.turn(at, last)
    path.show_claim(claims.offsets_fit_the_int_link, page.link(at))


def fresh_blocks_ascend(path: Any, subject: Subject) -> None:
    """By the links of a page that was just laid out: alloc takes the first block of the list, and free puts one before it."""
    _, page, first, at, last = any_turn(path, subject, fits=False)
    path.show("the list begins at the page's start", lambda: first.offset == 0)
    page.turn(at, last)
    path.show_claim(claims.fresh_blocks_ascend, page.link(at), at.offset)


BODIES = (
    next_boundary_is_a_multiple,
    layout_stays_between_boundaries,
    block_lies_inside_its_page,
    no_block_crosses_a_boundary,
    blocks_are_disjoint,
    blocks_are_aligned,
    layout_ends,
    no_room_is_wasted,
)
"""Of every subject, each about the claim whose name it has."""


def explained_by(place: Place, smallest: int) -> Explain:
    def explain(inputs: dict[str, Any]) -> Counterexample:
        geometry = Geometry(inputs["size"], inputs["boundary"], inputs["allocation"])
        return explain_page(geometry, place, smallest)

    return explain


def explained_of(subject: Subject) -> Explain:
    return explained_by(subject.place, subject.smallest)


for subject in (*IN_PYTHON, V6_1_IN_PYTHON):
    for body in BODIES:
        if subject is not V6_1_IN_PYTHON or body is not no_room_is_wasted:  # which it breaks, see below
            claim = claims.CLAIMS[body.__name__]
            obligation(claim, subject.revision, *WIDTHS, explain=explained_of(subject))(about(body, subject))

for subject in (SERIES_IN_PYTHON, V6_1_IN_PYTHON):  # whose free blocks have links
    explain_links = explained_of(subject)
    obligation(claims.offsets_fit_the_int_link, subject.revision, Theory.U32, explain=explain_links)(
        about(offsets_fit_the_int_link, subject)
    )
    obligation(claims.fresh_blocks_ascend, subject.revision, *WIDTHS, explain=explain_links)(
        about(fresh_blocks_ascend, subject)
    )


# What v6.1 gets wrong.

explain_v6_1 = explained_of(V6_1_IN_PYTHON)


def any_page_of_v6_1(path: Any) -> Geometry:
    """Any geometry in ℤ; among machine words, one of a kernel's page."""
    size, boundary = path.number("size"), path.number("boundary")
    if path.theory is Theory.INTEGERS:
        geometry = Geometry(size, boundary, path.number("allocation"))
    else:
        geometry = Geometry(size, boundary, path.one_of("allocation", PAGE_SIZE))
        path.assume("a free block holds a link", lambda: size >= promise.SMALLEST_BLOCK)
    path.assume_claim(claims.admitted_geometry_is_ordered, geometry)
    path.assume_claim(claims.boundary_divides_the_allocation, geometry)
    return geometry


@obligation.refuted(claims.no_room_is_wasted, "v6.1", Theory.INTEGERS, explain=explain_v6_1, case="any_page")
@obligation.refuted(claims.no_room_is_wasted, "v6.1", Theory.U64, explain=explain_v6_1, case="kernel_page")
def v6_1_wastes_a_block(path: Any) -> None:
    geometry = any_page_of_v6_1(path)
    show_no_room_after(path, geometry, layout.first_block(geometry))


@obligation.refuted(claims.no_room_is_wasted, "v6.1", Theory.U64, explain=explain_v6_1, case="size_128")
def v6_1_places_31_of_32_blocks_of_128_bytes(path: Any) -> None:
    size, allocation = path.one_of("size", 128), path.one_of("allocation", PAGE_SIZE)
    geometry = Geometry(size, path.one_of("boundary", PAGE_SIZE), allocation)
    block = Cursor(path.number("offset"), layout.first_block(geometry).next_boundary)
    path.assume(
        "the page's only boundary is its end, and this block lies before it",
        lambda: block.offset % size == 0 and block.offset + size <= allocation,
    )
    show_no_room_after(path, geometry, block)


def show_no_room_after(path: Any, geometry: Geometry, block: Cursor) -> None:
    following = v6_1.next_block(geometry, block)
    gap = block.offset + geometry.size, min(following.offset, geometry.allocation)
    path.show_claim(claims.no_room_is_wasted, gap, path.number("start"), geometry.size, geometry.boundary)
