"""The steps of a run beside the oracle: what they say, what leaves the contract, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from hunt.inside import look
from hunt.revisions import REVISIONS, python
from impl.list_head import ListHead
from impl.pool import Page, Pool
from model import claims
from model.checks import BrokenClaim
from model.lockstep import Lockstep, replay
from model.memory import DMA_BASE, VADDR_BASE, Memory
from model.trace import Alloc, Create, Destroy, Free, Kernel, OtherPool, PageChoice, PoolInfo, Trace, TraceError, Write
from tests.pools import broken_by, ran
from tests.test_checks import LeavesWhatIsFreed

A, B = Alloc("a"), Alloc("b")


def test_what_is_seen_inside_is_held_against_the_latest_step() -> None:
    lockstep = ran(Create(64), A, B)
    lockstep.check(claims.layout_ends, 4, 8)
    with pytest.raises(BrokenClaim) as broken:
        lockstep.check(claims.layout_ends, 8, 4)
    assert broken.value.claim is claims.layout_ends
    assert [step.happened for step in broken.value.trace.steps][-1] == "it is not so of offset: 8, following: 4"
    assert broken.value.expected == claims.layout_ends.sentence
    assert lockstep.target is None


def test_a_free_after_destroy_reads_what_is_gone() -> None:
    lockstep = ran(Create(64), A, Destroy(), Free("a"))
    assert lockstep.corrupted_by == "a free after the pool was destroyed"
    assert [*lockstep.violations] == ["pool_stays_in_its_memory"]
    assert lockstep.ended
    lockstep.run(PoolInfo())
    assert len(lockstep.trace().steps) == 4


def test_a_step_tells_what_happened() -> None:
    """In words that a reader of a trace relies on."""
    steps = (
        Create(64),
        Alloc("a", page=PageChoice(0x4000)),
        Write("a", 0, "0203"),
        Free("a"),
        PoolInfo(),
        Alloc("b", zero=True),
        Free("b", dma_plus=2**40),
        Destroy(),
    )
    happened = replay(Trace(steps), REVISIONS["series"])
    assert [(step.expected, step.happened) for step in happened.steps] == [
        ("a pool", "a pool"),
        ("a free block", "bytes 0 to 64 of a page of 4096, at DMA address 0x4000"),
        ("", "2 bytes change"),
        ("the block is taken back", "the block is taken back"),
        ("", "pool                0   64   64  1"),
        ("a free block", "bytes 0 to 64 of a page of 4096, at DMA address 0x4000"),
        ("a report, and no change", "a report, and no change"),
        ("pages leaked: 1", "pages leaked: 1"),
    ]


def test_a_pool_that_should_be_refused_is_run_only_where_that_is_not_the_question() -> None:
    """An align of 2^32 makes blocks of no bytes: what breaks first is the admission, what was asked for is another claim."""
    steps = (Create(1, 2**32), Alloc("a"))
    for about, broken_claim in (
        (None, "create_admits_what_is_promised"),
        ("create_admits_what_is_promised", "create_admits_what_is_promised"),
        ("layout_ends", "layout_ends"),
    ):
        assert broken_by(Trace(steps, claim=about), REVISIONS["v6.12"]).claim.name == broken_claim


@pytest.mark.parametrize(
    ("data", "offset", "damage"),
    [
        ("00000000", 0, ""),  # what is there already
        ("01", 64, "a write to the link in a free block"),
        ("01", 67, "a write to the link in a free block"),
        ("01", 68, ""),
        ("0101", 63, "a write to the link in a free block"),
        ("01", 4, ""),  # to the block in use
    ],
)
def test_a_write_damages_only_a_link(data: str, offset: int, damage: str) -> None:
    lockstep = ran(Create(64), A, Write("a", 0, "00000000"), Write("a", offset, data))
    assert lockstep.corrupted_by == damage
    assert lockstep.memory.block(VADDR_BASE + offset, 1)[0] == int(data[:2], 16)


def test_a_write_past_the_page_is_refused() -> None:
    steps = (Create(64), A, Write("a", 4095, "0000"))
    with pytest.raises(TraceError, match=r"^2 bytes at offset 4095 of block 'a' are not in one page of the device$"):
        replay(Trace(steps), REVISIONS["series"])


@pytest.mark.parametrize("name", ["series", "v6.1-as-it-is", "v6.12"])
def test_the_machine_asks_for_boundaries_above_a_page_where_they_are_clipped(name: str) -> None:
    """Where a revision is said to clip none, the machine draws none: that must not be said of one that does."""
    pool: Any = REVISIONS[name].create("pool", Memory(), 64, 1, 8192)
    assert REVISIONS[name].promises.clips_the_boundary == (pool.geometry.boundary == 4096)


def test_another_pool_has_a_block_where_it_is_said_or_where_there_is_room() -> None:
    steps = (Create(64), OtherPool("o", 0x7000), OtherPool("p"), Alloc("a", page=PageChoice(0x4000)), Free("o"))
    happened = [step.happened for step in replay(Trace(steps), REVISIONS["series"]).steps]
    assert happened[1:3] == ["a block at DMA address 0x7000", f"a block at DMA address {DMA_BASE:#x}"]
    assert happened[4] == "a report, and no change"


def test_a_freed_block_is_zeroed_with_init_on_free() -> None:
    steps = (Create(64), A, Free("a"))
    broken = broken_by(Trace(steps, Kernel(init_on_free=True)), python(LeavesWhatIsFreed))
    assert broken.claim is claims.freed_block_is_filled
    assert replay(Trace(steps), python(LeavesWhatIsFreed)).steps[-1].happened == "the block is taken back"


def test_a_damaged_pool_keeps_what_its_build_promises() -> None:
    for revision in REVISIONS.values():
        assert Lockstep(revision, Kernel()).keeps == revision.promises.keeps
        assert Lockstep(revision, Kernel(debug=True)).keeps == revision.promises.keeps_in_debug_builds


def test_a_device_is_asked_after_the_others_have_run() -> None:
    """And gives the address; both callers count as waiting at once, and nobody afterwards."""
    kernel = Kernel(page_size=64, debug=True)
    asked: list[int] = []

    def device(nbytes: int) -> PageChoice:
        asked.append(nbytes)
        if len(asked) == 2:
            return PageChoice(2**41)
        lockstep.run(B)
        return PageChoice(2**40)

    lockstep = Lockstep(REVISIONS["series"], kernel, device=device)
    for step in (Create(64), A):
        lockstep.run(step)
    assert asked == [64, 64]
    assert {name: block.dma for name, block in lockstep.blocks.items()} == {"b": 2**41, "a": 2**40}
    assert (lockstep.under_way, lockstep.at_once, lockstep.peak) == (0, 2, 2)
    ran = lockstep.trace()
    assert ran.kernel == kernel
    alloc = ran.steps[1]
    assert isinstance(alloc, Alloc)
    assert alloc.page is not None
    assert [type(step) for step in alloc.page.meanwhile] == [Alloc]
    assert replay(ran, REVISIONS["series"]) == ran


def test_a_page_has_to_end_in_64_bits() -> None:
    fits = Trace((Create(64), Alloc("a", page=PageChoice(2**64 - 4096))))
    assert replay(fits, REVISIONS["series"]).steps[-1].happened.endswith("0xfffffffffffff000")
    with pytest.raises(TraceError, match="a page of 4096 bytes at DMA address 0xfffffffffffff001 is not in 64 bits"):
        replay(Trace((Create(64), Alloc("a", page=PageChoice(2**64 - 4095)))), REVISIONS["series"])


def test_a_free_of_addresses_beyond_64_bits_wraps_around() -> None:
    lockstep = ran(Create(64), A)
    block = lockstep.blocks["a"]
    assert lockstep.addresses(Free("a", 2**64 - 1, 2**64 - 2)) == (block.vaddr - 1, block.dma - 2)


@pytest.mark.parametrize("init_on_free", [False, True])
def test_a_free_is_noticed_only_before_anything_is_done_with_the_block(init_on_free: bool) -> None:
    """v6.1 zeroes first, unless it knows no page at that address."""
    kernel = Kernel(debug=True, init_on_free=init_on_free)
    lockstep = ran(Create(64), A, B, Free("a"), revision="v6.1-as-it-is", kernel=kernel)
    freed = lockstep.blocks["a"]
    assert lockstep.notices(freed.vaddr, freed.dma) is not init_on_free
    assert lockstep.notices(freed.vaddr, freed.dma + 2**30)
    in_use = lockstep.blocks["b"]
    assert not lockstep.notices(in_use.vaddr, in_use.dma)


def test_a_look_inside_is_told_which_page_and_whether_it_is_new() -> None:
    looks: list[tuple[int | None, bool]] = []

    def look(_: Lockstep, __: Any, touched: Any, added: bool) -> None:
        looks.append((touched and touched.mapping.dma, added))

    lockstep = Lockstep(python(Pool, look=look), Kernel())
    first, second = Alloc("a", page=PageChoice(2**20)), Alloc("c", page=PageChoice(2**21))
    for step in (Create(2048), first, B, second, Free("a"), PoolInfo()):
        lockstep.run(step)
    assert looks == [(None, False), (2**20, True), (2**20, False), (2**21, True), (2**20, False), (None, False)]


@pytest.mark.parametrize(
    "tear", [lambda head: setattr(head.next, "prev", head.next), lambda head: setattr(head, "prev", head)]
)
def test_a_list_that_is_torn_at_its_head_is_seen_inside_of_a_pool(tear: Callable[[ListHead], None]) -> None:
    class Torn(Pool):
        def alloc(self, zero: bool = False, flags: str = "GFP_KERNEL") -> tuple[int, int] | None:
            block = super().alloc(zero, flags)
            tear(self.avail_page_list)
            return block

    with pytest.raises(BrokenClaim, match="list_is_a_ring"):
        replay(Trace((Create(1000), A)), python(Torn, look=look))


def test_a_double_free_that_is_not_reported_breaks_its_own_claim() -> None:
    class Credulous(Pool):
        def _is_refused(self, page: Page, offset: int, vaddr: int, dma: int) -> bool:  # noqa: ARG002
            return False

    with pytest.raises(BrokenClaim, match="double_free_is_refused"):
        replay(Trace((Create(1000), A, Free("a"), Free("a")), Kernel(debug=True)), python(Credulous))
