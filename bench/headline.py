"""The cover letter's figures, and ours beside them: what 373,959 allocs and frees take, before and after the series."""

from typing import Any

from matplotlib.figure import Figure

from bench.part import Part, Timings, Wanted
from bench.pictures import bars
from bench.workload import BLOCKS, in_c, in_python, oracle_beside

COVER_LETTER = {"alloc": (0.350, 0.018), "free": (8.901, 0.019)}
"""Seconds before and after the series, on the machine of the patch series' author (2022); the free's are with the destruction,
and all with the device. The letter calls it 19 and 477 times as fast."""

ORACLE = "Python, oracle"

PARTS = ("alloc", "free")


def run(wanted: Wanted) -> Part:
    blocks, rounds = (3_000, 1) if wanted.quick else (BLOCKS, 3)
    subjects: dict[str, tuple[Any, ...]] = {
        f"Python, {name}": (in_python, name, blocks) for name in ("v6.1", "series", "v6.12", "bisect")
    }
    subjects |= {f"C, {name}": (in_c, kernel, blocks) for name, kernel in wanted.kernels.items()}
    taken = Timings(f"{blocks:,} blocks", subjects, rounds)
    beside = Timings(f"{blocks:,} blocks", {ORACLE: (oracle_beside, blocks)}, 1)
    table = [
        f"The cover letter's workload: {blocks:,} allocs of 128 bytes, the same number of frees in the same order, and the",
        f"destruction of the pool. Medians of {rounds}; ± is the median absolute deviation. C is without the device and the",
        "destruction, and with what the shim does for each call, some nanoseconds.",
        "",
        f"{'':<24}{'alloc, ms':>18}{'free, ms':>20}{'v6.1 / it, alloc':>20}{'v6.1 / it, free':>18}",
    ]
    for name in subjects:
        language = name.partition(",")[0]
        before = f"{language}, v6.1"
        ratios = [f"{taken.ratio(before, name, part):,.1f}" if before in subjects else "" for part in PARTS]
        cells = [f"{taken.median(name, part) * 1000:,.1f}{taken.spread(name, part)}" for part in PARTS]
        table.append(f"{name:<24}{cells[0]:>18}{cells[1]:>20}{ratios[0]:>20}{ratios[1]:>18}")
    scan = {part: beside.median(ORACLE, part) for part in PARTS}
    table.insert(5, f"{ORACLE:<24}{scan['alloc'] * 1000:>18,.1f}{scan['free'] * 1000:>20,.1f}")
    old, new = ([COVER_LETTER[part][number] * 1000 for part in PARTS] for number in (0, 1))
    table.append(f"{'the cover letter, v6.1':<24}{old[0]:>18,.1f}{old[1]:>20,.1f}{'1.0':>20}{'1.0':>18}")
    table.append(
        f"{'the cover letter, series':<24}{new[0]:>18,.1f}{new[1]:>20,.1f}{old[0] / new[0]:>20,.1f}{old[1] / new[1]:>18,.1f}"
    )
    by = {part: scan[part] / taken.median("Python, series", part) for part in PARTS}
    table += [
        "",
        "The oracle looks through its pages for each block that it gives or takes, once (one round; it follows another pool's",
        f"choice, as in a hunt). In Python, the series is {by['alloc']:,.0f} and {by['free']:,.0f} times faster.",
    ]
    seconds, timings = taken.seconds | beside.seconds, taken.benchmarks + beside.benchmarks
    medians = {ORACLE: scan} | {name: {part: taken.median(name, part) for part in PARTS} for name in taken.seconds}
    return Part("headline", table, seconds, {"headline.svg": drawn(medians, blocks)}, timings)


def drawn(medians: dict[str, dict[str, float]], blocks: int) -> Figure:
    rows = {name: {part: seconds * 1000 for part, seconds in row.items()} for name, row in medians.items()}
    for number, name in enumerate(("the cover letter, v6.1", "the cover letter, series")):
        rows[name] = {part: COVER_LETTER[part][number] * 1000 for part in PARTS}
    return bars(f"{blocks:,} blocks of 128 bytes: milliseconds, on a logarithmic scale", rows, "ms")
