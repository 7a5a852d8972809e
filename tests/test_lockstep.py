"""The comparison itself: a pool that lies is caught at the step where it does, and the claim that it breaks is named."""

from typing import Any

import pytest

from impl.pool import Pool
from model import claims
from model.lockstep import BrokenClaim, Lockstep, Revision, replay
from model.memory import DMA_BASE, VADDR_BASE, Memory
from model.trace import (
    Alloc,
    Create,
    Destroy,
    Free,
    Kernel,
    OtherPool,
    PageChoice,
    PoolInfo,
    Step,
    Trace,
    TraceError,
    Write,
)
from tests.targets import TARGETS


class FindsNoRoom(Pool):
    def _page_with_room(self) -> Any:
        return None


class FailsAlways(Pool):
    def alloc(self, zero: bool = False) -> Any:
        super().alloc(zero)


class IsOneByteOff(Pool):
    def alloc(self, zero: bool = False) -> Any:
        vaddr, dma = super().alloc(zero) or (0, 0)
        return vaddr + 1, dma + 1


class HandsOutTwice(Pool):
    def free(self, vaddr: int, dma: int) -> None:
        super().free(vaddr, dma)
        super().free(vaddr, dma)


class GivesAnotherDma(Pool):
    def alloc(self, zero: bool = False) -> Any:
        vaddr, dma = super().alloc(zero) or (0, 0)
        return vaddr, dma + 64


class FillsNothing(Pool):
    def _fill_allocated(self, *_: Any) -> None:
        pass

    def _fill_freed(self, *_: Any) -> bool:
        return True


class WritesToTheNext(Pool):
    def free(self, vaddr: int, dma: int) -> None:
        super().free(vaddr, dma)
        page = self._find_page(vaddr, dma)
        assert page is not None
        page.fill(64, 1, 0xEE)


class ForgetsToCount(Pool):
    def poolinfo(self) -> str:
        return super().poolinfo().replace(" 1   64   64", " 0   64   64")


class CountsOneMore(Pool):
    def _total_blocks(self, pages: int) -> int:
        return super()._total_blocks(pages) + 1


class HasAnotherName(Pool):
    def poolinfo(self) -> str:
        return "x" + super().poolinfo()[1:]


class Talks(Pool):
    def free(self, vaddr: int, dma: int) -> None:
        super().free(vaddr, dma)
        self.log.append("hello")


class Leaks(Pool):
    def _give_back(self, page: Any) -> None:
        pass


class Crashes(Pool):
    def free(self, vaddr: int, dma: int) -> None:  # noqa: ARG002
        raise KeyError("no such page")


class Hangs(Pool):
    def free(self, vaddr: int, dma: int) -> None:  # noqa: ARG002
        raise TimeoutError("it never returns")


class LaysWithoutEnd(Pool):
    def _laid_blocks(self) -> Any:
        raise TimeoutError("the first block follows itself")


class AsksTwice(Pool):
    def _alloc_page(self) -> Any:
        page = super()._alloc_page()
        assert page is not None
        self._add_page(page)
        return super()._alloc_page()


class AdmitsNothing(Pool):
    @classmethod
    def create(cls, *_: Any, **__: Any) -> Any:
        return None


A, B = Alloc("a"), Alloc("b")
LIARS: list[tuple[type[Pool], tuple[Step, ...], str, str, str]] = [
    (FindsNoRoom, (A, B), "no_room_is_wasted", "the free block at offset 64 of a page", "another page is asked for"),
    (FailsAlways, (A,), "alloc_fails_only_without_memory", "a free block", "NULL"),
    (
        IsOneByteOff,
        (A,),
        "no_block_crosses_a_boundary",
        "a free block",
        "bytes 1 to 65 of a page of 4096, at DMA address 0x100000001",
    ),
    (
        GivesAnotherDma,
        (A,),
        "allocated_block_was_free",
        "a free block",
        "bytes 0 to 64 of a page of 4096, at DMA address 0x100000040",
    ),
    (
        FillsNothing,
        (A,),
        "allocated_block_is_filled",
        "a free block",
        "bytes 0 to 64 of a page of 4096, at DMA address 0x100000000",
    ),
    (
        HandsOutTwice,
        (A, Free("a"), Alloc("b"), Alloc("c")),
        "reports_are_the_kernels",
        "the messages: []",
        "the messages: ['dma_pool_free pool, dma 0x0000000100000000 already free']",
    ),
    (
        WritesToTheNext,
        (A, B, Free("a"), Free("b")),
        "live_block_is_left_alone",
        "block 'b' as the driver left it",
        "it holds ee 02 02 02 02 02 02 02 …",
    ),
    (
        WritesToTheNext,
        (A, B, Free("a"), Destroy()),
        "live_block_is_left_alone",
        "block 'b' as the driver left it",
        "it holds ee 02 02 02 02 02 02 02 …",
    ),
    (
        ForgetsToCount,
        (A,),
        "in_use_counts_the_live_blocks",
        "the row: pool                1   64   64  1",
        "the row: pool                0   64   64  1",
    ),
    (
        CountsOneMore,
        (A,),
        "total_counts_the_blocks",
        "the row: pool                0    0   64  0",
        "the row: pool                0    1   64  0",
    ),
    (
        HasAnotherName,
        (A,),
        "reports_are_the_kernels",
        "the row: pool                0    0   64  0",
        "the row: xool                0    0   64  0",
    ),
    (Talks, (A, Free("a")), "reports_are_the_kernels", "the messages: []", "the messages: ['hello']"),
    (Leaks, (A, Free("a"), Destroy()), "destroy_leaks_exactly_the_busy_pages", "0 pages leaked", "1 pages leaked"),
    (Crashes, (A, Free("a")), "pool_stays_in_its_memory", "no fault", "KeyError: 'no such page'"),
    (Hangs, (A, Free("a")), "operations_end", "an answer", "it never returns"),
    (LaysWithoutEnd, (A,), "layout_ends", "an answer", "the first block follows itself"),
    (
        AsksTwice,
        (A,),
        "pages_are_bounded_by_the_demand",
        "1 blocks were asked for, by 1 callers at once",
        "2 pages of 64",
    ),
    (AdmitsNothing, (), "create_admits_what_is_promised", "a pool", "NULL"),
]


