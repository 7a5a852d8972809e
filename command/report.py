"""`python -m command report`: ask the engines, and write what they say as pages, SARIF, JUnit XML, JSON, traces and SMT-LIB 2.

With status 1, too, the whole report is there.
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from command.files import try_out, usable
from command.fuzz import hunt_all
from command.line import Status, add_kernel, add_profile, kernel_of, say_how_to_confirm, unknown
from hunt.fuzz import HUNTED
from hunt.revisions import REVISIONS, KernelFile
from kernel.build import Variant
from kernel.once import ROOT
from model.bad_input import BadInput
from model.geometry import counted
from model.revision import KERNEL
from model.trace import TraceError, loads
from proofs.engine.obligation import Result, Settings
from report.files import write_whole
from report.formats import as_junit, as_sarif
from report.pages import index
from report.runs import Finding, findings_of, scene_on, show, with_real_runs
from report.text import show_progress
from report.verdicts import EngineVerdict, message, of_hunt, of_proof, of_trace

PAST = ROOT / "tests" / "traces"
ENGINES = {"prove": "prover", "fuzz": "hunt", "crosshair": "contracts"}
"""The engines as `make` calls them, and as their verdicts do."""


Tallies = dict[str, dict[str, int]]
"""What the state machine has met on each revision, and how often."""


@dataclass
class Said:
    """What the engines say; of a kernel's file, also what the prover and the hunt have run of it."""

    verdicts: list[EngineVerdict] = field(default_factory=list)
    tallies: Tallies = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    lines: Mapping[int, int] = field(default_factory=dict)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "engines", nargs="*", metavar="ENGINE", help=f"of {', '.join(ENGINES)}; default: prove and fuzz"
    )
    parser.add_argument("--out", default="reports", metavar="FOLDER", help="default: reports")
    add_profile(parser, "dev")
    add_kernel(parser, "ask them about", hunts=True)


def run(options: argparse.Namespace) -> Status:
    engines, folder = options.engines or ["prove", "fuzz"], Path(options.out)
    for engine in engines:
        if engine not in ENGINES:
            raise unknown("engine", engine, ENGINES)
    if options.kernel is not None and "crosshair" in engines:
        raise BadInput("CrossHair reads Python only: ask prove or fuzz about a kernel")
    if "prove" in engines and (options.promises is not None or options.announce):
        raise BadInput("--promises and --announce are for the hunt, and the prover shows what holds: ask fuzz only")
    kernel = kernel_of(options)
    with usable(options.out, "name a folder that can be written with --out"):
        clear(folder)
    try_out(None, *(str(folder / part) for part in ("traces", "smt2")))
    if kernel is not None:
        print(kernel.source)
    said = Said()
    for engine in engines:
        ask(engine, folder, options.profile, kernel, said)
    said.verdicts += past_counterexamples() if kernel is None else []
    with usable(options.out, "name a folder that can be written with --out"):
        coverage = "" if kernel is None else write_coverage(folder, kernel, said)
        said.verdicts = with_real_runs(said.verdicts, kernel)
        findings = findings_of(said.verdicts, folder / "traces", kernel)
        show(findings)
        for one in said.verdicts:
            if not one.as_expected and one.counterexample is None:
                print(f"\n{message(one)}")
        write(folder, said.verdicts, findings, said.tallies, options.as_typed, engines, kernel, coverage)
    wrong = [verdict for verdict in said.verdicts if not verdict.as_expected]
    print(f"{folder / 'index.html'}: {counted(len(said.verdicts), 'verdict')}, {len(wrong)} not as expected")
    if kernel is not None:
        print(kernel.source)
        say_how_to_confirm(kernel.source, [one for one in findings if one.scene is not None])
    return Status.SURPRISE if wrong else Status.EXPECTED


