"""What takes the place of memory in proofs does what the real thing does, on plain integers and drawn operations."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from impl.block_stack import BlockStackPool
from impl.pool import Options, Page
from model.memory import Memory
from proofs.engine.explore import Replay, Theory
from proofs.subjects.arbitrary import AnyPage
from proofs.subjects.stack import AnyStack

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


@given(st.booleans(), st.lists(st.integers(0, BLOCKS), max_size=16))
def test_a_stack_of_known_blocks_is_one_with_bytes(init_on_free: bool, steps: list[int]) -> None:
    """A page of four blocks, all of them in use at first. A step frees the block of its number, or allocates one."""
    real = BlockStackPool.create("pool", Memory(), 1024, 1, 0, Options(init_on_free=init_on_free))
    assert real is not None
    blocks = [real.alloc() or (0, 0) for _ in range(BLOCKS)]
    numbers = {"rest": 0, "live": BLOCKS, "blocks": BLOCKS}
    stack = AnyStack(Replay(Theory.U64, numbers), debug=False, init_on_free=init_on_free)
    for number, (vaddr, dma) in enumerate(blocks):
        stack.block(str(number), vaddr, dma)
    live = list(blocks)
    for step in steps:
        if step < BLOCKS and blocks[step] in live:
            live.remove(blocks[step])
            for pool in (real, stack):
                pool.free(*blocks[step])
        elif len(live) < BLOCKS:
            given_by_both = real.alloc(), stack.alloc()
            assert given_by_both[0] == given_by_both[1]
            live.append(given_by_both[0] or (0, 0))
        assert (stack.next_block, stack.nr_active) == (real.next_block, real.nr_active)
        for vaddr, dma in blocks:
            if (vaddr, dma) not in live:
                assert stack._read_block(vaddr) == real._read_block(vaddr)
