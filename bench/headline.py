"""The cover letter's figures, and ours beside them: what 373,959 allocs and frees take, before and after the series."""

import time
from statistics import median
from typing import Any

from bench import linux
from bench.native import ALIGN, SIZE, in_c
from bench.part import Part, Wanted, timed
from impl.pool import Pool
from impl.v6_1 import V6_1Pool
from impl.v6_12 import V6_12Pool
from model.memory import Memory

BLOCKS = 373_959
POOLS: dict[str, Any] = {"v6.1": V6_1Pool, "series": Pool, "v6.12": V6_12Pool}

COVER_LETTER = {"v6.1": (0.350, 8.901), "series": (0.018, 0.019)}
"""Seconds of the allocs and of the frees, on the machine of the patch series' author (2022): the frees' with the destruction,
and all with the device. The letter calls it 19 and 477 times as fast."""


def run(wanted: Wanted) -> Part:
    blocks, rounds = (3_000, 1) if wanted.quick else (BLOCKS, 3)
    subjects: dict[str, tuple[Any, ...]] = {f"Python, {name}": (in_python, name, blocks) for name in POOLS}
    subjects |= {f"C, {name}": (in_c, kernel, blocks) for name, kernel in wanted.kernels.items()}
    in_linux = {} if wanted.quick else linux.kernels(wanted.kernels)
    subjects |= {f"Linux, {name}": (linux.seconds, program) for name, program in in_linux.items()}
    seconds = timed(f"{blocks:,} blocks", subjects, rounds)
    for name in in_linux:
        of = seconds[f"Linux, {name}"]
        seconds[f"Linux without its device, {name}"] = {
            part: [all_of_it - share for all_of_it, share in zip(of[part], of[device], strict=True)]
            for part, device in (("alloc", "pages"), ("free", "pages back"))
        }
    for name, (alloc, free) in COVER_LETTER.items():
        seconds[f"the cover letter, {name}"] = {"alloc": [alloc] * rounds, "free": [free] * rounds}
    table = [
        f"The cover letter's workload: {blocks:,} allocs of 128 bytes, the same number of frees in the same order, and the",
        f"destruction of the pool. Medians of {rounds}. C is without the device and the destruction;",
        "Linux is a real kernel without checks, with them, or without what as many pages of its device take by themselves.",
        "",
        f"{'':<34}{'alloc, ms':>14}{'free, ms':>14}{'v6.1 / it, alloc':>20}{'v6.1 / it, free':>18}",
    ]
    for name, taken in seconds.items():
        row = f"{name:<34}" + "".join(f"{median(taken[part]) * 1000:>14,.1f}" for part in ("alloc", "free"))
        before = seconds.get(f"{name.rpartition(', ')[0]}, v6.1")
        if before is not None:
            row += f"{ratio(before['alloc'], taken['alloc']):>20,.1f}{ratio(before['free'], taken['free']):>18,.1f}"
        table.append(row)
    return Part("headline", table, seconds)


def ratio(before: list[float], after: list[float]) -> float:
    """The median of the rounds' ratios, since what else runs on the machine slows both in a round."""
    return median(one / other for one, other in zip(before, after, strict=True))


def in_python(name: str, blocks: int) -> dict[str, float]:
    """Seconds of the allocs, and of the frees with the destruction."""
    pool = POOLS[name].create("chain", Memory(), SIZE, ALIGN, 0)
    seconds = alloc_and_free(pool, blocks)
    started = time.perf_counter()
    pool.destroy()
    return {**seconds, "free": seconds["free"] + time.perf_counter() - started}


def alloc_and_free(pool: Any, blocks: int) -> dict[str, float]:
    started = time.perf_counter()
    given = [pool.alloc() for _ in range(blocks)]
    allocated = time.perf_counter()
    for vaddr, dma in given:
        pool.free(vaddr, dma)
    return {"alloc": allocated - started, "free": time.perf_counter() - allocated}
