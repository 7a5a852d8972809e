"""`python -m command SUBCOMMAND …`: everything that poolproof does, under one name. `command.line` has the exit statuses."""

import atexit
import ctypes
import multiprocessing
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType

from command.line import Parser, Status, unknown
from model.bad_input import BadInput

PR_SET_PDEATHSIG = 1
"""Of prctl(2): which signal this process gets when its parent ends."""

COMMANDS = {
    "demo": "one proof, one refutation with its drawing, and one replay, in under a minute",
    "prove": "prove what a DMA pool promises, of impl/ or of a kernel's own C",
    "audit": "drop every premise of every proof, and plant bugs: each has to refute the proof",
    "crosshair": "check the claims as contracts, with CrossHair",
    "fuzz": "hunt for broken claims with random operations",
    "replay": "run a trace on a revision, beside the simple pool, and draw what breaks",
    "compare": "run two kernels with the same operations, and say what a driver would see change",
    "review": "say what each patch of a series changes, breaks and keeps, to paste into a reply",
    "report": "ask the engines, and write pages, SARIF, JUnit XML, JSON, traces and SMT-LIB 2",
    "bugs": "plant each seeded bug, and see who notices it",
    "history": "plant the bugs that mm/dmapool.c has had: which claim notices each, and how soon",
    "drawn": "plant changes of one token in a kernel's file, drawn by a seed, and see who notices",
    "claims": "write the tables of claims into README.md and docs/claims.md",
    "kernels": "fetch the kernels to run against, once",
    "bench": "measure pools, the prover and the hunt",
    "volume": "run a million operations of well-behaved drivers on a kernel's pools",
}
"""The subcommands: each is a module of this folder, whose `add` gives a parser its options, and whose `run` does the work."""


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand: its exit status. Bad input is one line on standard error."""
    arguments = sys.argv[1:] if arguments is None else arguments
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
            subparser.set_defaults(run=module.run)
    if not arguments:
        raise BadInput(f"say what to do: one of {', '.join(COMMANDS)}")
    if arguments[0] not in (*COMMANDS, "-h", "--help"):
        raise unknown("subcommand", arguments[0], COMMANDS)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status


def end_on_interrupt() -> None:
    """Have Ctrl-C end this process at once, and the end of this process, whatever its cause, its workers.

    Nothing is raised for that: an exception in the midst of a fork would leave a worker that nobody knows of, and one in a
    finaliser would be lost. A worker leaves Ctrl-C to this process: it could be inside a solver, which takes an interrupt for
    a question that it gave up.
    """
    here = forking = os.getpid()
    kernel = ctypes.CDLL(None)

    def interrupted(_: int, __: FrameType | None) -> None:
        if os.getpid() == here:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one finds it ending
            for worker in multiprocessing.active_children():
                worker.terminate()
            os.write(2, b"\npoolproof: interrupted\n")
            atexit._run_exitfuncs()  # temporary folders are removed
            os._exit(Status.INTERRUPTED)

    def before_fork() -> None:
        nonlocal forking
        forking = os.getpid()

    def in_worker() -> None:
        kernel.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != forking:  # which has ended before it was asked to tell
            os._exit(Status.INTERRUPTED)

    os.register_at_fork(before=before_fork, after_in_child=in_worker)
    signal.signal(signal.SIGINT, interrupted)


if __name__ == "__main__":
    end_on_interrupt()
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain once more
        status = Status.READER_LEFT
    sys.exit(status)
