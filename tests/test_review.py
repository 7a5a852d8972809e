"""A review of a series: a line for a quiet patch, and for a bug what it breaks, how to replay it, and status 1."""

from dataclasses import replace
from pathlib import Path

import pytest

from command import review
from kernel.once import ROOT
from model.trace import loads
from proofs.engine.obligation import Result
from tests.kernels import hunt_briefly
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
LOST = ("dmapool: count less", "\tpage->in_use++;\n", "\tpage->in_use += 2;\n")


@needs_kernels
def test_a_series_is_reviewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    hunt_briefly(monkeypatch)
    monkeypatch.setattr(review, "RUNS", 1)
    monkeypatch.setattr(review, "prove", lambda *_: ([], ""))  # test_compiled does
    mbox = mailed(tmp_path, ("dmapool: a comment", *COMMENT), MENDED, EXPORTED, LOST)
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
    (replay,) = {
        line.split("TRACE=")[1] for line in ran.out.splitlines() if "in_use_counts" in line and "TRACE=" in line
    }
    trace, kernel = replay.split(" KERNEL=")
    assert loads((ROOT / trace).read_text()).claim == "in_use_counts_the_live_blocks"
    assert command("replay", ROOT / trace, "--kernel", kernel).status == 1
    assert {path.name for path in out.iterdir()} >= {"index.html", "results.sarif", "junit.xml"}


def test_a_review_of_whatever_length_fits_into_a_mail() -> None:
    breaks = [(name, [f"BREAKS {name}", "  what", "  replay"]) for name in "abc"]
    said = [review.Said(f"{number}. patch", 3, "a driver sees a change", [], breaks) for number in range(9)]
    for one in said:
        one.differences.append(("row in 2", "1; now 2"))
    few, many, most = (review.shortened(["base", "proved"], said * times, Path("index.html")) for times in (1, 2, 9))
    assert len(review.shortened(["base"], said[:2], Path("index.html"))) < review.MOST_LINES
    assert max(map(len, (few, many, most))) <= review.MOST_LINES
    assert "    and, by traces beside .: b, c" in most
    assert "more lines" in most[-3]
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
    assert "name what it was written for as the base: `BASE=" in ran.err
    assert ran.err.rstrip().endswith("v6.1` is")
