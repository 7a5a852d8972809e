"""`python -m command replay TRACE --on REVISION`, or `--kernel PATH`: run a trace on a revision, beside the simple pool.

With `--shrink FILE`, a smaller trace that breaks the same claim, if there is one, is written there, and described instead.
"""

import argparse
import sys
from pathlib import Path

from command.files import put, usable
from command.line import Status, add_kernel, kernel_of, unknown
from hunt.revisions import REVISIONS, revisions
from hunt.shrink import measure, smallest
from model.bad_input import BadInput
from model.revision import KERNEL
from model.trace import TraceError, dumps, loads
from report.runs import scene_on
from report.text import coloured, run_as_text

A_TRACE = "TRACE=file names a trace, such as one of tests/traces/"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help="a JSON file; see model/trace.py")
    parser.add_argument("--on", metavar="REVISION", help=f"one of {', '.join(REVISIONS)}; default: series")
    add_kernel(parser, "run")
    parser.add_argument("--shrink", metavar="FILE", help="write a smaller trace that breaks the same claim")


def run(options: argparse.Namespace) -> Status:
    if options.kernel is not None and options.on is not None:
        raise BadInput(f"--on {options.on} and --kernel {options.kernel}: name one of them")
    kernel = kernel_of(options)
    on = KERNEL if kernel is not None else options.on or "series"
    if on not in revisions(kernel):
        raise unknown("revision", on, REVISIONS)
    try:
        with usable(options.trace, A_TRACE):
            text = Path(options.trace).read_text(errors="replace")
        scene = scene_on(loads(text), on, kernel)
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
        if measure(small) < measure(loads(text)):
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
