"""Traces run on the revisions that there are, for what is told and drawn of them."""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from model.lockstep import BrokenClaim, replay
from model.trace import Trace, TraceError, dumps
from report.results import Verdict
from report.scene import Scene, scene_of
from report.shrink import shrink
from report.text import coloured, refuted
from tests.targets import TARGETS
from tests.watchdog import begin, watchdog

SECONDS_OF_A_STEP = 0.25
"""While a trace is made smaller: many are tried, and one that hangs would take long."""


TRACES = Path(__file__).parent.parent / "reports" / "traces"
"""Where what breaks a claim is written at once."""


def keep(trace: Trace, name: str, folder: Path = TRACES) -> Path:
    """Write a trace; returns the file, as it is seen from here."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / (re.sub(r"[^\w.-]+", "-", name) + ".json")
    file.write_text(dumps(trace))
    return Path(os.path.relpath(file))


def surprise(verdict: Verdict, folder: Path = TRACES) -> str:
    """What refutes a claim that should hold, drawn; and how to replay it, if it can be run: its trace is written first."""
    found = verdict.counterexample
    assert found is not None
    if found.trace is None or verdict.revision not in TARGETS:
        return refuted(verdict, None)
    try:
        how = f"replay it: {replaying(keep(found.trace, f'{verdict.engine}-{verdict.name}', folder), verdict.revision)}"
    except OSError as error:
        how = f"its trace can't be written: {error.filename}: {error.strerror}"
    try:
        drawn = refuted(verdict, seen(found.trace, verdict.revision))
    except (TraceError, TimeoutError) as error:
        drawn = f"{refuted(verdict, None)}\n  its run cannot be drawn: {error}"
    return f"{drawn}\n\n  {how}"


def show(verdicts: Iterable[Verdict], folder: Path = TRACES) -> None:
    """Print what refutes a claim that should hold."""
    for verdict in verdicts:
        if not verdict.as_expected and verdict.counterexample is not None:
            print(f"\n{coloured(surprise(verdict, folder), sys.stdout)}")


def replaying(file: Path, on: str) -> str:
    return f"make replay TRACE={file} ON={on}"


def seen(trace: Trace, on: str) -> Scene:
    """A run, and the pool before and after what breaks. Raises TraceError, and TimeoutError for a run that takes too long."""
    with watchdog():
        return scene_of(trace, TARGETS[on], begin)


def smallest(trace: Trace, on: str) -> Trace:
    """A trace that breaks the same claim, with nothing in it that could be left out, as far as 20 seconds reach."""

    def replayed(candidate: Trace) -> Trace | None:
        try:
            replay(candidate, TARGETS[on], lambda: begin(SECONDS_OF_A_STEP))
        except BrokenClaim as broken:
            return broken.trace if broken.claim.name == trace.claim else None
        except (TraceError, TimeoutError):
            pass
        return None

    with watchdog():
        return shrink(trace, replayed)
