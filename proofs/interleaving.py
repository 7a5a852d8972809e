"""Interleavings: other callers run while an allocation has dropped the lock, around dma_alloc_coherent.

`proofs.free_list` shows that each atomic section keeps the invariant of the lists, whatever the others did in between. Here
is how many pages they can bring about together. Numbers: N blocks a page, at most K callers at once, at the peak M blocks
in use or asked for. Each caller that waits for a page will add one, so what has to be bounded is pages and waiting callers
together; that sum grows only where a caller begins to wait.
"""

from typing import Any

from model import claims
from proofs.engine.obligation import Counterexample, Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.subjects.arbitrary import AnyPool, first_with_room

obligation = Obligations(__name__)

explain = from_this_state("the pages stay within the bound")


class Demand:
    """What the callers of a pool ask for together."""

    def __init__(self, path: Any, blocks: Any) -> None:
        self.blocks = blocks  # per page (N)
        self.at_once = path.number("callers at once (K)")
        self.peak = path.number("peak demand (M)")
        self.pages = path.number("pages")
        self.waiting = path.number("callers that wait for a page")
        self.live = path.number("blocks in use")

    def holds(self, pages: Any) -> Any:
        """The claim, of pages that are there or under way."""
        return claims.pages_are_bounded_by_the_demand(pages, self.peak, self.at_once, self.blocks)


@obligation(claims.pages_are_bounded_by_the_demand, "series", Theory.INTEGERS, explain=explain)
def pages_are_bounded_by_the_demand(path: Any) -> None:
    """One allocation, from the call to its return; between its two atomic sections the others do what they like."""
    pool = AnyPool(path, needs=())
    demand = Demand(path, pool.blks_per_alloc)
    path.assume("a page has a block", lambda: demand.blocks >= 1)
    if path.one_of("a page has room", False, True):
        first_with_room(pool)
    device = pool.without_room()
    path.assume("this caller is one of K", lambda: demand.waiting + 1 <= demand.at_once)
    path.assume("the demand is at most M", lambda: demand.live + demand.waiting + 1 <= demand.peak)
    path.assume(
        "pages and waiting callers together are within the bound, before",
        lambda: demand.holds(demand.pages + demand.waiting),
    )
    added = note_pages(pool)
    pool.alloc()
    requests = device.requests
    if requests:
        path.assume(
            "where no page has room, every block is in use", lambda: demand.live == demand.pages * demand.blocks
        )
    path.show("a page is added for one that was asked for", lambda: len(added) <= len(requests) <= 1)
    path.show_claim(
        claims.pages_are_bounded_by_the_demand,
        demand.pages + demand.waiting + len(requests),
        demand.peak,
        demand.at_once,
        demand.blocks,
    )


def note_pages(pool: AnyPool) -> list[Any]:
    """The pages that a pool adds: each overlaps no other."""
    added: list[Any] = []
    pool.insertion_gives(added.append)  # which gives None
    return added


def explain_as_if_alone(inputs: dict[str, Any]) -> Counterexample:
    """Two callers at once bring two pages about, where one would have room for both blocks."""
    blocks, waiting = inputs["blocks per page (N)"], inputs["callers that wait for a page"]
    return Counterexample(
        f"{waiting} blocks are asked for, and a page has {blocks}: enough pages would be {-(-waiting // blocks)}",
        f"{waiting} callers wait at once, and each adds a page of its own: {waiting} pages",
    )


@obligation(claims.pages_are_bounded_by_the_demand, "series", Theory.INTEGERS, explain=explain, case="reached")
def bound_on_pages_is_reached(path: Any) -> None:
    """The bound is tight: (M - K) // N pages are filled, one block after the other; then K callers find no room, and each of
    them adds a page, although by then the others' pages have room."""
    pool = AnyPool(path, needs=())
    demand = Demand(path, pool.blks_per_alloc)
    full = path.number("full pages")
    path.assume(
        "as many pages are full as M - K blocks can fill",
        lambda: (
            full * demand.blocks <= demand.peak - demand.at_once
            and demand.peak - demand.at_once < (full + 1) * demand.blocks
        ),
    )
    device = pool.without_room()
    added = note_pages(pool)
    pool.alloc()
    requests = device.requests
    path.show("a caller that finds no room asks for a page", lambda: len(requests) == 1)
    path.assume("the device serves", lambda: pool.found is not None)
    path.show("and adds it, whatever was added meanwhile", lambda: len(added) == 1)
    path.show("no more than M blocks are asked for", lambda: full * demand.blocks + demand.at_once <= demand.peak)
    pages = full + demand.at_once
    path.show_claim(claims.pages_are_bounded_by_the_demand, pages, demand.peak, demand.at_once, demand.blocks)
    one_more = claims.pages_are_bounded_by_the_demand(pages + 1, demand.peak, demand.at_once, demand.blocks)
    path.show("one page more would be above the bound", lambda: not one_more)


@obligation.refuted(
    claims.pages_are_bounded_by_the_demand, "series", Theory.INTEGERS, explain=explain_as_if_alone, case="as_if_alone"
)
def pages_are_not_as_few_as_for_one_caller(path: Any) -> None:
    """What one caller after the other could rely on, K = 1, does not hold for those that wait together."""
    demand = Demand(path, path.number("blocks per page (N)"))
    path.assume("a page has a block", lambda: demand.blocks >= 1)
    path.assume(
        "K callers wait while there is no page", lambda: demand.waiting == demand.at_once and demand.waiting >= 1
    )
    path.assume("they are the whole demand", lambda: demand.peak == demand.waiting)
    path.show_claim(claims.pages_are_bounded_by_the_demand, demand.waiting, demand.peak, 1, demand.blocks)
