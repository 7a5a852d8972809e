"""The merged rewrite, v6.12: its stack of free blocks, of any size; see `proofs.subjects.stack`."""

from itertools import pairwise
from typing import Any

from impl.pool import Options
from impl.v6_12 import DMA_BLOCK, NULL, V6_12Pool
from model import claims
from model.memory import VADDR_BASE, Memory
from model.promises import numbers_in
from model.trace import Alloc, Create, Free, OtherPool, Trace, Write
from proofs.engine.obligation import Counterexample, Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.subjects.stack import AnyStack, Block, GivenPage, KnownBlocks
from proofs.subjects.subject import PAGE_SIZE, ReachedTail, give_back

obligation = Obligations(__name__)

REVISION = "v6.12"


class StackDevice(KnownBlocks):
    """Gives the pool its page, or fails. Meanwhile other callers have run, so that the stack is any by then."""

    def __init__(self, pool: AnyStack, fails: bool) -> None:
        super().__init__(pool)
        self.fails = fails
        self.requests: list[Any] = []  # the flags of each

    def alloc_coherent(self, nbytes: Any, flags: Any) -> GivenPage | None:  # noqa: ARG002
        self.requests.append(flags)
        self.pool.next_block = self.pool.tail
        return None if self.fails else self.pool.page


explain_stack = from_this_state("the stack holds the free blocks, and they are counted")


def allocate(path: Any, subject: Any = AnyStack, fails: bool = False) -> tuple[AnyStack, tuple[Any, Any] | None]:
    """Alloc, from a stack with a block or from a new page, unless the device fails; the pool, and what it handed out.

    A page has one block, two, or three: the third is placed as every later one is, for what the loop keeps of the blocks
    before is the first and the last.
    """
    pool = subject(path, debug=path.one_of("debug", False, True))
    placed = path.one_of("blocks of a new page", *((1,) if fails else (0, 1, 2, 3)))
    if placed == 0:
        pool.put(pool.any_block("top"))
    else:
        pool.next_block, pool.memory = NULL, StackDevice(pool, fails)
        pool.page.vaddr, pool.page.dma = path.number("vaddr of the page"), path.number("dma of the page")
        pool.page.offsets = [path.number(f"offset {number}") for number in range(placed)]
        pool.free_blocks = [
            pool.block(f"block {number}", pool.page.vaddr + offset, pool.page.dma + offset)
            for number, offset in enumerate(pool.page.offsets)
        ]
    return pool, pool.alloc(path.one_of("zero", False, True))


def take_back(path: Any, subject: Any = AnyStack, anywhere: bool = False) -> tuple[AnyStack, Block]:
    """Free of a live block, on a stack of any size; the pool, and the block, which may be `anywhere` if that is no matter."""
    pool = subject(path, debug=path.one_of("debug", False, True), init_on_free=path.one_of("init_on_free", False, True))
    freed = pool.any_block("freed", anywhere)
    give_back(pool, freed.vaddr, freed.dma)
    return pool, freed


@obligation(claims.handle_is_the_blocks_address, REVISION, Theory.U64, explain=explain_stack)
@obligation(claims.allocated_block_was_free, REVISION, Theory.U64, explain=explain_stack)
def allocated_block_was_free(path: Any, subject: Any = AnyStack) -> None:
    pool, got = allocate(path, subject)
    path.show("a block is handed out", lambda: got is not None)
    path.show_claim(claims.allocated_block_was_free, got, [(block.vaddr, block.dma) for block in pool.free_blocks])
    _, dma = got or (None, None)
    path.show_claim(claims.handle_is_the_blocks_address, dma, pool.free_blocks[0].dma)


@obligation(claims.alloc_fails_only_without_memory, REVISION, Theory.U64, explain=explain_stack)
def alloc_fails_only_without_memory(path: Any, subject: Any = AnyStack) -> None:
    fails = path.one_of("the device fails, and the stack is empty", False, True)
    pool, got = allocate(path, subject, fails)
    path.show_claim(claims.alloc_fails_only_without_memory, got is None, not fails)
    path.show("a failure changes nothing", lambda: not fails or (pool.stack(), pool.log) == (["the tail"], []))


