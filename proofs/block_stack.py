"""The merged rewrite, v6.12: its stack of free blocks, of any size; see `proofs.subjects.stack`."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from impl.pool import Options
from impl.v6_12 import DMA_BLOCK, NULL, V6_12Pool
from model import claims
from model.claims import Claim
from model.memory import VADDR_BASE, Memory
from model.promises import numbers_in
from model.trace import Alloc, Create, Free, OtherPool, Trace, Write
from proofs.engine.obligation import Counterexample, Explain, Obligations, from_this_state
from proofs.engine.path import Body, Theory
from proofs.subjects.stack import AnyStack, Block
from proofs.subjects.subject import OTHERWISE, PAGE_SIZE, ReachedTail, give_back

obligation = Obligations(__name__)

REVISION = "v6.12"


explain_stack = from_this_state("the stack holds the free blocks, and they are counted")


def state(claim: Claim, case: str = "") -> Callable[[Body], Body]:
    return obligation(claim, REVISION, Theory.U64, explain=explain_stack, case=case)


def refuted(claim: Claim, explain: Explain, case: str) -> Callable[[Body], Body]:
    return obligation.refuted(claim, REVISION, Theory.U64, explain=explain, case=case)


def allocated(path: Any, subject: Any) -> tuple[AnyStack, tuple[Any, Any] | None, bool]:
    """A pool that has allocated, from a stack with a block or from a new page; what it handed out; whether there is memory."""
    pool = subject(path, "debug")
    got = pool.operate(path.one_of("operation", "alloc", "alloc with a new page"))
    return pool, got, not pool.memory.fails


@state(claims.total_counts_the_blocks, "new_page")
@state(claims.free_list_holds_the_free_blocks, "alloc")
@state(claims.handle_is_the_blocks_address)
@state(claims.allocated_block_was_free)
@state(claims.alloc_fails_only_without_memory)
def alloc_takes_a_free_block_off_the_stack(path: Any, subject: Any = AnyStack) -> None:
    pool, got, serves = allocated(path, subject)
    path.show_claim(claims.alloc_fails_only_without_memory, got is None, serves)
    if got is None:
        path.show("a failure changes nothing", lambda: (pool.stack(), pool.log) == (["the tail"], []))
        return
    path.show_claim(claims.allocated_block_was_free, got, [(block.vaddr, block.dma) for block in pool.free_blocks])
    path.show_claim(claims.handle_is_the_blocks_address, got[1], pool.free_blocks[0].dma)
    handed_out = [block for block in pool.free_blocks if block.vaddr == got[0]]
    path.show_claim(claims.free_list_holds_the_free_blocks, pool.stack(), pool.promised(*handed_out))
    blocks, pages = pool.nr_blocks - pool.blocks, pool.nr_pages - pool.pages
    path.show_claim(claims.total_counts_the_blocks, blocks, pages, len(pool.page.offsets))


@state(claims.fresh_blocks_ascend)
def fresh_blocks_ascend(path: Any) -> None:
    """A new page's first block is topmost, and each leads to the one that was laid after it; a free puts one above them."""
    pool, got, _ = allocated(path, AnyStack)
    page, blocks = pool.page, {block.name: block for block in pool.free_blocks}
    path.assume("a page of several blocks is added", lambda: len(page.offsets) > 1)
    for before, after in pairwise(page.offsets):
        path.assume_claim(claims.layout_ends, before, after)
    assert got is not None
    fresh = [got[0] - page.vaddr, *(blocks[name].vaddr - page.vaddr for name in pool.stack() if name in blocks)]
    path.show("they are all there", lambda: len(fresh) == len(page.offsets))
    for before, after in pairwise(fresh):
        path.show_claim(claims.fresh_blocks_ascend, after, before)


@state(claims.in_use_counts_the_live_blocks, "alloc")
def in_use_counts_an_allocated_block(path: Any, subject: Any = AnyStack) -> None:
    pool, _, serves = allocated(path, subject)
    path.assume("there are fewer live blocks than addresses", lambda: pool.live < 2**64 - 1)
    path.show_claim(claims.in_use_counts_the_live_blocks, pool.nr_active, pool.live + serves)


@state(claims.counters_do_not_wrap)
def counters_do_not_wrap(path: Any, subject: Any = AnyStack) -> None:
    """Of blocks of 16 bytes, fewer than 2^60 are in an address space."""
    pool, _, serves = allocated(path, subject)
    added = len(pool.page.offsets) * serves
    for count in (pool.live, pool.blocks, pool.pages):
        path.assume("the blocks are in an address space", lambda count=count: count < 2**60)
    path.show_claim(claims.counters_do_not_wrap, pool.nr_active, pool.live, int(serves))
    path.show_claim(claims.counters_do_not_wrap, pool.nr_blocks, pool.blocks, added)
    path.show_claim(claims.counters_do_not_wrap, pool.nr_pages, pool.pages, min(added, 1))


