"""Counting: the total of the pools file against the blocks that are laid (patch 04)."""

from itertools import islice
from typing import Any

from impl import history, layout
from impl.layout import Cursor, Geometry
from model import claims
from model import geometry as promise
from model.trace import Alloc, Create, Trace
from proofs.explore import Theory, Verdict
from proofs.layout import LARGEST_DRAWN, PAGE_SIZE, WIDTHS, any_admitted_geometry, any_block, first_ones
from proofs.obligation import Counterexample, obligation


def explain_series(inputs: dict[str, Any]) -> Counterexample:
    return explain(inputs, layout)


def explain_original(inputs: dict[str, Any]) -> Counterexample:
    return explain(inputs, history)


def explain(inputs: dict[str, Any], revision: Any) -> Counterexample:
    """The blocks that are counted, those that the revision lays, and those that fit: any two may differ."""
    geometry = Geometry(inputs["size"], inputs["boundary"], inputs["allocation"])
    where = f"a page of {geometry.allocation} bytes, blocks of {geometry.size}, boundary {geometry.boundary}"
    actual = f"blocks that are counted: {revision.blks_per_alloc(geometry)}"
    if geometry.allocation > LARGEST_DRAWN:
        return Counterexample(f"{where}: the blocks that fit are counted", actual)
    fit = promise.block_offsets(promise.Geometry(geometry.size, geometry.boundary, geometry.allocation))
    try:
        laid = [
            offset for offset, _ in islice(layout.laid_blocks(geometry, revision.next_block), geometry.allocation + 1)
        ]
        actual += f"; blocks that are laid: {len(laid)}, at {first_ones(laid)}"
    except TimeoutError as endless:
        actual += f"; {endless}"
    expected = f"{where}: blocks that fit: {len(fit)}, at {first_ones(fit)}"
    arguments = (geometry.size, 1, geometry.boundary, PAGE_SIZE)
    if isinstance(promise.create(*arguments), promise.Refusal) or geometry.allocation != max(geometry.size, PAGE_SIZE):
        return Counterexample(expected, actual)
    return Counterexample(expected, actual, Trace((Create(*arguments[:3]), Alloc("a"))))


@obligation(claims.total_counts_the_blocks, "series", *WIDTHS, explain=explain_series)
def total_counts_the_blocks(path: Any) -> None:
    """Each boundary but the last has the same number of blocks below it.

    Ghosts count the boundaries and the blocks behind this one, and the blocks ahead of it below its boundary. The last
    is a difference of the others that has a name because solvers find the sign of a product of names.
    """
    geometry = any_admitted_geometry(path)
    block = any_block(path, geometry)
    following = layout.next_block(geometry, block)
    boundaries, blocks, ahead = path.ghost("boundaries"), path.ghost("blocks"), path.ghost("ahead")
    per_boundary = geometry.boundary // geometry.size
    first = layout.first_block(geometry)
    path.show(
        "the first block is number 0 behind 0 boundaries",
        lambda: first.offset == 0 and first.next_boundary == geometry.boundary and per_boundary > 0,
    )
    path.assume(
        "this block is number `blocks` behind `boundaries` boundaries, with `ahead` more before the next",
        lambda: (
            block.offset == boundaries * geometry.boundary + blocks * geometry.size
            and block.next_boundary == (boundaries + 1) * geometry.boundary
            and blocks + 1 + ahead == per_boundary
        ),
    )
    before = boundaries * per_boundary + blocks  # blocks that were laid before this one; 0 at the first
    if not layout.goes_on(geometry, following):
        path.show("this is the last boundary", lambda: boundaries + 1 == geometry.allocation // geometry.boundary)
        path.show("this is its last block", lambda: ahead == 0)
        path.show_claim(claims.total_counts_the_blocks, layout.blks_per_alloc(geometry), 1, before + 1)
        return
    if following.next_boundary == block.next_boundary:
        blocks = blocks + 1
    else:
        path.show("no block is left before the boundary", lambda: ahead == 0)
        boundaries, blocks = boundaries + 1, 0
    path.show(
        "the next block is in its place",
        lambda: (
            following.offset == boundaries * geometry.boundary + blocks * geometry.size
            and following.next_boundary == (boundaries + 1) * geometry.boundary
        ),
    )
    path.show("there is a place for it below its boundary", lambda: blocks < per_boundary)
    path.show("it is the next one", lambda: boundaries * per_boundary + blocks == before + 1)


@obligation(
    claims.total_counts_the_blocks,
    "series",
    Theory.INTEGERS,
    explain=explain_series,
    expected=Verdict.REFUTED,
    case="any_boundary",
)
def total_miscounts_where_boundary_divides_no_allocation(path: Any) -> None:
    """The premise that patch 02 gives and patch 04 needs: without it, the loop lays blocks that nobody counts."""
    geometry = any_admitted_geometry(path)
    boundaries, blocks = path.ghost("boundaries"), path.ghost("blocks")
    per_boundary = geometry.boundary // geometry.size
    offset = boundaries * geometry.boundary + blocks * geometry.size
    block = Cursor(offset, (boundaries + 1) * geometry.boundary)
    path.assume("the loop is at this block", lambda: blocks < per_boundary and block.offset < geometry.allocation)
    following = layout.next_block(geometry, block)
    path.assume("it is the last one", lambda: not layout.goes_on(geometry, following))
    laid = boundaries * per_boundary + blocks + 1
    path.show_claim(claims.total_counts_the_blocks, layout.blks_per_alloc(geometry), 1, laid)


@obligation(
    claims.total_counts_the_blocks,
    "v6.1",
    Theory.INTEGERS,
    explain=explain_original,
    expected=Verdict.REFUTED,
    case="any_page",
)
@obligation(
    claims.total_counts_the_blocks,
    "v6.1",
    Theory.U32,
    explain=explain_original,
    expected=Verdict.REFUTED,
    case="kernel_page",
)
def original_counts_blocks_that_do_not_exist(path: Any) -> None:
    """Against the number of blocks that fit, which `blks_per_alloc` is proved to count."""
    size, boundary = path.number("size"), path.number("boundary")
    if path.theory is Theory.INTEGERS:
        geometry = Geometry(size, boundary, path.number("allocation"))
    else:
        geometry = Geometry(size, boundary, path.one_of("allocation", PAGE_SIZE))
        path.assume("a free block holds a link", lambda: size >= promise.SMALLEST_BLOCK)
    path.assume_claim(claims.admitted_geometry_is_ordered, geometry)
    path.assume_claim(claims.boundary_divides_the_allocation, geometry)
    path.show_claim(
        claims.total_counts_the_blocks, history.blks_per_alloc(geometry), 1, layout.blks_per_alloc(geometry)
    )
