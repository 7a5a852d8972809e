"""`python -m command demo`: one proof, one refutation with its drawing, and one replay, in under a minute.

It runs three other subcommands as a user would type them, and needs no package but Z3. The exit status is 0 if each of
them ends as it should, and 1 if one does not.
"""

import argparse
import sys
import time
from pathlib import Path

from command import prove, replay

CLAIM = "block_lies_inside_its_page"
CASE = "boundary_above_the_page"
FOLDER = Path("reports") / "traces"
TRACE = FOLDER / f"v6.1-{CLAIM}-{CASE}.json"

PROOF, REFUTATION = f"{CLAIM}/series/u32", f"{CLAIM}/v6.1/u64/{CASE}"

STEPS = (
    ("With the patches of 2022, no block leaves its page; in v6.1, one can. The smallest example is kept.",
     prove.main, ["prove", PROOF, REFUTATION, "--fresh", "--traces", str(FOLDER)], 0),
    ("The example, run on v6.1 and drawn.", replay.main, ["replay", str(TRACE), "--on", "v6.1"], 1),
    ("The same operations, run with the patches.", replay.main, ["replay", str(TRACE), "--on", "series"], 0),
)  # fmt: skip
"""What to say, what to run, its arguments, and the exit status that it should have."""


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(prog="python -m command demo", description=(__doc__ or "").split("\n")[0]).parse_args(
        arguments
    )
    started = time.perf_counter()
    for title, run, (name, *rest), expected in STEPS:
        print(f"# {title}\n$ python -m command {' '.join([name, *rest])}")
        status = run(rest)
        print(flush=True)
        if status != expected:
            print(f"demo: {name} ended with status {status}, and should with {expected}", file=sys.stderr)
            return 1
    print(f"{len(STEPS)} commands in {time.perf_counter() - started:.1f} s, each as it should be.")
    return 0
