"""The prover's command line, its catalogue, and what it says of bad input."""

import json
import re
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from command.claims import PROVED_OF_C, hunted
from hunt.revisions import REVISIONS
from impl import layout
from model import claims
from model.claims import CLAIMS
from model.trace import loads
from proofs import counting
from proofs.catalogue import OBLIGATIONS
from proofs.engine.explore import Verdict, explore
from proofs.engine.obligation import Result, Settings, prove
from proofs.engine.path import Theory
from proofs.engine.resting import circle, with_what_undermines
from proofs.engine.solver import Solver
from proofs.subjects.subject import V6_1_IN_PYTHON
from report.pages import kind_of
from report.prover import as_text
from report.verdicts import of_proof
from tests.pools import broken_by
from tests.proved import REFUTED, Proved, prove_one
from tests.running import Command


def test_no_verdict_but_proved_and_refuted_is_ever_expected() -> None:
    assert {o.expected for o in OBLIGATIONS.values()} == {Verdict.PROVED, Verdict.REFUTED}


def test_every_verdict_is_the_expected_one_and_no_proof_rests_on_itself(proved: Proved) -> None:
    fields = [{key: value for key, value in one.items() if key != "as_expected"} for one in proved.results.values()]
    labels = {obligation.label for obligation in OBLIGATIONS.values()}
    results = with_what_undermines([Result(**one) for one in fields], labels)
    assert {one.obligation: one.verdict for one in results} == {
        name: o.expected.value for name, o in OBLIGATIONS.items()
    }
    assert all(one.as_expected for one in results)
    assert sum(bool(one.lemmas) for one in results) > 30
    assert circle(results) == []


@pytest.mark.parametrize("name", REFUTED)
def test_what_is_refuted_breaks_on_the_running_pool(name: str, proved: Proved) -> None:
    """Where it has a trace; its numbers, which are the smallest, are held against `golden` by tests of reports."""
    result = proved.results[name]
    assert result["counterexample"] is not None
    if "trace" in result["counterexample"]:
        trace = loads(json.dumps(result["counterexample"]["trace"]))
        broken = broken_by(trace, REVISIONS[result["revision"]])
        seen = {
            # What a driver sees of it first: the arguments are let in; a link is written past the page.
            "admitted_geometry_is_ordered": "create_admits_what_is_promised",
            "admitted_geometry_fits_an_int": "create_admits_what_is_promised",
            "block_lies_inside_its_page": "pool_stays_in_its_memory",
        }
        assert broken.claim.name in ((trace.claim,) if trace.claim else (result["claim"], seen.get(result["claim"])))


def test_json_has_every_result(tmp_path: Path, command: Command) -> None:
    """And the default seed can be asked for."""
    status, out, _ = command("prove", "layout_ends", "--json", "-")
    assert status == 0
    results = json.loads(out)
    assert [result["obligation"] for result in results] == [n for n in OBLIGATIONS if n.startswith("layout_ends/")]
    assert {"claim", "revision", "theory", "expected", "verdict", "seconds", "counterexample"} <= set(results[0])
    file = tmp_path / "results.json"
    status, out, _ = command("prove", "layout_ends", "--json", file, "--seed", 0)
    assert status == 0
    assert "as expected" in out
    assert len(json.loads(file.read_text())) == len(results)


def test_traces_are_written_for_replay(tmp_path: Path, command: Command) -> None:
    name = "insertion_keeps_pages_disjoint/series/u64/any_alignment"
    assert command("prove", name, "--traces", tmp_path / "new").status == 0
    (file,) = (tmp_path / "new").iterdir()
    assert file.name == "series-insertion_keeps_pages_disjoint-any_alignment.json"
    broken = broken_by(loads(file.read_text()), REVISIONS["series"])
    assert broken.claim is claims.insertion_keeps_pages_disjoint


def test_a_solver_that_gives_up_is_exit_status_2(command: Command) -> None:
    ran = command("prove", "blocks_are_aligned", "--limit", 50)
    assert (ran.status, ran.err.count("\n"), "UNKNOWN" in ran.err) == (2, 1, True)


def test_what_can_be_written_no_more_is_one_line(tmp_path: Path, command: Command) -> None:
    proof, refutation = "block_lies_inside_its_page/series/Z", "insertion_keeps_pages_disjoint/series/u64/any_alignment"
    (tmp_path / "block_lies_inside_its_page-series-Z.smt2").mkdir()
    (tmp_path / "series-insertion_keeps_pages_disjoint-any_alignment.json").mkdir()
    for arguments in ((proof, "--smt2", tmp_path), (refutation, "--traces", tmp_path)):
        ran = command("prove", *arguments)
        assert ran.status == 2
        assert re.fullmatch(rf"prove: {tmp_path}/.*: Is a directory; name one that can be written\n", ran.err)
    for module in ("prove", "audit"):
        ran = command(module, proof, "--json", "/dev/full")
        assert ran.status == 2
        assert ran.err == f"{module}: /dev/full: No space left on device; name one that can be written\n"


