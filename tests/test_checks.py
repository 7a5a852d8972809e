"""A pool that lies is caught at the step where it does, and the claim that it breaks is named."""

from typing import Any

import pytest

from hunt.revisions import python
from impl.pool import Pool
from model import claims
from model.checks import BrokenClaim
from model.lockstep import replay
from model.trace import (
    Alloc,
    Create,
    Destroy,
    Free,
    Kernel,
    Step,
    Trace,
)


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


class LeavesWhatIsFreed(Pool):
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
        with self.lock:
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
        LeavesWhatIsFreed,
        (A, Free("a")),
        "freed_block_is_filled",
        "the fill of a freed block",
        "it holds 40 00 00 00 01 01 01 01 …",
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
    (Leaks, (A, Free("a"), Destroy()), "destroy_leaks_exactly_the_busy_pages", "pages leaked: 0", "pages leaked: 1"),
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
        replay(run, python(liar))
    assert (broken.value.claim.name, broken.value.expected, broken.value.happened) == (claim, expected, happened)
    assert broken.value.trace.claim == claim
    told = broken.value.trace.steps[-1]
    assert (told.expected, told.happened) == (expected, happened)
    assert (
        str(broken.value) == f"{claim}: {claims.CLAIMS[claim].sentence}\n  expected: {expected}\n  happened: {happened}"
    )