def freed(path: Any, subject: Any, anywhere: bool = False) -> AnyStack:
    """A pool to which a live block was given back, the operand, on a stack of any size."""
    pool: AnyStack = subject(path, "debug", "init_on_free")
    pool.operate("free", anywhere)
    return pool


@state(claims.free_list_holds_the_free_blocks, "free")
def stack_holds_the_free_blocks_after_free(path: Any, subject: Any = AnyStack) -> None:
    pool = freed(path, subject)
    path.show_claim(claims.free_list_holds_the_free_blocks, pool.stack(), [pool.operand.name, *pool.promised()])


@state(claims.in_use_counts_the_live_blocks, "free")
def in_use_counts_a_freed_block_no_more(path: Any, subject: Any = AnyStack) -> None:
    pool = freed(path, subject, anywhere=True)
    path.assume("the block is in use, and counted", lambda: pool.live >= 1)
    path.show_claim(claims.in_use_counts_the_live_blocks, pool.nr_active, pool.live - 1)


@state(claims.double_free_is_refused)
def double_free_is_refused(path: Any, subject: Any = AnyStack) -> None:
    """By induction over the stack: what is not at its top is looked for in the tail, in the same way."""
    pool = subject(path, walks=True)
    pool.debug = True
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


def show_refused(path: Any, pool: AnyStack) -> None:
    path.show("it is reported, as what was freed", lambda: len(pool.log) == 1 and OTHERWISE not in pool.log)
    counted_otherwise = ["in use"] * bool(pool.nr_active != pool.live)
    linked_otherwise = ["the stack"] * (pool.stack() != pool.promised())
    path.show_claim(claims.refused_free_changes_nothing, [*pool.writes, *counted_otherwise, *linked_otherwise])


@state(claims.refused_free_changes_nothing)
def refused_free_changes_nothing(path: Any, subject: Any = AnyStack) -> None:
    pool = subject(path, "init_on_free")
    pool.debug = True
    free = pool.any_block("free block")
    if path.one_of("it is", "the top", "in the tail") == "the top":
        pool.put(free)
    else:
        pool.below = [free]
    give_back(pool, free.vaddr, free.dma)
    show_refused(path, pool)


@state(claims.refused_free_changes_nothing, "no_page")
def free_of_an_address_in_no_page_is_refused(path: Any, subject: Any = AnyStack) -> None:
    """Of a debug build; others believe the address."""
    pool = subject(path, "init_on_free")
    pool.debug = True
    path.by(claims.lookup_finds_the_page_of_an_address, pool, "_find_page", pool.finds(None), pool.LOOKUP)
    pool.operate("free", anywhere=True)
    show_refused(path, pool)


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
    pool = subject(path)
    free = pool.put(pool.any_block("free block"))
    give_back(pool, free.vaddr, free.dma)
    return pool, free


@refuted(claims.free_list_holds_the_free_blocks, explain_double_free, "double_free")
def a_block_freed_twice_lies_below_itself(path: Any, subject: Any = AnyStack) -> None:
    pool, _ = freed_twice(path, subject)
    path.show_claim(claims.free_list_holds_the_free_blocks, pool.stack(), pool.promised())


@refuted(claims.in_use_counts_the_live_blocks, explain_double_free, "double_free")
def a_block_freed_twice_is_subtracted_twice(path: Any, subject: Any = AnyStack) -> None:
    pool, _ = freed_twice(path, subject)
    path.show_claim(claims.in_use_counts_the_live_blocks, pool.nr_active, pool.live)


@refuted(claims.allocated_block_was_free, explain_double_free, "double_free")
def a_block_freed_twice_is_handed_out_twice(path: Any, subject: Any = AnyStack) -> None:
    pool, free = freed_twice(path, subject)
    first = pool.alloc()
    path.assume("it is handed out", lambda: first is not None and first[0] == free.vaddr)
    live_now = [free]
    still_free = [(block.vaddr, block.dma) for block in pool.free_blocks if block not in live_now]
    path.show_claim(claims.allocated_block_was_free, pool.alloc(), still_free)


@refuted(claims.allocated_block_was_free, explain_mismatch, "mismatched_free")
def a_free_with_anothers_dma_address_is_believed(path: Any, subject: Any = AnyStack) -> None:
    pool = subject(path)
    pool.debug = True
    block = pool.any_block("freed")
    give_back(pool, block.vaddr, path.number("dma of another"))
    path.show_claim(claims.allocated_block_was_free, pool.alloc(), [(block.vaddr, block.dma)])


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


@refuted(claims.block_starts_in_a_page, explain_wild_link, "damaged_link")
def a_link_to_other_memory_is_followed(path: Any, subject: Any = AnyStack) -> None:
    """The topmost free block was written to: the block below it is now anywhere in memory that the kernel can read."""
    pool = subject(path)
    page = path.number("vaddr of the page")
    top = pool.put(pool.block("top", page, path.number("dma of the page")))
    anywhere = pool.any_block("anywhere")
    top.below = anywhere.vaddr
    pool.alloc()
    got = pool.alloc()
    path.show_claim(claims.block_starts_in_a_page, NULL if got is None else got[0], [page], PAGE_SIZE)