def test_what_a_proof_rests_on_is_proved_too() -> None:
    proved = {o.claim.name for o in OBLIGATIONS.values() if o.expected is Verdict.PROVED}
    for claim in ("block_lies_inside_its_page", "no_block_crosses_a_boundary", "total_counts_the_blocks"):
        rests_on = prove_one(f"{claim}/series/Z").rests_on
        assert rests_on
        assert set(rests_on) <= proved


def test_every_claim_is_proved_or_hunted() -> None:
    """Of impl/ or of C: tests/test_compiled.py holds the list of what is proved of C to the kernels', and a test of the seeded
    bugs what is hunted to what hunts notice."""
    proved = {o.claim.name for o in OBLIGATIONS.values()} | PROVED_OF_C
    assert proved | hunted("series") | hunted(None) == {*CLAIMS}


def test_a_refutation_says_what_fails_and_of_what() -> None:
    """Of a step that is no claim, it is not said of what."""

    def claim_fails(path: Any) -> None:
        total = path.number("total")
        path.show("there is a total", lambda: total >= 0)
        path.show_claim(claims.total_counts_the_blocks, total, 1, 7)

    def step_fails(path: Any) -> None:
        total = path.number("total")
        path.show_claim(claims.total_counts_the_blocks, total, 1, total)
        path.show("the total is small", lambda: total < 9)

    of_claim, of_step = (explore(body, Theory.INTEGERS, Solver()) for body in (claim_fails, step_fails))
    assert of_claim.broken == "total_counts_the_blocks"
    assert of_claim.arguments == {"total": "0", "pages": "1", "blocks_per_page": "7"}
    assert (of_step.broken, of_step.arguments) == ("the total is small", {})


def test_a_count_is_not_blamed_for_a_layout() -> None:
    """What is counted, what is placed and what fits are distinguished, whichever of them is wrong."""
    numbers = {"size": 1000, "boundary": 4096, "allocation": 4096}
    explained = counting.explain(V6_1_IN_PYTHON.place, layout.blks_per_alloc, numbers)
    assert explained.expected.endswith("blocks that fit: 4, at 0, 1000, 2000, 3000")
    assert explained.actual == "blocks that are counted: 4; blocks that are placed: 4, at 0, 1000, 2000, 3000"
    explained = counting.explain_v6_1({**numbers, "size": 1024})
    assert explained.actual == "blocks that are counted: 4; blocks that are placed: 3, at 0, 1024, 2048"


def test_an_explanation_that_fails_by_itself_is_not_blamed_on_the_code() -> None:
    refuted = OBLIGATIONS["lookup_finds_the_page_of_an_address/series/u64/overlapping_pages"]
    result = prove(replace(refuted, explain=attrgetter("nothing")), Settings())
    assert result.verdict == "UNKNOWN"
    assert result.why.startswith("the counterexample cannot be explained: AttributeError")
    assert result.counterexample is None

    def runs_the_code(_: Any) -> Any:
        raise IndexError("out of the page")  # outside of proofs/

    result = prove(replace(refuted, explain=runs_the_code), Settings())
    assert (result.verdict, result.counterexample) == (
        "REFUTED",
        {"expected": "the code runs", "actual": "IndexError: out of the page"},
    )


def test_a_proof_that_rests_on_what_fails_is_said_to_say_nothing() -> None:
    """Of the same revision only, and not of the claim itself, which is the hypothesis of an induction."""
    lemma, claim = "layout_stays_between_boundaries", "block_lies_inside_its_page"
    names = f"{claim}/series/Z", f"{claim}/v6.12/Z", f"{lemma}/series/Z"
    proved, other, own = (prove_one(name) for name in names)
    assert lemma in proved.rests_on
    assert lemma in own.rests_on
    refuted = replace(own, verdict="REFUTED", counterexample={"expected": "", "actual": ""})
    labels = {o.label for o in OBLIGATIONS.values()}
    results = with_what_undermines([proved, other, own, refuted], labels)
    assert [result.undermined for result in results] == [[lemma], [], [], []]
    line = f"  {claim}/series/Z is PROVED, but rests on {lemma}, so that it says nothing here."
    assert line in as_text(results, 1).split("\n")
    verdicts = [of_proof(result) for result in results]
    assert [kind_of(verdict) for verdict in verdicts] == ["open", "good", "good", "wrong"]
    assert verdicts[0].evidence["says nothing, since"] == f"it rests on {lemma}"
    assert [result.undermined for result in with_what_undermines([proved, other, own], labels)] == [[], [], []]
