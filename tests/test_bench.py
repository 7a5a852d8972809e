"""The benchmarks with next to no work: what they count, compute and print; never how long anything takes."""

import json
from pathlib import Path

import pytest

from bench import floor, fuzzer, growth, headline, linux, part, prover, real
from bench.native import in_c, work_in_c
from bench.part import Wanted, timed
from tests.kernels import fetched
from tests.running import Command

WANTED = Wanted(quick=True, kernels={})


def test_work_grows_as_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    """Counted, and so the same everywhere: quadratic, n log n, linear; another exponent is status 1."""
    monkeypatch.setattr("command.bench.kernels", lambda _: {})
    monkeypatch.setattr(growth, "QUICK", (992, 3968))  # full pages
    assert command("bench", "growth", "--quick", "--out", tmp_path).status == 0
    work = json.loads((tmp_path / "bench.json").read_text())["growth"]
    assert work["Python, v6.12"][1] == 4 * work["Python, v6.12"][0]
    assert "Python, series" in (tmp_path / "bench.txt").read_text()
    monkeypatch.setattr(growth, "work_in_python", lambda _, blocks: blocks**3)
    ran = command("bench", "growth", "--quick", "--out", tmp_path)
    assert ran.status == 1
    assert "the work of Python, series grows with n^3.00; from 1.0 to 1.2 is expected" in ran.err


@pytest.mark.parametrize("version", ["v6.1", "v6.12"])
def test_work_in_c_is_counted_too(version: str) -> None:
    less, more = (work_in_c(fetched(version), blocks) for blocks in (1_000, 8_000))
    assert more > 30 * less if version == "v6.1" else 7.9 < more / less < 8.1
    assert set(in_c(fetched(version), 1_000)) == {"alloc", "free"}


def test_rounds_alternate_and_ratios_are_of_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    monkeypatch.setattr(part, "show_progress", log.append)
    seconds = timed("test", {"one": (dict, {"part": 1}), "other": (dict, {"part": 2})}, 2)
    assert [said.partition(",")[0] for said in log[:-1]] == ["test: one", "test: other"] * 2
    assert seconds == {"one": {"part": [1, 1]}, "other": {"part": [2, 2]}}
    assert headline.ratio([2, 40, 9], [1, 40, 3]) == 2  # the median of 2, 1 and 3, not 9 / 3


def test_a_run_in_linux_is_read(tmp_path: Path) -> None:
    """Without the first round; and none is run where there are not both sides."""
    program = tmp_path / "linux"
    program.write_text("#!/bin/sh\nfor n in 8 1 2 3; do echo workload: $n 20 30 40; done\n")
    program.chmod(0o755)
    alloc, first = (linux.seconds(program)[part] for part in ("alloc", "first alloc"))
    assert (alloc, first) == (2e-9, 8e-9)
    assert linux.kernels({}) == linux.kernels({"v6.1": fetched("v6.1")}) == {}


def test_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headline, "POOLS", {})
    assert headline.run(WANTED).table[-1].split()[-4:] == ["18.0", "19.0", "19.4", "468.5"]
    assert floor.run(WANTED).table[-1].split()[:3] == ["used", "again", "1.0"]
    monkeypatch.setattr(fuzzer, "HUNTED", ["series"])
    assert fuzzer.run(WANTED).table[-1].split()[0] == "series"
    assert "`make real KERNEL=…` builds one" in real.run(WANTED).table[0]
    assert prover.prove("--jobs", "1", "walk_follows_the_order")[1]
    monkeypatch.setattr(prover, "prove", lambda *_: (1.0, False))
    assert len(prover.run(WANTED).missed) in (3, 5)  # without Dask, and with it
    assert [prover.on_workers([3, 1, 1, 1], workers) for workers in (1, 2, 9)] == [6, 3, 3]
