"""`python -m command crosshair`: have CrossHair check the contracts of `proofs.contracts`, or what is named.

Status 1 also if a contract that is to be CONFIRMED was only SEARCHED.
"""

import argparse
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict

from command.files import put_json, put_traces, try_out
from command.line import Status, add_jobs, add_json, add_names, add_traces, unknown
from proofs.confirm import CONTRACTS, ContractResult, confirm
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
    put_traces(
        options.traces, {f"{one.revision}-{one.contract.replace('/', '-')}": one.counterexample for one in results}
    )
    if options.json != "-":
        show(surprises(map(of_contract, results)))
    return Status.EXPECTED if all(result.as_expected for result in results) else Status.SURPRISE


def select(names: Iterable[str]) -> list[str]:
    """The contracts that are named by claim or in full; all of them if nothing is named. Raises BadInput."""
    chosen: dict[str, None] = {}
    claims = dict.fromkeys(contract.partition("/")[0] for contract in CONTRACTS)
    for name in names:
        found = [contract for contract in CONTRACTS if name in (contract, contract.partition("/")[0])]
        if not found:
            raise unknown(
                "contract about", name, [*CONTRACTS, *claims], f"there are contracts about {', '.join(claims)}"
            )
        chosen |= dict.fromkeys(found)
    return list(chosen or CONTRACTS)


def confirm_all(names: list[str], jobs: int) -> list[ContractResult]:
    """Check contracts, with progress on a terminal; the results in the order of `names`. Each has a process of its own, since
    what CrossHair finds depends on what ran before: a copy of one that has loaded CrossHair, and done nothing else."""
    fresh = multiprocessing.get_context("forkserver")
    fresh.set_forkserver_preload([confirm.__module__])
    with ProcessPoolExecutor(
        min(jobs, len(names)),
        mp_context=fresh,
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),  # this process ends them
        max_tasks_per_child=1,
    ) as executor:
        running = {executor.submit(confirm, name): name for name in names}
        for number, future in enumerate(as_completed(running), 1):
            show_progress(f"{number} of {len(names)} contracts: {running[future]}")
    show_progress("")
    return [future.result() for future in running]


def as_text(results: list[ContractResult], seconds: float) -> str:
    """A line for each result, with the refutations in words; and how many there are of each outcome."""
    lines = []
    for result in results:
        surprise = "" if result.as_expected else f", but {result.expected} was expected"
        line = f"{result.outcome:<9} {result.contract:<52} {result.revision:<6} {result.seconds:6.1f} s"
        lines.append(f"{line}, {result.paths} paths{surprise}")
        if result.counterexample is not None:
            lines.append(f"          for      {', '.join(f'{name}={value}' for name, value in result.inputs.items())}")
            lines += [f"          {part:<8} {result.counterexample[part]}" for part in ("expected", "actual")]
        if result.why:
            lines.append(f"          because  {result.why}")
    counts = Counter(result.outcome for result in results)
    odd = sum(not result.as_expected for result in results)
    in_words = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    return "\n".join([*lines, "", f"{len(results)} contracts in {seconds:.1f} s: {in_words}; {odd} not as expected."])
