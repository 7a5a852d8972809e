"""The pools of impl/ where a driver or a device misbehaves, and where v6.1 differs: what the state machine does not draw."""

from typing import Any

import pytest

from hunt.revisions import REVISIONS
from impl.layout import Geometry
from impl.lock import Lock, LockingError
from impl.older import MEMORY, PAGE_OFFSET
from impl.pool import FREE_LINK, Pool
from impl.rbtree import Node, PageTree
from impl.v6_1 import Patch08Pool, V6_1Pool
from impl.v6_12 import V6_12Pool
from model import geometry as promise
from model.lockstep import replay
from model.memory import VADDR_BASE, VMALLOC_BASE, Memory
from model.pool import Oracle
from model.trace import Alloc, Create, Destroy, Free, Kernel, Trace
from tests.pools import pool_of


@pytest.mark.parametrize(("byte", "noticed"), [(3, False), (4, True), (512, True), (1023, True)])
@pytest.mark.parametrize("before", [0, 1])
def test_a_write_after_free_is_reported_at_the_next_alloc(byte: int, noticed: bool, before: int) -> None:
    """Of every byte behind the link, whether or not the block is the first of its page."""
    pool, memory = pool_of(Pool, debug=True)
    for _ in range(before):
        pool.alloc()
    vaddr, dma = pool.alloc() or (0, 0)
    pool.free(vaddr, dma)
    assert pool.alloc() == (vaddr, dma)
    assert pool.log == []
    pool.free(vaddr, dma)
    memory.block(vaddr, 1024)[byte] ^= 0xFF
    pool.alloc()
    assert pool.log == [f"dma_pool_alloc pool, {vaddr:016x} (corrupted)"] * noticed


def test_a_free_list_that_runs_in_a_circle_is_reported_and_hangs_v6_1() -> None:
    for revision in (Pool, V6_1Pool):
        pool, memory = pool_of(revision, debug=True)
        vaddr, dma = pool.alloc() or (0, 0)
        FREE_LINK.pack_into(memory.block(vaddr + 1024, 1024), 0, 1024)  # the next free block follows itself
        if revision is Pool:
            pool.free(vaddr, dma)
            assert pool.log == ["dma_pool_free pool, freelist corrupted"]
            assert pool.poolinfo().split() == ["pool", "1", "4", "1024", "1"]
        else:
            with pytest.raises(TimeoutError, match=f"never ends: the free list of {vaddr:016x} runs in a circle"):
                pool.free(vaddr, dma)