@pytest.mark.parametrize(("liar", "steps", "claim", "expected", "happened"), LIARS)
def test_a_lie_is_noticed(liar: type[Pool], steps: tuple[Step, ...], claim: str, expected: str, happened: str) -> None:
    run = Trace((Create(64, 64, 64), *steps), Kernel(debug=True))
    with pytest.raises(BrokenClaim) as broken:
        replay(run, Revision(liar.create))
    assert (broken.value.claim.name, broken.value.expected, broken.value.happened) == (claim, expected, happened)
    assert broken.value.trace.claim == claim
    told = broken.value.trace.steps[-1]
    assert (told.expected, told.happened) == (expected, happened)
    assert (
        str(broken.value) == f"{claim}: {claims.CLAIMS[claim].sentence}\n  expected: {expected}\n  happened: {happened}"
    )


def test_what_is_seen_inside_is_held_against_the_latest_step() -> None:
    lockstep = Lockstep(TARGETS["series"], Kernel())
    for step in (Create(64), A, B):
        lockstep.run(step)
    lockstep.hold(claims.layout_ends, 4, 8)
    with pytest.raises(BrokenClaim) as broken:
        lockstep.hold(claims.layout_ends, 8, 4)
    assert broken.value.claim is claims.layout_ends
    assert [step.happened for step in broken.value.trace.steps][-1] == "layout_ends(8, 4)"
    assert broken.value.expected == claims.layout_ends.sentence
    assert lockstep.target is None


def test_a_free_after_destroy_reads_what_is_gone() -> None:
    steps = (Create(64), A, Destroy(), Free("a"))
    lockstep = Lockstep(TARGETS["series"], Kernel())
    for step in steps:
        lockstep.run(step)
    assert lockstep.damaged_by == "a free after the pool was destroyed"
    assert [*lockstep.damage] == ["pool_stays_in_its_memory"]
    assert lockstep.ended
    lockstep.run(PoolInfo())
    assert len(lockstep.trace().steps) == len(steps)


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
    happened = replay(Trace(steps), TARGETS["series"])
    assert [(step.expected, step.happened) for step in happened.steps] == [
        ("a pool", "a pool"),
        ("a free block", "bytes 0 to 64 of a page of 4096, at DMA address 0x4000"),
        ("", "2 bytes change"),
        ("the block is taken back", "the block is taken back"),
        ("", "pool                0   64   64  1"),
        ("a free block", "bytes 0 to 64 of a page of 4096, at DMA address 0x4000"),
        ("a report, and no change", "a report, and no change"),
        ("1 pages leaked", "1 pages leaked"),
    ]


def test_a_pool_that_should_be_refused_is_run_only_where_that_is_not_the_question() -> None:
    """An align of 2^32 makes blocks of no bytes: what breaks first is the admission, what was asked for is another claim."""
    steps = (Create(1, 2**32), Alloc("a"))
    for about, broken_claim in (
        (None, "create_admits_what_is_promised"),
        ("create_admits_what_is_promised", "create_admits_what_is_promised"),
        ("layout_ends", "layout_ends"),
    ):
        with pytest.raises(BrokenClaim) as broken:
            replay(Trace(steps, claim=about), TARGETS["v6.12"])
        assert broken.value.claim.name == broken_claim


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
    lockstep = Lockstep(TARGETS["series"], Kernel())
    for step in (Create(64), A, Write("a", 0, "00000000"), Write("a", offset, data)):
        lockstep.run(step)
    assert lockstep.damaged_by == damage
    assert lockstep.memory.block(VADDR_BASE + offset, 1)[0] == int(data[:2], 16)


def test_a_write_past_the_page_is_refused() -> None:
    steps = (Create(64), A, Write("a", 4095, "0000"))
    with pytest.raises(TraceError, match=r"^2 bytes at offset 4095 of block 'a' are not in one page of the device$"):
        replay(Trace(steps), TARGETS["series"])


@pytest.mark.parametrize("name", ["series", "v4", "v6.1-as-it-is", "v6.12"])
def test_the_machine_asks_for_boundaries_above_a_page_where_they_are_clipped(name: str) -> None:
    """Where a revision is said to clip none, the machine draws none: that must not be said of one that does."""
    pool: Any = TARGETS[name].create("pool", Memory(), 64, 1, 8192)
    assert TARGETS[name].promises.clips_the_boundary == (pool.geometry.boundary == 4096)


def test_another_pool_has_a_block_where_it_is_said_or_where_there_is_room() -> None:
    steps = (Create(64), OtherPool("o", 0x7000), OtherPool("p"), Alloc("a", page=PageChoice(0x4000)), Free("o"))
    happened = [step.happened for step in replay(Trace(steps), TARGETS["series"]).steps]
    assert happened[1:3] == ["a block at DMA address 0x7000", f"a block at DMA address {DMA_BASE:#x}"]
    assert happened[4] == "a report, and no change"
