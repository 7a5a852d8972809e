"""Destroy: what becomes of a page, and that patch 08 changes nothing. `proofs.walk` shows in which order pages are visited."""

from collections.abc import Callable
from typing import Any

from impl.pool import POOL_POISON_FREED
from impl.v6_1 import Patch08Pool, V6_1Pool
from model import claims
from model.trace import Alloc, Create, Destroy, Free, Trace
from proofs.engine.obligation import Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.subjects.arbitrary import AnyPage, AnyPool, around, put_in_list
from proofs.subjects.subject import OTHERWISE, ReachedTail

obligation = Obligations(__name__)

explain = from_this_state(
    "an idle page is given back once, and a busy one is reported",
    Trace((Create(2048), Alloc("a"), Alloc("b"), Alloc("c"), Free("c"), Destroy())),
)


class LoggingDevice:
    """Notes in one log what is written to a page, what is given back, and what is said."""

    def __init__(self, pool: Any, page: AnyPage) -> None:
        self.seen: list[Any] = []
        pool.memory, pool.log = self, self.seen
        page.writes = self.seen

    def free_coherent(self, nbytes: Any, vaddr: Any, dma: Any) -> None:
        self.seen.append(("given back", nbytes, vaddr, dma))


@obligation(claims.destroy_leaks_exactly_the_busy_pages, "series", Theory.U64, explain=explain)
def destroy_leaks_exactly_the_busy_pages(path: Any, subject: Callable[..., AnyPool] = AnyPool) -> None:
    pool, page, device, others = at_its_turn(path, subject)
    busy = page.in_use >= 1
    given_back = ("given back", pool.geometry.allocation, page.vaddr, page.dma)
    done = [what for what in device.seen if not isinstance(what, str)]  # of what is said, see below
    leaked = [] if any(what[0] == "given back" for what in done) else [1]
    path.show_claim(claims.destroy_leaks_exactly_the_busy_pages, leaked, [1] if busy else [])
    path.show("a busy page is left alone", lambda: not busy or not done)
    poisoned = [(0, pool.geometry.allocation, POOL_POISON_FREED, False)] if pool.debug else []
    promised = [[*poisoned, given_back]] + [[given_back]] * (not pool.poisons_pages)
    path.show("any other is poisoned in debug builds, and then given back", lambda: busy or done in promised)
    listed, torn = around(pool.avail_page_list)
    remaining = [other for other in others if other is not page]
    path.show("no link to it is left", lambda: claims.list_is_a_ring(torn, listed, remaining))


@obligation(claims.reports_are_the_kernels, "series", Theory.U64, explain=explain, case="destroy")
def busy_page_is_reported(path: Any, subject: Callable[..., AnyPool] = AnyPool) -> None:
    _, page, device, _ = at_its_turn(path, subject)
    said = [OTHERWISE if what == OTHERWISE else "busy" for what in device.seen if isinstance(what, str)]
    path.show_claim(claims.reports_are_the_kernels, said, ["busy"] if page.in_use >= 1 else [])


def at_its_turn(path: Any, subject: Callable[..., AnyPool]) -> tuple[Any, AnyPage, LoggingDevice, list[AnyPage]]:
    """A pool that was destroyed, and any page, at its turn: the pages before it are done, those after it to come. Also the
    device, and the other pages."""
    pool = subject(path, "debug", needs=())
    page = pool.page("the page")
    device = LoggingDevice(pool, page)
    others = put_in_list(pool, [page] if pool.has_room(page) else [])
    each = "first_page", "next_page", "all_pages"
    path.by(claims.destroy_reads_no_freed_page, pool.page_tree, "postorder", lambda: iter([page]), *each)
    pool.destroy()
    return pool, page, device, others


class Tail:
    """The pages after the first one: whoever reads of them goes on there."""

    def __getattr__(self, field: str) -> Any:
        raise ReachedTail(field)


@obligation(claims.patch_08_changes_nothing, "series", Theory.U64, explain=explain)
def patch_08_changes_nothing(path: Any) -> None:
    """By induction over the list of pages: both loops do the same with the first page, and then have the same tail to do."""
    pool = AnyPool(path, "debug", needs=())
    page = pool.bare_page()
    page.in_use = path.number("blocks in use")
    effects = []
    more = path.one_of("more pages", False, True)
    for revision in (V6_1Pool, Patch08Pool):
        twin: Any = object.__new__(revision)
        twin.__dict__.update(pool.__dict__, log=[])
        pages = twin.page_list = [page, Tail()] if more else [page]
        device = LoggingDevice(twin, page)
        try:
            revision.destroy(twin)
            ended = True
        except ReachedTail:
            ended = False
        effects.append([*device.seen, ended, page in pages])
    path.show_claim(claims.patch_08_changes_nothing, *effects)
    path.show("the loop goes on exactly if there are more pages", lambda: effects[0][-2] != more)
