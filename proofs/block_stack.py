"""The merged rewrite, v6.12: its argument check, its layout, and its stack of free blocks.

Admission and layout are proved as for the series (see `proofs.admission`, `proofs.layout`, `proofs.counting`), but by
induction over the *turns* of the loop, since some of them lay no block. The invariant is `layout_stays_between_boundaries`
of a block without bytes, for a turn may begin where no block fits below the boundary any more.

The stack is of any size. Its upper blocks are known, one by one; of the rest only the address of its first block is, and
whoever reads or writes a block of the rest fails. What an operation leaves is right if the known blocks are where they
have to be, above that same rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from impl import block_stack, layout
from impl.block_stack import DMA_BLOCK, NULL, BlockStackPool, goes_on, skips, turn
from impl.layout import Cursor, Geometry, first_block
from model import claims
from model import geometry as promise
from model.claims import Claim
from model.memory import VADDR_BASE, Memory
from model.trace import Alloc, Create, Free, OtherPool, Trace, Write
from proofs import admission
from proofs.admission import arguments, arguments_that_round_up_to_an_int, kept_geometry
from proofs.counting import Turn, by_turns
from proofs.engine.explore import Theory, Verdict
from proofs.engine.obligation import Counterexample, Obligations, from_this_state
from proofs.layout import LARGEST_DRAWN, PAGE_SIZE, WIDTHS, any_cursor, any_geometry, first_ones

obligation = Obligations(__name__)

REVISION = "v6.12"
SMALLEST_BLOCK = DMA_BLOCK.size


# Admission.


def explain_admission(inputs: dict[str, Any]) -> Counterexample:
    told = admission.explain(inputs, block_stack.admit, SMALLEST_BLOCK)
    return replace(told, trace=about(claims.create_admits_what_is_promised, told.trace))


def about(claim: Claim, trace: Trace | None) -> Trace:
    """A trace that names the claim it breaks: what a driver sees of it first."""
    assert trace is not None
    return replace(trace, claim=claim.name)


def admitted(path: Any, given: tuple[Any, Any, Any, Any]) -> Geometry:
    return admission.admitted(path, *given, block_stack.admit)


def arguments_by_align(path: Any) -> tuple[Any, Any, Any, Any]:
    """Any arguments; of a counterexample, the smallest align comes first."""
    page_size, align, size = path.one_of("page_size", PAGE_SIZE), path.number("align"), path.number("size")
    return size, align, path.number("boundary"), page_size


@obligation(claims.create_admits_what_is_promised, REVISION, Theory.U64, explain=explain_admission)
def create_admits_what_is_promised(path: Any) -> None:
    given = arguments_that_round_up_to_an_int(path)
    kept = kept_geometry(*given, block_stack.admit)
    path.show_claim(claims.create_admits_what_is_promised, promise.create(*given, SMALLEST_BLOCK), kept)


@obligation(
    claims.create_admits_what_is_promised,
    REVISION,
    Theory.U64,
    explain=explain_admission,
    expected=Verdict.REFUTED,
    case="any_align",
)
def create_admits_an_align_that_it_should_refuse(path: Any) -> None:
    given = arguments_by_align(path)
    kept = kept_geometry(*given, block_stack.admit)
    path.show_claim(claims.create_admits_what_is_promised, promise.create(*given, SMALLEST_BLOCK), kept)


@obligation(claims.admitted_geometry_is_ordered, REVISION, Theory.U64, explain=explain_admission)
def admitted_geometry_is_ordered(path: Any) -> None:
    geometry = admitted(path, arguments_that_round_up_to_an_int(path))
    path.show_claim(claims.admitted_geometry_is_ordered, geometry)


@obligation(
    claims.admitted_geometry_is_ordered,
    REVISION,
    Theory.U64,
    explain=explain_admission,
    expected=Verdict.REFUTED,
    case="any_align",
)
def size_becomes_0_in_unsigned_int(path: Any) -> None:
    path.show_claim(claims.admitted_geometry_is_ordered, admitted(path, arguments_by_align(path)))


@obligation(claims.admitted_geometry_fits_an_int, REVISION, Theory.U64, explain=explain_admission)
def admitted_geometry_fits_an_int(path: Any) -> None:
    geometry = admitted(path, arguments_that_round_up_to_an_int(path))
    path.show_claim(claims.admitted_geometry_fits_an_int, geometry, SMALLEST_BLOCK)


@obligation(
    claims.admitted_geometry_fits_an_int,
    REVISION,
    Theory.U64,
    explain=explain_admission,
    expected=Verdict.REFUTED,
    case="any_align",
)
def size_leaves_int(path: Any) -> None:
    path.show_claim(claims.admitted_geometry_fits_an_int, admitted(path, arguments_by_align(path)), SMALLEST_BLOCK)


@obligation(claims.boundary_divides_the_allocation, REVISION, Theory.U64, explain=explain_admission)
def boundary_divides_the_allocation(path: Any) -> None:
    geometry = admitted(path, arguments_that_round_up_to_an_int(path))
    path.show_claim(claims.boundary_divides_the_allocation, geometry)


@obligation(claims.alignment_divides_size_and_boundary, REVISION, Theory.U64, explain=explain_admission)
def alignment_divides_size_and_boundary(path: Any) -> None:
    given = arguments(path)
    geometry, align = admitted(path, given), given[1]
    path.show_claim(claims.alignment_divides_size_and_boundary, geometry, 1 if align == 0 else align)


# Layout.


def explain_layout(inputs: dict[str, Any]) -> Counterexample:
    """Lay the page out on plain integers, and compare it with where the blocks should lie."""
    geometry = Geometry(inputs["size"], inputs["boundary"], inputs["allocation"])
    where = f"a page of {geometry.allocation} bytes, blocks of {geometry.size}, boundary {geometry.boundary}"
    if geometry.allocation > LARGEST_DRAWN or geometry.size == 0:
        return Counterexample(f"{where}: the claim holds", "it does not, in a state that the loop may never reach")
    promised = promise.block_offsets(promise.Geometry(geometry.size, geometry.boundary, geometry.allocation))
    expected = f"{where}: {len(promised)} blocks, at offsets {first_ones(promised)}"
    laid: list[int] = []
    try:
        laid += islice(block_stack.laid_offsets(geometry), len(promised) + 2)
    except TimeoutError as endless:
        return Counterexample(expected, str(endless), trace_of(geometry, 1))
    if laid == promised:
        return Counterexample(
            expected, "these blocks are laid; the step of the induction fails in a state that the loop may never reach"
        )
    return Counterexample(
        expected, f"{len(laid)} blocks are laid, at {first_ones(laid)}", trace_of(geometry, len(promised) + 1)
    )


def trace_of(geometry: Geometry, blocks: int) -> Trace | None:
    """Allocate that many blocks of such a page, if a driver can have it."""
    arguments = (geometry.size, 1, geometry.boundary, PAGE_SIZE)
    promised = promise.create(*arguments, SMALLEST_BLOCK)
    if promised != promise.Geometry(geometry.size, geometry.boundary, geometry.allocation):
        return None
    return Trace((Create(*arguments[:3]), *(Alloc(f"block {n}") for n in range(1, blocks + 1))))


def any_ordered_geometry(path: Any) -> Geometry:
    """Any geometry with all that admission promises of its sizes; in ℤ, of any size."""
    geometry = any_geometry(path)
    path.assume_claim(claims.admitted_geometry_is_ordered, geometry)
    assume_int(path, geometry)
    return geometry


def assume_int(path: Any, geometry: Geometry) -> None:
    """Where sums can wrap around, take what keeps them from it."""
    if path.theory is not Theory.INTEGERS:
        path.assume_claim(claims.admitted_geometry_fits_an_int, geometry, SMALLEST_BLOCK)


def any_turn(path: Any, geometry: Geometry) -> Cursor:
    """The loop at the beginning of any turn, the last and unfinished one among them."""
    cursor = any_cursor(path)
    path.assume_claim(claims.layout_stays_between_boundaries, *cursor, without_bytes(geometry))
    return cursor


def without_bytes(geometry: Geometry) -> Geometry:
    """For the place where a turn begins, whether or not a block fits there."""
    return Geometry(0, geometry.boundary, geometry.allocation)


@obligation(claims.next_boundary_is_a_multiple, REVISION, *WIDTHS, explain=explain_layout)
def next_boundary_is_a_multiple(path: Any) -> None:
    geometry = any_ordered_geometry(path)
    first = first_block(geometry)
    path.show_claim(claims.next_boundary_is_a_multiple, first.next_boundary, geometry.boundary)

    cursor = any_cursor(path) if path.theory is Theory.INTEGERS else any_turn(path, geometry)
    following = turn(geometry, cursor)
    path.assume_claim(claims.next_boundary_is_a_multiple, cursor.next_boundary, geometry.boundary)
    path.show_claim(claims.next_boundary_is_a_multiple, following.next_boundary, geometry.boundary)


@obligation(claims.layout_stays_between_boundaries, REVISION, *WIDTHS, explain=explain_layout)
def layout_stays_between_boundaries(path: Any) -> None:
    geometry = any_ordered_geometry(path)
    path.show_claim(claims.layout_stays_between_boundaries, *first_block(geometry), without_bytes(geometry))

    cursor = any_turn(path, geometry)
    path.assume("the loop goes on", lambda: goes_on(geometry, cursor))
    if not skips(geometry, cursor):
        path.show_claim(claims.layout_stays_between_boundaries, *cursor, geometry)
    following = turn(geometry, cursor)
    path.assume_claim(claims.boundary_divides_the_allocation, geometry)
    path.assume_claim(claims.next_boundary_is_a_multiple, cursor.next_boundary, geometry.boundary)
    path.show_claim(claims.layout_stays_between_boundaries, *following, without_bytes(geometry))


@obligation(claims.block_lies_inside_its_page, REVISION, *WIDTHS, explain=explain_layout)
def block_lies_inside_its_page(path: Any) -> None:
    """In ℤ, the condition of the loop is enough; among machine words, its sum must not wrap around."""
    if path.theory is Theory.INTEGERS:
        geometry, block = any_geometry(path), any_cursor(path)
    else:
        geometry = any_ordered_geometry(path)
        block = any_turn(path, geometry)
    path.assume("the loop goes on", lambda: goes_on(geometry, block))
    path.show_claim(claims.block_lies_inside_its_page, block.offset, geometry.size, geometry.allocation)


@obligation(claims.no_block_crosses_a_boundary, REVISION, *WIDTHS, explain=explain_layout)
def no_block_crosses_a_boundary(path: Any) -> None:
    geometry = any_ordered_geometry(path)
    block = any_turn(path, geometry)
    path.assume("a block is laid", lambda: goes_on(geometry, block) and not skips(geometry, block))
    path.assume_claim(claims.next_boundary_is_a_multiple, block.next_boundary, geometry.boundary)
    above = block.next_boundary // geometry.boundary
    path.show("there is a boundary above", lambda: above >= 1)
    path.show("the block starts below it", lambda: block.offset // geometry.boundary == above - 1)
    last_byte = block.offset + geometry.size - 1
    path.show("the block ends below it", lambda: last_byte // geometry.boundary == above - 1)
    path.show_claim(claims.no_block_crosses_a_boundary, block.offset, geometry.size, geometry.boundary)


@obligation(claims.blocks_are_disjoint, REVISION, *WIDTHS, explain=explain_layout)
def blocks_are_disjoint(path: Any) -> None:
    geometry = any_geometry(path)
    assume_int(path, geometry)
    cursor = any_turn(path, geometry)
    earlier = path.number("earlier")
    path.assume("an earlier block ends before this turn's place", lambda: earlier + geometry.size <= cursor.offset)
    following = turn(geometry, cursor)
    path.show("it ends before the next turn's place", lambda: earlier + geometry.size <= following.offset)
    if not skips(geometry, cursor):
        path.show_claim(claims.blocks_are_disjoint, earlier, cursor.offset, geometry.size)
        path.show("so does the block that is laid", lambda: cursor.offset + geometry.size <= following.offset)


@obligation(claims.blocks_are_aligned, REVISION, *WIDTHS, explain=explain_layout)
def blocks_are_aligned(path: Any) -> None:
    if path.theory is Theory.INTEGERS:
        geometry, cursor = any_geometry(path), any_cursor(path)
    else:
        geometry = any_ordered_geometry(path)
        cursor = any_turn(path, geometry)
    following = turn(geometry, cursor)
    first = first_block(geometry)
    align = path.number("align")
    path.assume("there is an alignment", lambda: align >= 1)
    path.assume_claim(claims.alignment_divides_size_and_boundary, geometry, align)
    path.show_claim(claims.blocks_are_aligned, first.offset, align)
    path.show("the first boundary is aligned", lambda: first.next_boundary % align == 0)

    path.assume("this turn's place is aligned", lambda: claims.blocks_are_aligned(cursor.offset, align))
    path.assume("its boundary is aligned", lambda: cursor.next_boundary % align == 0)
    path.show_claim(claims.blocks_are_aligned, following.offset, align)
    path.show("the next boundary is aligned", lambda: following.next_boundary % align == 0)


@obligation(claims.layout_ends, REVISION, *WIDTHS, explain=explain_layout)
def layout_ends(path: Any) -> None:
    """A turn that lays no block goes up to its boundary at least, and raises that: no two such turns end alike."""
    geometry = any_ordered_geometry(path)
    cursor = any_turn(path, geometry)
    following = turn(geometry, cursor)
    if skips(geometry, cursor):
        path.show("the next turn's place is not below", lambda: following.offset >= cursor.offset)
        path.show("the next boundary is higher", lambda: following.next_boundary > cursor.next_boundary)
    else:
        path.show_claim(claims.layout_ends, cursor.offset, following.offset)


@obligation(claims.no_room_is_wasted, REVISION, *WIDTHS, explain=explain_layout)
def no_room_is_wasted(path: Any) -> None:
    geometry = any_geometry(path)
    path.assume_claim(claims.admitted_geometry_is_ordered, geometry)
    first = first_block(geometry)
    path.show(
        "the first turn lays a block at the start of the page",
        lambda: first.offset == 0 and goes_on(geometry, first) and not skips(geometry, first),
    )
    block = any_turn(path, geometry)
    following = turn(geometry, block)
    if goes_on(geometry, following) and skips(geometry, following):
        following = turn(geometry, following)
        path.assume_claim(claims.layout_stays_between_boundaries, *following, without_bytes(geometry))
        path.show(
            "after a turn that lays no block comes one that does",
            lambda: goes_on(geometry, following) and not skips(geometry, following),
        )
    end = following.offset if goes_on(geometry, following) else geometry.allocation
    gap = block.offset + geometry.size, end
    path.show_claim(claims.no_room_is_wasted, gap, path.number("start"), geometry.size, geometry.boundary)


def turn_of_the_rewrite(path: Any) -> Turn:
    geometry = any_ordered_geometry(path)
    cursor = any_turn(path, geometry)
    lays = goes_on(geometry, cursor) and not skips(geometry, cursor)
    following = turn(geometry, cursor) if goes_on(geometry, cursor) else None
    return Turn(geometry, first_block(geometry), cursor, following, lambda: layout.blks_per_alloc(geometry), lays)


obligation(claims.total_counts_the_blocks, REVISION, *WIDTHS, explain=explain_layout)(by_turns(turn_of_the_rewrite))


def explain_overrun(inputs: dict[str, Any]) -> Counterexample:
    """From the driver's arguments to the second block. A page of 2 GiB cannot be run, but its creation can."""
    told = explain_admission(inputs)
    kept = kept_geometry(inputs["size"], inputs["align"], inputs["boundary"], inputs["page_size"], block_stack.admit)
    assert kept is not None
    laid = list(islice(block_stack.laid_offsets(kept), 2))
    actual = f"{told.actual}; block 2 lies at {laid[1]}, past the page's end, for {laid[1]} + {kept.size} wraps around"
    return replace(told, actual=actual)


