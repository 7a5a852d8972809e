"""`python -m command crosshair`: have CrossHair check the contracts of `proofs.contracts`, or what is named.

Status 1 also if a contract that is to be CONFIRMED was only SEARCHED.
"""

import argparse
import multiprocessing
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from itertools import groupby

from command.files import put_json, put_traces, try_out
from command.line import Status, add_jobs, add_json, add_names, add_traces, unknown
from model.claims import CLAIMS
from proofs.confirm import Result, confirm_named
from proofs.contracts import CONTRACTS
from report.runs import show, surprises
from report.text import show_progress
from report.verdicts import of_contract


def add(parser: argparse.ArgumentParser) -> None:
    add_names(parser, "CLAIM", "a claim, or one of its contracts")
    add_json(parser)
    add_traces(parser)
    add_jobs(parser)


def run(options: argparse.Namespace) -> Status:
    names = select(options.names)
    try_out(options.json, options.traces)
    started = time.perf_counter()
    results = confirm_all(names, options.jobs)
    if options.json != "-":
        print(as_text(results, time.perf_counter() - started))
    put_json(options.json, [asdict(result) for result in results])
    put_traces(options.traces, {result.short_name: result.counterexample for result in results})
    if options.json != "-":
        show(surprises(map(of_contract, results)))
    return Status.EXPECTED if all(result.as_expected for result in results) else Status.SURPRISE


def select(names: Iterable[str]) -> list[str]:
    """The contracts that are named by claim or in full; all of them if nothing is named. Raises BadInput."""
    chosen: dict[str, None] = {}
    for name in names:
        found = [contract.name for contract in CONTRACTS.values() if name in (contract.name, contract.claim.name)]
        if not found:
            claims = dict.fromkeys(contract.claim.name for contract in CONTRACTS.values())
            listed = f"there are contracts about {', '.join(claims)}"
            raise unknown("contract about", name, [*CONTRACTS, *claims], listed)
        chosen |= dict.fromkeys(found)
    return list(chosen or CONTRACTS)


def confirm_all(names: list[str], jobs: int) -> list[Result]:
    """Check contracts on several processes, with progress on a terminal; the results in the order of `names`.

    Each contract has a process of its own, so that what it finds doesn't depend on what ran before it.
    """
    results: dict[str, Result] = {}
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(names)), mp_context=fresh, max_tasks_per_child=1) as executor:
        running = {executor.submit(confirm_named, name): name for name in names}
        for future in as_completed(running):
            results[running[future]] = future.result()
            show_progress(f"{len(results)} of {len(names)} contracts: {running[future][:70]}")
    show_progress("")
    return [results[name] for name in names]


def as_text(results: list[Result], seconds: float) -> str:
    """The results by claim, with the refutations in words."""
    lines = []
    in_order = sorted(results, key=lambda result: list(CLAIMS).index(result.claim))
    for claim, of_claim in groupby(in_order, key=lambda result: result.claim):
        lines += ["", f"{claim}: {CLAIMS[claim].sentence}"]
        for result in of_claim:
            lines += told_of(result)
    odd = [result for result in results if not result.as_expected]
    outcomes = [result.outcome for result in results]
    counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in dict.fromkeys(outcomes))
    lines += ["", f"{len(results)} contracts in {seconds:.1f} s: {counts}; {len(odd)} not as expected."]
    lines += [f"  {result.contract} is {result.outcome}, {result.expected} was expected." for result in odd]
    return "\n".join(lines[1:])


def told_of(result: Result) -> list[str]:
    """One result: a line, and what people need to understand a refutation."""
    meaning = {
        "CONFIRMED": f"over all {result.paths} paths",
        "SEARCHED": f"nothing found on {result.paths} paths; not confirmed",
        "REFUTED": "as expected" if result.as_expected else "",
    }.get(result.outcome, "")
    surprise = "" if result.as_expected else f"{', ' * bool(meaning)}but {result.expected} was expected"
    line = f"  {result.outcome:<9} {result.revision:<6} {result.about:<54} {result.seconds:6.2f} s {meaning}{surprise}"
    lines = [line.rstrip()]
    if result.counterexample is not None:
        inputs = ", ".join(f"{name}={value}" for name, value in result.inputs.items())
        lines.append(f"            for      {inputs}")
        lines.append(f"            expected {result.counterexample['expected']}")
        lines.append(f"            actual   {result.counterexample['actual']}")
    if result.why:
        lines.append(f"            because  {result.why}")
    return lines
