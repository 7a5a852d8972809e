"""v6.1, whose list has all pages, and whose alloc scans it: a turn of the scan, its end, and a free; any page, at any place.

By induction over the list: what comes after a page is a list of its own. What v6.1 does as the series does is shown by the
same bodies.
"""

from types import SimpleNamespace
from typing import Any

from model import claims
from model.claims import Claim
from proofs import fills, free_list, operations
from proofs.engine.obligation import Obligations, from_this_state
from proofs.engine.path import Body, Theory
from proofs.free_list import HANDED_OUT, PAGE, show_handed_out, show_page
from proofs.subjects.arbitrary import (
    AnyV6_1Pool,
    any_page,
    around,
    chain,
    free_any_block,
    has_a_block_in_use,
    put_in_list,
)
from proofs.subjects.subject import ReachedTail, about

obligation = Obligations(__name__)


def state(claim: Claim, body: Body, case: str) -> None:
    explain = from_this_state("a page with room is found, and its blocks are counted and linked")
    obligation(claim, "v6.1", Theory.U64, explain=explain, case=case)(body)


def in_the_list(path: Any, pool: Any, page: Any) -> None:
    """The pages around it are any."""
    link, head = page.avail_page_link, pool.avail_page_list
    before = path.one_of("before it in the list", "none", "others") == "others"
    after = path.one_of("after it in the list", "none", "others") == "others"
    link.prev, link.next = SimpleNamespace(next=link) if before else head, SimpleNamespace(prev=link) if after else head
    head.next, head.prev = SimpleNamespace(prev=head) if before else link, SimpleNamespace(next=head) if after else link


def show_list_as_it_was(path: Any, pool: Any, page: Any, linked: list[Any]) -> None:
    now = links(pool, page)
    path.show("the list is as it was", lambda: all(one is other for one, other in zip(now, linked, strict=True)))


def links(pool: Any, page: Any) -> list[Any]:
    link, head = page.avail_page_link, pool.avail_page_list
    return [link.next, link.prev, head.next, head.prev]


def alloc_looks_at_any_page(path: Any, subject: Any = AnyV6_1Pool) -> None:
    """A turn of the scan, at any page: it takes it if it has room, or goes on with the one after it, and leaves all alone."""
    pool = subject(path, "debug")
    page = any_page(pool)
    in_the_list(path, pool, page)
    linked, live, free, offset = links(pool, page), page.in_use, chain(pool, page), page.offset
    try:
        block = pool.scan(page, path.one_of("zero", False, True))
    except ReachedTail:
        path.show("a page is passed only if it has no room", lambda: not free)
        path.show("the page is as it was", lambda: page.in_use == live and page.offset is offset and not page.writes)
    else:
        show_handed_out(path, page, block)
        show_page(pool, page, live + 1, free[1:])
    show_list_as_it_was(path, pool, page, linked)


def alloc_at_the_end_of_the_list(path: Any, subject: Any = AnyV6_1Pool) -> None:
    """No page has room: the lock is dropped, others change the list, a page is added or there is no memory."""
    pool = subject(path, "debug")
    device = pool.without_room()
    others = put_in_list(pool, [], " before")
    block = pool.scan(None, path.one_of("zero", False, True))
    listed, torn = around(pool.avail_page_list)
    page, others = pool.found, device.others if device.requests else others
    if page is None:
        path.show("there is no block", lambda: block is None)
        path.show_claim(claims.list_is_a_ring, torn, listed, others)
        return
    path.show_claim(claims.list_is_a_ring, torn, listed, [page, *others])
    show_handed_out(path, page, block)
    show_page(pool, page, 1, ["the tail"] if "the tail" in page.blocks else [])


def free_a_block_in_use(path: Any, subject: Any = AnyV6_1Pool) -> None:
    pool = subject(path, "debug", "init_on_free")
    page = any_page(pool)
    has_a_block_in_use(pool, page)
    in_the_list(path, pool, page)
    linked, live, free = links(pool, page), page.in_use, chain(pool, page)
    free_any_block(pool, page)
    show_page(pool, page, live - 1, ["the block", *free])
    show_list_as_it_was(path, pool, page, linked)


for case, body, shown in (
    ("alloc", alloc_looks_at_any_page, (*HANDED_OUT, *PAGE)),
    (
        "alloc_with_a_new_page",
        alloc_at_the_end_of_the_list,
        (*HANDED_OUT, *PAGE, claims.list_is_a_ring),
    ),
    ("free", free_a_block_in_use, PAGE),
):
    for claim in shown:
        state(claim, body, case)

AS_THE_SERIES = (
    free_list.double_free_breaks_the_list,
    free_list.double_free_is_refused,
    fills.allocated_block_is_filled,
    fills.freed_block_is_filled,
    fills.link_survives_the_fill,
    operations.live_block_is_left_alone,
    operations.locking_rules_are_kept,
    operations.flags_reach_the_device,
)

for theory in (Theory.INTEGERS, Theory.U32):
    obligation(claims.free_list_holds_the_free_blocks, "v6.1", theory, explain=free_list.explain, case="as_laid")(
        free_list.page_is_laid_with_all_its_blocks
    )

for one in [*free_list.obligation.stated, *fills.obligation.stated, *operations.obligation.stated]:
    if one.body in AS_THE_SERIES:
        obligation(one.claim, "v6.1", Theory.U64, explain=one.explain, expected=one.expected, case=one.case)(
            about(one.body, AnyV6_1Pool)
        )