def explain_endless(inputs: dict[str, Any]) -> Counterexample:
    """From the driver's arguments to the first page."""
    told = explain_admission(inputs)
    assert told.trace is not None
    trace = about(claims.layout_ends, replace(told.trace, steps=(*told.trace.steps, Alloc("a"))))
    return Counterexample(told.expected, f"{told.actual}; the first block is laid again and again", trace)


@obligation(
    claims.block_lies_inside_its_page,
    REVISION,
    Theory.U64,
    explain=explain_overrun,
    expected=Verdict.REFUTED,
    case="any_align",
)
def a_wrapped_sum_lays_a_block_past_the_page(path: Any) -> None:
    geometry = admitted(path, arguments_by_align(path))
    second = turn(geometry, first_block(geometry))
    path.assume("a second block is laid", lambda: goes_on(geometry, second) and not skips(geometry, second))
    path.show_claim(claims.block_lies_inside_its_page, second.offset, geometry.size, geometry.allocation)


@obligation(
    claims.layout_ends,
    REVISION,
    Theory.U64,
    explain=explain_endless,
    expected=Verdict.REFUTED,
    case="any_align",
)
def a_block_without_bytes_is_laid_for_ever(path: Any) -> None:
    geometry = admitted(path, arguments_by_align(path))
    first = first_block(geometry)
    path.assume("a block is laid", lambda: goes_on(geometry, first) and not skips(geometry, first))
    path.show_claim(claims.layout_ends, first.offset, turn(geometry, first).offset)


