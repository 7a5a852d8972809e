"""`python -m command replay TRACE --on REVISION`, or `--kernel PATH`: run a trace on a revision, beside the oracle.

With `--shrink FILE`, a smaller trace that breaks the same claim, if there is one, is written there, and described instead. With
`--bisect`, it ends as `git bisect run` wants it.
"""

import argparse
import sys
import traceback
from pathlib import Path

from command.files import put, usable
from command.line import Status, add_kernel, kernel_of, unknown
from hunt.revisions import REVISIONS, revisions
from hunt.shrink import measure, smallest
from kernel.compiler import BuildError
from model.bad_input import BadInput
from model.revision import KERNEL
from model.trace import Trace, TraceError, dumps, loads
from report.runs import scene_on
from report.text import coloured, run_as_text

A_TRACE = "TRACE=file names a trace, such as one of tests/traces/"

SKIPPED, STOPPED = 125, 255
"""Exit statuses that have `git bisect run` leave a commit out, and give up; it takes 0 for good, and 1 to 124 for bad."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help="a JSON file; see model/trace.py")
    parser.add_argument(
        "--on", metavar="REVISION", help=f"one of {', '.join(REVISIONS)}; default: the one in TRACE's name, or series"
    )
    add_kernel(parser, "run")
    parser.add_argument("--shrink", metavar="FILE", help="write a smaller trace that breaks the same claim")
    parser.add_argument(
        "--bisect",
        action="store_true",
        help="exit with 0 for a good commit, 1 for a bad one, 125 where it cannot be told",
    )


def run(options: argparse.Namespace) -> int:
    return bisected(options) if options.bisect else replayed(options)


def bisected(options: argparse.Namespace) -> int:
    """Whether the kernel's commit that is checked out breaks the claim that the trace names. It cannot be told where the commit
    does not build, the trace does not fit, or another claim breaks before."""
    try:
        trace = read(options.trace)
        if options.kernel is None or options.shrink:
            raise BadInput(
                "--bisect is about a kernel, as --kernel . names the one where you are; --shrink is for one run"
            )
        kernel = kernel_of(options)
        broken = scene_on(trace, KERNEL, kernel).broken
    except (BuildError, TraceError) as error:
        print(f"skipped: {error}", file=sys.stderr)
        return SKIPPED
    except BadInput as error:
        print(f"replay: {error}", file=sys.stderr)
        return STOPPED
    except Exception:  # of which Python would make a bad commit
        traceback.print_exc()
        return STOPPED
    if broken is None:
        print("good: no claim breaks")
        return Status.EXPECTED
    if trace.claim not in (None, broken.claim.name):
        print(f"skipped: {broken.claim.name} breaks before {trace.claim} could", file=sys.stderr)
        return SKIPPED
    print(f"bad: {broken.claim.name} breaks: {broken.happened}")
    return Status.SURPRISE


def read(file: str) -> Trace:
    """Raises BadInput."""
    try:
        with usable(file, A_TRACE):
            return loads(Path(file).read_text(errors="replace"))
    except TraceError as error:
        raise BadInput(f"{file}: {error}; {A_TRACE}") from error


def made_for(file: str) -> str:
    """The revision that the name of a trace's file says, as v6.12-layout_ends.json; else the series."""
    stem = Path(file).stem
    return max((name for name in REVISIONS if f"-{name}-" in f"-{stem}-"), key=len, default="series")


def replayed(options: argparse.Namespace) -> Status:
    if options.kernel is not None and options.on is not None:
        raise BadInput(f"--on {options.on} and --kernel {options.kernel}: name one of them")
    kernel = kernel_of(options)
    on = KERNEL if kernel is not None else options.on or made_for(options.trace)
    if on not in revisions(kernel):
        raise unknown("revision", on, REVISIONS)
    trace = read(options.trace)
    try:
        scene = scene_on(trace, on, kernel)
    except TimeoutError as error:
        raise BadInput(f"{options.trace}: a step takes too long; ask for smaller pages") from error
    except TraceError as error:
        raise BadInput(f"{options.trace}: {error}; {A_TRACE}") from error
    if kernel is not None:
        print(kernel.source)
    elif options.on is None:
        print(f"{options.trace} is run on {on}; ON=… or KERNEL=… names another pool")
    shorter = ""
    if options.shrink and scene.broken is None:
        shorter = "nothing to make smaller, since no claim breaks"
    elif options.shrink:
        small = smallest(scene.trace, on, revisions(kernel))
        if measure(small) < measure(trace):
            with usable(options.shrink):
                Path(options.shrink).parent.mkdir(parents=True, exist_ok=True)
            put(Path(options.shrink), dumps(small))
            scene, shorter = scene_on(small, on, kernel), f"written to {options.shrink}"
        else:
            shorter = f"nothing is written to {options.shrink}, since no smaller trace breaks the claim"
    print(coloured(run_as_text(scene, on), sys.stdout))
    if shorter:
        print(f"\n{shorter}")
    if kernel is not None:
        print(f"\n{kernel.source}")
    return Status.EXPECTED if scene.broken is None else Status.SURPRISE
