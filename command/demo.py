"""`python -m command demo`: one proof, one refutation with its drawing, and one replay, in under a minute.

It runs three other subcommands as a user would type them, and needs no package but Z3. Status 1 if one of them does not end
as it should.
"""

import argparse
import sys
import time
from pathlib import Path

from command.line import Status
from command.main import run as run_command

CLAIM = "block_lies_inside_its_page"
CASE = "boundary_above_the_page"
FOLDER = Path("reports") / "traces"
TRACE = FOLDER / f"v6.1-{CLAIM}-{CASE}.json"

PROOF, REFUTATION = f"{CLAIM}/series/u32", f"{CLAIM}/v6.1/u64/{CASE}"

STEPS = (
    ("With the patches of 2022, no block leaves its page; in v6.1, one can. The smallest example is kept.",
     ["prove", PROOF, REFUTATION, "--fresh", "--traces", str(FOLDER)], Status.EXPECTED),
    ("The example, run on v6.1 and drawn.", ["replay", str(TRACE), "--on", "v6.1"], Status.SURPRISE),
    ("The same operations, run with the patches.", ["replay", str(TRACE), "--on", "series"], Status.EXPECTED),
)  # fmt: skip
"""What to say, what to run, and the exit status that it should have."""


def add(parser: argparse.ArgumentParser) -> None:
    del parser  # there is nothing to choose


def run(options: argparse.Namespace) -> Status:
    del options
    started = time.perf_counter()
    for title, arguments, expected in STEPS:
        print(f"# {title}\n$ python -m command {' '.join(arguments)}")
        status = run_command(arguments)
        print(flush=True)
        if status != expected:
            print(f"demo: {arguments[0]} ended with status {status}, and should with {expected}", file=sys.stderr)
            return Status.SURPRISE
    print(f"{len(STEPS)} commands in {time.perf_counter() - started:.1f} s, each as it should be.")
    return Status.EXPECTED
