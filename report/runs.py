"""Traces run on the revisions that there are, for what is told and drawn of them."""

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hunt.confirm import confirmed
from hunt.revisions import KernelFile, revisions
from hunt.watchdog import begin, watchdog
from kernel.once import ROOT
from model.trace import Trace, TraceError, dumps
from report.files import write_whole
from report.scene import Scene, scene_of
from report.text import coloured, finding_as_text
from report.verdicts import REAL, EngineVerdict, replaying

TRACES = ROOT / "reports" / "traces"
"""Where what breaks a claim is written at once."""


def keep(trace: Trace, name: str, folder: Path = TRACES) -> Path:
    """Write a trace; returns the file, as it is seen from here."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / (re.sub(r"[^\w.-]+", "-", name) + ".json")
    write_whole(file, dumps(trace))
    return Path(os.path.relpath(file))


@dataclass(frozen=True)
class Finding:
    """A refutation as a report has it: the run of its trace, and how to replay it, where it has one; `trouble` is what
    stands in the way of either."""

    verdict: EngineVerdict
    scene: Scene | None = None
    replay: str = ""
    trouble: str = ""


def finding_of(verdict: EngineVerdict, folder: Path = TRACES, kernel: KernelFile | None = None) -> Finding:
    """Run what refutes a claim, if it can be run, and write its trace into a folder."""
    found = verdict.counterexample
    assert found is not None
    if found.trace is None or verdict.revision not in revisions(kernel):
        return Finding(verdict)
    scene, replay, trouble = None, "", ""
    try:
        scene = scene_on(found.trace, verdict.revision, kernel)
    except (TraceError, TimeoutError) as error:
        trouble = f"its run cannot be drawn: {error}"
    if scene is not None and scene.broken is None:
        return Finding(verdict, trouble="its run breaks no claim: what is wrong can't be seen from outside the pool")
    try:
        trace = found.trace if scene is None else scene.trace
        of_file = f"-{kernel.source.label()}" if kernel is not None else ""  # or files of two kernels would be one
        file = keep(trace, f"{verdict.engine}-{verdict.name}{of_file}", folder)
        replay = replaying(file, verdict.revision, kernel)
    except OSError as error:
        trouble = f"its trace can't be written: {error.filename}: {error.strerror}"
    return Finding(verdict, scene, replay, trouble)


def findings_of(
    verdicts: Iterable[EngineVerdict], folder: Path = TRACES, kernel: KernelFile | None = None
) -> list[Finding]:
    """What refutes claims."""
    return [finding_of(one, folder, kernel) for one in verdicts if one.counterexample is not None]


def with_real_runs(verdicts: Iterable[EngineVerdict], kernel: KernelFile | None) -> list[EngineVerdict]:
    """The verdicts, with what a real kernel does in the run that refutes a claim, if one has been built."""

    def evidence(verdict: EngineVerdict) -> dict[str, str]:
        run = verdict.counterexample.trace if verdict.counterexample is not None else None
        said = "" if kernel is None or run is None or run.claim is None else confirmed(run, kernel)
        return verdict.evidence | ({REAL: said} if said else {})

    return [replace(one, evidence=evidence(one)) for one in verdicts]


def surprises(verdicts: Iterable[EngineVerdict], kernel: KernelFile | None = None) -> list[Finding]:
    """What refutes claims that should hold."""
    wrong = [one for one in verdicts if not one.as_expected]
    return findings_of(with_real_runs(wrong, kernel), kernel=kernel)


def in_text(finding: Finding) -> str:
    """A refutation on the terminal, and how to replay it."""
    real, replay = finding.verdict.evidence.get(REAL), finding.replay
    how = [*filter(None, (finding.trouble, real, replay and f"replay it: {replay}"))]
    return "\n\n  ".join([finding_as_text(finding.verdict, finding.scene), *how])


def show(findings: Iterable[Finding]) -> None:
    """Print those that nobody expected."""
    for one in findings:
        if not one.verdict.as_expected:
            print(f"\n{coloured(in_text(one), sys.stdout)}")


def scene_on(trace: Trace, on: str, kernel: KernelFile | None = None) -> Scene:
    """A run, and the pool before and after what breaks. Raises TraceError, and TimeoutError for a run that takes too long."""
    with watchdog():
        return scene_of(trace, revisions(kernel)[on], begin)
