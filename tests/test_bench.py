"""The benchmarks, in their quick form: that they work and what they count; never how long anything takes."""

import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pyperf
import pytest

from bench import floor, fuzzer, growth, pictures, prover
from bench.__main__ import PARTS, main
from bench.part import Timings
from bench.pools import BisectPool, FloorPool
from bench.workload import in_c, in_python, work_in_c
from kernel.build import KERNELS, find
from model.memory import Memory


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a quick run of every part writes."""
    folder = tmp_path_factory.mktemp("bench")
    assert main(["--quick", "--out", str(folder)]) == 0
    return folder


def test_tables_numbers_and_pictures_are_written(measured: Path) -> None:
    numbers = json.loads((measured / "bench.json").read_text())
    assert list(numbers) == list(PARTS)
    tables = (measured / "bench.txt").read_text()
    for told in ("the cover letter, series", "exponent of all work", "bytes per page", "one core, cold", "steps/floor"):
        assert told in tables, told
    names = {"headline.svg", "growth.svg", "floor.svg", "prover.svg", "fuzzer.svg", "mutants.svg"}
    assert {file.name for file in measured.glob("*.svg")} == names
    for name in names:
        drawing = ET.fromstring((measured / name).read_text())
        assert drawing.findall(".//{http://www.w3.org/2000/svg}text"), name
    page = (measured / "index.html").read_text()
    assert set(re.findall(r'src="([^"]+)"', page)) == names
    assert "://" not in page


def test_what_is_timed_is_read_by_pyperf(measured: Path) -> None:
    suite = pyperf.BenchmarkSuite.load(str(measured / "pyperf.json"))
    names = suite.get_benchmark_names()
    assert "3,000 blocks: free, Python, series" in names
    assert "used again: both, floor" in names


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
    monkeypatch.setattr("bench.__main__.kernels", lambda _: {})
    monkeypatch.setitem(growth.EXPONENTS, "series", (1.9, 2.1))
    assert main(["growth", "--quick", "--out", str(tmp_path)]) == 1
    assert re.search(r"the work of Python, series grows with n\^1\.\d+; from 1.9 to 2.1", capsys.readouterr().err)
    assert (tmp_path / "growth.svg").exists()  # nothing is lost


@pytest.mark.parametrize("version", ["v6.1", "v6.12"])
def test_work_in_c_is_counted_too(version: str) -> None:
    if not (KERNELS / version).is_dir():
        pytest.skip(f"the kernel {version} is not there: run `make kernels`")
    kernel = find(KERNELS / version)
    less, more = (work_in_c(kernel, blocks) for blocks in (1_000, 8_000))
    assert less == work_in_c(kernel, 1_000)
    if version == "v6.1":
        assert more > 30 * less
    else:
        assert 7.9 < more / less < 8.1
    assert set(in_c(kernel, 1_000)) == {"alloc", "free"}


@pytest.mark.parametrize("made", [BisectPool, FloorPool])
def test_a_pool_to_compare_with_is_a_pool(made: Any) -> None:
    memory = Memory()
    pool = made.create("chain", memory, 128, 16, 0)
    blocks = [pool.alloc() for _ in range(128)]  # which fill four pages
    assert len(set(blocks)) == 128
    assert len(memory.mappings) == 4
    for vaddr, dma in blocks:
        assert memory.block(vaddr, 128).nbytes == 128
        assert any(dma - mapping.dma == vaddr - mapping.vaddr for mapping in memory.mappings.values())
        pool.free(vaddr, dma)
    assert {pool.alloc() for _ in blocks} == set(blocks)
    assert len(memory.mappings) == 4


def test_rounds_alternate_and_ratios_are_of_rounds(tmp_path: Path) -> None:
    log = tmp_path / "log"
    taken = Timings("a test", {"one": (noted, str(log), "one"), "other": (noted, str(log), "other")}, 2)
    assert log.read_text().split() == ["one", "other", "one", "other"]
    assert taken.ratio("other", "one", "part") == 2
    assert taken.median("one", "part") == 1
    assert taken.spread("one", "part") == " ± 0%"
    processes = taken.seconds["one"]["process"] + taken.seconds["other"]["process"]
    assert len({*processes, os.getpid()}) == 5


def noted(log: str, name: str) -> dict[str, float]:
    with open(log, "a") as file:
        file.write(name + "\n")
    return {"part": 1 if name == "one" else 2, "process": os.getpid()}


def test_labels_do_not_cover_each_other() -> None:
    placed = pictures.spread_out({"low": 0.0, "near": 0.01, "high": 2.0})
    assert placed["low"] == 0
    assert placed["near"] >= 0.1
    assert placed["high"] == 2


def test_python_is_measured_in_parts() -> None:
    assert set(in_python("series", 64)) == set(in_python("series", 64, again=True)) == {"alloc", "free"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["heading"], "there is no part 'heading'; there are pages, headline, growth, floor, prover, fuzzer"),
        (["--bogus"], "unrecognized arguments: --bogus; see --help"),
        (["--kernel", "/nowhere"], "/nowhere: there is no such file"),
        (["--out", "/proc/none"], "/proc/none: "),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"bench: {told}")
    assert said.count("\n") == 1


def test_a_bug_that_a_hunt_misses_is_said_to_be_missed() -> None:
    found = {"easy": [(4, True), (6, True), (5, True)], "hard": [(9_000, False), (70, True), (9_000, False)]}
    told = "\n".join(fuzzer.told(found))
    assert re.search(r"hard +9,000, missed with 2 of the seeds\n  easy +5\n", told)


def test_what_a_pool_keeps_is_without_the_device() -> None:
    for name in floor.POOLS_BESIDE[1:]:
        assert 0 < floor.bytes_per_page(name, 400) < 4096, name
    assert floor.bytes_per_page("floor", 400) > 4096  # its dictionary has an entry for each block


def test_obligations_of_both_widths_are_paired() -> None:
    each = {"a/series/u32": 1.0, "a/series/u64": 3.0, "b/series/u32": 1.0, "c/series/Z": 1.0}
    assert prover.by_width(each) == {"a/series": (1.0, 3.0)}


def test_a_prover_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(prover, "QUICK", ("no_such_claim",))
    with pytest.raises(SystemExit) as stopped:
        main(["prover", "--quick", "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert "bench: the prover has failed: proofs: there is no" in capsys.readouterr().err
