"""What is drawn and said of proofs: what the code did, where it could not be followed, and why a claim has no verdict."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hunt.revisions import REVISIONS, KernelFile
from kernel.build import Source
from kernel.once import ROOT
from model.geometry import Geometry, LaidPage
from model.trace import Alloc, Create, Kernel, Trace
from proofs.compiled import obligations_of
from proofs.engine.obligation import Result, Settings, prove
from report import scene
from report.formats import site
from report.moment import Moment
from report.pages import index
from report.pictures import strip_picture
from report.runs import Finding
from report.scene import moment_of_page, scene_of
from report.text import SMALL_PAGES, drawing, finding_as_text, run_as_text
from report.verdicts import Refutation, of_proof
from tests.kernels import changed
from tests.running import Command
from tests.test_report import a_verdict, valid

LAID = {
    "across a boundary": (
        LaidPage(Geometry(24, 32, 96), ((0, 0), (24, 24), (64, 64))),
        [(0, False), (24, True), (64, False)],
    ),
    "past the end": (
        LaidPage(Geometry(24, 64, 64), ((0, 0), (24, 24), (48, 48))),
        [(0, False), (24, False), (48, True)],
    ),
    "over another": (LaidPage(Geometry(16, 32, 32), ((0, 0), (8, 8))), [(0, False), (8, True)]),
    "below another": (
        LaidPage(Geometry(1000, 2048, 4096), ((0, 0), (1000, 1000), (2000, 2000), (2048, 2048), (3048, 3048))),
        [(0, False), (1000, False), (2000, True), (2048, True), (3048, False)],
    ),
    "not where there is room": (
        LaidPage(Geometry(16, 64, 64), ((0, None), (32, None))),
        [(0, False), (16, True), (32, False), (48, True)],
    ),
    "with the DMA address of another": (LaidPage(Geometry(32, 64, 64), ((0, 0), (32, 0))), [(0, False), (32, True)]),
}


@pytest.mark.parametrize("case", LAID)
def test_a_page_is_drawn_as_the_code_lays_it_out(case: str) -> None:
    """And what is wrong there is marked, in text and on the page of HTML."""
    page, expected = LAID[case]
    (strip,) = moment_of_page(page).strips
    assert [(cell.start, cell.wrong) for cell in strip.cells] == expected
    assert [box.kind == "wrong" for box in strip_picture(strip).boxes] == sorted(wrong for _, wrong in expected)
    text = "\n".join(drawing(moment_of_page(page)))
    assert "!!" in text
    if case == "below another":  # the block across the boundary is seen whole
        assert re.search(r"│!+ free !+││", text)
    misaddressed = case == "with the DMA address of another"
    assert ("the block at offset 32 has the DMA address of offset 0" in text) == misaddressed
    assert ("↑ DMA address" in text) == misaddressed == bool(strip_picture(strip).pointed)


def test_the_page_of_a_proof_is_drawn_unless_a_run_shows_the_same() -> None:
    run = Trace((Create(2049, 1, 8192), Alloc("a"), Alloc("b")), claim="block_lies_inside_its_page")
    scene = scene_of(run, REVISIONS["v6.1"])
    found = Refutation({}, "so", "not so", run, page=LaidPage(Geometry(24, 32, 64), ((0, 0), (24, 24))))
    for claim, shown in (("block_lies_inside_its_page", False), ("layout_ends", True)):
        verdict = a_verdict("REFUTED", "PROVED", claim=claim, revision="v6.1", counterexample=found)
        page = index([verdict], [Finding(verdict, scene)], {}, "a test", ["prover"])
        for text in (page, finding_as_text(verdict, scene)):
            assert ("as the code lays it out" in text) is shown
            assert "after alloc(block=b)" in text


def of_changed_c(revision: str, old: str, new: str, claim: str, tmp_path: Path) -> tuple[Result, str]:
    """What the prover says of a claim about a kernel's file in which something is replaced; and that file's text."""
    source = changed(revision, tmp_path, old, new)
    return prove(obligations_of(source)[f"{claim}/kernel/u64"], Settings()), source.file.read_text()


def test_one_claim_can_be_followed_to_its_counterexample(tmp_path: Path, command: Command) -> None:
    """As docs/claims.md does: its commands, and what they print."""
    text = (ROOT / "docs" / "claims.md").read_text()
    walk = text[text.index("## One claim") :]
    old, new = re.findall(r"sed 's/(.*)/(.*)/'", walk)[0]
    kernel = changed("v6.12", tmp_path, old, new).file
    status, printed, _ = command("prove", "no_block_crosses_a_boundary", "--kernel", kernel, "--fresh")
    assert status == 1
    drawn = walk[walk.index("kernel breaks no_block_crosses_a_boundary") : walk.rindex("```")]
    assert drawn in printed
    assert "replay it: make replay TRACE=" in printed


def test_the_dma_addresses_that_the_c_stores_are_looked_at_and_drawn(tmp_path: Path) -> None:
    old, new = "block->dma = page->dma + offset;", "block->dma = page->dma;"
    result, _ = of_changed_c("v6.12", old, new, "free_list_holds_the_free_blocks", tmp_path)
    verdict = of_proof(result)
    found = verdict.counterexample
    assert (result.verdict, result.expected) == ("REFUTED", "PROVED")
    assert found is not None
    assert re.search(r"the block at (\d+) has the DMA address of offset 0", found.actual)
    assert found.page is not None
    assert {dma for _, dma in found.page.blocks} == {0}
    assert valid(json.loads(json.dumps([verdict.to_json()])))
    (drawn,) = index([verdict], [Finding(verdict)], {}, "a test", ["prover"]).split(
        'aria-label="page, as the code lays it out'
    )[1:]
    assert 'class="block wrong"' in drawn


def test_what_is_not_followed_has_its_line_of_c_and_what_to_do(tmp_path: Path) -> None:
    old, new = (
        "unsigned int next = offset + pool->size;",
        "unsigned int next = offset + __builtin_popcount(pool->size);",
    )
    result, text = of_changed_c("v6.1", old, new, "layout_ends", tmp_path)
    line = text[: text.index(new)].count("\n") + 1
    assert result.verdict == "NOT_FOLLOWED"
    assert result.why.endswith(f", in pool_initialise_page (dmapool.c:{line})")
    verdict = of_proof(result)
    assert site(verdict, KernelFile("dmapool.c", Source(tmp_path / "dmapool.c", None))) == ("dmapool.c", line)
    page = index([verdict], [], {}, "a test", ["prover"])
    (article,) = re.findall(r"<article.*?</article>", page, re.S)
    assert "not followed, so that nothing is shown of the claim" in article
    assert f"in pool_initialise_page (dmapool.c:{line})" in article
    assert "hunt for it with `make fuzz KERNEL=…`" in article
    assert page.count(f'id="prover/{verdict.name}"') == 1


def test_a_claim_without_a_verdict_says_why() -> None:
    proved, hunted = a_verdict("PROVED"), a_verdict("SEARCHED", engine="hunt", revision="v6.12")
    reasons = {
        ("prover",): "series, v6.12: the prover states no proof of it; the hunt was not run (`fuzz`)",
        ("hunt",): "series: the prover was not run (`prove`); no step of the hunt looked at it",
        (): "series, v6.12: the prover was not run (`prove`); the hunt was not run (`fuzz`)",
        ("prover", "hunt"): "v6.12: the prover states no proof of it; this revision was not hunted in",
    }
    for asked, reason in reasons.items():
        page = index([proved, hunted], [], {"series": {}} if "hunt" in asked else {}, "a test", asked)
        assert f"No verdict on {reason}" in page.partition('<h3 id="blocks_are_aligned">')[2], asked
        assert '<span class="open">~ SEARCHED</span> v6.12' in page


def test_pages_that_no_kernel_has_are_explained_where_they_are_named() -> None:
    run = Trace((Create(64), Alloc("a")), Kernel(page_size=16, debug=True))
    first = run_as_text(scene_of(run, REVISIONS["series"]), "series").partition("\n")[0]
    assert first == f"on a kernel with pages of 16 bytes: {SMALL_PAGES}; debug"
    usual = replace(run, kernel=Kernel())
    assert run_as_text(scene_of(usual, REVISIONS["series"]), "series").startswith("create(")


def test_large_numbers_are_hexadecimal() -> None:
    found = Refutation({"address": 2**64 - 1, "size": 64}, "so", "not so")
    verdict = a_verdict("REFUTED", "PROVED", counterexample=found)
    page = index([verdict], [Finding(verdict)], {}, "a test", ["prover"])
    assert "With address=0xffffffffffffffff, size=64: not so." in page
    assert str(2**64 - 1) not in page


def test_a_long_run_is_looked_at_where_it_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not before each step; also where it breaks long before its end."""
    looked: list[object] = []

    def look(run: object, *_: object) -> Moment:
        looked.append(run)
        return Moment([])

    monkeypatch.setattr(scene, "moment_of", look)
    allocs = [Alloc(f"b{number}") for number in range(3 * scene.WATCHED)]
    assert scene_of(Trace((Create(64), *allocs)), REVISIONS["series"]).broken is None
    assert len(looked) == scene.WATCHED
    seen = scene_of(Trace((Create(2048), *allocs)), REVISIONS["v6.1"])
    assert seen.broken is not None
    assert seen.before is not None
    assert len(seen.trace.steps) == 3
