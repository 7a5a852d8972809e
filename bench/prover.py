"""Seconds of the prover: each obligation, on one core and on all, cold and cached, by solver and by the width of words."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.part import Failed, Part, Wanted
from bench.pictures import bars
from command.output import show_progress

QUICK = ("layout_ends", "blocks_are_disjoint")
ROUNDS = 3
BY_A_SECOND = "all cores, cold, and again by a second solver"

Results = list[dict[str, Any]]


def run(wanted: Wanted) -> Part:
    names = QUICK if wanted.quick else ()
    cores = os.cpu_count() or 1
    ways: dict[str, tuple[str, ...]] = {
        "one core, cold": ("--fresh", "--jobs", "1"),
        f"{cores} cores, cold": ("--fresh", "--jobs", str(cores)),
        f"{cores} cores, cached": ("--jobs", str(cores)),
        BY_A_SECOND: ("--fresh", "--second", "--jobs", str(cores)),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    results: dict[str, list[Results]] = {way: [] for way in ways}
    rounds = 1 if wanted.quick else ROUNDS
    for number in range(rounds):
        for way, options in ways.items():
            show_progress(f"prover: {way}, round {number + 1} of {rounds}")
            took, found = prove(*options, *names)
            seconds[way].append(took)
            results[way].append(found)
    show_progress("")
    cold = results["one core, cold"]
    each = {one["obligation"]: median(find(found, one["obligation"])["seconds"] for found in cold) for one in cold[0]}
    slowest = dict(sorted(each.items(), key=lambda item: -item[1])[:10])
    table = [f"{len(each)} obligations; medians of {rounds}.", ""]
    table += [f"{way:<52}{median(taken):>10.1f} s" for way, taken in seconds.items()]
    last = results[BY_A_SECOND][0]
    second = of_solvers(last)
    table += ["", f"{'of these, the solvers':<52}{'settle':>10}{'seconds':>10}"]
    table += [f"  {name:<50}{number:>10}{spent:>10.1f}" for name, (number, spent) in second.items()]
    table += ["", "The ten slowest, on one core:"]
    table += [f"  {name:<70}{spent:>8.2f} s" for name, spent in slowest.items()]
    widths = by_width(each)
    if widths:
        ratios = {name: wide / narrow for name, (narrow, wide) in widths.items()}
        table += ["", f"{'What is proved of words of 32 and of 64 bits':<56}{'32':>8}{'64':>8}{'ratio':>8}"]
        table += [
            f"  {name:<54}{narrow:>8.2f}{wide:>8.2f}{ratios[name]:>8.1f}" for name, (narrow, wide) in widths.items()
        ]
        table += [f"  {'the median ratio':<70}{median(ratios.values()):>8.1f}"]
    numbers = {"seconds": seconds, "each": each, "solvers": second, "widths": widths}
    picture = bars(
        "The slowest proofs, on one core", {name: {"": spent} for name, spent in slowest.items()}, linear=True
    )
    missed = [f"prover: {one['obligation']} is {one['verdict']}" for one in cold[0] if not one["as_expected"]]
    missed += [
        f"prover: a second solver disagrees about {one['obligation']}"
        for one in last
        if one["second"] is not None and one["second"]["disagreed"]
    ]
    return Part("prover", table, numbers, {"prover.svg": picture}, missed=missed)


def prove(*options: str) -> tuple[float, Results]:
    """A run of `python -m command prove`: its seconds, and its results."""
    with TemporaryDirectory() as folder:
        file = f"{folder}/results.json"
        started = time.perf_counter()
        command = [sys.executable, "-m", "command", "prove", "--json", file, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        try:
            found: Results = json.loads(Path(file).read_text())  # there is one, if a solver has given up as well
        except (OSError, ValueError) as error:
            last = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
            raise Failed(f"the prover has failed: {last}") from error
    return seconds, found


def find(results: Results, name: str) -> dict[str, Any]:
    return next(one for one in results if one["obligation"] == name)


def of_solvers(results: Results) -> dict[str, tuple[int, float]]:
    """How many obligations each solver has settled, all of its queries, and its seconds."""
    number: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    for one in results:
        number["Z3"] += 1
        spent["Z3"] += one["seconds"]
        second = one["second"]
        if second is not None and second["solver"] and second["agreed"] == second["queries"]:
            number[second["solver"]] += 1
            spent[second["solver"]] += second["seconds"]
    return {name: (number[name], spent[name]) for name in number}


def by_width(each: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Of obligations that are proved of words of both widths: the seconds of the narrow and of the wide ones."""
    wide = {name: name.replace("/u32", "/u64") for name in each if "/u32" in name}
    return {narrow.replace("/u32", ""): (each[narrow], each[other]) for narrow, other in wide.items() if other in each}
