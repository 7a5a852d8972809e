"""A review of a series: a line for a quiet patch, and for a bug what it breaks, how to replay it, and status 1."""

from dataclasses import replace
from pathlib import Path

import pytest

from command import review
from hunt.revisions import KernelFile
from kernel.once import ROOT
from model.trace import Alloc, Create, Trace, loads
from proofs.engine.obligation import Result
from tests.kernels import changed, fetched, hunt_briefly
from tests.running import Command
from tests.test_compare import BOUNDARY, COMMENT, V6_1, mailed, needs_kernels

MENDED = ("dmapool: the last block before a boundary", *BOUNDARY)
EXPORTED = (
    "dmapool: size",
    "EXPORT_SYMBOL(dma_pool_create);\n",
    """EXPORT_SYMBOL(dma_pool_create);

size_t dma_pool_size(struct dma_pool *pool);
size_t dma_pool_size(struct dma_pool *pool)
{
	return pool->size;
}
EXPORT_SYMBOL(dma_pool_size);
""",
)
HIDDEN = ("dmapool: no free", "EXPORT_SYMBOL(dma_pool_free);\n", "")
LOST = ("dmapool: count less", "\tpage->in_use++;\n", "\tpage->in_use += 2;\n")


@needs_kernels
def test_a_series_is_reviewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    hunt_briefly(monkeypatch)
    monkeypatch.setattr(review, "RUNS", 1)
    monkeypatch.setattr(review, "prove", lambda *_: ([], ""))  # test_compiled does
    mbox = mailed(tmp_path, ("dmapool: a comment", *COMMENT), MENDED, EXPORTED, LOST, HIDDEN)
    out = tmp_path / "review"
    ran = command("review", mbox, "--base", V6_1.parent.parent, "--profile", "directed", "--out", out)
    assert ran.status == 1
    assert len(ran.out.splitlines()) <= review.MOST_LINES
    assert " 1. dmapool: a comment: a driver sees no change in " in ran.out
    assert (
        "    mends: a block may end at a boundary; before, a block that ends at a boundary starts at one\n" in ran.out
    )
    assert "    exported, and not exercised: dma_pool_size\n" in ran.out
    assert ran.out.index("BREAKS") > ran.out.index(" 4. dmapool")
    assert "    BREAKS in_use_counts_the_live_blocks: " in ran.out
    assert "    BREAKS modules that call dma_pool_free: defined, and not exported any more\n" in ran.out
    (replay,) = {
        line.split("TRACE=")[1] for line in ran.out.splitlines() if "in_use_counts" in line and "TRACE=" in line
    }
    trace, kernel = replay.split(" KERNEL=")
    assert loads((ROOT / trace).read_text()).claim == "in_use_counts_the_live_blocks"
    assert command("replay", ROOT / trace, "--kernel", kernel).status == 1
    assert {path.name for path in out.iterdir()} >= {"index.html", "results.sarif", "junit.xml"}


@needs_kernels
def test_what_a_run_shows_of_the_version_before_is_not_new(tmp_path: Path) -> None:
    run = Trace((Create(64), Alloc("a")), claim="in_use_counts_the_live_blocks")
    lost = changed("v6.1", tmp_path, *LOST[1:])
    assert review.breaks_alike(run, KernelFile("", lost), "in_use_counts_the_live_blocks")
    assert not review.breaks_alike(run, KernelFile("", fetched("v6.1")), "in_use_counts_the_live_blocks")


def test_a_review_of_whatever_length_fits_into_a_mail() -> None:
    breaks = [(name, [f"BREAKS {name}", "  what", "  replay"]) for name in "abc"]
    said = [review.Said(number, "patch", 3, "a driver sees a change", [], breaks) for number in range(9)]
    for one in said:
        one.differences.append(("row in 2", "1; now 2"))
    status, page = "Status 1: 9 findings of patch 1.", Path("index.html")
    many, most = (review.shortened(["base"], said * times, status, page) for times in (2, 9))
    assert review.outcome(said[:2], [], "") == "Status 1: 3 findings of patch 0, 3 findings of patch 1."
    assert review.outcome([], [], "") == "Status 0: no finding."
    few, some = (review.shortened(["base"], said[:number], status, page) for number in (2, 4))
    assert max(map(len, (few, some, many, most))) <= review.MOST_LINES
    assert "- row in 2: 1; now 2" in "".join(few)
    quiet = [replace(one, breaks=[], differences=[("row in 2", "1; now 2"), ("messages in 1", "")]) for one in said]
    one_example = review.shortened(["base"], [*quiet, *quiet[:5]], status, page)
    assert one_example[2:4] == [
        " 0. patch: a driver sees a change: row in 2, messages in 1",
        "    - row in 2: 1; now 2",
    ]
    assert "    and 1 more run, with traces in .: c" in some
    assert "    and 2 more runs, with traces in .: b, c" in most
    assert "more lines" in most[-4]
    result = Result("o", "c", "kernel", "u64", "", "PROVED", "NOT_FOLLOWED", "", 0, 0, 0)
    odd = [replace(result, obligation=str(n), why=f"cause {n // 2}") for n in range(20)]
    told = review.of_proofs(odd, [*odd, replace(result, obligation="refuted", verdict="REFUTED")])
    assert len(told) == 1 + review.MOST_CAUSES + 1
    assert told[1].startswith("  refuted is REFUTED")


@needs_kernels
def test_without_a_base_the_patches_choose_it_and_with_a_wrong_one_the_right_one_is_named(
    tmp_path: Path, command: Command
) -> None:
    mbox = mailed(tmp_path, LOST)
    assert review.what_to_review(str(mbox), None)[0].file == V6_1
    ran = command("review", mbox, "--base", V6_1.parents[2] / "v6.12", "--out", tmp_path / "review")
    assert ran.status == 2
    assert "name what it was written for as the base; of the fetched ones, it fits `BASE=" in ran.err
    assert "kernels/v6.1`" in ran.err
