"""What takes the place of memory in proofs does what the real thing does, on plain integers and drawn operations."""

from types import SimpleNamespace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from impl.list_head import ListHead, list_add, list_del_init, list_empty
from impl.pool import Options, Page
from impl.rbtree import Node, PageTree
from impl.v6_12 import V6_12Pool
from model.memory import Memory
from proofs.engine.path import Replay, Theory
from proofs.subjects.arbitrary import AnyPage, around, put_in_list
from proofs.subjects.stack import AnyStack
from proofs.subjects.subject import give_back

BLOCK, BLOCKS, DRIVERS = 16, 4, 0x55
AT = st.integers(0, BLOCKS - 1).map(lambda number: number * BLOCK)
WRITES = st.one_of(
    st.tuples(st.just("link"), AT, st.integers(0, 2**32 - 1)),
    st.tuples(st.just("fill"), AT, st.integers(0, 255)),
)


@given(st.lists(WRITES, max_size=12))
def test_a_page_that_is_a_log_reads_as_one_with_bytes(writes: list[tuple[str, int, int]]) -> None:
    data = memoryview(bytearray([DRIVERS] * BLOCK * BLOCKS))
    real = Page(SimpleNamespace(vaddr=0, dma=0, data=data))
    log = AnyPage(None, SimpleNamespace(vaddr=0, dma=0, data=None))
    for page in (real, log):
        for kind, at, what in writes:
            if kind == "link":
                page.set_link(at, what)
            else:
                page.fill(at, BLOCK, what)
    for at in {at for _, at, _ in writes}:
        assert log.link(at) == real.link(at)
    for at in range(0, BLOCK * BLOCKS, BLOCK):
        for distance in range(4, BLOCK):
            assert log.byte(at + distance, DRIVERS) == data[at + distance]


@given(st.booleans(), st.booleans(), st.lists(st.integers(0, BLOCKS), max_size=16))
@example(debug=True, init_on_free=False, steps=[0, 0, 1, BLOCKS, 0])  # freed twice, and allocated again
def test_a_stack_of_known_blocks_is_one_with_bytes(debug: bool, init_on_free: bool, steps: list[int]) -> None:
    """A page of four blocks, all of them in use at first. A step frees the block of its number, or allocates one. In debug
    builds, a block that is free already is freed again, which both refuse."""
    real = V6_12Pool.create("pool", Memory(), 1024, 1, 0, Options(debug=debug, init_on_free=init_on_free))
    assert real is not None
    blocks = [real.alloc() or (0, 0) for _ in range(BLOCKS)]
    numbers = {"size": 1024, "tail": 0, "live": BLOCKS, "blocks": BLOCKS, "pages": 1}
    options = {"debug": debug, "init_on_free": init_on_free}
    stack = AnyStack(Replay(Theory.U64, numbers | options), *options)
    for number, (vaddr, dma) in enumerate(blocks):
        stack.block(str(number), vaddr, dma)
    live = list(blocks)
    for step in steps:
        stack.below = [block for block in stack.known if (block.vaddr, block.dma) not in live]
        if step < BLOCKS and (debug or blocks[step] in live):
            refused = blocks[step] not in live
            reports = len(real.log), len(stack.log)
            real.free(*blocks[step])
            give_back(stack, *blocks[step])
            assert (len(real.log), len(stack.log)) == (reports[0] + refused, reports[1] + refused)
            live = [block for block in live if block != blocks[step]]
        elif len(live) < BLOCKS:
            given_by_both = real.alloc(), stack.alloc()
            assert given_by_both[0] == given_by_both[1]
            live.append(given_by_both[0] or (0, 0))
        assert (stack.next_block, stack.nr_active) == (real.next_block, real.nr_active)
        for vaddr, dma in blocks:
            if (vaddr, dma) not in live:
                assert stack._read_block(vaddr) == real._read_block(vaddr)


@given(
    st.sampled_from([1, BLOCK * BLOCKS]), st.lists(st.integers(0, 15), min_size=1), st.integers(0, BLOCK * BLOCKS - 1)
)
@example(alignment=1, places=[0, BLOCK * BLOCKS, 1], inside=0)  # the last one overlaps both
@example(alignment=1, places=[1, 0], inside=0)  # an overlap from below, which the check of patch 10 misses
def test_a_tree_of_pages_does_what_a_stub_may_say_of_it(alignment: int, places: list[int], inside: int) -> None:
    """A page that overlaps no other is taken in, and the addresses in it are found. One that does overlap is taken in, or is
    refused with one that it overlaps: always, where pages are aligned to their size."""
    allocation = BLOCK * BLOCKS
    tree: PageTree[Any] = PageTree(allocation)
    pages: list[Any] = []
    for place in places:
        page = Node(place * alignment)
        overlapped = [other for other in pages if abs(other.dma - page.dma) < allocation]
        refused = tree.insert(page)
        assert refused in overlapped if refused is not None else alignment == 1 or not overlapped
        if refused is None and overlapped:
            return  # out of contract from here on
        if refused is None:
            pages.append(page)
            assert tree.find(page.dma + inside) is page
    assert {*tree.postorder()} == {*pages}


@given(st.integers(0, 4), st.lists(st.integers(0, 2), max_size=8))
def test_a_ring_with_a_chain_of_any_length_is_a_ring(others: int, steps: list[int]) -> None:
    """A step takes one of three pages out of the ring, or puts it in; the pages after them are a chain with two ends."""
    kind = ("none", "one", "more")[min(others, 2)]
    pool: Any = SimpleNamespace(path=Replay(Theory.U64, {"other pages with room": kind}), avail_page_list=ListHead())
    named: list[Any] = [SimpleNamespace(avail_page_link=ListHead(f"page {number}")) for number in range(3)]
    put_in_list(pool, named[:2])
    head = ListHead()
    links = [ListHead(f"page {number}") for number in range(3)]
    for owner in ["more pages"] * (others - 1) + ["another page"] * (others > 0):
        list_add(ListHead(owner), head)
    for link in (links[1], links[0]):
        list_add(link, head)
    for step in steps:
        for link, ring in ((named[step].avail_page_link, pool.avail_page_list), (links[step], head)):
            if list_empty(link):
                list_add(link, ring)
            else:
                list_del_init(link)
        assert list_empty(pool.avail_page_list) == list_empty(head)
        met = [link.owner for link in walk(head)]
        assert around(pool.avail_page_list) == ([*dict.fromkeys(met)], [])


def walk(head: ListHead) -> list[ListHead]:
    links, link = [], head.next
    while link is not head:
        links.append(link)
        link = link.next
    return links
