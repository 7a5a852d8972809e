"""What people read: each expected refutation as text, the page in a browser, and the command that makes all of it."""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from command.report import past_counterexamples, write
from hunt.events import Tally
from hunt.fuzz import Hunt
from hunt.inside import inside_of_pages
from hunt.revisions import REVISIONS, python
from impl.pool import Pool
from kernel.once import ROOT
from model.pool import Oracle
from model.revision import Revision
from model.trace import Alloc, Create, Destroy, Trace, dumps, loads
from proofs.catalogue import OBLIGATIONS
from proofs.engine.obligation import Settings, prove
from report.moment import Cell
from report.pages import index, kind_of
from report.runs import finding_of, findings_of, in_text, scene_on
from report.scene import scene_of, without_covered
from report.text import coloured, finding_as_text, run_as_text
from report.verdicts import SMT2, EngineVerdict, Refutation, of_hunt, of_proof
from tests.proved import REFUTED, Proved
from tests.running import TRACES, Command
from tests.test_text import GOLDEN, hold_against

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.parametrize("name", REFUTED)
def test_an_expected_refutation_is_told_as_ever(name: str, proved: Proved) -> None:
    verdict = of_proof(proved.result(name))
    trace = verdict.counterexample.trace if verdict.counterexample is not None else None
    scene = scene_on(trace, verdict.revision) if trace is not None else None
    hold_against(GOLDEN / f"{name.replace('/', '-')}.txt", finding_as_text(verdict, scene) + "\n")


def a_verdict(verdict: str, expected: str = "", **fields: Any) -> EngineVerdict:
    """What an engine says of a claim; as expected, unless something else was."""
    usual = {"engine": "prover", "name": "layout_ends/series/Z", "claim": "layout_ends", "revision": "series"}
    as_expected = not expected
    return EngineVerdict(
        verdict=verdict, expected=expected or verdict, as_expected=as_expected, seconds=1.0, **usual | fields
    )


def valid(results: list[dict[str, Any]]) -> bool:
    """By the schemas of results, and of the traces in them."""
    schemas = [
        json.loads((ROOT / file).read_text()) for file in ("report/results.schema.json", "model/trace.schema.json")
    ]
    for_results, for_traces = map(Draft202012Validator, schemas)
    for_results.validate(results)
    for result in results:
        if "trace" in (result["counterexample"] or {}):
            for_traces.validate(result["counterexample"]["trace"])
    return not for_results.is_valid([{**results[0], "verdict": "MAYBE"}])


def test_the_page_is_as_ever(tmp_path: Path) -> None:
    """What it says, and where things are in its pictures: boundaries, a free list, the page's end, a tree and two ways."""
    names = {
        "v6.1-block_lies_inside_its_page-two_blocks",
        "v6.1-total_counts_the_blocks",
        "series-in_use_counts_the_live_blocks-double_free",
        "series-pool_stays_in_its_memory-overlapping_pages",
    }
    verdicts = [verdict for verdict in past_counterexamples() if verdict.name in names]
    findings = [replace(finding_of(one, tmp_path), replay="make replay") for one in verdicts]
    held = a_verdict("SEARCHED", engine="hunt", name="layout_ends/v6.12", revision="v6.12", evidence={"seed": "1"})
    confirmed = a_verdict("CONFIRMED", engine="contracts", name="layout_ends/a")
    reason = {"because": "so", SMT2: "smt2/file.smt2"}
    wrong = a_verdict("UNKNOWN", "PROVED", name="layout_ends/v4/Z", revision="v4", about="Z", evidence=reason)
    shown = [*verdicts, held, confirmed, wrong]
    hold_against(GOLDEN / "page.html", index(shown, findings, {"series": {"alloc": 5}}, "a test", ["hunt"]))


def test_a_hunt_that_ended_early_has_not_held_the_rest_and_its_seconds_are_shared() -> None:
    found = Trace((Create(64), Alloc("a")), claim="blocks_are_disjoint")
    hunt = Hunt("series", Tally(), 1.0, 1, "ci", Counter(blocks_are_disjoint=7, layout_ends=2))
    sound = of_hunt(hunt)
    assert [(one.verdict, kind_of(one)) for one in sound] == [("SEARCHED", "open"), ("SEARCHED", "open")]
    broken = of_hunt(replace(hunt, found=[found]))
    assert [(one.verdict, kind_of(one)) for one in broken] == [("BROKEN", "wrong"), ("SEARCHED", "open")]
    assert [one.as_expected for one in broken] == [False, True]
    assert ([one.claim for one in sound], sum(one.seconds for one in sound)) == (
        ["blocks_are_disjoint", "layout_ends"],
        1.0,
    )


