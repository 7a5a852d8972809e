"""How work grows with the number of blocks: a linear scan with its square, the series with n log n, a stack with n.

Work is counted, and so the same every time: in Python the lines of impl/ that run, in C the compiler's basic blocks. What an
exponent may be is said here, and a run that finds another one fails. A kernel that the user names may do better.
"""

import sys
from math import log
from pathlib import Path
from types import FrameType
from typing import Any

import impl
from bench.headline import POOLS, alloc_and_free
from bench.native import ALIGN, SIZE, work_in_c
from bench.part import Part, Wanted
from kernel.promises import promises_of
from model.memory import Memory
from report.text import show_progress

SIZES, QUICK = (8_000, 32_000), (1_000, 4_000)
"""Blocks that are allocated and freed."""

EXPONENTS = {"v6.1": (1.4, 2.05), "series": (1.0, 1.2), "v6.12": (0.99, 1.01)}
"""Of all work, from the smaller to the larger size: n^2, which sets in late, n log n, n."""

FILES = str(Path(impl.__file__).parent)


def run(wanted: Wanted) -> Part:
    sizes = QUICK if wanted.quick else SIZES
    subjects = [("Python", name, name) for name in POOLS]
    subjects += [("C", name, promises_of(kernel).like) for name, kernel in wanted.kernels.items()]
    work: dict[str, list[int]] = {}
    missed = []
    table = [f"All work, for {sizes[0]:,} and for {sizes[1]:,} blocks: lines of Python; in C, basic blocks.", ""]
    for language, name, like in subjects:
        label = f"{language}, {name}"
        show_progress(f"growth: {label}")
        less, more = work[label] = [
            work_in_python(name, blocks) if language == "Python" else work_in_c(wanted.kernels[name], blocks)
            for blocks in sizes
        ]
        exponent = log(more / less) / log(sizes[1] / sizes[0])
        table.append(f"{label:<20}{less:>16,}{more:>16,}   n^{exponent:.2f}")
        low, high = EXPONENTS[like.removesuffix("-as-it-is")]
        low = low if name in EXPONENTS else 0.0
        if not low <= exponent <= high:
            missed.append(f"growth: the work of {label} grows with n^{exponent:.2f}; from {low} to {high} is expected")
    show_progress("")
    return Part("growth", table, work, missed)


def work_in_python(name: str, blocks: int) -> int:
    """The lines of impl/ that run while so many blocks are allocated, and freed in the same order."""
    lines = 0

    def each_line(_: FrameType, event: str, __: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return each_line

    def each_call(frame: FrameType, _: str, __: Any) -> Any:
        return each_line if frame.f_code.co_filename.startswith(FILES) else None

    pool = POOLS[name].create("chain", Memory(), SIZE, ALIGN, 0)
    traced_before = sys.gettrace()
    sys.settrace(each_call)
    try:
        alloc_and_free(pool, blocks)
    finally:
        sys.settrace(traced_before)
    return lines
