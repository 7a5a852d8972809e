"""Seconds of the prover: the catalogue on one core and on all, cold and cached, and on Dask. Each proof's are in what it prints
itself; what they would take on more workers is simulated.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from heapq import heapreplace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from bench.headline import ratio
from bench.part import Part, Wanted
from model.bad_input import BadInput
from proofs.catalogue import OBLIGATIONS
from report.text import show_progress

QUICK = ("layout_ends", "blocks_are_disjoint")
ROUNDS = 3
WORKERS = 1, 2, 4, 8, 16, 32, 64, 100, 1000
ONE, TWO = "one Dask worker, cold", "two Dask workers, cold"


def run(wanted: Wanted) -> Part:
    names, rounds = (QUICK, 1) if wanted.quick else ((), ROUNDS)
    cores = str(os.cpu_count() or 1)
    ways = {
        "one core, cold": ("--fresh", "--jobs", "1"),
        f"{cores} cores, cold": ("--fresh", "--jobs", cores),
        f"{cores} cores, cached": ("--jobs", cores),
    }
    if find_spec("distributed") is not None:
        ways |= {way: ("--fresh", "--executor", "dask", "--jobs", jobs) for way, jobs in ((ONE, "1"), (TWO, "2"))}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    missed: list[str] = []
    tasks: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results.json"
        for number in range(rounds):
            for way, options in ways.items():
                show_progress(f"prover: {way}, round {number + 1} of {rounds}")
                took, expected = prove(*options, *names, "--json", str(results))
                seconds[way].append(took)
                missed += [] if expected else [f"prover: {way}, verdicts are not as expected; `make prove` prints them"]
                if way == "one core, cold" and expected:
                    tasks = seconds_of_bodies(json.loads(results.read_text()))
    show_progress("")
    table = [f"The prover; medians of {rounds}.", ""]
    table += [f"{way:<24}{median(taken):>10.1f} s" for way, taken in seconds.items()]
    if ONE in seconds:
        table.append(f"Two Dask workers are {ratio(seconds[ONE], seconds[TWO]):.2f} times as fast as one.")
    return Part("prover", [*table, "", *simulation(tasks)] if tasks else table, seconds, missed)


def seconds_of_bodies(results: Iterable[dict[str, Any]]) -> list[float]:
    """Of each body, which is one task for all of its obligations, in the order in which they are submitted."""
    bodies: dict[Any, float] = {}
    for result in results:
        obligation = OBLIGATIONS[result["obligation"]]
        of = obligation.body, obligation.theory
        bodies[of] = bodies.get(of, 0.0) + result["seconds"]
    return [*bodies.values()]


def simulation(tasks: list[float]) -> list[str]:
    """What those tasks would take on more workers, as a table."""
    times = [on_workers(tasks, workers) for workers in WORKERS]
    return [
        f"Simulated: {len(tasks)} tasks, of the seconds that they took on one core, on workers each of whom takes the next one",
        f"once it is free; starting workers and sending tasks takes no time. The longest task is {max(tasks):.1f} s.",
        "",
        f"{'workers':<12}{'seconds':>10}{'times as fast':>16}{'of the workers':>16}",
        *(
            f"{workers:<12,}{taken:>10.1f}{times[0] / taken:>16.1f}{times[0] / taken / workers:>16.2f}"
            for workers, taken in zip(WORKERS, times, strict=True)
        ),
    ]


def on_workers(tasks: Iterable[float], workers: int) -> float:
    """When the last one is done, in seconds."""
    free_at = [0.0] * workers
    for seconds in tasks:
        heapreplace(free_at, free_at[0] + seconds)
    return max(free_at)


def prove(*options: str) -> tuple[float, bool]:
    """A run of `python -m command prove`: its seconds, and whether all verdicts are as expected. Raises BadInput."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "command", "prove", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        last = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise BadInput(f"the prover has failed: {last}")
    return time.perf_counter() - started, done.returncode == 0