# The stack.


@dataclass
class Block:
    """A block that is known by name, and what it holds while it is free: the block below it, and a DMA address."""

    name: str
    vaddr: Any
    dma: Any
    below: Any = None
    says_dma: Any = None


@dataclass
class Page:
    """What the device gives, with the offsets of the blocks that are laid in it."""

    vaddr: Any
    dma: Any
    offsets: list[Any]
    data: bytearray


class EnteredTheRest(BaseException):
    """The code reads the first block of the rest of the stack, which is as unknown as the whole stack was."""


class AnyStack(BlockStackPool):
    """The running pool on a symbolic memory: blocks that are known, above the rest of the stack.

    Whether a block is on the stack is answered as the walk does, which has an obligation of its own:
    `double_free_is_refused`. A DMA address is always one of the pool's.
    """

    def __init__(self, path: Any, *, debug: bool, init_on_free: bool = False) -> None:
        unread = Geometry(SMALLEST_BLOCK, PAGE_SIZE, PAGE_SIZE)  # no operation on the stack looks at it
        super().__init__("pool", Memory(), unread, debug=debug, init_on_free=init_on_free)
        self.path = path
        self.writes: list[Any] = []
        self.rest = path.number("rest")  # the virtual address of the first block of the rest; NULL if it has none
        self.known: list[Block] = []
        self.free_blocks: list[Block] = []  # the known ones that lie above the rest
        self.below: list[Block] = []  # known to be in the rest, but not where
        self.page = Page(0, 0, [], bytearray(PAGE_SIZE))
        self.next_block = self.rest
        self.live, self.blocks = path.number("live"), path.number("blocks")  # before the operation
        self.nr_active, self.nr_blocks = self.live, self.blocks

    def block(self, name: str, vaddr: Any, dma: Any, anywhere: bool = False) -> Block:
        """A block of the pool. Its address is not NULL, nor another known block's, nor that of the rest's first."""
        if not anywhere:
            self.path.assume(
                "the blocks of the pool are at addresses of their own",
                lambda: vaddr != NULL and vaddr != self.rest and all(vaddr != other.vaddr for other in self.known),
            )
        self.known.append(Block(name, vaddr, dma))
        return self.known[-1]

    def any_block(self, name: str, anywhere: bool = False) -> Block:
        return self.block(name, self.path.number(f"vaddr of {name}"), self.path.number(f"dma of {name}"), anywhere)

    def put(self, block: Block) -> Block:
        """Have a block on top of the stack from the beginning."""
        block.below, block.says_dma = self.next_block, block.dma
        self.next_block = block.vaddr
        self.free_blocks.insert(0, block)
        return block

    def stack(self) -> list[str]:
        """The names of the blocks on the stack, as far as it can be followed."""
        names: list[str] = []
        at = self.next_block
        while at != self.rest:
            block = self._known(at)
            if block is None or len(names) > len(self.known):
                return [*names, "no end"]
            names.append(block.name if block.says_dma == block.dma else f"{block.name} at a wrong DMA address")
            at = block.below
        return [*names, "the rest"]

    def promised(self, *but: Block) -> list[str]:
        """What is on the stack if these are not."""
        return [*(block.name for block in self.free_blocks if block not in but), "the rest"]

    def _known(self, vaddr: Any) -> Block | None:
        return None if vaddr is None else next((block for block in self.known if block.vaddr == vaddr), None)

    def _touched(self, vaddr: Any) -> Block:
        block = self._known(vaddr)
        assert block is not None, "the code touches what is no known block"
        return block

    # What the running code calls.

    def _laid_offsets(self) -> Iterator[Any]:
        return iter(self.page.offsets)

    def _read_block(self, block: Any) -> tuple[Any, Any]:
        if block == self.rest:
            raise EnteredTheRest
        read = self._touched(block)
        return read.below, read.says_dma

    def _write_block(self, block: Any, below: Any, dma: Any) -> None:
        written = self._touched(block)
        written.below, written.says_dma = below, dma
        self.writes.append(block)

    def _fill(self, block: Any, byte: int) -> None:  # noqa: ARG002
        filled = self._touched(block)
        filled.below = filled.says_dma = None
        self.writes.append(block)

    def _check_block(self, block: Any) -> None:
        self._touched(block)  # it reads, and reports

    def _find_page(self, dma: Any) -> Any:  # noqa: ARG002
        return self.page

    def _is_free(self, vaddr: Any) -> bool:
        return any(block.vaddr == vaddr for block in (*self.free_blocks, *self.below))


