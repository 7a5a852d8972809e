"""Other ways to hunt: HypoFuzz, a solver that chooses the inputs; and what is observed meanwhile."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test

from tests import profiles
from tests.fuzz import HUNTED, hunt


def test_pytest_collects_what_hypofuzz_hunts_in(request: pytest.FixtureRequest) -> None:
    module: Any = pytest.Module.from_parent(request.session, path=Path(__file__).with_name("hypofuzz_target.py"))
    items: list[Any] = list(request.session.genitems(module))
    assert [item.nodeid.split("::")[1] for item in items] == list(HUNTED)
    for item in items:
        assert is_hypothesis_test(item.obj)


@pytest.mark.skipif(
    not find_spec("hypothesis_crosshair_provider"),
    reason="the package hypothesis-crosshair is missing: .venv/bin/pip install hypothesis-crosshair",
)
def test_a_solver_chooses_what_breaks_the_original() -> None:
    assert "no_room_is_wasted" in hunt("v6.1", seed=1, profile="crosshair").found


@pytest.mark.skipif(
    bool(find_spec("hypothesis_crosshair_provider")), reason="the package hypothesis-crosshair is there"
)
def test_a_missing_solver_is_told() -> None:
    status, _, told = fuzz("series", "--profile=crosshair")
    assert status == 2
    how = ".venv/bin/pip install hypothesis-crosshair"
    assert told == f"fuzz: the profile crosshair needs the package hypothesis-crosshair: {how}\n"


def test_what_is_observed_is_written(tmp_path: Path) -> None:
    status, said, _ = fuzz("model", "--observe", "--profile=dev", storage=tmp_path)
    assert status in (0, 1)
    assert f"observations: {tmp_path}/observed/" in said
    (written,) = (tmp_path / "observed").glob("*_testcases.jsonl")
    observed = [json.loads(line) for line in written.read_text().splitlines()]
    assert len(observed) > 100
    assert {one["type"] for one in observed} == {"test_case"}
    assert {one["status"] for one in observed} <= {"passed", "gave_up"}


def fuzz(*arguments: str, storage: Path = profiles.ROOT / ".hypothesis") -> tuple[int, str, str]:
    """Exit status, output and errors of `python -m tests.fuzz`."""
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(storage)}
    done = subprocess.run(command, cwd=profiles.ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr
