"""Free lists and the list of pages with room: what an allocation and a free leave behind, for pages of any number of blocks.

The invariant is several claims about a page: its free list holds each free block once, its blocks in use are counted, the
two make up the page, and the page is in the list of pages with room exactly if it has a free block. The code runs in any
state in which they hold, and is shown to leave one behind in which they hold again.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

from impl.layout import Cursor, laid_blocks
from impl.list_head import ListHead, list_add, list_del_init, list_empty
from model import claims
from model.claims import Claim
from model.trace import Alloc, Create, Free, Kernel, Trace
from proofs.engine.obligation import Counterexample, Obligations, from_this_state
from proofs.engine.path import Body, Theory
from proofs.subjects.arbitrary import (
    NO_MORE,
    PLACES,
    AnyPage,
    AnyPool,
    AnyV6_1Pool,
    another_block,
    any_page,
    around,
    chain,
    first_with_room,
    free_any_block,
    free_block,
    has_a_block_in_use,
    put_in_list,
)
from proofs.subjects.subject import ReachedTail, about, any_cursor, any_geometry, give_back

obligation = Obligations(__name__)

PAGE = (
    claims.free_list_holds_the_free_blocks,
    claims.in_use_counts_the_live_blocks,
    claims.blocks_are_in_use_or_free,
)
"""The claims about a page by itself."""

INVARIANT = (*PAGE, claims.pages_with_room_are_listed, claims.list_is_a_ring)

HANDED_OUT = claims.allocated_block_was_free, claims.handle_is_the_blocks_address


explain = from_this_state("the lists and counters agree with the blocks afterwards")


def show_page(pool: AnyPool, page: AnyPage, live: Any, free: list[str]) -> None:
    """Show the invariant of a page by itself, with `live` blocks in use and these free ones."""
    path, names = pool.path, chain(pool, page)
    tail = pool.blks_per_alloc - live - len([name for name in free if name != "the tail"])
    count = sum(tail if name == "the tail" else 1 for name in names)
    path.show_claim(claims.free_list_holds_the_free_blocks, names, free)
    path.show_claim(claims.in_use_counts_the_live_blocks, page.in_use, live)
    path.show_claim(claims.blocks_are_in_use_or_free, page.in_use, count, pool.blks_per_alloc)


def show_handed_out(path: Any, page: Any, block: Any) -> None:
    """The first free block of this page, if it has one, is what an allocation gives, and its DMA address with it."""
    first = [(page.vaddr + at, page.dma + at) for name, at in page.blocks.items() if name == "the first"]
    path.show_claim(claims.allocated_block_was_free, block, first)
    for _, dma in first:
        path.show_claim(claims.handle_is_the_blocks_address, block[1], dma)


def show_invariant(pool: AnyPool, page: AnyPage, live: Any, free: list[str], others: list[Any]) -> None:
    """Show the invariant of a page, beside the other pages with room."""
    path = pool.path
    show_page(pool, page, live, free)
    listed, torn = around(pool.avail_page_list)
    expected = ([page] if free else []) + others
    path.show_claim(claims.list_is_a_ring, torn, sorted(map(str, listed)), sorted(map(str, expected)))
    path.show_claim(claims.pages_with_room_are_listed, [1 for owner in listed if owner is page], [1] if free else [])
    path.show("a link that is in no ring points at itself", lambda: bool(free) != list_empty(page.avail_page_link))


def register(case: str, *handed_out: Claim) -> Callable[[Body], Body]:
    """Make a body an obligation for each claim of the invariant, and for what is claimed of a block that is handed out."""

    def decorate(body: Body) -> Body:
        for claim in (*handed_out, *INVARIANT):
            obligation(claim, "series", Theory.U64, explain=explain, case=case)(body)
        return body

    return decorate


@register("alloc", *HANDED_OUT)
def alloc_from_a_page_with_room(path: Any, subject: Any = AnyPool) -> None:
    pool = subject(path, "debug")
    page, others = first_with_room(pool)
    live, free = page.in_use, chain(pool, page)
    block = pool.alloc(path.one_of("zero", False, True))
    show_handed_out(path, page, block)
    show_invariant(pool, page, live + 1, free[1:], others)


@register("alloc_with_a_new_page", *HANDED_OUT)
def alloc_with_a_new_page(path: Any, subject: Any = AnyPool) -> None:
    """No page has room, so the lock is dropped around dma_alloc_coherent. By then, any other page may have room."""
    pool = subject(path, "debug")
    device = pool.without_room()
    refused = path.one_of("the page overlaps another", False, True)
    pool.insertion_gives(lambda page: page if refused else None)
    block = pool.alloc(path.one_of("zero", False, True))
    page = pool.found
    if page is None or refused:
        listed, torn = around(pool.avail_page_list)
        path.show("there is no block", lambda: block is None)
        path.show_claim(claims.list_is_a_ring, torn, listed, device.others)
        return
    free = ["the tail"] if "the tail" in page.blocks else []
    show_handed_out(path, page, block)
    show_invariant(pool, page, 1, free, device.others)


@register("free")
def free_a_block_in_use(path: Any, subject: Any = AnyPool) -> None:
    pool = subject(path, "debug", "init_on_free")
    page = any_page(pool)
    has_a_block_in_use(pool, page)
    others = put_in_list(pool, [page] if pool.has_room(page) else [])
    live, free = page.in_use, chain(pool, page)
    free_any_block(pool, page)
    show_invariant(pool, page, live - 1, ["the block", *free], [owner for owner in others if owner is not page])


def explain_double_free(inputs: dict[str, Any]) -> Counterexample:
    """A driver frees a block twice, in a build that does not notice: later, two get the same block."""
    return Counterexample(
        "the free list holds the block once, as before",
        f"the block at offset {inputs['offset of the first free block']} links to itself, and a block less counts as in use",
        Trace(
            (Create(1000), Alloc("a"), Free("a"), Free("a"), Alloc("b"), Alloc("c")),
            claim=claims.blocks_are_disjoint.name,
        ),
    )


@obligation.refuted(
    claims.free_list_holds_the_free_blocks, "series", Theory.U64, explain=explain_double_free, case="double_free"
)
def double_free_breaks_the_list(path: Any, subject: Any = AnyPool) -> None:
    """Without debug, a block that is free already is linked once more."""
    pool = subject(path, "init_on_free")
    pool.found = page = pool.page("the page")
    path.assume("a block is in use and another is free", lambda: page.in_use >= 1 and page.in_use < pool.blks_per_alloc)
    put_in_list(pool, [page])
    free, block = chain(pool, page), page.blocks["the first"]
    give_back(pool, page.vaddr + block, page.dma + block)
    path.show_claim(claims.free_list_holds_the_free_blocks, chain(pool, page), free)


class Count:
    """A number that the code counts up, where a proof can see how far."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __iadd__(self, more: int) -> "Count":  # type: ignore[misc]
        self.value = self.value + more
        return self

    def __add__(self, other: Any) -> Any:
        return self.value + other