class WalkedStack(AnyStack):
    """The walk itself."""

    _is_free = BlockStackPool._is_free


class Device:
    """Gives the pool its page, or fails. Meanwhile other callers have run, so that the stack is any by then."""

    def __init__(self, pool: AnyStack, fails: bool) -> None:
        self.pool = pool
        self.fails = fails

    def alloc_coherent(self, _: int) -> Page | None:
        self.pool.next_block = self.pool.rest
        return None if self.fails else self.pool.page


explain_stack = from_this_state("the stack holds the free blocks, and they are counted")


def allocate(path: Any, fails: bool = False) -> tuple[AnyStack, tuple[Any, Any] | None]:
    """Alloc, from a stack with a block or from a new page, unless the device fails; the pool, and what it handed out.

    A page has one block, two, or three: the third is laid as every later one is, for what the loop keeps of the blocks
    before is the first and the last.
    """
    pool = AnyStack(path, debug=path.one_of("debug", False, True))
    laid = path.one_of("blocks of a new page", *((1,) if fails else (0, 1, 2, 3)))
    if laid == 0:
        pool.put(pool.any_block("top"))
    else:
        pool.next_block, pool.memory = NULL, Device(pool, fails)  # type: ignore[assignment]
        pool.page.vaddr, pool.page.dma = path.number("vaddr of the page"), path.number("dma of the page")
        pool.page.offsets = [path.number(f"offset {number}") for number in range(laid)]
        pool.free_blocks = [
            pool.block(f"block {number}", pool.page.vaddr + offset, pool.page.dma + offset)
            for number, offset in enumerate(pool.page.offsets)
        ]
    return pool, pool.alloc(path.one_of("zero", False, True))