def test_a_block_that_sticks_out_is_drawn_whole() -> None:
    """No place under it is, but every block that is in use, in it or behind it."""
    sticking = Cell(0, 20, "in use", "a", wrong=True)
    under, inside, behind = Cell(10, 20, "free"), Cell(16, 26, "in use", "b"), Cell(30, 40, "free")
    assert without_covered([sticking, under, inside, Cell(20, 30, "free"), behind]) == [sticking, inside, behind]
    assert without_covered([Cell(0, 10, "free"), Cell(10, 20, "free")]) == [Cell(0, 10, "free"), Cell(10, 20, "free")]
    promised, real = Cell(0, 10, "lost"), Cell(5, 15, "free")
    assert without_covered([promised, real, Cell(20, 30, "lost")]) == [real, Cell(20, 30, "lost")]


def test_of_a_pool_that_cannot_be_looked_into_the_blocks_are_drawn_that_it_has_handed_out() -> None:
    class Crosses(Oracle):
        def alloc(self, *how: Any) -> tuple[int, int] | None:
            block = super().alloc(*how)
            return block and (block[0] + 16, block[1] + 16)

    steps = (Create(32, 32, 32), Alloc("a"))
    scene = scene_of(Trace(steps), Revision(Crosses.create))
    assert scene.broken is not None
    assert scene.broken.claim.name == "no_block_crosses_a_boundary"
    assert scene.after is not None
    (page,) = scene.after.strips
    assert [(cell.start, cell.end, cell.wrong) for cell in page.cells] == [(16, 48, True)]
    assert "across the boundary at 32" in run_as_text(scene, "it")


def test_a_wrong_dma_address_is_marked_where_it_points() -> None:
    class Wrong(Pool):
        def alloc(self, *how: Any) -> tuple[int, int] | None:
            block = super().alloc(*how)
            return block and (block[0], block[1] + 68)

    scene = scene_of(Trace((Create(64), Alloc("a"))), python(Wrong, inside=inside_of_pages))
    assert scene.broken is not None
    assert re.search(
        r"a: its DMA address 0x\w+44 is offset 68 of the page at 0x\w+, and the block at offset 0",
        run_as_text(scene, "it"),
    )