def walk_on(pool: AnyPool, page: AnyPage, block: Any, before: Any) -> tuple[str, bool]:
    """The search of debug builds for a block, from any block of a free list on, which `before` blocks come before: what it
    says, and whether it reached the tail, which is looked through as a list of its own, with one more before."""
    count, state = Count(before), (page.offset, page.in_use)
    try:
        said, ahead = pool._walk(page, page.offset, count, block), False
    except ReachedTail:
        pool.path.show("a turn counts one block", lambda: count.value == before + pool.TURNS)
        said, ahead = "", True
    pool.path.show(
        "the search changes nothing", lambda: not page.writes and page.offset is state[0] and page.in_use is state[1]
    )
    return said, ahead


@obligation(claims.double_free_is_refused, "series", Theory.U64, explain=explain)
def double_free_is_refused(path: Any, subject: Any = AnyPool) -> None:
    """By induction over the free list, which is as long as the blocks in use leave it."""
    pool = subject(path, needs=(*PLACES, NO_MORE))
    page = any_page(pool)
    listed, before = chain(pool, page), path.number("free blocks before")
    pool.counts_fit(before, pool.blks_per_alloc)
    where = path.one_of(
        "the block is", "in use", *listed, *(["further on in the tail"] if "the tail" in listed else [])
    )
    block = page.blocks.get(where)
    if block is None:
        block = another_block(pool, page)
    pool.blks_per_alloc = pool.blks_per_alloc + before
    said, ahead = walk_on(pool, page, block, before)
    refused = where == "further on in the tail" if ahead else said != ""  # by hypothesis
    path.show_claim(claims.double_free_is_refused, refused, where != "in use")


@obligation(claims.free_list_of_wrong_length_is_refused, "series", Theory.U64, explain=explain)
def free_list_of_wrong_length_is_refused(path: Any, subject: Any = AnyPool) -> None:
    """By induction over a free list of any length, which does not have the block that is freed. One that runs in a circle is
    left as soon as it is too long, since each turn counts one block more."""
    pool = subject(path, needs=PLACES)
    page, length, before = pool.bare_page(), path.number("free blocks from here on"), path.number("free blocks before")
    page.in_use = path.number("blocks in use")
    pool.counts_fit(length, before, page.in_use, pool.blks_per_alloc)
    pool.give_free_list(page, length)
    said, ahead = walk_on(pool, page, another_block(pool, page), before)
    if ahead:
        path.show("the list is not too long yet", lambda: before + pool.TURNS + page.in_use <= pool.blks_per_alloc)
        return
    blocks = pool.blks_per_alloc
    path.show_claim(claims.free_list_of_wrong_length_is_refused, said != "", before + length, page.in_use, blocks)


