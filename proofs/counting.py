"""Counting: the total of the pools file against the blocks that are placed (patch 04)."""

from functools import partial
from typing import Any

from impl import layout, v6_1
from impl.layout import Cursor, Geometry
from model import claims
from model import geometry as promise
from proofs.counterexamples import LARGEST_DRAWN, described, offsets_of, page_of, trace_of
from proofs.engine.obligation import Counterexample, Obligations
from proofs.engine.path import Theory
from proofs.layout import WIDTHS, any_page, any_page_of_v6_1, any_turn
from proofs.subjects.subject import IN_PYTHON, SERIES_IN_PYTHON, V6_1_IN_PYTHON, Place, Subject, about

obligation = Obligations(__name__)


def explain(place: Place, count: Any, inputs: dict[str, Any]) -> Counterexample:
    """The blocks that are counted, those that the revision places, and those that fit: any two may differ."""
    geometry = Geometry(inputs["size"], inputs["boundary"], inputs["allocation"])
    actual = f"blocks that are counted: {count(geometry)}"
    if geometry.allocation > LARGEST_DRAWN:
        return Counterexample(f"{described(geometry)}: the blocks that fit are counted", actual)
    fit = promise.block_offsets(promise.Geometry(geometry.size, geometry.boundary, geometry.allocation))
    placed, trouble = place(geometry, geometry.allocation + 1)
    actual += f"; {trouble}" if trouble else f"; blocks that are placed: {len(placed)}, at {offsets_of(placed)}"
    expected = (
        f"{described(geometry)}: blocks that fit: {len(fit)}, at {offsets_of([(offset, None) for offset in fit])}"
    )
    return Counterexample(expected, actual, trace_of(geometry, 1, promise.SMALLEST_BLOCK), page_of(geometry, placed))


explain_series = partial(explain, SERIES_IN_PYTHON.place, layout.blks_per_alloc)
explain_v6_1 = partial(explain, V6_1_IN_PYTHON.place, v6_1.blks_per_alloc)


def total_counts_the_blocks(path: Any, subject: Subject) -> None:
    """Each boundary but the last has the same number of blocks below it.

    Ghosts count the boundaries behind this turn's place, the blocks since the last of them, and the blocks ahead that fit below
    the next one. `ahead` is a difference of the others that has a name because solvers find the sign of a product of names.
    """
    geometry, page, first, at, last = any_turn(path, subject)
    placed, following, _ = page.turn(at, last)
    boundaries, blocks, ahead = path.ghost("boundaries"), path.ghost("blocks"), path.ghost("ahead")
    per_boundary = geometry.boundary // geometry.size
    path.show(
        "the first turn comes after 0 blocks and 0 boundaries",
        lambda: first.offset == 0 and first.next_boundary == geometry.boundary and per_boundary > 0,
    )
    path.assume(
        "this turn comes `blocks` blocks after `boundaries` boundaries, and `ahead` more fit below the next one",
        lambda: (
            at.offset == boundaries * geometry.boundary + blocks * geometry.size
            and at.next_boundary == (boundaries + 1) * geometry.boundary
            and blocks + ahead == per_boundary
        ),
    )
    counted = boundaries * per_boundary + blocks
    if placed is not None:
        counted, blocks, ahead = counted + 1, blocks + 1, ahead - 1
        path.show("a block that is placed fits below the boundary", lambda: ahead >= 0)
    if following is None:
        path.show("no more blocks fit below the boundary", lambda: ahead == 0)
        fit = geometry.allocation // geometry.boundary
        path.show(
            "the page ends before the next one", lambda: geometry.allocation - at.next_boundary < geometry.boundary
        )
        path.show("this is the last boundary", lambda: boundaries + 1 == fit)
        path.show_claim(claims.total_counts_the_blocks, page.total(), 1, counted)
        return
    if following.next_boundary != at.next_boundary:
        path.show("no more blocks fit below this boundary", lambda: ahead == 0)
        boundaries, blocks = boundaries + 1, 0
    path.show(
        "the next turn is in its place",
        lambda: (
            following.offset == boundaries * geometry.boundary + blocks * geometry.size
            and following.next_boundary == (boundaries + 1) * geometry.boundary
        ),
    )
    path.show("no more blocks than fit are below its boundary", lambda: blocks <= per_boundary)
    path.show("as many are counted", lambda: boundaries * per_boundary + blocks == counted)


for subject in IN_PYTHON:
    explained = partial(explain, subject.place, layout.blks_per_alloc)
    obligation(claims.total_counts_the_blocks, subject.revision, *WIDTHS, explain=explained)(
        about(total_counts_the_blocks, subject)
    )


@obligation.refuted(
    claims.total_counts_the_blocks, "series", Theory.INTEGERS, explain=explain_series, case="any_boundary"
)
def total_miscounts_where_boundary_divides_no_allocation(path: Any) -> None:
    """The premise that patch 02 gives and patch 04 needs: without it, the loop places blocks that nobody counts."""
    geometry = any_page(path, SERIES_IN_PYTHON)[0]
    boundaries, blocks = path.ghost("boundaries"), path.ghost("blocks")
    per_boundary = geometry.boundary // geometry.size
    offset = boundaries * geometry.boundary + blocks * geometry.size
    block = Cursor(offset, (boundaries + 1) * geometry.boundary)
    path.assume("the loop is at this block", lambda: blocks < per_boundary and block.offset < geometry.allocation)
    following = layout.next_block(geometry, block)
    path.assume("it is the last one", lambda: not layout.goes_on(geometry, following))
    placed = boundaries * per_boundary + blocks + 1
    path.show_claim(claims.total_counts_the_blocks, layout.blks_per_alloc(geometry), 1, placed)


@obligation.refuted(claims.total_counts_the_blocks, "v6.1", Theory.INTEGERS, explain=explain_v6_1, case="any_page")
@obligation.refuted(claims.total_counts_the_blocks, "v6.1", Theory.U32, explain=explain_v6_1, case="kernel_page")
def v6_1_counts_blocks_that_do_not_exist(path: Any) -> None:
    """Against the number of blocks that fit, which `blks_per_alloc` is proved to count."""
    geometry = any_page_of_v6_1(path)
    path.show_claim(claims.total_counts_the_blocks, v6_1.blks_per_alloc(geometry), 1, layout.blks_per_alloc(geometry))
