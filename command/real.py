"""`python -m command real --kernel PATH`: build User Mode Linux from a kernel tree, boot it, and run a pool in it.

With `--trial RUNS`, the shim is on trial: both get the same operations, and whatever can be seen of them is compared.
"""

import argparse
import resource
import time
from dataclasses import replace

from command.compare import differences, summary
from command.files import try_out
from command.line import Status, add_seed, number
from hunt.compare import compare, draw
from kernel.build import Source, Variant, find
from kernel.pool import KernelPool
from kernel.real.build import REAL, full_tree, key, lacking, real_kernel
from model.bad_input import BadInput
from model.geometry import counted
from model.memory import Memory
from report.runs import TRACES
from report.text import show_progress


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kernel", metavar="PATH", required=True, help="a full kernel tree")
    parser.add_argument(
        "--trial",
        type=number(1),
        metavar="RUNS",
        help="compare it with the shim: the edges of words, the directed runs, and so many that are drawn",
    )
    add_seed(parser, "of what is drawn")


def run(options: argparse.Namespace) -> Status:
    source = replace(find(options.kernel), real=True)
    before, started = cpu_seconds(), time.perf_counter()
    program = real_kernel(source, show_progress)
    built, took = cpu_seconds() - before, time.perf_counter() - started
    print(f"{source}\nbuilt in {took:.0f} s, {built:.0f} s of a processor: {program}")
    if missing := lacking(REAL / key(full_tree(source)) / "objects"):
        print(f"this version has no CONFIG_{', CONFIG_'.join(missing)} for User Mode Linux")
    print(f"from start to the first pool: {seconds_to_boot(source):.2f} s", flush=True)
    if options.trial is None:
        return Status.EXPECTED
    try_out(None, str(TRACES))  # where a run that shows a difference is kept
    shim = replace(source, real=False)
    drawn = draw([shim], options.seed, options.trial, show_progress)
    done = compare(shim, source, drawn, show_progress, of_kasan=False)
    show_progress("")
    told = f"{counted(done.runs, 'pool')}, {counted(done.steps, 'step')}, seed {options.seed}"
    print(f"the shim and the kernel: {told}: {summary(done)}")
    ended = counted(done.kasans, "run")
    print(f"KASAN makes {ended} end otherwise: at a read, which the shim lets pass; in the step in which the shim ends")
    print("it, too; or not at an address in its shadow, where the shim has nothing")
    print("\n".join(differences(done, f"trial-{source.label()}", source, source)))
    return Status.SURPRISE if done.smallest else Status.EXPECTED


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds_to_boot(source: Source) -> float:
    """The seconds until the kernel has given the first block. Raises BadInput if it gives none."""
    started = time.perf_counter()
    try:
        pool = KernelPool.create(source, Variant(), "first", Memory(), 64, 8, 0)
        given = pool is not None and pool.alloc() is not None
    except Exception as fault:  # a crash of any kind
        raise BadInput(f"{source}: the kernel boots, and runs no pool: {fault}") from fault
    if not given:
        raise BadInput(f"{source}: the kernel boots, and its first pool gives no block")
    return time.perf_counter() - started
