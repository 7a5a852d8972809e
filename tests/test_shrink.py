"""Traces are made as small as single changes can make them, and still break the same claim."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from command.main import main
from hunt.revisions import REVISIONS, python
from hunt.shrink import measure, shrink, smallest
from impl.list_head import list_add
from impl.pool import Page
from impl.pool import Pool as SeriesPool
from model.checks import BrokenClaim
from model.lockstep import replay
from model.revision import KERNEL
from model.trace import Alloc, Create, Destroy, Free, Kernel, PageChoice, PoolInfo, Trace, dumps, loads

TRACES = Path(__file__).parent / "traces"


def test_what_does_not_matter_goes() -> None:
    """Of the steps, of those inside them, of the kernel and of the names."""
    polite = (PoolInfo(), Alloc("y", page=PageChoice(2**40)), Free("y"))
    steps = (
        Create(100, 8, 256, "a name"),
        Alloc("x", zero=True, page=PageChoice(2**33, polite)),
        *(Alloc(f"n{number}") for number in range(40)),
        *(Free(f"n{number}") for number in range(40)),
        Free("x"),
        Free("x"),
        Alloc("one", zero=True),
        Alloc("other"),
        Destroy(),
    )
    long = Trace(steps, Kernel(16384, init_on_alloc=True), "blocks_are_disjoint")
    with pytest.raises(BrokenClaim) as broken:
        replay(long, REVISIONS["series"])
    small = smallest(broken.value.trace, "series")
    assert small.claim == "blocks_are_disjoint"
    assert [type(step).__name__ for step in small.steps] == ["Create", "Alloc", "Free", "Free", "Alloc", "Alloc"]
    assert [getattr(step, "block", "") for step in small.steps[1:]] == ["a", "a", "a", "b", "c"]
    assert all(not step.zero and step.page is None for step in small.steps if isinstance(step, Alloc))
    assert small.kernel == Kernel()
    assert (small.steps[0].expected, replace(small.steps[0], expected="", happened="")) == ("a pool", Create(1))
    with pytest.raises(BrokenClaim) as again:
        replay(small, REVISIONS["series"])
    assert again.value.trace == small


@pytest.mark.parametrize("name", ["v6.1-no_room_is_wasted", "series-blocks_are_disjoint-double_free"])
def test_what_is_small_is_not_made_larger(name: str) -> None:
    trace, revision = loads((TRACES / f"{name}.json").read_text()), name.partition("-")[0]
    once = smallest(trace, revision)
    assert measure(once) <= measure(trace)
    assert smallest(once, revision) == once


def test_what_is_made_smaller_can_still_be_read() -> None:
    """However small the pages were: there are none of less than 4 bytes."""
    steps = (Create(4), Alloc("a"), Free("a"), Free("a"), Alloc("b"), Alloc("c"))
    with pytest.raises(BrokenClaim) as broken:
        replay(Trace(steps, Kernel(64), "blocks_are_disjoint"), REVISIONS["series"])
    small = smallest(broken.value.trace, "series")
    assert loads(dumps(small)) == small
    assert small.kernel.page_size >= 4


def test_time_is_limited() -> None:
    trace = loads((TRACES / "v6.1-no_room_is_wasted.json").read_text())
    tried: list[Trace] = []
    assert shrink(trace, lambda candidate: tried.append(candidate), seconds=0) == trace
    assert len(tried) <= 1


def test_only_runs_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a step is not that of the reading between two runs, which would end the hunt, and lose what it found."""
    left = []

    def read(text: str) -> Trace:
        left.append(signal.getitimer(signal.ITIMER_VIRTUAL)[0])
        return loads(text)

    monkeypatch.setattr("hunt.shrink.loads", read)
    smallest(loads((TRACES / "series-blocks_are_disjoint-double_free.json").read_text()), "series")
    assert left
    assert set(left) == {0}


