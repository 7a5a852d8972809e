"""`python -m command kernels`: fetch the kernels to run against, once, into `.poolproof/kernels/`."""

import argparse

from command.line import Status
from kernel.fetch import RC, SUITES, fetch
from model.bad_input import BadInput

BY_NAME_ONLY = {False: (RC,), True: (RC, "v5.10")}
"""What is fetched only if it is named; of full trees, what no real kernel has been built from, too."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"of {', '.join(SUITES)}; default: all but {RC}")
    parser.add_argument(
        "--full",
        action="store_true",
        help="full trees, to build a kernel from: 1.5 GB each, in .poolproof/kernels-full",
    )


def run(options: argparse.Namespace) -> Status:
    for version in options.versions:
        if version not in SUITES:
            raise BadInput(
                f"there is no kernel {version!r} to fetch; Debian has {', '.join(SUITES)}; of any other, name a tree: KERNEL="
            )
    for version in options.versions or [version for version in SUITES if version not in BY_NAME_ONLY[options.full]]:
        fetch(version, options.full)
    return Status.EXPECTED
