"""How time and work grow with the number of blocks: a linear scan with its square, the series with n log n, a stack with n.

Work is counted, and so the same every time: in Python how often a page's address or first free block is read, or a block of the
stack read or written; in C how many of the compiler's basic blocks run. What an exponent may be is said here, of counted work,
and a run that finds another one fails. A kernel that is asked for may do better.
"""

from math import log
from typing import Any
from unittest.mock import patch

from bench.part import Part, Timings, Wanted
from bench.workload import ALIGN, POOLS, SIZE, alloc_and_free, in_c, in_python, work_in_c
from hunt.revisions import twin_of
from impl.pool import Page
from kernel.pool import promises_of
from model.memory import Memory
from report.text import show_progress

SIZES = (1_000, 4_000, 25_000, 100_000, 400_000)
QUICK = (1_000, 4_000, 16_000)
Points = list[tuple[float, float]]

COUNTED = {"v6.1": 100_000}
"""Where more would take minutes."""

EXPONENTS = {"v6.1": (1.8, 2.05), "series": (1.0, 1.2), "v6.12": (0.99, 1.01)}
"""Of counted work in total, from the last size but one to the last: n^2, n log n, n."""


def run(wanted: Wanted) -> Part:
    sizes = QUICK if wanted.quick else SIZES
    times: dict[str, Points] = {}
    for size in sizes:
        subjects: dict[str, tuple[Any, ...]] = {f"Python, {name}": (in_python, name, size) for name in POOLS}
        subjects |= {f"C, {name}": (in_c, kernel, size) for name, kernel in wanted.kernels.items()}
        taken = Timings(f"{size:,} blocks", subjects, 1 if wanted.quick or size > 64_000 else 3)
        for name in subjects:
            times.setdefault(name, []).append((size, taken.median(name, "alloc") + taken.median(name, "free")))
    work = counted(wanted, sizes)
    found = {name: exponent(points) for name, points in work.items()}
    table = [
        "Growth with n, the blocks that are allocated and freed. An exponent is that of the last fourfold.",
        "",
        f"{'':<20}{'n up to':>10}{'seconds':>12}{'exponent':>10}{'work per operation':>22}{'exponent of all work':>22}",
    ]
    for name, points in times.items():
        cells = f"{points[-1][0]:>10,.0f}{points[-1][1]:>12.3f}{exponent(points):>10.2f}"
        of_work = work.get(name)
        cells += f"{of_work[-1][1] / (2 * of_work[-1][0]):>22,.1f}{found[name]:>22.2f}" if of_work else ""
        table.append(f"{name:<20}{cells}")
    table += [
        "",
        "Work: a page's address or first free block is read, or a block of the stack is read or written; in C, basic blocks.",
    ]
    missed = []
    for name, value in found.items():
        low, high = EXPONENTS[revision_like(name, wanted)]
        low = low if name.startswith("Python, ") or name.removeprefix("C, ") in EXPONENTS else 0.0
        if not low <= value <= high:
            missed.append(f"growth: the work of {name} grows with n^{value:.2f}; from {low} to {high} is expected")
    numbers = {"seconds": times, "work": work, "exponents of work": found}
    return Part("growth", table, numbers, missed)


def counted(wanted: Wanted, sizes: tuple[int, ...]) -> dict[str, Points]:
    """The work of all allocs and frees."""
    work: dict[str, Points] = {}
    for size in sizes:
        for name in EXPONENTS:
            if size <= COUNTED.get(name, size):
                show_progress(f"counting: {size:,} blocks, {name}")
                work.setdefault(f"Python, {name}", []).append((size, work_in_python(name, size)))
        for name, kernel in wanted.kernels.items():
            if size <= COUNTED.get(revision_like(f"C, {name}", wanted), size):
                show_progress(f"counting: {size:,} blocks, C, {name}")
                work.setdefault(f"C, {name}", []).append((size, work_in_c(kernel, size)))
    show_progress("")
    return work


def revision_like(name: str, wanted: Wanted) -> str:
    """The revision that one grows like: a kernel's file is told by its features."""
    language, _, name = name.partition(", ")
    if language == "Python":
        return name
    return twin_of(promises_of(wanted.kernels[name])).removesuffix("-as-it-is")  # which grows alike


def work_in_python(name: str, blocks: int) -> int:
    """How often a page's address or first free block, or a block of the stack, is read or written."""
    work = 0

    def counting(whole: Any) -> property:
        """A field, of which each read is counted."""

        def read(page: Page) -> Any:
            nonlocal work
            work += 1
            return whole.__get__(page)

        return property(read, whole.__set__)

    fields = {field: counting(getattr(Page, field)) for field in ("dma", "offset")}
    counted_page = type("CountedPage", (Page,), {"__slots__": (), **fields})

    def counted_call(method: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal work
            work += 1
            return method(*arguments)

        return call

    made = POOLS[name]
    pool = made.create("chain", Memory(), SIZE, ALIGN, 0)
    if hasattr(made, "_new_page"):
        pool._new_page = counted_page
        alloc_and_free(pool, blocks)
    else:
        methods = {method: counted_call(getattr(made, method)) for method in ("_read_block", "_write_block")}
        with patch.multiple(made, **methods):
            alloc_and_free(pool, blocks)
    return work


def exponent(points: Points) -> float:
    """Of n, with which the last two points grow."""
    (before, less), (after, more) = points[-2:]
    return log(more / less) / log(after / before)
