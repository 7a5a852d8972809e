"""How fast a real kernel is beside the shim: steps of a hunt, and operations in batches, of kernels that `make real` has built.

Rounds alternate, as in the other parts; a batch is as many allocs, or frees, as one question to the server can hold.
"""

from collections.abc import Iterator
from statistics import median

from bench.fuzzer import per_second
from bench.native import batches
from bench.part import Part, Wanted
from hunt import profiles
from hunt.confirm import in_a_real_kernel
from hunt.machine import machine
from kernel.build import Source, Variant
from kernel.promises import revision_of
from report.text import show_progress

BLOCKS = 100_000
RATES = "steps of a hunt", "allocs in a batch", "frees in a batch"


def run(wanted: Wanted) -> Part:
    """Steps, allocs and frees a second in the real kernel and in the shim, for each kernel that was built."""
    profiles.register()
    built = {name: real for name, kernel in wanted.kernels.items() if (real := in_a_real_kernel(kernel)) is not None}
    if not built:
        return Part("real", ["No real kernel is measured: `make real KERNEL=…` builds one."], {})
    rounds, examples, blocks = (1, 2, 3_000) if wanted.quick else (3, 30, BLOCKS)
    rates: dict[str, list[float]] = {}
    for number in range(rounds):
        for name, real in built.items():
            show_progress(f"real: {name}, round {number + 1} of {rounds}")
            for where, source in (("in Linux", real), ("in the shim", wanted.kernels[name])):
                for what, rate in zip(RATES, measured(source, number, examples, blocks), strict=True):
                    rates.setdefault(f"{name}, {what}, {where}", []).append(rate)
    show_progress("")
    table = [f"A second, in a real kernel with KASAN and lockdep, and in the shim; medians of {rounds}.", ""]
    table += [f"{what:<44}{median(found):>14,.0f}" for what, found in rates.items()]
    return Part("real", table, rates)


def measured(source: Source, number: int, examples: int, blocks: int) -> Iterator[float]:
    """How many of RATES a second."""
    yield per_second(machine(revision_of(source)), number, examples)
    for batch in batches(source, blocks, Variant()):
        yield blocks / batch.nanoseconds * 1e9
