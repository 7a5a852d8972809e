"""Other ways to hunt: HypoFuzz, a solver that chooses the inputs; and what is observed meanwhile."""

import json
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test, settings

from command.fuzz import main, observed
from hunt import profiles
from hunt.fuzz import HUNTED, Hunt, hunt


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
    (trace,) = hunt("v6.1", seed=1, profile="crosshair").found
    assert trace.claim == "no_room_is_wasted"


@pytest.mark.skipif(
    bool(find_spec("hypothesis_crosshair_provider")), reason="the package hypothesis-crosshair is there"
)
def test_a_missing_solver_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(["series", "--profile=crosshair"])
    assert refusal.value.code == 2
    how = ".venv/bin/pip install hypothesis-crosshair"
    assert capsys.readouterr().err == f"fuzz: the profile crosshair needs the package hypothesis-crosshair: {how}\n"


def test_what_is_observed_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(tmp_path))
    for variable in ("", "_NOCOVER"):  # so that they are unset again afterwards
        monkeypatch.setenv(f"HYPOTHESIS_EXPERIMENTAL_OBSERVABILITY{variable}", "")
    with ProcessPoolExecutor(1, mp_context=observed()) as executor:
        assert not executor.submit(short_hunt).result().found
    assert capsys.readouterr().err.startswith(f"observations: {tmp_path}/observed/")
    (written,) = (tmp_path / "observed").glob("*_testcases.jsonl")
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    assert len(lines) >= 10
    assert {line["type"] for line in lines} == {"test_case"}
    assert {line["status"] for line in lines} <= {"passed", "gave_up"}


def short_hunt() -> Hunt:
    profiles.register()
    settings.register_profile("short", settings.get_profile("dev"), max_examples=10)
    return hunt("model", seed=0, profile="short")
