"""v6.12 where a driver or a device misbehaves: what the state machine does not draw, or the revision does not promise."""

import pytest

from hunt.revisions import REVISIONS
from impl import v6_12
from impl.layout import Geometry
from impl.v6_12 import DMA_BLOCK, V6_12Pool
from model.lockstep import replay
from model.memory import Memory
from model.trace import Alloc, Create, Free, PageChoice, Trace
from tests.pools import broken_by, pool_of

SIZE = 1024


def a_pool(debug: bool = False) -> tuple[V6_12Pool, Memory]:
    return pool_of(V6_12Pool, SIZE, debug=debug)


def test_free_blocks_are_linked_through_the_pages_and_know_their_dma_address() -> None:
    pool, memory = a_pool()
    blocks = [pool.alloc() or (0, 0) for _ in range(5)]  # a page of four, and the first of another
    pool.free(*blocks[1])
    pool.free(*blocks[4])
    stack = []
    top = pool.next_block
    while top:
        below, dma = DMA_BLOCK.unpack(memory.block(top, DMA_BLOCK.size))
        stack.append((top, dma))
        top = below
    second = memory.mappings[blocks[4][0]]
    unused = [(second.vaddr + n * SIZE, second.dma + n * SIZE) for n in (1, 2, 3)]
    assert stack == [blocks[4], blocks[1], *unused]
    assert pool.poolinfo().split() == ["pool", "3", "8", "1024", "2"]


def test_a_block_below_the_smallest_is_raised_to_a_pointer_and_an_address() -> None:
    assert v6_12.admit(1, 1, 0, 4096) == Geometry(16, 4096, 4096)
    assert v6_12.admit(1, 32, 0, 4096) == Geometry(32, 4096, 4096)
    assert [v6_12.admit(*refused, 4096) for refused in ((0, 1, 0), (1, 3, 0), (2**31, 1, 0), (1, 1, 8))] == [None] * 4


@pytest.mark.parametrize(("byte", "seen"), [(15, False), (16, True), (512, True), (SIZE - 1, True)])
def test_a_write_after_free_is_reported_at_the_next_alloc(byte: int, seen: bool) -> None:
    """Of every byte behind the link."""
    pool, memory = a_pool(debug=True)
    vaddr, dma = pool.alloc() or (0, 0)
    pool.free(vaddr, dma)
    memory.block(vaddr, SIZE)[byte] = 0x55 if byte != 512 else 0
    assert pool.alloc() == (vaddr, dma) or byte < 16  # of which some are a DMA address
    assert pool.log == [f"pool_check_block pool, {vaddr:016x} (corrupted)"] * seen


def test_a_page_ends_where_the_lookup_of_a_debug_build_says() -> None:
    pool, _ = a_pool(debug=True)
    vaddr, dma = pool.alloc() or (0, 0)
    for outside in (dma - 1, dma + 4096):
        pool.free(vaddr, outside)
    assert [message.endswith("(bad dma)") for message in pool.log] == [True, True]
    pool.free(vaddr, dma + 4095)
    assert len(pool.log) == 2


def test_a_double_free_is_refused_in_debug_builds_and_loops_the_stack_in_others() -> None:
    for debug in (True, False):
        pool, _ = a_pool(debug)
        first, second = pool.alloc() or (0, 0), pool.alloc() or (0, 0)
        pool.free(*first)
        pool.free(*first)
        handed_out = [pool.alloc() for _ in range(3)]
        assert pool.log == ([f"pool_block_err pool, dma {first[1]:#018x} already free"] if debug else [])
        assert handed_out.count(first) == (1 if debug else 3)
        assert second not in handed_out


def test_a_stack_that_runs_in_a_circle_hangs_a_free_in_debug_builds() -> None:
    pool, memory = a_pool(debug=True)
    blocks = [pool.alloc() or (0, 0) for _ in range(4)]
    pool.free(*blocks[0])
    DMA_BLOCK.pack_into(memory.block(blocks[0][0], SIZE), 0, *blocks[0])  # it lies below itself
    with pytest.raises(TimeoutError, match="4 links do not lead to the stack's end"):
        pool.free(*blocks[1])


