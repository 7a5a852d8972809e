"""What the series costs in Python beside a pool that only does what none can do without: a push and a pop for each block, and a
look-up at each free. And how many bytes of Python's each page and each block take, beside those of the device."""

import tracemalloc
from collections.abc import Callable
from typing import Any

from bench.part import Part, Timings, Wanted
from bench.pictures import bars
from bench.workload import ALIGN, FEWEST_PER_PAGE, POOLS, SIZE, in_python
from model.memory import Memory

POOLS_BESIDE = ("floor", "bisect", "series", "v6.12", "v6.1")
PER_PAGE = 4096 // SIZE


def run(wanted: Wanted) -> Part:
    blocks, rounds = (2_000, 1) if wanted.quick else (100_000, 5)
    of_floor = [name for name in POOLS_BESIDE if name != "v6.1"]  # whose linear scan is what other benchmarks are about
    first = Timings("first use", {name: (in_both, name, blocks) for name in of_floor}, rounds)
    again = Timings("used again", {name: (in_both, name, blocks, True) for name in of_floor}, rounds)
    table = [
        f"{blocks:,} allocs and frees in Python, as times the floor's; medians of {rounds}.",
        "",
        f"{'':<12}{'first use: alloc':>18}{'free':>8}{'both':>8}{'used again: alloc':>22}{'free':>8}{'both':>8}",
    ]
    parts = ("alloc", "free", "both")
    for name in of_floor:
        ones, others = ([taken.ratio(name, "floor", part) for part in parts] for taken in (first, again))
        table.append(
            f"{name:<12}{ones[0]:>18.1f}{ones[1]:>8.1f}{ones[2]:>8.1f}{others[0]:>22.1f}{others[1]:>8.1f}{others[2]:>8.1f}"
        )
    per_page = {name: bytes_per_page(name, 400 if wanted.quick else 2000) for name in POOLS_BESIDE}
    table += [
        "",
        f"{'':<12}{'bytes per page':>18}{'per block':>12}    (of Python's, without the device's)",
    ]
    table += [
        f"{name:<12}{nbytes:>18,.0f}{nbytes / (FEWEST_PER_PAGE if name == 'v6.1' else PER_PAGE):>12,.1f}"
        for name, nbytes in per_page.items()
    ]
    drawn = {
        name: {
            "first use,": first.ratio(name, "floor", "both"),
            "used again,": again.ratio(name, "floor", "both"),
        }
        for name in of_floor
    }
    picture = bars("An alloc and a free in Python, as times the floor", drawn, "times", linear=True)
    numbers = {"first use": first.seconds, "used again": again.seconds, "bytes per page": per_page}
    return Part("floor", table, numbers, {"floor.svg": picture}, first.benchmarks + again.benchmarks)


def in_both(name: str, blocks: int, again: bool = False) -> dict[str, float]:
    seconds = in_python(name, blocks, again)
    return {**seconds, "both": seconds["alloc"] + seconds["free"]}


def bytes_per_page(name: str, pages: int) -> float:
    """Of Python's memory, for what the pool keeps, while every block is in use; without what the device keeps."""
    memory = Memory()
    pool: Any = POOLS[name].create("chain", memory, SIZE, ALIGN, 0)
    pool.alloc()
    device = Memory()
    of_device = kept(lambda: device.alloc_coherent(4096), pages) / pages
    of_both = kept(pool.alloc, pages * PER_PAGE) / (len(memory.mappings) - 1)
    return of_both - of_device


def kept(work: Callable[[], Any], times: int) -> int:
    """Bytes that are there after some work, and were not before; what it returns is let go at once."""
    tracemalloc.start()
    for _ in range(times):
        work()
    nbytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return nbytes