@obligation(claims.fresh_blocks_ascend, REVISION, Theory.U64, explain=explain_stack)
def fresh_blocks_ascend(path: Any) -> None:
    """A new page's first block is topmost, and each leads to the one that was laid after it; a free puts one above them."""
    pool, got = allocate(path)
    page, blocks = pool.page, {block.name: block for block in pool.free_blocks}
    path.assume("a page of several blocks is added", lambda: len(page.offsets) > 1)
    for before, after in pairwise(page.offsets):
        path.assume_claim(claims.layout_ends, before, after)
    assert got is not None
    fresh = [got[0] - page.vaddr, *(blocks[name].vaddr - page.vaddr for name in pool.stack() if name in blocks)]
    path.show("they are all there", lambda: len(fresh) == len(page.offsets))
    for before, after in pairwise(fresh):
        path.show_claim(claims.fresh_blocks_ascend, after, before)


@obligation(claims.free_list_holds_the_free_blocks, REVISION, Theory.U64, explain=explain_stack, case="alloc")
def stack_holds_the_free_blocks_after_alloc(path: Any, subject: Any = AnyStack) -> None:
    pool, got = allocate(path, subject)
    handed_out = [block for block in pool.free_blocks if got is not None and block.vaddr == got[0]]
    path.show_claim(claims.free_list_holds_the_free_blocks, pool.stack(), pool.promised(*handed_out))


@obligation(claims.free_list_holds_the_free_blocks, REVISION, Theory.U64, explain=explain_stack, case="free")
def stack_holds_the_free_blocks_after_free(path: Any, subject: Any = AnyStack) -> None:
    pool, freed = take_back(path, subject)
    path.show_claim(claims.free_list_holds_the_free_blocks, pool.stack(), [freed.name, *pool.promised()])


@obligation(claims.double_free_is_refused, REVISION, Theory.U64, explain=explain_stack)
def double_free_is_refused(path: Any, subject: Any = AnyStack) -> None:
    """By induction over the stack: what is not at its top is looked for in the tail, in the same way."""
    pool = subject(path, debug=True, walks=True)
    top = pool.put(pool.any_block("top"))
    sought = path.number("vaddr that is freed")
    path.assume(
        "there are no fewer blocks than the stack shows", lambda: pool.nr_blocks >= (1 if pool.tail == NULL else 2)
    )
    was_free = bool(sought == top.vaddr or (pool.tail != NULL and sought == pool.tail))
    try:
        pool.sought = path.number("dma that is freed")
        refused = pool._block_err(sought, pool.sought)
    except ReachedTail:
        path.show("nothing but the tail is left to look through", lambda: not was_free)
        return
    path.show_claim(claims.double_free_is_refused, refused, was_free)


@obligation(claims.refused_free_changes_nothing, REVISION, Theory.U64, explain=explain_stack)
def refused_free_changes_nothing(path: Any, subject: Any = AnyStack) -> None:
    pool = subject(path, debug=True, init_on_free=path.one_of("init_on_free", False, True))
    free = pool.any_block("free block")
    if path.one_of("it is", "the top", "in the tail") == "the top":
        pool.put(free)
    else:
        pool.below = [free]
    give_back(pool, free.vaddr, free.dma)
    path.show("it is reported", lambda: len(pool.log) == 1)
    counted_otherwise = ["in use"] * bool(pool.nr_active != pool.live)
    linked_otherwise = ["the stack"] * (pool.stack() != pool.promised())
    path.show_claim(claims.refused_free_changes_nothing, [*pool.writes, *counted_otherwise, *linked_otherwise])


