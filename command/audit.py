"""`python -m command audit`: drop every premise of every proof, and plant its seeded bugs: each has to be refuted."""

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path

from bugs import BUGS, Bug
from command.bugs import Notice, obligations_of, plant_all
from command.output import Unwritable, put, show_progress, try_out
from command.prove import OneLineParser, fail, positive, select
from proofs.audit import Audit, audit
from proofs.catalogue import OBLIGATIONS
from proofs.engine.explore import Verdict


def main(arguments: list[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m command audit", description="Show that every premise and the code matter.")
    parser.add_argument("names", nargs="*", metavar="CLAIM", help="a claim, or one of its obligations; default: all")
    parser.add_argument("--json", metavar="FILE", help="write every result as JSON; - for standard output")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="processes (default: one per core)")
    options: argparse.Namespace = parser.parse_args(arguments)
    names = [name for name in select(options.names) if OBLIGATIONS[name].expected is Verdict.PROVED]
    try:
        try_out(options.json)
    except Unwritable as unwritable:
        fail(str(unwritable))
    started = time.perf_counter()
    results = audit_all(names, options.jobs)
    text = json.dumps([asdict(result) | {"passed": result.passed} for result in results], indent=1)
    if options.json == "-":
        print(text)
    else:
        print(as_text(results, time.perf_counter() - started))
        if options.json is not None:
            try:
                put(Path(options.json), text + "\n")
            except Unwritable as unwritable:
                fail(str(unwritable))
    return 0 if all(result.passed for result in results) else 1


def audit_all(names: list[str], jobs: int) -> list[Audit]:
    """Audit on several processes, with progress on a terminal; the results in the catalogue's order."""
    results: dict[str, Audit] = {}
    with ProcessPoolExecutor(max(1, min(jobs, len(names)))) as executor:
        running = {executor.submit(audit, name): name for name in names}
        for future in as_completed(running):
            results[running[future]] = future.result()
            show_progress(f"{len(results)} of {len(names)} obligations")
    show_progress("")
    with_bugs = [narrowed(bug, names) for bug in BUGS.values() if not bug.kernel]

    def done(bug: Bug, notice: dict[str, Notice]) -> None:
        for name, verdict in notice["prover"].verdicts.items():
            if name in results:
                results[name].bugs[bug.name] = verdict

    plant_all([bug for bug in with_bugs if bug.refuted], ("prover",), jobs, done)
    return [replace(results[name], bugs=dict(sorted(results[name].bugs.items()))) for name in names]


def narrowed(bug: Bug, names: list[str]) -> Bug:
    """The bug, which only these obligations have to notice. A claim that is named without a case is for `make bugs`."""
    in_full = [named for named in bug.refuted if "/" in named]
    return replace(bug, refuted=tuple(named for named in in_full if set(obligations_of(bug, named)) & set(names)))


def as_text(results: list[Audit], seconds: float) -> str:
    """A line per obligation, and one per premise and seeded bug."""
    lines = []
    for result in results:
        lines.append(f"{'ok    ' if result.passed else 'FAILED'} {result.obligation:<70} {result.seconds:6.2f} s")
        lines += [f"         without {premise}: {verdict}" for premise, verdict in result.dropped.items()]
        lines += [f"         bug     {bug}: {verdict}" for bug, verdict in result.bugs.items()]
    premises = sum(len(result.dropped) for result in results)
    bugs = len({bug for result in results for bug in result.bugs})
    failed = [result for result in results if not result.passed]
    lines += [
        "",
        f"{len(results)} proofs in {seconds:.1f} s: {premises} premises dropped, {bugs} bugs planted; {len(failed)} failed.",
    ]
    return "\n".join(lines)
