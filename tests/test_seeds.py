"""A verdict that depends on the solver's luck is noticed."""

import json
import re
from pathlib import Path

from bugs import Bug, plant
from command.bugs import run_in
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
