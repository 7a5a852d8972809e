"""Counting: the total of the pools file against the blocks that are laid (patch 04)."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from impl import history, layout
from impl.layout import Cursor, Geometry
from model import claims
from model import geometry as promise
from model.trace import Alloc, Create, Trace
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Counterexample, Obligations
from proofs.engine.path import Body, Theory
from proofs.layout import LARGEST_DRAWN, PAGE_SIZE, WIDTHS, any_admitted_geometry, any_block, first_ones, page_of

obligation = Obligations(__name__)


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
    laid: list[int] = []
    try:
        for offset, _ in islice(layout.laid_blocks(geometry, revision.next_block), geometry.allocation + 1):
            laid.append(offset)
        actual += f"; blocks that are laid: {len(laid)}, at {first_ones(laid)}"
    except TimeoutError as endless:
        actual += f"; {endless}"
    expected = f"{where}: blocks that fit: {len(fit)}, at {first_ones(fit)}"
    arguments = (geometry.size, 1, geometry.boundary, PAGE_SIZE)
    if isinstance(promise.create(*arguments), promise.Refusal) or geometry.allocation != max(geometry.size, PAGE_SIZE):
        return Counterexample(expected, actual, page=page_of(geometry, laid))
    return Counterexample(expected, actual, Trace((Create(*arguments[:3]), Alloc("a"))), page_of(geometry, laid))


@dataclass(frozen=True)
class Turn:
    """The loop over a page, at any turn: where the page begins, where this turn is and the next one, None if there is none;
    whether it lays a block. `total` is asked at the end for what is counted."""

    geometry: Any
    first: Cursor
    here: Cursor
    following: Cursor | None
    total: Callable[[], Any]
    lays: Any = True


def by_blocks(turn_of: Callable[[Any], Turn]) -> Body:
    """The count of a loop that lays a block at every turn: each boundary but the last has the same number of blocks below it.

    Ghosts count the boundaries and the blocks behind this one, and the blocks ahead of it below its boundary. The last
    is a difference of the others that has a name because solvers find the sign of a product of names.
    """

    def total_counts_the_blocks(path: Any) -> None:
        turn = turn_of(path)
        geometry, first, block, following = turn.geometry, turn.first, turn.here, turn.following
        boundaries, blocks, ahead = path.ghost("boundaries"), path.ghost("blocks"), path.ghost("ahead")
        per_boundary = geometry.boundary // geometry.size
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
        if following is None:
            path.show("this is the last boundary", lambda: boundaries + 1 == geometry.allocation // geometry.boundary)
            path.show("this is its last block", lambda: ahead == 0)
            path.show_claim(claims.total_counts_the_blocks, turn.total(), 1, before + 1)
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

    return total_counts_the_blocks


def by_turns(turn_of: Callable[[Any], Turn]) -> Body:
    """The same of a loop that lays no block at the turns where one would cross a boundary; what is counted while laying is the
    series' formula. Here `blocks` are those since the last boundary, and `ahead` those that fit below the next one."""

    def total_counts_the_blocks(path: Any) -> None:
        turn = turn_of(path)
        geometry, first, cursor, following = turn.geometry, turn.first, turn.here, turn.following
        boundaries, blocks, ahead = path.ghost("boundaries"), path.ghost("blocks"), path.ghost("ahead")
        per_boundary = geometry.boundary // geometry.size
        path.show(
            "the first turn comes after 0 blocks and 0 boundaries",
            lambda: first.offset == 0 and first.next_boundary == geometry.boundary and per_boundary > 0,
        )
        path.assume(
            "this turn comes `blocks` blocks after `boundaries` boundaries",
            lambda: (
                cursor.offset == boundaries * geometry.boundary + blocks * geometry.size
                and cursor.next_boundary == (boundaries + 1) * geometry.boundary
                and blocks + ahead == per_boundary
            ),
        )
        counted = boundaries * per_boundary + blocks  # blocks that were laid before this turn; 0 at the first
        if following is None:
            path.show("no more blocks fit below the boundary", lambda: ahead == 0)
            path.show(
                "the page ends before the next one",
                lambda: geometry.allocation - cursor.next_boundary < geometry.boundary,
            )
            fit = geometry.allocation // geometry.boundary
            path.show("the page has this boundary", lambda: boundaries + 1 <= fit)
            path.show("it has none after", lambda: fit * geometry.boundary < (boundaries + 2) * geometry.boundary)
            path.show("this is the last boundary", lambda: boundaries + 1 == fit)
            path.show_claim(claims.total_counts_the_blocks, counted, 1, turn.total())
            return
        if turn.lays:
            blocks = blocks + 1
        else:
            path.show("no more blocks fit below the boundary", lambda: ahead == 0)
            boundaries, blocks = boundaries + 1, 0
        path.show(
            "the next turn is in its place",
            lambda: (
                following.offset == boundaries * geometry.boundary + blocks * geometry.size
                and following.next_boundary == (boundaries + 1) * geometry.boundary
            ),
        )
        path.show("no more blocks than fit are below its boundary", lambda: blocks <= per_boundary)
        path.show("as many are counted", lambda: boundaries * per_boundary + blocks == counted + int(turn.lays))

    return total_counts_the_blocks


def turn_of_the_series(path: Any) -> Turn:
    geometry = any_admitted_geometry(path)
    block = any_block(path, geometry)
    following = layout.next_block(geometry, block)
    return Turn(
        geometry,
        layout.first_block(geometry),
        block,
        following if layout.goes_on(geometry, following) else None,
        lambda: layout.blks_per_alloc(geometry),
    )


obligation(claims.total_counts_the_blocks, "series", *WIDTHS, explain=explain_series)(by_blocks(turn_of_the_series))


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
