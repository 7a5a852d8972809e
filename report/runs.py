"""Traces run on the revisions that there are, for what is told and drawn of them."""

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from model.lockstep import KERNEL, BrokenClaim, Lockstep, rerun
from model.trace import Trace, TraceError, dumps, loads
from report.results import Verdict, replaying
from report.scene import Scene, scene_of
from report.shrink import shrink
from report.text import coloured, refuted
from tests.targets import TARGETS, twin_of
from tests.watchdog import SECONDS, begin, watchdog

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


@dataclass(frozen=True)
class Exhibit:
    """A refutation as it is shown: the run of its trace, and how to replay it, where it has one; `trouble` is what stands in
    the way of either."""

    verdict: Verdict
    scene: Scene | None = None
    replay: str = ""
    trouble: str = ""


def exhibit(verdict: Verdict, folder: Path = TRACES) -> Exhibit:
    """Run what refutes a claim, if it can be run, and write its trace into a folder."""
    found = verdict.counterexample
    assert found is not None
    if found.trace is None or verdict.revision not in TARGETS:
        return Exhibit(verdict)
    scene, replay, trouble = None, "", ""
    try:
        scene = seen(found.trace, verdict.revision)
    except (TraceError, TimeoutError) as error:
        trouble = f"its run cannot be drawn: {error}"
    if scene is not None and scene.broken is None:
        return Exhibit(verdict, trouble="its run breaks no claim: what is wrong can't be seen from outside the pool")
    try:
        trace = found.trace if scene is None else scene.trace
        replay = replaying(keep(trace, f"{verdict.engine}-{verdict.name}", folder), verdict.revision)
    except OSError as error:
        trouble = f"its trace can't be written: {error.filename}: {error.strerror}"
    return Exhibit(verdict, scene, replay, trouble)


def surprises(verdicts: Iterable[Verdict]) -> list[Exhibit]:
    """What refutes claims that should hold."""
    return [exhibit(one) for one in verdicts if not one.as_expected and one.counterexample is not None]


def in_text(shown: Exhibit) -> str:
    """A refutation on the terminal, and how to replay it."""
    how = [shown.trouble] if shown.trouble else []
    how += [f"replay it: {shown.replay}"] if shown.replay else []
    return "\n\n  ".join([refuted(shown.verdict, shown.scene), *how])


def show(exhibits: Iterable[Exhibit]) -> None:
    """Print those that nobody expected."""
    for one in exhibits:
        if not one.verdict.as_expected:
            print(f"\n{coloured(in_text(one), sys.stdout)}")


def seen(trace: Trace, on: str) -> Scene:
    """A run, and the pool before and after what breaks. Raises TraceError, and TimeoutError for a run that takes too long."""
    with watchdog():
        return scene_of(trace, TARGETS[on], begin)


def smallest(trace: Trace, on: str) -> Trace:
    """A trace that breaks the same claim, with nothing in it that could be left out, as far as 20 seconds reach.

    Of a pool that nobody has damaged, since what a damaged one does may be no news. And of a kernel's own file: one that does
    not break the revision of impl/ as well that promises the same, or it would be something that is known.
    """

    def run(candidate: Trace, seconds: float, on: str = on) -> tuple[Trace | None, bool]:
        """What breaks the claim, and whether the pool was damaged before."""
        lockstep = Lockstep(TARGETS[on], candidate.kernel, candidate.claim)
        try:
            rerun(candidate, lockstep, lambda: begin(seconds))
        except BrokenClaim as broken:
            return (broken.trace if broken.claim.name == trace.claim else None), bool(lockstep.damaged_by)
        except (TraceError, TimeoutError):
            pass
        return None, False

    def replayed(candidate: Trace) -> Trace | None:
        try:
            readable = loads(dumps(candidate))  # what cannot be read, nobody could replay
        except TraceError:
            return None
        found, damaged = run(readable, SECONDS_OF_A_STEP)
        if found is None or (damaged and not was_damaged):
            return None
        return found if twin is None or run(found, SECONDS_OF_A_STEP, twin)[0] is None else None

    twin = twin_of(TARGETS[on].promises) if on == KERNEL else None
    with watchdog():
        _, was_damaged = run(trace, SECONDS)
        if twin is not None and run(trace, SECONDS, twin)[0] is not None:
            twin = None
        return shrink(trace, replayed)
