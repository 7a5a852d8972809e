"""A pool that lies is caught at the step where it does, and the claim that it breaks is named."""

from typing import Any

from hunt.revisions import python
from impl.pool import Pool
from model.trace import Alloc, Create, Destroy, Free, Kernel, Step, Trace, Write
from tests.pools import broken_by
from tests.test_text import GOLDEN, hold_against


class FindsNoRoom(Pool):
    def _page_with_room(self) -> Any:
        return None


class FailsAlways(Pool):
    def alloc(self, *how: Any) -> Any:
        super().alloc(*how)


class IsOneByteOff(Pool):
    def alloc(self, *how: Any) -> Any:
        vaddr, dma = super().alloc(*how) or (0, 0)
        return vaddr + 1, dma + 1


class HandsOutTwice(Pool):
    def free(self, vaddr: int, dma: int) -> None:
        super().free(vaddr, dma)
        super().free(vaddr, dma)


class GivesAnotherDma(Pool):
    def alloc(self, *how: Any) -> Any:
        vaddr, dma = super().alloc(*how) or (0, 0)
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
    def _alloc_page(self, *how: Any) -> Any:
        page = super()._alloc_page(*how)
        assert page is not None
        with self.lock:
            self._add_page(page)
        return super()._alloc_page(*how)


class AdmitsNothing(Pool):
    @classmethod
    def create(cls, *_: Any, **__: Any) -> Any:
        return None


class AsksAsAnInterruptHandler(Pool):
    def _alloc_page(self, flags: str) -> Any:
        return super()._alloc_page(flags and "GFP_ATOMIC")


class DebugsNothing(Pool):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.debug = False


class BelievesItsLists(Pool):
    def _walk(self, *_: Any) -> str:
        return ""


A, B, C = Alloc("a"), Alloc("b"), Alloc("c")
SHORTENED = (A, B, Free("b"), Write("b", 0, "ffffffff"), Free("a"))
LIARS: list[tuple[type[Pool], tuple[Step, ...], str]] = [
    (FindsNoRoom, (A, B), "no_room_is_wasted"),
    (FailsAlways, (A,), "alloc_fails_only_without_memory"),
    (IsOneByteOff, (A,), "no_block_crosses_a_boundary"),
    (GivesAnotherDma, (A,), "handle_is_the_blocks_address"),
    (FillsNothing, (A,), "allocated_block_is_filled"),
    (HandsOutTwice, (A, Free("a"), B, C), "reports_are_the_kernels"),
    (LeavesWhatIsFreed, (A, Free("a")), "freed_block_is_filled"),
    (WritesToTheNext, (A, B, Free("a"), Free("b")), "live_block_is_left_alone"),
    (WritesToTheNext, (A, B, Free("a"), Destroy()), "live_block_is_left_alone"),
    (ForgetsToCount, (A,), "in_use_counts_the_live_blocks"),
    (CountsOneMore, (A,), "total_counts_the_blocks"),
    (HasAnotherName, (A,), "reports_are_the_kernels"),
    (Talks, (A, Free("a")), "reports_are_the_kernels"),
    (Leaks, (A, Free("a"), Destroy()), "destroy_leaks_exactly_the_busy_pages"),
    (Crashes, (A, Free("a")), "pool_stays_in_its_memory"),
    (Hangs, (A, Free("a")), "operations_end"),
    (LaysWithoutEnd, (A,), "layout_ends"),
    (AsksTwice, (A,), "pages_are_bounded_by_the_demand"),
    (AdmitsNothing, (), "create_admits_what_is_promised"),
    (AsksAsAnInterruptHandler, (A,), "flags_reach_the_device"),
    (DebugsNothing, (A,), "debug_is_on_where_it_was"),
    (BelievesItsLists, SHORTENED, "free_list_of_wrong_length_is_refused"),
]


def test_a_lie_is_noticed_and_told_as_ever() -> None:
    told = []
    for liar, steps, claim in LIARS:
        broken = broken_by(Trace((Create(64, 64, 64), *steps), Kernel(debug=True)), python(liar))
        last = broken.trace.steps[-1]
        assert (broken.claim.name, broken.trace.claim) == (claim, claim), liar
        assert (last.expected, last.happened) == (broken.expected, broken.happened), liar
        told.append(f"{liar.__name__}: {broken}\n")
    hold_against(GOLDEN / "lies.txt", "\n".join(told))
