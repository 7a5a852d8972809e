"""The benchmarks, in their quick form: that they work and what they count; never how long anything takes."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from bench import growth
from bench.part import Timings
from bench.workload import in_c, work_in_c
from command.__main__ import main
from command.bench import PARTS
from tests.kernels import fetched


def test_a_quick_run_writes_tables_and_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("command.bench.kernels", lambda _: {})
    assert main(["bench", "--quick", "--out", str(tmp_path)]) == 0
    assert list(json.loads((tmp_path / "bench.json").read_text())) == list(PARTS)
    tables = (tmp_path / "bench.txt").read_text()
    for heading in ("the cover letter, series", "exponent of all work", "one core, cold", "steps/floor"):
        assert heading in tables, heading


def test_work_grows_as_it_should() -> None:
    """Counted, and so the same everywhere: quadratic, n log n, linear."""
    work = {name: {size: growth.work_in_python(name, size) for size in (992, 3968)} for name in growth.EXPONENTS}
    grown = {name: counts[3968] / counts[992] for name, counts in work.items()}
    assert 12 < grown["v6.1"] < 16
    assert 4 < grown["series"] < 5.2
    # A block is written when it is laid and when it is freed, and read twice by the alloc that takes it.
    assert work["v6.12"] == {992: 4 * 992, 3968: 4 * 3968}


def test_an_exponent_that_is_not_expected_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(growth, "QUICK", (300, 1200))
    monkeypatch.setattr("command.bench.kernels", lambda _: {})
    monkeypatch.setitem(growth.EXPONENTS, "series", (1.9, 2.1))
    assert main(["bench", "growth", "--quick", "--out", str(tmp_path)]) == 1
    assert re.search(r"the work of Python, series grows with n\^1\.\d+; from 1.9 to 2.1", capsys.readouterr().err)


@pytest.mark.parametrize("version", ["v6.1", "v6.12"])
def test_work_in_c_is_counted_too(version: str) -> None:
    less, more = (work_in_c(fetched(version), blocks) for blocks in (1_000, 8_000))
    assert more > 30 * less if version == "v6.1" else 7.9 < more / less < 8.1
    assert set(in_c(fetched(version), 1_000)) == {"alloc", "free"}


def test_rounds_alternate_and_ratios_are_of_rounds(tmp_path: Path) -> None:
    log = tmp_path / "log"
    taken = Timings("a test", {"one": (noted, str(log), "one"), "other": (noted, str(log), "other")}, 2)
    assert log.read_text().split() == ["one", "other", "one", "other"]
    assert taken.ratio("other", "one", "part") == 2


def noted(log: str, name: str) -> dict[str, float]:
    with open(log, "a") as file:
        file.write(name + "\n")
    return {"part": 1 if name == "one" else 2, "process": os.getpid()}