def test_the_smaller_trace_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = TRACES / "v6.1-block_lies_inside_its_page.json"
    assert main(["replay", str(trace), "--on", "v6.1", "--shrink", str(tmp_path / "small.json")]) == 1
    assert "v6.1 breaks block_lies_inside_its_page" in capsys.readouterr().out
    small = loads((tmp_path / "small.json").read_text())
    assert measure(small) < measure(loads(trace.read_text()))
    assert main(["replay", str(tmp_path / "small.json"), "--on", "v6.1"]) == 1
    assert main(["replay", str(tmp_path / "small.json"), "--on", "series"]) == 0
    capsys.readouterr()
    again = ["replay", str(tmp_path / "small.json"), "--shrink", str(tmp_path / "smaller.json")]
    assert main([*again, "--on", "v6.1"]) == 1
    assert "smaller.json, since no smaller trace breaks the claim" in capsys.readouterr().out
    assert not (tmp_path / "smaller.json").exists()
    assert main(again) == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[0]
        .endswith("small.json is run on series; ON=… or KERNEL=… names another pool")
    )


def test_a_sound_pool_is_not_corrupted_to_make_a_run_smaller() -> None:
    """A debug build reports a double free, and miscounts then; without debug, any series miscounts, which is no news."""

    class Miscounts(SeriesPool):
        def poolinfo(self) -> str:
            row = super().poolinfo()
            return row.replace("   0 ", "   1 ", 1) if self.log else row

    run = Trace((Create(64), Alloc("a"), Free("a"), Free("a"), PoolInfo()), Kernel(debug=True))
    among = {**REVISIONS, "miscounts": python(Miscounts)}
    with pytest.raises(BrokenClaim) as broken:
        replay(run, among["miscounts"])
    assert broken.value.claim.name == "in_use_counts_the_live_blocks"
    small = smallest(broken.value.trace, "miscounts", among)
    assert small.kernel.debug
    with pytest.raises(BrokenClaim):
        replay(small, python(Miscounts))
    replay(small, REVISIONS["series"])


def test_bold_changes_come_again_before_numbers_take_all_the_time() -> None:
    """A number that gets smaller by little, nearly for ever, has one turn at each of its bits in a round."""
    tried, reached = 0, 2**40

    def replayed(candidate: Trace) -> Trace | None:
        """Once the address is another one, the end may go."""
        nonlocal tried, reached
        tried += 1
        pages = [step.page for step in candidate.steps if isinstance(step, Alloc)]
        dma = pages[0].dma if pages and pages[0] is not None else None
        if dma is None or dma < reached - 8 or tried >= 1000:
            return None
        if dma == 2**40 and not isinstance(candidate.steps[-1], Destroy):
            return None
        reached = dma
        return candidate

    small = shrink(Trace((Create(1000), Alloc("x", page=PageChoice(2**40)), Destroy())), replayed)
    assert [type(step).__name__ for step in small.steps] == ["Create", "Alloc"]


def test_what_is_new_in_a_kernel_does_not_shrink_to_what_is_known() -> None:
    """The series lets in a page that reaches into another one from below. One that lets in the same page twice is worse."""

    class SamePageTwice(SeriesPool):
        def _add_page(self, page: Page) -> bool:
            known = self.page_tree.find(page.dma)
            if known is not None and known.dma == page.dma:
                list_add(page.avail_page_link, self.avail_page_list)
                return True
            return super()._add_page(page)

    among = {**REVISIONS, KERNEL: python(SamePageTwice)}
    twice = Alloc("a", page=PageChoice(0x3000)), Alloc("b", page=PageChoice(0x3000))
    found = Trace((Create(4000), *twice, Free("a")), claim="insertion_keeps_pages_disjoint")
    with pytest.raises(BrokenClaim) as broken:
        replay(found, among[KERNEL])
    smaller = smallest(broken.value.trace, KERNEL, among)
    assert [step.page for step in smaller.steps if isinstance(step, Alloc)] == [PageChoice(0x3000)] * 2
    replay(smaller, REVISIONS["series"])
