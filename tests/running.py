"""The command line, run for a test: in the test's own process by the fixture `command`, or in one of its own by `alone`."""

import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

from kernel.once import ROOT

TRACES = sorted((ROOT / "tests" / "traces").glob("*.json"))
"""Every past counterexample; its name begins with the revision that it breaks."""


class Ran(NamedTuple):
    status: int
    out: str
    err: str


Command = Callable[..., Ran]
"""Runs `python -m command` with the arguments that it is given, of whatever type."""


def alone(*arguments: object, python: tuple[str, ...] = ("-m", "command"), env: dict[str, str] | None = None) -> Ran:
    """What `python -m command`, or a Python that is started otherwise, does in a process of its own."""
    line = [sys.executable, *python, *map(str, arguments)]
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)
