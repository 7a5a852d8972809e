"""The merged rewrite, v6.12: its argument check and its layout.

They are proved as for the series (see `proofs.admission`, `proofs.layout`, `proofs.counting`), but by induction over the
*turns* of the loop, since some of them lay no block. The invariant is `layout_stays_between_boundaries` of a block without
bytes, for a turn may begin where no block fits below the boundary any more.
"""

from dataclasses import replace
from itertools import islice
from typing import Any

from impl import block_stack, layout
from impl.block_stack import DMA_BLOCK, goes_on, skips, turn
from impl.layout import Cursor, Geometry, first_block
from model import claims
from model import geometry as promise
from model.claims import Claim
from model.geometry import number
from model.trace import Alloc, Create, Trace
from proofs import admission
from proofs.admission import arguments, arguments_that_round_up_to_an_int, kept_geometry
from proofs.counting import Turn, by_turns
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Counterexample, Obligations
from proofs.engine.path import Theory
from proofs.layout import LARGEST_DRAWN, PAGE_SIZE, WIDTHS, any_cursor, any_geometry, first_ones, page_of

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
        for offset in islice(block_stack.laid_offsets(geometry), len(promised) + 2):
            laid.append(offset)
    except TimeoutError as endless:
        return Counterexample(expected, str(endless), trace_of(geometry, 1), page_of(geometry, laid))
    if laid == promised:
        return Counterexample(
            expected, "these blocks are laid; the step of the induction fails in a state that the loop may never reach"
        )
    actual = f"{len(laid)} blocks are laid, at {first_ones(laid)}"
    return Counterexample(expected, actual, trace_of(geometry, len(promised) + 1), page_of(geometry, laid))


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
    end, size = number(laid[1]), number(kept.size)
    actual = f"{told.actual}; block 2 lies at {end}, past the page's end, for {end} + {size} wraps around"
    return replace(told, actual=actual, page=page_of(kept, laid))


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
