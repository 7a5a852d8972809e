"""The cover letter's figures, and ours beside them: what 373,959 allocs and frees take, before and after the series."""

from typing import Any

from bench.part import Part, Timings, Wanted
from bench.workload import BLOCKS, in_c, in_python

COVER_LETTER = {"alloc": (0.350, 0.018), "free": (8.901, 0.019)}
"""Seconds before and after the series, on the machine of the patch series' author (2022); the free's are with the destruction,
and all with the device. The letter calls it 19 and 477 times as fast."""

PARTS = ("alloc", "free")


def run(wanted: Wanted) -> Part:
    blocks, rounds = (3_000, 1) if wanted.quick else (BLOCKS, 3)
    subjects: dict[str, tuple[Any, ...]] = {
        f"Python, {name}": (in_python, name, blocks) for name in ("v6.1", "series", "v6.12")
    }
    subjects |= {f"C, {name}": (in_c, kernel, blocks) for name, kernel in wanted.kernels.items()}
    taken = Timings(f"{blocks:,} blocks", subjects, rounds)
    table = [
        f"The cover letter's workload: {blocks:,} allocs of 128 bytes, the same number of frees in the same order, and the",
        f"destruction of the pool. Medians of {rounds}. C is without the device and the",
        "destruction, and with what the shim does for each call, some nanoseconds.",
        "",
        f"{'':<24}{'alloc, ms':>18}{'free, ms':>20}{'v6.1 / it, alloc':>20}{'v6.1 / it, free':>18}",
    ]
    for name in subjects:
        language = name.partition(",")[0]
        before = f"{language}, v6.1"
        ratios = [f"{taken.ratio(before, name, part):,.1f}" if before in subjects else "" for part in PARTS]
        cells = [f"{taken.median(name, part) * 1000:,.1f}" for part in PARTS]
        table.append(f"{name:<24}{cells[0]:>18}{cells[1]:>20}{ratios[0]:>20}{ratios[1]:>18}")
    old, new = ([COVER_LETTER[part][number] * 1000 for part in PARTS] for number in (0, 1))
    table.append(f"{'the cover letter, v6.1':<24}{old[0]:>18,.1f}{old[1]:>20,.1f}{'1.0':>20}{'1.0':>18}")
    table.append(
        f"{'the cover letter, series':<24}{new[0]:>18,.1f}{new[1]:>20,.1f}{old[0] / new[0]:>20,.1f}{old[1] / new[1]:>18,.1f}"
    )
    return Part("headline", table, taken.seconds)