def take_back(path: Any, anywhere: bool = False) -> tuple[AnyStack, Block]:
    """Free of a live block, on a stack of any size; the pool, and the block, which may be `anywhere` if that is no matter."""
    pool = AnyStack(
        path, debug=path.one_of("debug", False, True), init_on_free=path.one_of("init_on_free", False, True)
    )
    freed = pool.any_block("freed", anywhere)
    pool.free(freed.vaddr, freed.dma)
    return pool, freed


@obligation(claims.allocated_block_was_free, REVISION, Theory.U64, explain=explain_stack)
def allocated_block_was_free(path: Any) -> None:
    pool, got = allocate(path)
    path.show("a block is handed out", lambda: got is not None)
    path.show_claim(claims.allocated_block_was_free, got, [(block.vaddr, block.dma) for block in pool.free_blocks])


@obligation(claims.alloc_fails_only_without_memory, REVISION, Theory.U64, explain=explain_stack)
def alloc_fails_only_without_memory(path: Any) -> None:
    fails = path.one_of("the device fails, and the stack is empty", False, True)
    pool, got = allocate(path, fails)
    path.show_claim(claims.alloc_fails_only_without_memory, got is None, not fails)
    path.show("a failure changes nothing", lambda: not fails or (pool.stack(), pool.log) == (["the rest"], []))


