"""`python -m command kunit TRACE --out FILE`: write a trace as a KUnit test, to lay beside a kernel's mm/dmapool.c."""

import argparse
from dataclasses import replace
from pathlib import Path

from command.files import put, usable
from command.line import Status
from command.replay import A_TRACE
from kernel.build import find
from kernel.real.build import full_tree
from kernel.real.kunit import run_kunit
from model.bad_input import BadInput
from model.trace import TraceError, loads
from report.kunit import kunit_test
from report.text import show_progress


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help="a JSON file that names the claim that it breaks")
    parser.add_argument("--out", metavar="FILE", help="where the C goes; default: reports/kunit/dmapool_CLAIM_kunit.c")
    parser.add_argument(
        "--kernel", metavar="PATH", help="run it in User Mode Linux, which is built from this full tree"
    )


def run(options: argparse.Namespace) -> Status:
    source = None if options.kernel is None else replace(find(options.kernel), real=True)
    if source is not None:
        full_tree(source)  # or nothing is written
    try:
        with usable(options.trace, A_TRACE):
            trace = loads(Path(options.trace).read_text(errors="replace"))
        if trace.claim is None:
            raise BadInput(f"{options.trace}: it names no claim that it breaks, and so nothing to test")
        file = Path(options.out or f"reports/kunit/dmapool_{trace.claim}_kunit.c")
        text = kunit_test(trace, trace.claim)
    except TraceError as error:
        raise BadInput(f"{options.trace}: {error}; {A_TRACE}") from error
    with usable(str(file)):
        file.parent.mkdir(parents=True, exist_ok=True)
    put(file, text)
    print(f"{file}: lay it into mm/, and add obj-$(CONFIG_KUNIT) += {file.stem}.o to mm/Makefile")
    if source is None:
        return Status.EXPECTED
    passes, said = run_kunit(source, text, show_progress)
    print(f"{source}\n" + "\n".join(said))
    return Status.EXPECTED if passes else Status.SURPRISE
