"""What a benchmark gives, and how times are taken: side by side, in rounds, each in a process of its own."""

import gc
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from statistics import median
from typing import Any

import pyperf
from matplotlib.figure import Figure

from command.output import show_progress
from kernel.build import Source

Seconds = Mapping[str, float]
Measured = Callable[..., Seconds]
"""Does some work once; returns the seconds of its parts, by name. It is run in another process."""


@dataclass(frozen=True)
class Wanted:
    """How much is asked for: a quick run shows that everything works, and no more. The kernels are measured in C, by name."""

    quick: bool
    kernels: Mapping[str, Source]


@dataclass
class Part:
    """A benchmark's results: a table, the numbers, pictures by the names of their files, and what is not as it should be."""

    name: str
    table: list[str]
    numbers: dict[str, Any]
    pictures: dict[str, Figure] = field(default_factory=dict)
    timings: list[pyperf.Benchmark] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


class Failed(Exception):
    """What a benchmark runs has failed; says in one line how."""


class Timings:
    """Seconds of several subjects; the rounds alternate, so that what else runs on the machine slows them all."""

    def __init__(self, about: str, subjects: Mapping[str, tuple[Any, ...]], rounds: int) -> None:
        """A subject is a `Measured`, and its arguments."""
        self.seconds: dict[str, dict[str, list[float]]] = {name: {} for name in subjects}
        fresh = get_context("spawn")
        for number in range(rounds):
            for name, (measured, *arguments) in subjects.items():
                show_progress(f"{about}: {name}, round {number + 1} of {rounds}")
                with ProcessPoolExecutor(1, mp_context=fresh) as executor:
                    taken = executor.submit(without_collection, measured, arguments).result()
                for part, seconds in taken.items():
                    self.seconds[name].setdefault(part, []).append(seconds)
        show_progress("")
        self._of: dict[tuple[str, str], pyperf.Benchmark] = {}
        for name, parts in self.seconds.items():
            for part, values in parts.items():
                told = {"name": f"{about}: {part}, {name}", "unit": "second"}
                runs = [pyperf.Run([value], metadata=told, collect_metadata=False) for value in values]
                self._of[name, part] = pyperf.Benchmark(runs)

    @property
    def benchmarks(self) -> list[pyperf.Benchmark]:
        return list(self._of.values())

    def median(self, name: str, part: str) -> float:
        value: float = self._of[name, part].median()
        return value

    def spread(self, name: str, part: str) -> str:
        """The median absolute deviation, of several rounds."""
        one = self._of[name, part]
        return f" ± {one.median_abs_dev() / one.median():.0%}" if one.get_nvalue() > 1 else ""

    def ratio(self, name: str, other: str, part: str) -> float:
        """The median of the rounds' ratios."""
        return median(
            one / other for one, other in zip(self.seconds[name][part], self.seconds[other][part], strict=True)
        )


def without_collection(measured: Measured, arguments: list[Any]) -> Seconds:
    """Run without Python's garbage collector, as timeit does: when it runs is chance."""
    gc.disable()
    return measured(*arguments)