@obligation(claims.free_list_holds_the_free_blocks, REVISION, Theory.U64, explain=explain_stack, case="alloc")
def stack_holds_the_free_blocks_after_alloc(path: Any) -> None:
    pool, got = allocate(path)
    handed_out = [block for block in pool.free_blocks if got is not None and block.vaddr == got[0]]
    path.show_claim(claims.free_list_holds_the_free_blocks, pool.stack(), pool.promised(*handed_out))


@obligation(claims.free_list_holds_the_free_blocks, REVISION, Theory.U64, explain=explain_stack, case="free")
def stack_holds_the_free_blocks_after_free(path: Any) -> None:
    pool, freed = take_back(path)
    path.show_claim(claims.free_list_holds_the_free_blocks, pool.stack(), [freed.name, *pool.promised()])


@obligation(claims.double_free_is_refused, REVISION, Theory.U64, explain=explain_stack)
def double_free_is_refused(path: Any) -> None:
    """By induction over the stack: what is not at its top is looked for in the rest, in the same way."""
    pool = WalkedStack(path, debug=True)
    top = pool.put(pool.any_block("top"))
    sought = path.number("vaddr that is freed")
    path.assume(
        "there are no fewer blocks than the stack shows", lambda: pool.nr_blocks >= (1 if pool.rest == NULL else 2)
    )
    was_free = bool(sought == top.vaddr or (pool.rest != NULL and sought == pool.rest))
    try:
        refused = pool._block_err(sought, path.number("dma that is freed"))
    except EnteredTheRest:
        path.show("nothing but the rest is left to look through", lambda: not was_free)
        return
    path.show_claim(claims.double_free_is_refused, refused, was_free)


