"""`python -m command volume --kernel PATH`: many operations of well-behaved drivers on a kernel's pools, in native loops."""

import argparse

from bench import native
from command.files import try_out
from command.line import Status, add_kernel, add_seed, kernel_of, number
from report.runs import TRACES


def add(parser: argparse.ArgumentParser) -> None:
    add_kernel(parser, "run", required=True)
    add_seed(parser, "of what is done")
    parser.add_argument(
        "--operations", type=number(1), default=native.OPERATIONS, help="for each pool (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> Status:
    kernel = kernel_of(options)
    assert kernel is not None, "--kernel is required"
    try_out(None, str(TRACES))  # where the operations that break a claim are kept
    sound = native.run(kernel, options.seed, options.operations)
    return Status.EXPECTED if sound else Status.SURPRISE
