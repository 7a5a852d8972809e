"""`python -m proofs.audit`: evidence that the proofs mean what they say.

For each obligation that is proved: its premises can be met, for otherwise it were VACUOUS; dropping any one premise refutes
it; and so does each of its mutants, a change of one token in the code that it is about. An UNKNOWN is a failure.
"""

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

from proofs.__main__ import OneLineParser, fail, positive, select
from proofs.catalogue import OBLIGATIONS
from proofs.explore import Outcome, Verdict, explore
from proofs.mutants import MUTANTS, Mutant
from proofs.obligation import Obligation
from proofs.outputs import Unwritable, exit_with, put, show_progress, try_out
from proofs.solver import DEFAULT_LIMIT, Solver


def label(obligation: Obligation) -> str:
    """What a mutant names an obligation by."""
    return "/".join(filter(None, (obligation.claim.name, obligation.revision, obligation.case)))


def mutants_of(obligation: Obligation) -> list[Mutant]:
    return [mutant for mutant in MUTANTS if label(obligation) in mutant.refutes]


@dataclass
class Audit:
    """What became of an obligation: as it is, without each premise, and with each mutant."""

    obligation: str
    verdict: str
    dropped: dict[str, str] = field(default_factory=dict)
    mutants: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        refuted = all(verdict == "REFUTED" for verdict in [*self.dropped.values(), *self.mutants.values()])
        return self.verdict == "PROVED" and refuted and bool(self.mutants)


def audit(name: str, limit: int = DEFAULT_LIMIT) -> Audit:
    """Audit one obligation."""
    asked = OBLIGATIONS[name]
    started = time.perf_counter()
    outcome = explore(asked.body, asked.theory, Solver(limit=limit))
    result = Audit(name, outcome.verdict.value)
    for premise in outcome.premises:
        result.dropped[premise] = refuted(asked, limit, premise).verdict.value
    for mutant in mutants_of(asked):
        with mutant.planted():
            result.mutants[mutant.name] = refuted(asked, limit).verdict.value
    result.seconds = round(time.perf_counter() - started, 3)
    return result


def refuted(asked: Obligation, limit: int, dropped: str | None = None) -> Outcome:
    """Look for any counterexample; for the smallest one, where the first one is not confirmed on plain integers."""
    outcome = explore(asked.body, asked.theory, Solver(limit=limit), dropped, minimise=False)
    if outcome.verdict is Verdict.UNKNOWN:
        outcome = explore(asked.body, asked.theory, Solver(limit=limit), dropped)
    return outcome


def main(arguments: list[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m proofs.audit", description="Show that every premise and the code matter.")
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
    return [results[name] for name in names]


def as_text(results: list[Audit], seconds: float) -> str:
    """A line per obligation, and one per premise and mutant."""
    lines = []
    for result in results:
        lines.append(f"{'ok    ' if result.passed else 'FAILED'} {result.obligation:<70} {result.seconds:6.2f} s")
        lines += [f"         without {premise}: {verdict}" for premise, verdict in result.dropped.items()]
        lines += [f"         mutant  {mutant}: {verdict}" for mutant, verdict in result.mutants.items()]
    premises = sum(len(result.dropped) for result in results)
    mutants = sum(len(result.mutants) for result in results)
    failed = [result for result in results if not result.passed]
    lines += [
        "",
        f"{len(results)} proofs in {seconds:.1f} s: {premises} premises dropped, {mutants} mutants; {len(failed)} failed.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    exit_with(main)