@obligation(claims.refused_free_changes_nothing, REVISION, Theory.U64, explain=explain_stack)
def refused_free_changes_nothing(path: Any) -> None:
    pool = AnyStack(path, debug=True, init_on_free=path.one_of("init_on_free", False, True))
    free = pool.any_block("free block")
    if path.one_of("it is", "the top", "in the rest") == "the top":
        pool.put(free)
    else:
        pool.below = [free]
    pool.free(free.vaddr, free.dma)
    path.show("it is reported", lambda: len(pool.log) == 1)
    counted_otherwise = ["in use"] * bool(pool.nr_active != pool.live)
    linked_otherwise = ["the stack"] * (pool.stack() != pool.promised())
    path.show_claim(claims.refused_free_changes_nothing, [*pool.writes, *counted_otherwise, *linked_otherwise])


@obligation(claims.in_use_counts_the_live_blocks, REVISION, Theory.U64, explain=explain_stack, case="alloc")
def in_use_counts_an_allocated_block(path: Any) -> None:
    pool, _ = allocate(path)
    path.assume("there are fewer live blocks than addresses", lambda: pool.live < 2**64 - 1)
    path.show_claim(claims.in_use_counts_the_live_blocks, pool.nr_active, pool.live + 1)


@obligation(claims.in_use_counts_the_live_blocks, REVISION, Theory.U64, explain=explain_stack, case="free")
def in_use_counts_a_freed_block_no_more(path: Any) -> None:
    pool, _ = take_back(path, anywhere=True)
    path.assume("the block is in use, and counted", lambda: pool.live >= 1)
    path.show_claim(claims.in_use_counts_the_live_blocks, pool.nr_active, pool.live - 1)


@obligation(claims.total_counts_the_blocks, REVISION, Theory.U64, explain=explain_stack, case="new_page")
def total_counts_the_blocks_of_a_new_page(path: Any) -> None:
    pool, _ = allocate(path)
    added = pool.nr_blocks - pool.blocks
    path.show_claim(claims.total_counts_the_blocks, added, pool.nr_pages, len(pool.page.offsets))


# Misuse.


def explain_double_free(inputs: dict[str, Any]) -> Counterexample:  # noqa: ARG001
    """On a running pool: what is counted, and how often the block is handed out."""
    pool = plain_pool(debug=False)
    block = pool.alloc() or (0, 0)
    pool.free(*block)
    pool.free(*block)
    in_use = pool.poolinfo().split()[1]
    again = [pool.alloc() for _ in range(3)]
    return Counterexample(
        "a block that is free is not taken back again",
        f"a block that is freed twice lies below itself: 0 live blocks are counted as {in_use}, "
        f"and the next 3 allocs hand the same block out {again.count(block)} times",
        Trace(
            (Create(1024), Alloc("a"), Free("a"), Free("a"), Alloc("b"), Alloc("c")),
            claim=claims.blocks_are_disjoint.name,
        ),
    )


def explain_mismatch(inputs: dict[str, Any]) -> Counterexample:  # noqa: ARG001
    """On a running pool: no trace, since v6.12 does not promise to notice. The series reports a bad vaddr."""
    pool = plain_pool(debug=True)
    first, second = pool.alloc() or (0, 0), pool.alloc() or (0, 0)
    pool.free(first[0], second[1])
    again = pool.alloc() or (0, 0)
    return Counterexample(
        f"the block at {first[0]:#x} has DMA address {first[1]:#x}",
        f"freed with {second[1]:#x}, which a debug build does not report, the block is handed out with {again[1]:#x}",
    )


def plain_pool(debug: bool) -> BlockStackPool:
    pool = BlockStackPool.create("pool", Memory(), 1024, 1, 0, debug=debug)
    assert pool is not None
    return pool


