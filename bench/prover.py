"""Seconds of the prover: the catalogue on one core and on all, cold and cached. Each proof's are in what it prints itself."""

import os
import subprocess
import sys
import time
from statistics import median

from bench.part import Part, Wanted
from model.bad_input import BadInput
from report.text import show_progress

QUICK = ("layout_ends", "blocks_are_disjoint")
ROUNDS = 3


def run(wanted: Wanted) -> Part:
    names, rounds = (QUICK, 1) if wanted.quick else ((), ROUNDS)
    cores = str(os.cpu_count() or 1)
    ways = {
        "one core, cold": ("--fresh", "--jobs", "1"),
        f"{cores} cores, cold": ("--fresh", "--jobs", cores),
        f"{cores} cores, cached": ("--jobs", cores),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    missed = []
    for number in range(rounds):
        for way, options in ways.items():
            show_progress(f"prover: {way}, round {number + 1} of {rounds}")
            took, expected = prove(*options, *names)
            seconds[way].append(took)
            missed += [] if expected else [f"prover: {way}, verdicts are not as expected; `make prove` prints them"]
    show_progress("")
    table = [f"The prover; medians of {rounds}.", ""]
    table += [f"{way:<24}{median(taken):>10.1f} s" for way, taken in seconds.items()]
    return Part("prover", table, seconds, missed)


def prove(*options: str) -> tuple[float, bool]:
    """A run of `python -m command prove`: its seconds, and whether all verdicts are as expected. Raises BadInput."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "command", "prove", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        last = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise BadInput(f"the prover has failed: {last}")
    return time.perf_counter() - started, done.returncode == 0
