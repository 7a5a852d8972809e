"""Two kernels with the same operations: what changes is reported, what does not is not; a series is compared patch by patch."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from hunt.compare import OBSERVED, compare, difference, draw, observe, swept_apart
from hunt.revisions import REVISIONS
from kernel.build import KERNELS, find
from kernel.patches import read_patches
from kernel.promises import revision_of
from model.trace import Alloc, Create, Destroy, Free, PageChoice, PoolInfo, Trace, Write, loads
from tests.kernels import changed, hunt_briefly
from tests.running import Command

V6_1, V6_12 = (KERNELS / version / "mm" / "dmapool.c" for version in ("v6.1", "v6.12"))

needs_kernels = pytest.mark.skipif(
    not (V6_1.is_file() and V6_12.is_file()), reason="needs the kernels: run `make kernels`"
)


def changed_v6_1(tmp_path: Path, old: str, new: str) -> Path:
    """v6.1 with some of its text replaced, as mm/dmapool.c."""
    (tmp_path / "mm").mkdir()
    return changed("v6.1", tmp_path / "mm", old, new).file


COMMENT = "static DEFINE_MUTEX(pools_lock);", "static DEFINE_MUTEX(pools_lock); /* nothing */"
BOUNDARY = "(next + pool->size) >= next_boundary", "(next + pool->size) > next_boundary"


@pytest.fixture(autouse=True)
def _out_of_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("command.compare.TRACES", tmp_path / "traces")


def test_what_can_be_seen_of_a_run() -> None:
    """With what runs while the lock is dropped, which begins after the allocation that drops it."""
    others = (Alloc("b"), PoolInfo(), Free("none"))
    trace = Trace((Create(64), Alloc("a", zero=True, page=PageChoice(0x1000, others)), Free("a"), Destroy()))
    create, first, other, row, none, free, destroy = observe(trace, REVISIONS["series"])
    assert create.of == dict.fromkeys(OBSERVED, "") | {"result": "a pool", "row": "pool                0    0   64  0"}
    assert first.of["result"] == "the block at DMA address 0x1000 (0xffff888000002000)"
    assert first.of["memory"] == "4096 bytes are asked for"
    assert first.of["content"] == "64 bytes of 00"
    assert other.of["content"] == ""
    assert row.of["row"] == other.of["row"] == none.of["row"] == "pool                1   64   64  1"
    assert free.of["messages"] == ""
    assert destroy.of["messages"] == "dma_pool_destroy pool, ffff888000000000 busy"
    assert destroy.of["memory"] == "given back: 0x1000"


def test_a_pool_that_crashes_is_seen_to_and_does_no_more() -> None:
    trace = Trace(
        (Create(64), Alloc("a"), Write("a", 0, "ff"), Free("a"), Write("a", 0, "00100000"), Alloc("b"), Alloc("c"))
    )
    *_, last = observe(trace, REVISIONS["v6.1"])
    assert last.of["end"] == ""
    trace = Trace((Create(8, 1, 2**32), Alloc("a"), Alloc("b")))
    *_, last = observe(trace, REVISIONS["v6.1"])
    assert last.step == Alloc("a")
    assert last.of["end"].startswith("TimeoutError: ")


def test_the_first_difference_between_revisions() -> None:
    trace = Trace((Create(2048), Alloc("a"), Alloc("b"), Alloc("c")))
    found = difference(trace, REVISIONS["v6.1"], REVISIONS["series"])
    assert found is not None
    assert (found.step, found.kinds) == (Alloc("b"), ("result", "memory", "row"))
    assert difference(trace, REVISIONS["series"], REVISIONS["series"]) is None


@needs_kernels
def test_a_kernel_does_what_it_does(tmp_path: Path, command: Command) -> None:
    same = changed_v6_1(tmp_path, *COMMENT)
    ran = command("compare", V6_1, same, "--runs", 1)
    assert (ran.status, "nothing differs" in ran.out) == (0, True)


@needs_kernels
def test_pools_are_compared_that_nobody_draws(tmp_path: Path) -> None:
    """A block that ends one byte behind a boundary is in few pools."""
    before = find(V6_12)
    after = changed("v6.12", tmp_path, "offset + pool->size > next_boundary", "offset + pool->size > next_boundary + 1")
    swept, run = swept_apart(before, before)
    assert (swept > 20_000, run) == (True, None)
    swept, run = swept_apart(before, after)
    assert run is not None
    create = run.steps[0]
    assert isinstance(create, Create)
    assert (create.boundary + 1) % create.size == 0
    assert difference(run, revision_of(before), revision_of(after)) is not None


@needs_kernels
def test_a_comparison_tells_how_far_it_is() -> None:
    told: list[str] = []
    compare(find(V6_1), find(V6_1), draw([find(V6_1)], 0, 1), told.append)
    assert told[:2] == ["1 pools", "2 pools"]


@needs_kernels
def test_what_changes_is_reported_with_a_small_run(tmp_path: Path, command: Command) -> None:
    status, output, _ = command("compare", V6_1, changed_v6_1(tmp_path, *BOUNDARY), "--runs", 1)
    assert status == 1
    assert "what differs: result, memory, row" in output
    assert "\nmessages" not in output
    trace = loads(next((tmp_path / "traces").glob("compare-*-result.json")).read_text())
    assert len(trace.steps) == 3
    found = difference(trace, revision_of(find(V6_1)), revision_of(find(tmp_path / "mm" / "dmapool.c")))
    assert found is not None
    assert found.step == Alloc("b")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def mailed(folder: Path, *changes: tuple[str, str, str]) -> Path:
    """A series of commits on v6.1, each a subject, an old and a new text, as developers mail them: a cover letter first."""
    file = folder / "tree" / "mm" / "dmapool.c"
    file.parent.mkdir(parents=True)
    file.write_text(V6_1.read_text())
    git(folder / "tree", "init", "-q")
    git(folder / "tree", "add", ".")
    git(folder / "tree", "commit", "-qm", "v6.1")
    for subject, old, new in changes:
        assert file.read_text().count(old) == 1, old
        file.write_text(file.read_text().replace(old, new))
        git(folder / "tree", "commit", "-qam", subject)
    mbox = folder / "series.mbox"
    mbox.write_text(git(folder / "tree", "format-patch", "--stdout", "--cover-letter", "-v2", f"HEAD~{len(changes)}"))
    return mbox


@needs_kernels
def test_what_changes_near_the_edge_of_a_word_is_seen(tmp_path: Path, command: Command) -> None:
    """A page of 2^32 bytes is asked for as 0 bytes, in an unsigned int; no device has pages near that size."""
    narrow = (
        "	size_t size;\n	struct device *dev;\n	size_t allocation;",
        "	size_t size;\n	struct device *dev;\n	unsigned int allocation;",
    )
    status, output, _ = command("compare", V6_1, changed_v6_1(tmp_path, *narrow), "--runs", 1)
    assert status == 1
    assert "create(size=0x100000000, align=1)\n  alloc(block=a)\n  before:  0x100000000 bytes are asked for" in output


@needs_kernels
@pytest.mark.thorough  # test_review has one that is reviewed
def test_a_series_is_reported_patch_by_patch(tmp_path: Path, command: Command) -> None:
    mbox = mailed(
        tmp_path,
        ("dmapool: a comment", *COMMENT),
        ("dmapool: the comparison", *BOUNDARY),
    )
    assert [(patch.number, patch.subject) for patch in read_patches(mbox)] == [
        (1, "dmapool: a comment"),
        (2, "dmapool: the comparison"),
    ]
    status, output, _ = command("compare", V6_1, "--patches", mbox, "--runs", 1)
    assert status == 1
    before, after, _, _, first, second, *rest = output.splitlines()
    assert re.match(r"before: .*mm/dmapool\.c \(v6\.1, SHA-256 ", before)
    assert re.fullmatch(
        rf"after:  with 2 patches of {re.escape(str(mbox))} \(SHA-256 \w{{8}}\), which make it SHA-256 \w{{8}}", after
    )
    assert first.split() == ["1", "dmapool:", "a", "comment", *["-"] * 6]
    assert second.split()[:4] == ["2", "dmapool:", "the", "comparison"]
    assert second.split()[5] == second.split()[7] == second.split()[9] == "-"
    assert "patch 2, dmapool: the comparison:" in rest


@needs_kernels
@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ([V6_1, "none.c"], "none.c: there is no such file"),
        ([V6_1, "--patches", "none.mbox"], "none.mbox: there is no such file"),
        ([V6_1, "--patches", V6_1], "no mail with a patch is in it"),
    ],
)
def test_bad_input_is_one_line(arguments: list[object], output: str, command: Command) -> None:
    ran = command("compare", *arguments)
    (line,) = ran.err.splitlines()
    assert (ran.status, output in line) == (2, True)


@needs_kernels
@pytest.mark.parametrize(
    ("of", "patch", "words"),
    [
        (V6_12, ("dmapool: the comparison", *BOUNDARY), "“dmapool: the comparison” does not apply to"),
        (
            V6_1,
            ("dmapool: no semicolon", "\t\tpage->in_use = 0;", "\t\tpage->in_use = 0"),
            "“dmapool: no semicolon”, mm/dmapool.c:[0-9:]+ it does not compile: ",
        ),
    ],
)
def test_a_patch_that_cannot_be_used_is_named(
    of: Path, patch: tuple[str, str, str], words: str, tmp_path: Path, command: Command
) -> None:
    ran = command("compare", of, "--patches", mailed(tmp_path, patch))
    assert ran.status == 2
    assert re.search(words, ran.err)


@needs_kernels
def test_a_report_about_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    hunt_briefly(monkeypatch)
    broken = changed_v6_1(tmp_path, "page->in_use++;", "page->in_use += 2;")
    ran = command("report", "fuzz", "--profile", "directed", "--kernel", broken, "--out", tmp_path / "out")
    assert ran.status == 1, ran.err
    assert "in_use_counts_the_live_blocks/kernel is BROKEN" in ran.out
    (trace,) = re.findall(r"make replay TRACE=(\S*in_use_counts_the_live_blocks\S*) KERNEL=\S+", ran.out)
    assert command("replay", trace, "--kernel", broken).status == 1
    assert command("replay", trace, "--kernel", V6_1).status == 0
    sarif = json.loads((tmp_path / "out" / "results.sarif").read_text())
    (place,) = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in sarif["runs"][0]["results"]
    }
    assert place == "mm/dmapool.c"
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<th>kernel<br>" in page
    assert "<th>series<br>" not in page
