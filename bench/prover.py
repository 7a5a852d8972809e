"""Seconds of the prover: the catalogue on one core and on all, cold and cached, and the slowest proofs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.part import Failed, Part, Wanted
from report.text import show_progress

QUICK = ("layout_ends", "blocks_are_disjoint")
ROUNDS = 3


def run(wanted: Wanted) -> Part:
    names, rounds, cores = (QUICK, 1, os.cpu_count() or 1) if wanted.quick else ((), ROUNDS, os.cpu_count() or 1)
    ways: dict[str, tuple[str, ...]] = {
        "one core, cold": ("--fresh", "--jobs", "1"),
        f"{cores} cores, cold": ("--fresh", "--jobs", str(cores)),
        f"{cores} cores, cached": ("--jobs", str(cores)),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    cold: list[list[dict[str, Any]]] = []
    for number in range(rounds):
        for way, options in ways.items():
            show_progress(f"prover: {way}, round {number + 1} of {rounds}")
            took, results = prove(*options, *names)
            seconds[way].append(took)
            cold += [results] if way == "one core, cold" else []
    show_progress("")
    each: dict[str, list[float]] = {}
    for results in cold:
        for one in results:
            each.setdefault(one["obligation"], []).append(one["seconds"])
    slowest = sorted(((median(taken), name) for name, taken in each.items()), reverse=True)[:10]
    table = [f"{len(each)} obligations; medians of {rounds}.", ""]
    table += [f"{way:<52}{median(taken):>10.1f} s" for way, taken in seconds.items()]
    table += ["", "The ten slowest, on one core:", *(f"  {name:<70}{spent:>8.2f} s" for spent, name in slowest)]
    missed = [f"prover: {one['obligation']} is {one['verdict']}" for one in cold[0] if not one["as_expected"]]
    return Part("prover", table, {"seconds": seconds, "each": each}, missed)


def prove(*options: str) -> tuple[float, list[dict[str, Any]]]:
    """A run of `python -m command prove`: its seconds, and its results. Raises Failed."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        started = time.perf_counter()
        command = [sys.executable, "-m", "command", "prove", "--json", str(file), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        try:
            return seconds, json.loads(file.read_text())  # there is one, if a solver has given up as well
        except (OSError, ValueError) as error:
            last = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
            raise Failed(f"the prover has failed: {last}") from error
