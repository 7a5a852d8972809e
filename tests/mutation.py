"""`python -m tests.mutation`: change the code a token at a time, and print which changes none of the quick tests notices.

mutmut changes impl/ and model/; what it leaves alone, the claims and the promises, is cosmic-ray's, in a copy. The quick tests
are those that need no solver (`tool.mutmut` in pyproject.toml, cosmic-ray.toml). Exit status: 0 whatever survives, 2 where a
tool is missing or fails.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests.who_notices import copy_to

ROOT = Path(__file__).parent.parent
TOOLS = Path(sys.executable).parent
COPY = ROOT / ".poolproof" / "mutation"
OUTCOMES = ("killed", "timeout", "survived", "no tests")


@dataclass(frozen=True)
class Change:
    """One change, and what became of it."""

    file: str
    outcome: str  # one of OUTCOMES
    diff: str  # or the name that `mutmut show` tells the change of


def run(tool: str, *arguments: str, folder: Path = ROOT) -> str:
    """What a tool prints; what it says of its progress goes to stderr as it comes."""
    command = [str(TOOLS / tool), *arguments]
    silent = subprocess.PIPE if arguments[0] != "run" else sys.stderr
    # The test commands find Python on the path; `dev` draws the same inputs for every change.
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HYPOTHESIS_PROFILE": "dev"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=silent, text=True, check=False)
    except FileNotFoundError:
        fail(f"{tool} is missing; `make mutation` installs it into .venv")
    if done.returncode:
        fail(f"`{tool} {' '.join(arguments)}` ended with status {done.returncode}")
    return done.stdout or ""


def by_mutmut() -> list[Change]:
    run("mutmut", "run")
    changes = []
    for line in run("mutmut", "results", "--all", "true").splitlines():
        name, _, outcome = line.strip().partition(": ")
        module = name.partition(".x")[0]
        changes.append(Change(module.replace(".", "/") + ".py", outcome, f"  mutmut show {name}"))
    return changes


def by_cosmic_ray() -> list[Change]:
    """In a copy, since it changes the files themselves."""
    shutil.rmtree(COPY, ignore_errors=True)
    copy_to(COPY)
    for file in ("pyproject.toml", "cosmic-ray.toml"):
        shutil.copy(ROOT / file, COPY)
    run("cosmic-ray", "init", "cosmic-ray.toml", "session.sqlite", folder=COPY)
    run("cr-filter-operators", "session.sqlite", "cosmic-ray.toml", folder=COPY)
    run("cosmic-ray", "exec", "cosmic-ray.toml", "session.sqlite", folder=COPY)
    changes = []
    for line in run("cosmic-ray", "dump", "session.sqlite", folder=COPY).splitlines():
        work, result = json.loads(line)
        if result["worker_outcome"] != "skipped":
            outcome = "timeout" if result["output"] == "timeout" else result["test_outcome"]
            changed = [
                line for line in result["diff"].splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
            ]
            changes.append(Change(work["mutations"][0]["module_path"], outcome, "\n".join(changed)))
    return changes


def table(changes: list[Change]) -> str:
    """A row for each file: how many changes came to what, and how many of a hundred are noticed."""
    rows = [f"{'':<24}" + "".join(f"{outcome:>10}" for outcome in OUTCOMES) + f"{'noticed':>10}"]
    for file in (*sorted({change.file for change in changes}), ""):
        counted = Counter(change.outcome for change in changes if change.file.startswith(file))
        noticed = (counted["killed"] + counted["timeout"]) / counted.total()
        cells = "".join(f"{counted[outcome]:>10}" for outcome in OUTCOMES)
        rows.append(f"{file or 'all':<24}{cells}{noticed:>10.0%}")
    return "\n".join(rows)


def fail(message: str) -> NoReturn:
    """Say in one line what to do, and exit with status 2."""
    print(f"mutation: {message}", file=sys.stderr)
    raise SystemExit(2)


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(
        prog="python -m tests.mutation", description="Change every token of model/ and impl/."
    ).parse_args(arguments)
    changes = by_mutmut() + by_cosmic_ray()
    for change in changes:
        if change.outcome == "survived":
            print(f"{change.file}\n{change.diff}")
    print(table(changes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
