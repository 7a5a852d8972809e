"""What a benchmark gives, and how times are taken: side by side, in rounds, each in a process of its own."""

import gc
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from statistics import median
from typing import Any

from kernel.build import Source
from report.text import show_progress

Measured = Callable[..., Mapping[str, float]]
"""Does some work once, in a process of its own; returns the seconds of its parts, by name."""


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


class Timings:
    """Seconds of several subjects; the rounds alternate, so that what else runs on the machine slows them all."""

    def __init__(self, about: str, subjects: Mapping[str, tuple[Any, ...]], rounds: int) -> None:
        """A subject is a `Measured`, and its arguments."""
        self.seconds: dict[str, dict[str, list[float]]] = {name: {} for name in subjects}
        for number in range(rounds):
            for name, (measured, *arguments) in subjects.items():
                show_progress(f"{about}: {name}, round {number + 1} of {rounds}")
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
                    taken = executor.submit(without_collection, measured, arguments).result()
                for part, seconds in taken.items():
                    self.seconds[name].setdefault(part, []).append(seconds)
        show_progress("")

    def median(self, name: str, part: str) -> float:
        return median(self.seconds[name][part])

    def ratio(self, name: str, other: str, part: str) -> float:
        """The median of the rounds' ratios."""
        pairs = zip(self.seconds[name][part], self.seconds[other][part], strict=True)
        return median(one / other for one, other in pairs)


def without_collection(measured: Measured, arguments: list[Any]) -> Mapping[str, float]:
    """Run without Python's garbage collector, as timeit does: when it runs is chance."""
    gc.disable()
    return measured(*arguments)
