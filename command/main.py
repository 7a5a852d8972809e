"""The subcommands, and how one is run: bad input is one line on standard error, and status 2."""

import shlex
import sys
from importlib import import_module
from pathlib import Path

from command.line import Parser, Status, unknown
from model.bad_input import BadInput

COMMANDS = {
    "demo": "one proof, one refutation with its drawing, and one replay, in under a minute",
    "prove": "prove what a DMA pool promises, of impl/ or of a kernel's own C",
    "audit": "drop every premise of every proof, and plant bugs: each has to refute the proof",
    "crosshair": "check the claims as contracts, with CrossHair",
    "fuzz": "hunt for broken claims with random operations",
    "replay": "run a trace on a revision, beside the oracle, and draw what breaks",
    "kunit": "write what is promised, or a trace, as KUnit tests for a kernel's own tree",
    "compare": "run two kernels with the same operations, and say what a driver would see change",
    "review": "say what each patch of a series changes, breaks and keeps, to paste into a reply",
    "report": "ask the engines, and write pages, SARIF, JUnit XML, JSON, traces and SMT-LIB 2",
    "bugs": "plant each seeded bug, and see who notices it",
    "history": "plant the bugs that mm/dmapool.c has had: which claim notices each, and how soon",
    "drawn": "plant changes of one token in a kernel's file, drawn by a seed, and see who notices",
    "claims": "write the tables of claims into README.md and docs/claims.md",
    "kernels": "fetch the kernels to run against, once",
    "real": "build User Mode Linux from a kernel tree, to run its mm/dmapool.c where it belongs",
    "bench": "measure pools, the prover and the hunt",
    "volume": "run a million operations of well-behaved drivers on a kernel's pools",
}
"""The subcommands: each is a module of this folder, whose `add` gives a parser its options, and whose `run` does the work."""


def main(arguments: list[str]) -> int:
    """Run a subcommand: its exit status. Bad input is one line on standard error."""
    try:
        return run(arguments)
    except BadInput as bad:
        message = str(bad)
    except ModuleNotFoundError as missing:
        package = str(missing.name).partition(".")[0]
        if (Path(__file__).parent.parent / package).is_dir():
            raise  # that is ours, and no package to install
        message = f"the Python package {package!r} is missing; `make setup` installs it into .venv"
    name = arguments[0] if arguments and arguments[0] in COMMANDS else "poolproof"
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    return Status.NO_ANSWER


def run(arguments: list[str]) -> int:
    """Raises BadInput, and ModuleNotFoundError where a package is missing."""
    parser = Parser(prog="python -m command", description="Check the Linux kernel's DMA pool allocator.")
    subparsers = parser.add_subparsers(metavar="COMMAND")
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=f"{name}: {summary}.", allow_abbrev=False)
        if arguments[:1] == [name]:  # only this one is imported: others may need packages that are not there
            module = import_module(f"command.{name}")
            module.add(subparser)
            subparser.set_defaults(run=module.run, as_typed=shlex.join(["python", "-m", "command", *arguments]))
    if not arguments:
        raise BadInput(f"say what to do: one of {', '.join(COMMANDS)}")
    if arguments[0] not in (*COMMANDS, "-h", "--help"):
        raise unknown("subcommand", arguments[0], COMMANDS)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status