def surprising(verdicts: list[EngineVerdict]) -> list[EngineVerdict]:
    """The same, as if some of them had not been expected."""
    other = {"PROVED": "REFUTED", "REFUTED": "PROVED"}
    return [
        replace(one, expected=other[one.verdict], as_expected=False) if one.revision == "series" else one
        for one in verdicts
    ]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a few proofs, some of which surprise, and of every past counterexample."""
    folder = tmp_path_factory.mktemp("report")
    for part in ("traces", "smt2"):
        (folder / part).mkdir()
    names = [
        "total_counts_the_blocks/series/Z/any_boundary",
        "lookup_finds_the_page_of_an_address/what-if/u64/by_end_address",
        "lookup_finds_the_page_of_an_address/series/u64/overlapping_pages",
        "layout_ends/series/u32",
    ]
    verdicts = [of_proof(prove(OBLIGATIONS[name], Settings())) for name in names]
    tallies = {"series": {"alloc": 1_234_567}, "v6.1-as-it-is": {"a page overlaps another from below": 1}}
    machine = a_verdict("SEARCHED", engine="hunt", name="operations_end/series", claim="operations_end")
    told = [*surprising(verdicts), machine, *past_counterexamples()]
    write(folder, told, findings_of(told, folder / "traces"), tallies, "a test", ["prove", "fuzz"])
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is missing: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: run `make setup`")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_fits_and_says_nothing_to_the_console(browser: Any, report: Path, width: int, colours: str) -> None:
    page = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=colours, offline=True).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
    page.goto((report / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Nothing hangs out of what holds it, but for code that is scrolled.
    too_wide = "els => els.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    assert page.eval_on_selector_all("article, td, figure, dl, p", too_wide) == []
    # No text of a picture lies outside of it.
    outside = """svgs => svgs.flatMap(svg => [...svg.querySelectorAll('text')].filter(text => {
        const [a, b] = [text.getBoundingClientRect(), svg.getBoundingClientRect()];
        return a.width && (a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 2);
    }).map(text => svg.getAttribute('aria-label') + ': ' + text.textContent))"""
    assert page.eval_on_selector_all("svg[role=img]", outside) == []
    assert page.locator("article").count() > len(TRACES)
    broken_links = (
        "as => as.map(a => a.getAttribute('href')).filter(h => h[0] === '#' && !document.getElementById(h.slice(1)))"
    )
    assert page.eval_on_selector_all("a", broken_links) == []
    assert said == []


def test_the_page_says_first_what_is_not_as_expected(report: Path) -> None:
    text = (report / "index.html").read_text()
    assert "3 of " in text
    assert text.index("Not as expected") < text.index('id="matrix"')
    assert not re.search(r'(src|href)="(?!#|smt2/)', text)


def test_every_trace_that_is_written_replays(report: Path) -> None:
    files = sorted((report / "traces").glob("*.json"))
    assert len(files) > len(TRACES)
    for file in files:
        on = next(on for on in sorted(REVISIONS, key=len, reverse=True) if f"-{on}-" in file.name)
        assert scene_on(loads(file.read_text()), on).broken is not None, file


def test_one_command_makes_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    """With a hunt in one revision, which all others are like."""
    monkeypatch.setattr("command.report.HUNTED", ["series"])
    ran = command("report", "fuzz", "--profile", "directed", "--out", tmp_path / "new")
    assert (ran.status, "0 not as expected" in ran.out) == (0, True)
    written = {file.name for file in (tmp_path / "new").iterdir()}
    assert written == {"index.html", "junit.xml", "results.json", "results.sarif", "smt2", "traces"}
    results = json.loads((tmp_path / "new" / "results.json").read_text())
    assert valid(results)
    assert {result["engine"] for result in results} == {"hunt", "replay"}
    held = {result["claim"] for result in results if result["revision"] == "series"}
    assert {"blocks_are_disjoint", "tree_is_balanced", "operations_end"} <= held


def test_a_surprise_is_shown_and_makes_the_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """So is a past counterexample that breaks nothing any more; and whatever it is called, the page stays a page."""
    overlap = OBLIGATIONS["lookup_finds_the_page_of_an_address/series/u64/overlapping_pages"]
    surprise = of_proof(replace(prove(overlap, Settings()), expected="PROVED", case="<b>bold</b> & so on"))
    monkeypatch.setattr("command.report.ask", lambda *given: given[-1].verdicts.append(surprise))
    monkeypatch.setattr("command.report.PAST", tmp_path)
    harmless = Trace((Create(64), Alloc("a")), claim="blocks_are_disjoint")
    (tmp_path / "series-blocks_are_disjoint-harmless.json").write_text(dumps(harmless))
    status, out, _ = command("report", "prove", "--out", tmp_path / "out")
    assert status == 1
    assert "2 verdicts, 2 not as expected" in out
    assert "the tree of pages, in which 0x3000 is looked up" in out
    (file,) = re.findall(r"make replay TRACE=(\S+) ON=series", out)
    assert scene_on(loads(Path(file).read_text()), "series").broken is not None
    text = (tmp_path / "out" / "index.html").read_text()
    assert valid(json.loads((tmp_path / "out" / "results.json").read_text()))
    assert "2 of 2 verdicts are not as expected" in text
    assert 'class="badge wrong"' in text
    assert "<b>bold" not in text
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; so on" in text


def test_a_report_that_fails_leaves_no_older_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    (tmp_path / "index.html").write_text("All verdicts are as expected.")
    monkeypatch.setattr("proofs.run.prove_all", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command("report", "prove", "--out", tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_what_an_engine_says_is_expected_or_not() -> None:
    """A refutation is expected for its own reason only."""
    proof = prove(OBLIGATIONS["no_room_is_wasted/v6.1/u64/size_128"], Settings())
    proofs = [proof, replace(proof, expected="PROVED"), replace(proof, broken="a step on the way")]
    assert [verdict.as_expected for verdict in map(of_proof, proofs)] == [True, False, False]


def test_a_report_keeps_what_hunts_have_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr("command.report.ask", lambda *_: ([], {}))
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "hunt-found.json").write_text("{}")
    assert command("report", "prove", "--out", tmp_path).status == 0
    assert (tmp_path / "traces" / "hunt-found.json").exists()


def test_a_trace_that_cannot_be_run_is_shown_all_the_same(tmp_path: Path) -> None:
    trace = Trace((Create(64), Destroy(), Alloc("a")), claim="layout_ends")
    found = Refutation({"size": 64}, "an end", "none", trace)
    shown = finding_of(a_verdict("REFUTED", "PROVED", counterexample=found), tmp_path)
    assert shown.scene is None
    for text in (in_text(shown), index([shown.verdict], [shown], {}, "a test", ["prover"])):
        assert "its run cannot be drawn: the pool was refused or destroyed" in text


def test_a_trace_that_shows_nothing_is_not_offered(tmp_path: Path) -> None:
    sound = Trace((Create(64), Alloc("a")), claim="blocks_are_disjoint")
    found = Refutation({}, "all is well", "it is not", sound, "a step")
    shown = finding_of(a_verdict("REFUTED", "PROVED", counterexample=found), tmp_path)
    assert shown.replay == ""
    assert "can't be seen from outside" in in_text(shown)
    assert "what fails in the proof: a step" in in_text(shown)
    assert not list(tmp_path.iterdir())


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    terminal: Any = Terminal()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    broken = "series breaks it: so."
    assert coloured(f"{broken}\nv6.1 breaks no claim.", terminal) == f"\x1b[1;31m{broken}\x1b[0m\nv6.1 breaks no claim."
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured(broken, terminal) == broken
    monkeypatch.delenv("NO_COLOR")
    with open(os.devnull, "w") as pipe:
        assert coloured(broken, pipe) == broken
