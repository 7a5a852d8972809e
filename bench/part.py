"""What a benchmark gives, and how times are taken: side by side, in rounds, each in a process of its own."""

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from kernel.build import Source
from report.text import show_progress

Seconds = dict[str, dict[str, list[float]]]
"""By subject and by part of its work, of each round."""


@dataclass(frozen=True)
class Wanted:
    """How much to measure: a quick run shows that everything works, and no more. The kernels are measured in C, by name."""

    quick: bool
    kernels: Mapping[str, Source]


@dataclass
class Part:
    """A benchmark's results: a table, the numbers, and what is not as it should be."""

    name: str
    table: list[str]
    numbers: Mapping[str, Any]
    missed: list[str] = field(default_factory=list)


def timed(about: str, subjects: Mapping[str, tuple[Any, ...]], rounds: int) -> Seconds:
    """Time several subjects; the rounds alternate, so that what else runs on the machine slows them all.

    A subject is a function, which does its work once and returns the seconds of its parts by name, and its arguments. It runs
    without Python's garbage collector, as in timeit: when that runs is chance.
    """
    seconds: Seconds = {name: {} for name in subjects}
    with get_context("spawn").Pool(1, initializer=gc.disable, maxtasksperchild=1) as process:
        for number in range(rounds):
            for name, (measured, *arguments) in subjects.items():
                show_progress(f"{about}: {name}, round {number + 1} of {rounds}")
                for part, taken in process.apply(measured, arguments).items():
                    seconds[name].setdefault(part, []).append(taken)
    show_progress("")
    return seconds
