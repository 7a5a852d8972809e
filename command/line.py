"""What the subcommands have in common: exit statuses, the parser, and the options that several of them take."""

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import NoReturn

from hunt.confirm import how_to_confirm
from hunt.revisions import KernelFile, kernel_file
from kernel.build import Source
from model.bad_input import BadInput
from model.claims import CLAIMS


class Status(IntEnum):
    """How a command ends. (`make` turns every status but 0 into 2.)"""

    EXPECTED = 0
    """Every verdict is the expected one; no claim breaks; nothing differs; every seeded bug is noticed."""

    SURPRISE = 1
    """A verdict is another one, a claim breaks, two kernels differ, or a seeded bug is not noticed."""

    NO_ANSWER = 2
    """Bad input, something that is missing, or a solver that gave up: one line on standard error says what to do."""


class Parser(argparse.ArgumentParser):
    """A parser that reports bad arguments as BadInput, instead of printing its usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see --help")


def number(least: int = 0, most: int = 2**31 - 1) -> Callable[[str], int]:
    """An option's type: a decimal number from `least` to `most`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or len(text) > 20 or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"a number from {least} to {most} is needed, not {text!r}")
        return int(text)

    return parse


def add_names(parser: argparse.ArgumentParser, kind: str, what: str) -> None:
    parser.add_argument("names", nargs="*", metavar=kind, help=f"{what}; default: all")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write every result as JSON; - for standard output")


def add_traces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--traces", metavar="FOLDER", help="write the trace of every refutation that has one")


def add_jobs(parser: argparse.ArgumentParser) -> None:
    jobs = os.cpu_count() or 1
    parser.add_argument("--jobs", type=number(1), default=jobs, help="processes (default: one per core)")


def add_seed(parser: argparse.ArgumentParser, of: str, most: int = 2**64 - 1) -> None:
    parser.add_argument("--seed", type=number(0, most), default=0, help=f"{of} (default: 0)")


def add_profile(parser: argparse.ArgumentParser, default: str) -> None:
    from hunt.profiles import OF_HUNTS  # here, since only those who hunt need Hypothesis

    parser.add_argument("--profile", default=default, choices=OF_HUNTS, help="how long to hunt (default: %(default)s)")


def add_kernel(
    parser: argparse.ArgumentParser, what: str, *, required: bool = False, runs: bool = True, hunts: bool = False
) -> None:
    """The options of a command that can be about a kernel's own file; of one that `runs` it, and of one that `hunts` in it."""
    parser.add_argument(
        "--kernel",
        metavar="PATH",
        required=required,
        help=f"{what} a kernel tree's mm/dmapool.c, or a single file; TREE@COMMIT is a commit of a git tree",
    )
    if runs:
        add_real(parser)
        parser.add_argument(
            "--promises",
            metavar="WHAT",
            help="hold the file to what this revision, or a TOML file, promises, and not to what is found by trying it",
        )
    if hunts:
        add_announce(parser)


def add_real(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--real",
        action="store_true",
        help="run it in a real kernel, User Mode Linux, which is built from the tree; see docs/real-kernel.md",
    )


def add_announce(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--announce",
        action="append",
        default=[],
        metavar="CLAIM",
        help="a claim that is meant to change: no finding; may be repeated",
    )


def announced(options: argparse.Namespace) -> list[str]:
    """What `--announce` names. Raises BadInput."""
    names = list(getattr(options, "announce", []))
    for name in names:
        if name not in CLAIMS:
            raise unknown("claim", name, CLAIMS, "docs/claims.md lists them")
    return names


def kernel_of(options: argparse.Namespace) -> KernelFile | None:
    """The kernel's file that the options of `add_kernel` name, compiled. Raises BadInput."""
    if options.kernel is not None:
        return kernel_file(options.kernel, options.promises, announced(options), getattr(options, "real", False))
    for name in ("promises", "announce", "real"):
        if getattr(options, name, None):
            raise BadInput(f"--{name} is about a kernel: name one with --kernel")
    return None


def say_how_to_confirm(source: Source | None, found: object) -> None:
    """How a real kernel could confirm what was found in a file, unless nothing was, or one was at hand."""
    if source is not None and found and (how := how_to_confirm(source)):
        print(how, file=sys.stderr)


def unknown(kind: str, name: str, known: Iterable[str], listed: str = "") -> BadInput:
    """The error about a name that does not exist: it says the nearest one that does, or else where all are `listed`."""
    known = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else listed or f"there are {', '.join(known)}"
    return BadInput(f"there is no {kind} {name!r}; {hint}")