def test_a_stack_of_every_block_ends() -> None:
    """An address in the middle of a block is not on it."""
    pool, _ = a_pool(debug=True)
    vaddr, dma = pool.alloc() or (0, 0)
    pool.free(vaddr, dma)
    assert not pool._is_free(vaddr + 1)
    assert [pool._is_free(vaddr + n * SIZE) for n in range(5)] == [True] * 4 + [False]


def test_the_newest_page_is_listed_first() -> None:
    pool, memory = a_pool()
    for _ in range(9):
        pool.alloc()
    assert [page.vaddr for page in pool.page_list] == sorted(memory.mappings, reverse=True)


def test_a_link_that_leads_out_of_the_pool_is_a_fault() -> None:
    pool, memory = a_pool()
    vaddr, _ = pool.alloc() or (0, 0)
    DMA_BLOCK.pack_into(memory.block(vaddr + SIZE, SIZE), 0, 0xDEAD, 0)
    pool.alloc()
    with pytest.raises(ValueError, match="0xdead are not in coherent memory"):
        pool.alloc()


def test_debug_builds_do_not_compare_the_two_addresses_of_a_free() -> None:
    """The series reports a bad vaddr here; v6.12 hands the block out with a wrong DMA address the next time."""
    pool, _ = a_pool(debug=True)
    first, second = pool.alloc() or (0, 0), pool.alloc() or (0, 0)
    pool.free(first[0], second[1])
    assert pool.log == []
    assert pool.alloc() == (first[0], second[1])


@pytest.mark.parametrize("debug", [True, False])
def test_only_debug_builds_notice_a_dma_address_of_no_page(debug: bool) -> None:
    pool, _ = a_pool(debug)
    vaddr, dma = pool.alloc() or (0, 0)
    pool.free(vaddr, dma + 4096)
    assert pool.log == ([f"pool_block_err pool, {vaddr:016x}/{dma + 4096:#018x} (bad dma)"] if debug else [])
    assert pool.nr_active == (1 if debug else 0)


def test_destroy_leaks_every_page_if_one_is_busy() -> None:
    pool, memory = a_pool()
    blocks = [pool.alloc() or (0, 0) for _ in range(8)]  # two pages
    for block in blocks[1:]:
        pool.free(*block)
    pool.destroy()
    assert pool.log == ["dma_pool_destroy pool busy"]
    assert len(memory.mappings) == 2


def test_other_calls_may_run_while_a_page_is_asked_for() -> None:
    """Two callers find the stack empty; the second comes first, and its page serves it alone."""
    steps = (Create(2048), Alloc("a", page=PageChoice(0x2000, (Alloc("b", page=PageChoice(0x1000)), Free("b")))))
    happened = replay(Trace((*steps, Alloc("c"), Alloc("d"), Alloc("e"))), REVISIONS["v6.12"])
    assert [step.happened.partition("DMA ")[2] for step in happened.steps[2:]] == [
        "address 0x2800",
        "address 0x1000",
        "address 0x1800",
    ]


def test_a_device_that_gives_the_same_memory_twice_goes_unnoticed() -> None:
    steps = (Create(4096), Alloc("a", page=PageChoice(0x2000)), Alloc("b", page=PageChoice(0x2000)))
    assert broken_by(Trace(steps), REVISIONS["v6.12"]).claim.name == "insertion_keeps_pages_disjoint"


def test_a_free_that_no_one_promises_to_notice_does_damage() -> None:
    steps = (Create(64), Alloc("a"), Free("a", dma_plus=2**40))
    assert replay(Trace(steps), REVISIONS["series"]).steps[-1].happened == "a report, and no change"
    assert broken_by(Trace(steps), REVISIONS["v6.12"]).claim.name == "in_use_counts_the_live_blocks"