def freed_twice(path: Any) -> tuple[AnyStack, Block]:
    """A pool without debugging, whose topmost free block was freed again."""
    pool = AnyStack(path, debug=False)
    free = pool.put(pool.any_block("free block"))
    pool.free(free.vaddr, free.dma)
    return pool, free


@obligation(
    claims.free_list_holds_the_free_blocks,
    REVISION,
    Theory.U64,
    explain=explain_double_free,
    expected=Verdict.REFUTED,
    case="double_free",
)
def a_block_freed_twice_lies_below_itself(path: Any) -> None:
    pool, _ = freed_twice(path)
    path.show_claim(claims.free_list_holds_the_free_blocks, pool.stack(), pool.promised())


@obligation(
    claims.in_use_counts_the_live_blocks,
    REVISION,
    Theory.U64,
    explain=explain_double_free,
    expected=Verdict.REFUTED,
    case="double_free",
)
def a_block_freed_twice_is_subtracted_twice(path: Any) -> None:
    pool, _ = freed_twice(path)
    path.show_claim(claims.in_use_counts_the_live_blocks, pool.nr_active, pool.live)


@obligation(
    claims.allocated_block_was_free,
    REVISION,
    Theory.U64,
    explain=explain_double_free,
    expected=Verdict.REFUTED,
    case="double_free",
)
def a_block_freed_twice_is_handed_out_twice(path: Any) -> None:
    pool, free = freed_twice(path)
    first = pool.alloc()
    path.assume("it is handed out", lambda: first is not None and first[0] == free.vaddr)
    live_now = [free]
    still_free = [(block.vaddr, block.dma) for block in pool.free_blocks if block not in live_now]
    path.show_claim(claims.allocated_block_was_free, pool.alloc(), still_free)


@obligation(
    claims.allocated_block_was_free,
    REVISION,
    Theory.U64,
    explain=explain_mismatch,
    expected=Verdict.REFUTED,
    case="mismatched_free",
)
def a_free_with_anothers_dma_address_is_believed(path: Any) -> None:
    pool = AnyStack(path, debug=True)
    freed = pool.any_block("freed")
    pool.free(freed.vaddr, path.number("dma of another"))
    path.show_claim(claims.allocated_block_was_free, pool.alloc(), [(freed.vaddr, freed.dma)])


def explain_wild_link(inputs: dict[str, Any]) -> Counterexample:  # noqa: ARG001
    """On a running pool, beside which the device has given memory to somebody else; the trace has another pool there."""
    memory = Memory()
    pool = BlockStackPool.create("pool", memory, 1024, 1, 0)
    others = memory.alloc_coherent(4096)
    assert pool is not None
    assert others is not None
    block = pool.alloc() or (0, 0)
    pool.free(*block)
    DMA_BLOCK.pack_into(memory.block(block[0], DMA_BLOCK.size), 0, others.vaddr, 0)
    pool.alloc()
    got = pool.alloc() or (0, 0)
    return Counterexample(
        f"a block is handed out of the pool's page at {block[0]:#x}, whatever its free blocks say",
        f"a free block says {others.vaddr:#x}, where memory of another is, and the block at {got[0]:#x} is handed out",
        Trace(
            (
                Create(1024),
                Alloc("a"),
                OtherPool("x", 2**30),
                Free("a"),
                Write("a", 0, (VADDR_BASE + 2 * PAGE_SIZE).to_bytes(8, "little").hex()),  # where the memory of x is
                Alloc("b"),
                Alloc("c"),
            ),
            claim=claims.block_starts_in_a_page.name,
        ),
    )


@obligation(
    claims.block_starts_in_a_page,
    REVISION,
    Theory.U64,
    explain=explain_wild_link,
    expected=Verdict.REFUTED,
    case="damaged_link",
)
def a_link_to_other_memory_is_followed(path: Any) -> None:
    """The topmost free block was written to: the block below it is now anywhere in memory that the kernel can read."""
    pool = AnyStack(path, debug=False)
    page = path.number("vaddr of the page")
    top = pool.put(pool.block("top", page, path.number("dma of the page")))
    anywhere = pool.any_block("anywhere")
    top.below = anywhere.vaddr
    pool.alloc()
    got = pool.alloc()
    path.show_claim(claims.block_starts_in_a_page, NULL if got is None else got[0], [page], PAGE_SIZE)