@obligation(claims.in_use_counts_the_live_blocks, REVISION, Theory.U64, explain=explain_stack, case="alloc")
def in_use_counts_an_allocated_block(path: Any, subject: Any = AnyStack) -> None:
    pool, _ = allocate(path, subject)
    path.assume("there are fewer live blocks than addresses", lambda: pool.live < 2**64 - 1)
    path.show_claim(claims.in_use_counts_the_live_blocks, pool.nr_active, pool.live + 1)


@obligation(claims.in_use_counts_the_live_blocks, REVISION, Theory.U64, explain=explain_stack, case="free")
def in_use_counts_a_freed_block_no_more(path: Any, subject: Any = AnyStack) -> None:
    pool, _ = take_back(path, subject, anywhere=True)
    path.assume("the block is in use, and counted", lambda: pool.live >= 1)
    path.show_claim(claims.in_use_counts_the_live_blocks, pool.nr_active, pool.live - 1)


@obligation(claims.counters_do_not_wrap, REVISION, Theory.U64, explain=explain_stack)
def counters_do_not_wrap(path: Any, subject: Any = AnyStack) -> None:
    """Of blocks of 16 bytes, fewer than 2^60 are in an address space."""
    pool, _ = allocate(path, subject)
    for count in (pool.live, pool.blocks, pool.pages):
        path.assume("the blocks are in an address space", lambda count=count: count < 2**60)
    path.show_claim(claims.counters_do_not_wrap, pool.nr_active, pool.live, 1)
    path.show_claim(claims.counters_do_not_wrap, pool.nr_blocks, pool.blocks, len(pool.page.offsets))
    path.show_claim(claims.counters_do_not_wrap, pool.nr_pages, pool.pages, int(bool(pool.page.offsets)))


@obligation(claims.total_counts_the_blocks, REVISION, Theory.U64, explain=explain_stack, case="new_page")
def total_counts_the_blocks_of_a_new_page(path: Any, subject: Any = AnyStack) -> None:
    pool, _ = allocate(path, subject)
    blocks, pages = pool.nr_blocks - pool.blocks, pool.nr_pages - pool.pages
    path.show_claim(claims.total_counts_the_blocks, blocks, pages, len(pool.page.offsets))


# Misuse.


def explain_double_free(inputs: dict[str, Any]) -> Counterexample:  # noqa: ARG001
    """On a running pool: what is counted, and how often the block is handed out."""
    pool = plain_pool(debug=False)
    block = pool.alloc() or (0, 0)
    pool.free(*block)
    pool.free(*block)
    row = numbers_in(pool.poolinfo())
    again = [pool.alloc() for _ in range(3)]
    return Counterexample(
        "a block that is free is not taken back again",
        f"a block that is freed twice lies below itself: 0 live blocks are counted as {row and row.in_use}, "
        f"and the next 3 allocs hand the same block out {again.count(block)} times",
        Trace(
            (Create(1024), Alloc("a"), Free("a"), Free("a"), Alloc("b"), Alloc("c")),
            claim=claims.blocks_are_disjoint.name,
        ),
    )


def explain_mismatch(inputs: dict[str, Any]) -> Counterexample:  # noqa: ARG001
    """On a running pool: no trace, since v6.12 does not promise to notice. The series reports a bad vaddr."""
    pool = plain_pool(debug=True)
    first, second = pool.alloc() or (0, 0), pool.alloc() or (0, 0)
    pool.free(first[0], second[1])
    again = pool.alloc() or (0, 0)
    return Counterexample(
        f"the block at {first[0]:#x} has DMA address {first[1]:#x}",
        f"freed with {second[1]:#x}, which a debug build does not report, the block is handed out with {again[1]:#x}",
    )


def plain_pool(debug: bool) -> V6_12Pool:
    pool = V6_12Pool.create("pool", Memory(), 1024, 1, 0, Options(debug=debug))
    assert pool is not None
    return pool


def freed_twice(path: Any, subject: Any) -> tuple[AnyStack, Block]:
    """A pool without debugging, whose topmost free block was freed again."""
    pool = subject(path, debug=False)
    free = pool.put(pool.any_block("free block"))
    give_back(pool, free.vaddr, free.dma)
    return pool, free


