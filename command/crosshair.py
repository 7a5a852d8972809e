"""`python -m command crosshair`: have CrossHair check the contracts of `proofs.contracts`, or what is named.

Exit status: 0 if every contract has its expected outcome; 1 if one has not, also if one that is to be CONFIRMED was only
SEARCHED; 2 for bad input or a missing package.
"""

import argparse
import difflib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from itertools import groupby
from typing import NoReturn

from command.output import Unwritable, put_json, put_traces, show_progress, try_out
from model.claims import CLAIMS

try:
    from proofs.confirm import Result, confirm_named
    from proofs.contracts import CONTRACTS
except ModuleNotFoundError as missing:
    name = str(missing.name).partition(".")[0]
    print(
        f"crosshair: the Python package {name!r} is missing; `make crosshair` installs it into .venv", file=sys.stderr
    )
    sys.exit(2)


def main(arguments: list[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m command crosshair", description="Check contracts with CrossHair.")
    parser.add_argument("names", nargs="*", metavar="CLAIM", help="a claim, or one of its contracts; default: all")
    parser.add_argument("--json", metavar="FILE", help="write every result as JSON; - for standard output")
    parser.add_argument("--traces", metavar="FOLDER", help="write the trace of every refutation that has one")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="processes (default: one per core)")
    options = parser.parse_args(arguments)

    names = select(options.names)
    try:
        try_out(options.json, options.traces)
    except Unwritable as unwritable:
        fail(str(unwritable))

    started = time.perf_counter()
    results = confirm_all(names, options.jobs)
    seconds = time.perf_counter() - started
    print(as_json(results) if options.json == "-" else as_text(results, seconds))
    try:
        put_json(options.json, as_json(results))
        put_traces(options.traces, {result.short_name: result.counterexample for result in results})
    except Unwritable as unwritable:
        fail(str(unwritable))
    if options.json != "-" and not all(result.as_expected for result in results):
        from report.runs import show, surprises
        from report.verdicts import read_contracts  # here, since it is for those who want to look

        show(surprises(read_contracts(as_json(results))))
    return 0 if all(result.as_expected for result in results) else 1


def select(names: Iterable[str]) -> list[str]:
    """The contracts that are named by claim or in full; all of them if nothing is named."""
    chosen: list[str] = []
    for name in names:
        found = [made.name for made in CONTRACTS.values() if name in (made.name, made.claim.name)]
        if not found:
            with_contracts = [made.claim.name for made in CONTRACTS.values()]
            near = difflib.get_close_matches(name, [*CONTRACTS, *with_contracts], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(dict.fromkeys(with_contracts))}"
            fail(f"no contract is about {name!r}; {hint}")
        chosen += [name for name in found if name not in chosen]
    return chosen or list(CONTRACTS)


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


def as_json(results: list[Result]) -> str:
    return json.dumps([asdict(result) for result in results], indent=1)


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


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        fail(f"{message}; see --help")


def positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1000:
        raise argparse.ArgumentTypeError(f"a number from 1 to 999 is needed, not {text!r}")
    return int(text)


def fail(message: str) -> NoReturn:
    """Say in one line what to do, and exit with status 2."""
    print(f"crosshair: {message}", file=sys.stderr)
    raise SystemExit(2)