@pytest.mark.parametrize("link", [0, 4096])
def test_a_free_list_of_wrong_length_is_reported_even_if_it_ends(link: int) -> None:
    """It leads through a block in use, where the driver has written a number that looks like the end; or is too short."""
    pool, memory = pool_of(Pool, debug=True)
    first, second = pool.alloc() or (0, 0), pool.alloc() or (0, 0)
    FREE_LINK.pack_into(memory.block(first[0], 1024), 0, 4096)
    FREE_LINK.pack_into(memory.block(first[0] + 3072 - link // 4, 1024), 0, link)
    pool.free(*second)
    assert pool.log == ["dma_pool_free pool, freelist corrupted"]


SMALL = promise.Geometry(64, 4096, 4096)


@pytest.mark.parametrize(
    "make",
    [
        *(lambda memory, of=of: of.create("pool", memory, 64, 1, 0) for of in REVISIONS.values()),
        lambda memory: Pool("pool", memory, Geometry(64, 4096, 4096)),
        lambda memory: V6_12Pool("pool", memory, Geometry(64, 4096, 4096)),
        lambda memory: Oracle("pool", memory, SMALL),
    ],
)
def test_a_pool_that_is_asked_for_nothing_fills_nothing(make: Any) -> None:
    memory = Memory()
    pool = make(memory)
    vaddr, dma = pool.alloc()
    assert bytes(memory.block(vaddr, 64))[16:] == bytes(48)
    memory.block(vaddr, 64)[:] = b"x" * 64
    pool.free(vaddr, dma)
    assert bytes(memory.block(vaddr, 64))[16:] == b"x" * 48
    assert pool.alloc() == (vaddr, dma)
    assert bytes(memory.block(vaddr, 64))[16:] == b"x" * 48


def test_the_oracle_reports_what_debug_builds_notice() -> None:
    """The machine could not tell: what the oracle does not complain of, it takes for corruption."""
    memory = Memory()
    pool = Oracle.create("pool", memory, 64, 1, 0, debug=True)
    assert pool is not None
    assert pool.geometry.allocation == 4096
    vaddr, dma = pool.alloc() or (0, 0)
    pool.free(vaddr, dma)
    pool.free(vaddr, dma)
    assert pool.log == [f"dma_pool_free pool, dma {dma:#018x} already free"]
    memory.block(vaddr + 4, 60)[:] = b"X" * 60
    pool.take(vaddr, dma)
    assert pool.log[1:] == [f"dma_pool_alloc pool, {vaddr:016x} (corrupted)"]
    assert bytes(memory.block(vaddr, 64)) == b"\xa9" * 64


def test_a_page_is_poisoned_before_it_is_given_back() -> None:
    pool, memory = pool_of(Pool, debug=True)
    vaddr, dma = pool.alloc() or (0, 0)
    pool.free(vaddr, dma)
    page = memory.block(vaddr, 4096)
    pool.destroy()
    assert bytes(page) == bytes([0xA7]) * 4096
    assert not memory.mappings


def test_v6_1_finds_the_newest_page_first() -> None:
    pool, _ = pool_of(V6_1Pool, 1000)
    blocks = [pool.alloc() or (0, 0) for _ in range(8)]  # two pages of four
    pool.free(*blocks[0])
    pool.free(*blocks[7])
    assert pool.alloc() == blocks[7]
    assert pool.alloc() == blocks[0]


@pytest.mark.parametrize("revision", [V6_1Pool, Patch08Pool])
def test_destroy_leaks_the_busy_pages(revision: type[V6_1Pool]) -> None:
    pool, memory = pool_of(revision, 4096)
    blocks = [pool.alloc() or (0, 0) for _ in range(4)]
    pool.free(*blocks[0])
    pool.free(*blocks[2])
    pool.destroy()
    assert pool.log == [f"dma_pool_destroy pool, {vaddr:016x} busy" for vaddr, _ in (blocks[3], blocks[1])]
    assert sorted(memory.mappings) == [blocks[1][0], blocks[3][0]]
    assert not hasattr(pool, "page_list")


def test_v6_1_admits_a_size_that_wraps_to_0_and_divides_by_it_when_asked() -> None:
    pool, _ = pool_of(V6_1Pool, 2**64 - 1, 2)
    with pytest.raises(ZeroDivisionError):
        pool.poolinfo()


def test_v6_1_looks_a_block_up_within_its_page_only() -> None:
    pool, _ = pool_of(V6_1Pool, 4096)
    vaddr, dma = pool.alloc() or (0, 0)
    pool.free(vaddr, dma + 4096)
    pool.free(vaddr, dma - 1)
    assert [message.endswith("(bad dma)") for message in pool.log] == [True, True]


def test_a_page_is_visited_after_its_children() -> None:
    tree: PageTree[Node] = PageTree(1)
    for dma in (5, 2, 9, 1, 3, 7, 11, 0, 4):
        tree.insert(Node(dma))
    visited: set[int] = set()
    for node in tree.postorder():
        assert {child.dma for child in node.child if child} <= visited
        visited.add(node.dma)
        node.child[:] = [None, None]  # the page is freed, and must not be read again
        node.parent = None
    assert sorted(visited) == [0, 1, 2, 3, 4, 5, 7, 9, 11]


def test_the_memory_begins_where_the_linear_map_does() -> None:
    assert VADDR_BASE == PAGE_OFFSET
    assert VMALLOC_BASE - PAGE_OFFSET >= MEMORY


@pytest.mark.parametrize("revision", ["oracle", "series", "v6.1", "v6.12"])
def test_remapped_memory_is_found(revision: str) -> None:
    trace = Trace((Create(64), Alloc("a"), Free("a"), Destroy()), Kernel(remapped=True))
    assert replay(trace, REVISIONS[revision]).steps[-1].happened == "pages leaked: 0"


def test_a_lock_has_an_order() -> None:
    lock = Lock()
    for wrong in (lock.drop, lock.needed):
        with pytest.raises(LockingError, match="not taken"):
            wrong()
    with lock:
        lock.needed()
        with pytest.raises(LockingError, match="deadlock"):
            lock.take()
        with pytest.raises(LockingError, match="may sleep"):
            lock.might_sleep()
        lock.drop()
        lock.might_sleep()
        lock.take()
    assert not lock.taken