def explain_refused(inputs: dict[str, Any]) -> Counterexample:  # noqa: ARG001
    """Debug and init_on_free: the block of a refused free was zeroed, and with it the link to the other free blocks."""
    kernel = Kernel(debug=True, init_on_free=True)
    steps = (Create(1000), Alloc("a"), Alloc("b"), Free("a"), Free("a"), Alloc("c"))
    return Counterexample(
        "a block that is free already stays as it is: poisoned, and linked",
        "the block is zeroed before the free is refused, and with it its link to the next free block",
        Trace(steps, kernel, claims.reports_are_the_kernels.name),
    )


@obligation(claims.refused_free_changes_nothing, "series", Theory.U64, explain=explain_refused)
def refused_free_changes_nothing(path: Any, subject: Any = AnyPool) -> None:
    pool = subject(path, "init_on_free", needs=())
    pool.debug = True
    page = pool.page("the page")
    put_in_list(pool, [page])
    before = page.offset, page.in_use, around(pool.avail_page_list)
    free_block(pool, page, pool.block_offset("the block"), refused=True)
    after = page.offset, page.in_use, around(pool.avail_page_list)
    changes = [*page.writes, *(1 for one, other in zip(before, after, strict=True) if one != other)]
    path.show_claim(claims.refused_free_changes_nothing, changes)


# v6.1 zeroes the block before it looks whether that is free.
obligation.refuted(claims.refused_free_changes_nothing, "v6.1", Theory.U64, explain=explain_refused)(
    about(refused_free_changes_nothing, AnyV6_1Pool)
)


@obligation(
    claims.free_list_holds_the_free_blocks, "series", Theory.INTEGERS, Theory.U32, explain=explain, case="as_laid"
)
def page_is_laid_with_all_its_blocks(path: Any) -> None:
    """A new page: each block links to the one that is laid next, and the last one's link is not inside the page."""
    geometry, start, following = (
        any_geometry(path),
        any_cursor(path),
        Cursor(path.number("next offset"), path.number("boundary after it")),
    )
    then_comes = {"the first place": start, "the place after it": following}
    turns = iter([following, then_comes[path.one_of("then comes", *then_comes)]])
    laid = laid_blocks(geometry, lambda *_: next(turns), start)
    offset, link = next(laid)
    path.show("the first block is where the loop starts", lambda: offset == start.offset and link == following.offset)
    is_a_block = bool(link < geometry.allocation)
    if is_a_block:
        path.assume_claim(claims.layout_ends, start.offset, following.offset)
    laid_next = [at for at, _ in islice(laid, 1)]
    path.show_claim(claims.free_list_holds_the_free_blocks, laid_next, [link] if is_a_block else [])


@obligation(claims.list_is_a_ring, "series", Theory.INTEGERS, explain=explain, case="protocol")
def list_stays_a_ring(path: Any) -> None:
    """Adding and deleting a link anywhere, deleting one that is in no ring, and the empty test; destroy deletes the links of
    full pages, which are in no ring any more. Only the two neighbours of a link are ever read, so the links further away
    stand for chains of any length."""
    length = path.one_of("links in the ring", 1, 2, 3, 4, 0)
    head = ListHead("head")
    links = [ListHead(number) for number in range(length)]
    for one, other in zip([head, *links], [*links, head], strict=True):
        one.next, other.prev = other, one
    expected: list[Any] = list(range(length))
    path.show("the head is alone exactly if there is no link", lambda: list_empty(head) == (not links))
    if path.one_of("operation", "add", "delete") == "add" or not links:
        link = ListHead("new")
        path.show("a new link is in no ring", lambda: list_empty(link))
        list_del_init(link)
        list_add(link, head)
        expected.insert(0, "new")
        path.show("a link in a ring is not alone", lambda: not list_empty(link))
    else:
        number = path.one_of("which", *range(length))
        list_del_init(links[number])
        expected.remove(number)
        path.show("a deleted link is in no ring", lambda: list_empty(links[number]))
        path.show("it points at itself both ways", lambda: links[number].prev is links[number])
        if path.one_of("it is deleted again", False, True):
            list_del_init(links[number])
    listed, torn = around(head)
    path.show_claim(claims.list_is_a_ring, torn, listed, expected)


explain_touched = from_this_state("the first page with room and its neighbour are touched")


@obligation(claims.alloc_touches_few_pages, "series", Theory.U64, explain=explain_touched)
def alloc_touches_few_pages(path: Any, subject: Any = AnyPool) -> None:
    """The first page with room, and the page after it, if the first one leaves the list. What is behind these has no links
    that could be read, so that a third page cannot be looked at unnoticed."""
    pool = subject(path, "debug", needs=())
    _, others = first_with_room(pool)
    pool.alloc()
    path.show_claim(claims.alloc_touches_few_pages, 1 + len([other for other in others if other != "more pages"]))