@obligation.refuted(
    claims.free_list_holds_the_free_blocks, REVISION, Theory.U64, explain=explain_double_free, case="double_free"
)
def a_block_freed_twice_lies_below_itself(path: Any, subject: Any = AnyStack) -> None:
    pool, _ = freed_twice(path, subject)
    path.show_claim(claims.free_list_holds_the_free_blocks, pool.stack(), pool.promised())


@obligation.refuted(
    claims.in_use_counts_the_live_blocks, REVISION, Theory.U64, explain=explain_double_free, case="double_free"
)
def a_block_freed_twice_is_subtracted_twice(path: Any, subject: Any = AnyStack) -> None:
    pool, _ = freed_twice(path, subject)
    path.show_claim(claims.in_use_counts_the_live_blocks, pool.nr_active, pool.live)


@obligation.refuted(
    claims.allocated_block_was_free, REVISION, Theory.U64, explain=explain_double_free, case="double_free"
)
def a_block_freed_twice_is_handed_out_twice(path: Any, subject: Any = AnyStack) -> None:
    pool, free = freed_twice(path, subject)
    first = pool.alloc()
    path.assume("it is handed out", lambda: first is not None and first[0] == free.vaddr)
    live_now = [free]
    still_free = [(block.vaddr, block.dma) for block in pool.free_blocks if block not in live_now]
    path.show_claim(claims.allocated_block_was_free, pool.alloc(), still_free)


@obligation.refuted(
    claims.allocated_block_was_free, REVISION, Theory.U64, explain=explain_mismatch, case="mismatched_free"
)
def a_free_with_anothers_dma_address_is_believed(path: Any, subject: Any = AnyStack) -> None:
    pool = subject(path, debug=True)
    freed = pool.any_block("freed")
    give_back(pool, freed.vaddr, path.number("dma of another"))
    path.show_claim(claims.allocated_block_was_free, pool.alloc(), [(freed.vaddr, freed.dma)])


def explain_wild_link(inputs: dict[str, Any]) -> Counterexample:  # noqa: ARG001
    """On a running pool, beside which the device has given memory to somebody else; the trace has another pool there."""
    memory = Memory()
    pool = V6_12Pool.create("pool", memory, 1024, 1, 0)
    others = memory.alloc_coherent(4096)
    assert pool is not None
    assert others is not None
    block = pool.alloc() or (0, 0)
    pool.free(*block)
    DMA_BLOCK.pack_into(memory.block(block[0], DMA_BLOCK.size), 0, others.vaddr, 0)
    pool.alloc()
    got = pool.alloc() or (0, 0)
    return Counterexample(
        f"a block is handed out of the pool's page at {block[0]:#x}, whatever its free blocks say",
        f"a free block says {others.vaddr:#x}, where memory of another is, and the block at {got[0]:#x} is handed out",
        Trace(
            (
                Create(1024),
                Alloc("a"),
                OtherPool("x", 2**30),
                Free("a"),
                Write("a", 0, (VADDR_BASE + 2 * PAGE_SIZE).to_bytes(8, "little").hex()),  # where the memory of x is
                Alloc("b"),
                Alloc("c"),
            ),
            claim=claims.block_starts_in_a_page.name,
        ),
    )


@obligation.refuted(claims.block_starts_in_a_page, REVISION, Theory.U64, explain=explain_wild_link, case="damaged_link")
def a_link_to_other_memory_is_followed(path: Any, subject: Any = AnyStack) -> None:
    """The topmost free block was written to: the block below it is now anywhere in memory that the kernel can read."""
    pool = subject(path, debug=False)
    page = path.number("vaddr of the page")
    top = pool.put(pool.block("top", page, path.number("dma of the page")))
    anywhere = pool.any_block("anywhere")
    top.below = anywhere.vaddr
    pool.alloc()
    got = pool.alloc()
    path.show_claim(claims.block_starts_in_a_page, NULL if got is None else got[0], [page], PAGE_SIZE)