def clear(folder: Path) -> None:
    """Make the folders, and take away what an earlier report has left in them, but for the traces: they may be a hunt's."""
    for part in ("traces", "smt2"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name in ("index.html", "coverage.html", "results.sarif", "junit.xml", "results.json"):
        (folder / name).unlink(missing_ok=True)  # or, if an engine fails, they would be taken for this report
    for old in (folder / "smt2").glob("*.smt2"):
        old.unlink()


def ask(engine: str, folder: Path, profile: str, kernel: KernelFile | None, said: Said) -> None:
    """Run an engine, which shows its progress, and note what it says. The prover's queries are written into `folder`. Raises
    BadInput.

    An engine is imported here, since each needs packages of its own.
    """
    jobs = os.cpu_count() or 1
    if engine == "prove":
        from command.prove import write_smt2
        from proofs.catalogue import catalogue_of
        from proofs.run import Where, prove_named

        path = None if kernel is None else kernel.path
        results = prove_named(list(catalogue_of(path)), Settings(smt2=True), Where(path, None, jobs), show_progress)
        write_smt2(results, folder / "smt2")
        said.results += results
        said.verdicts += [of_proof(result, path or "") for result in results]
    elif engine == "crosshair":
        from command.crosshair import FUNCTIONS, check_all

        said.verdicts += check_all(FUNCTIONS, jobs)
    else:
        # Of optimised code, it is not known which lines were run.
        plain = None if kernel is None else replace(kernel, variant=Variant(optimised=False))
        hunts = hunt_all(HUNTED if kernel is None else [KERNEL], None, profile, plain)
        said.verdicts += [verdict for hunt in hunts for verdict in of_hunt(hunt)]
        said.tallies |= {hunt.revision: dict(sorted(hunt.tally.events.items())) for hunt in hunts}
        said.lines = hunts[0].lines if kernel is not None else {}


def write_coverage(folder: Path, kernel: KernelFile, said: Said) -> str:
    """Write the kernel's file as a page, where both the prover and the hunt were asked: what it says in a line. Raises
    OSError."""
    from report.coverage import coverage_of, in_a_line, page

    if not (said.results and said.lines):
        why = "ask prove and fuzz for it"
        if shutil.which("addr2line") is None:
            why = "it needs addr2line: install binutils"
        if kernel.source.real:
            why = "which lines are run is counted in the shim only"
        print(f"coverage.html is left out: {why}")
        return ""
    coverage = coverage_of(kernel.source, said.results, said.lines)
    write_whole(folder / "coverage.html", page(coverage))
    print(f"{folder / 'coverage.html'}: {in_a_line(coverage)}")
    return in_a_line(coverage)


def past_counterexamples() -> list[EngineVerdict]:
    """Every trace of the past, run again on the revision that its name begins with: it has to break its claim. Raises
    BadInput for one that cannot be run."""
    verdicts = []
    for file in sorted(PAST.glob("*.json")):
        revision = file.name.partition("-")[0]
        if revision not in REVISIONS:
            raise BadInput(f"{file}: its name has to begin with a revision, and {revision!r} is none")
        try:
            trace = loads(file.read_text())
            broken = scene_on(trace, revision).broken
        except (UnicodeDecodeError, TraceError, TimeoutError) as error:
            raise BadInput(f"{file}: {error}") from error
        claim = broken.claim.name if broken is not None else str(trace.claim)
        name = file.stem.removeprefix(f"{revision}-")
        found = None if broken is None else of_trace(broken.trace)
        outcome = "SEARCHED" if broken is None else "BROKEN"
        verdicts.append(
            EngineVerdict(
                "replay", file.stem, claim, revision, outcome, "BROKEN", broken is not None, 0.0, name, {}, found
            )
        )
    return verdicts


def write(
    folder: Path,
    verdicts: list[EngineVerdict],
    findings: list[Finding],
    tallies: Tallies,
    command: str,
    engines: Iterable[str],
    kernel: KernelFile | None = None,
    coverage: str = "",
) -> None:
    """The page, SARIF, JUnit XML and JSON. Raises OSError."""
    page = index(
        verdicts,
        findings,
        tallies,
        command,
        [ENGINES[engine] for engine in engines],
        str(kernel.source) if kernel else "",
        coverage,
    )
    write_whole(folder / "results.sarif", as_sarif(verdicts, kernel))
    write_whole(folder / "junit.xml", as_junit(verdicts, kernel))
    write_whole(folder / "results.json", json.dumps([verdict.to_json() for verdict in verdicts], indent=1) + "\n")
    write_whole(folder / "index.html", page)
