"""A verdict that depends on the solver's luck is noticed, and so is a proof that takes the solver twice as long."""

import json
import re
from dataclasses import replace
from pathlib import Path

from bugs import Bug, plant
from command.bugs import run_in
from proofs.catalogue import OBLIGATIONS
from proofs.engine.budgets import budgets
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Result
from proofs.engine.resting import with_what_undermines
from report.prover import as_text
from report.verdicts import TOO_DEAR, of_proof
from tests.running import Command

LINEAR, NON_LINEAR = "blocks_are_disjoint/series/Z", "next_boundary_is_a_multiple/series/Z"
GIVES_UP = Bug("unlucky_seed", "proofs/engine/solver.py", "rlimit=limit)", "rlimit=50 if self.seed == 2 else limit)")


def test_only_what_is_not_linear_is_proved_with_more_seeds(tmp_path: Path, command: Command) -> None:
    file = tmp_path / "results.json"
    status, out, _ = command("prove", LINEAR, NON_LINEAR, "--seeds", 3, "--json", file)
    assert status == 0
    linear, non_linear = json.loads(file.read_text())
    assert (linear["non_linear"], linear["seeds"]) == (False, {})
    assert (non_linear["non_linear"], non_linear["seeds"]) == (True, {"1": "PROVED", "2": "PROVED"})
    assert "seeds    the same with 2 more" in out
    assert "1 of 1 non-linear obligations have the same verdict with every seed." in out


def test_a_verdict_that_depends_on_the_seed_is_exit_status_1(tmp_path: Path) -> None:
    plant(GIVES_UP, tmp_path)
    status, output = run_in(tmp_path, "command", "prove", NON_LINEAR, "--seeds", "3")
    assert status == 1
    assert re.search(r"seeds +UNKNOWN with seed 2\n", output)
    assert "0 of 1 non-linear obligations" in output
    status, output = run_in(tmp_path, "command", "audit", NON_LINEAR, "--seeds", "3")
    assert status == 1
    assert "seed    2: UNKNOWN" in output
    assert "1 verdicts that a seed changes; 1 failed." in output


def test_a_proof_takes_the_same_steps_alone_as_after_others_and_has_a_budget_of_them(
    tmp_path: Path, command: Command
) -> None:
    steps = []
    for names in ([NON_LINEAR], [LINEAR, NON_LINEAR]):
        assert command("prove", "--fresh", "--jobs", 1, *names, "--json", tmp_path / "results.json").status == 0
        result = json.loads((tmp_path / "results.json").read_text())[-1]
        steps.append(result["steps"])
    assert steps[0] == steps[1] > 0
    assert 2 * steps[0] <= result["budget"] == budgets()[NON_LINEAR]
    assert budgets().keys() == {name for name, one in OBLIGATIONS.items() if one.expected is Verdict.PROVED}
    dear = replace(
        Result(**{key: value for key, value in result.items() if key != "as_expected"}), steps=result["budget"] + 1
    )
    assert not dear.as_expected
    assert TOO_DEAR in as_text([dear], 0)
    assert TOO_DEAR in of_proof(dear).outcome
    assert (
        with_what_undermines([dear, replace(dear, obligation="other", claim="other", rests_on=[dear.claim])], [])[
            1
        ].undermined
        == []
    )
    assert not replace(dear, verdict="REFUTED").too_dear
