"""`python -m command kunit [TRACE]`: write what is promised as KUnit tests, for a kernel's own mm/; or one trace as a test.

Without a trace, it is a suite, mm/dmapool_kunit.c: a case for each claim, for pools of the directed runs and of the traces.
"""

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
from report.suite import KUNITCONFIG, kunit_suite
from report.text import show_progress


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "trace", metavar="TRACE", nargs="?", help="a JSON file that names the claim that it breaks; default: a suite"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="where the C goes; default: reports/kunit/dmapool_kunit.c, or dmapool_CLAIM_kunit.c",
    )
    parser.add_argument(
        "--kernel", metavar="PATH", help="run it in User Mode Linux, which is built from this full tree"
    )


def run(options: argparse.Namespace) -> Status:
    source = None if options.kernel is None else replace(find(options.kernel), real=True)
    if source is not None:
        full_tree(source)  # or nothing is written
    name, text = ("dmapool", kunit_suite()) if options.trace is None else test_of(options.trace)
    file = Path(options.out or f"reports/kunit/{name}_kunit.c")
    with usable(str(file)):
        file.parent.mkdir(parents=True, exist_ok=True)
    put(file, text)
    put(file.parent / ".kunitconfig", KUNITCONFIG)
    print(f"{file}: lay it into mm/, and add obj-$(CONFIG_KUNIT) += {file.stem}.o to mm/Makefile; then, in the tree:")
    print(f"tools/testing/kunit/kunit.py run --kunitconfig={file.parent.resolve()} --build_dir=FOLDER 'dmapool*'")
    if source is None:
        return Status.EXPECTED
    print(source)
    passes, said = run_kunit(source, text, show_progress)
    print("\n".join(said))
    if passes and options.trace is None:
        passes, said = run_kunit(source, text, show_progress, debug=True)
        print("\n".join(["with CONFIG_SLUB_DEBUG_ON:", *said]))
    return Status.EXPECTED if passes else Status.SURPRISE


def test_of(trace: str) -> tuple[str, str]:
    """The name and the C of a trace's test. Raises BadInput."""
    try:
        with usable(trace, A_TRACE):
            read = loads(Path(trace).read_text(errors="replace"))
        if read.claim is None:
            raise BadInput(f"{trace}: it names no claim that it breaks, and so nothing to test")
        return f"dmapool_{read.claim}", kunit_test(read, read.claim)
    except TraceError as error:
        raise BadInput(f"{trace}: {error}; {A_TRACE}") from error
