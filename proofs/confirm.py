"""`python -m proofs.confirm`: have CrossHair check the contracts of `proofs.contracts`, or what is named.

Exit status: 0 if every contract has its expected outcome; 1 if one has not, also if one that is to be CONFIRMED was only
SEARCHED; 2 for bad input or a missing package.
"""

import argparse
import difflib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any, NoReturn

from model.claims import CLAIMS

try:
    from crosshair import statespace
    from crosshair.core import ConditionCheckable
    from crosshair.core_and_libs import AnalysisKind, MessageType, analyze_function, run_checkables
    from crosshair.options import AnalysisOptionSet

    from proofs.contracts import CONTRACTS, Contract, Outcome
    from proofs.obligation import Counterexample
    from proofs.outputs import Unwritable, exit_with, put_json, put_traces, show_progress, try_out
except ModuleNotFoundError as missing:
    name = str(missing.name).partition(".")[0]
    print(
        f"crosshair: the Python package {name!r} is missing; `make crosshair` installs it into .venv", file=sys.stderr
    )
    sys.exit(2)

SOLVER_LIMIT = 2_000_000
"""Z3's steps per question. A question that needs more has no answer, and its path is not confirmed."""

LONGEST = 600
"""Seconds of processor time after which a contract is given up: only code that never ends should get there."""

SAID = {
    MessageType.CONFIRMED: Outcome.CONFIRMED,
    MessageType.CANNOT_CONFIRM: Outcome.SEARCHED,
    MessageType.PRE_UNSAT: Outcome.VACUOUS,
    MessageType.POST_FAIL: Outcome.REFUTED,  # the claim does not hold
    MessageType.EXEC_ERR: Outcome.REFUTED,  # the code raises
}


@dataclass(frozen=True)
class Result:
    """What checking a contract gave. `paths` is the number of paths that were followed."""

    contract: str
    claim: str
    revision: str
    about: str
    expected: str
    outcome: str
    seconds: float
    paths: int
    why: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    counterexample: dict[str, Any] | None = None

    @property
    def short_name(self) -> str:
        """Of what is written about it: revision, claim and contract."""
        return f"{self.revision}-{self.claim}-{self.contract.rpartition('/')[2]}"

    @property
    def as_expected(self) -> bool:
        """The outcome is the expected one; and a refutation breaks the claim itself, not the code on the way to it."""
        return self.outcome == self.expected and not self.why


class NoEndError(BaseException):
    """The code under check used up its time. No Exception, so that CrossHair doesn't take it for the code's own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise NoEndError in the block after some processor time; CrossHair itself cannot stop a loop without branches."""

    def stop(*_: object) -> NoReturn:
        raise NoEndError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def confirm(asked: Contract, longest: float = LONGEST) -> Result:
    """Check one contract."""
    started = time.perf_counter()
    stats: Counter[str] = Counter()
    inputs: dict[str, Any] = {}
    told: Counterexample | None = None
    try:
        with time_limit(longest):
            outcome, why = search(asked, stats, inputs)
            if outcome is Outcome.REFUTED:
                outcome, why, told = again(asked, inputs)
    except NoEndError:
        outcome, why = Outcome.UNKNOWN, f"no end within {longest} s of processor time"
    counterexample: dict[str, Any] | None = None
    if told is not None:
        counterexample = {"expected": told.expected, "actual": told.actual}
        if told.trace is not None:
            counterexample["trace"] = replace(told.trace, claim=asked.claim.name).to_json()
    return Result(
        contract=asked.name,
        claim=asked.claim.name,
        revision=asked.revision,
        about=asked.about,
        expected=asked.expected.value,
        outcome=outcome.value,
        seconds=round(time.perf_counter() - started, 3),
        paths=stats["num_paths"],
        why=why,
        inputs=inputs,
        counterexample=counterexample,
    )


def search(asked: Contract, stats: Counter[str], inputs: dict[str, Any]) -> tuple[Outcome, str]:
    """Have CrossHair follow the paths of a contract: what it says, and why, if not of itself clear.

    The inputs of a refutation are put into `inputs`. The budget is in paths and solver steps, so that what is found does
    not depend on the speed of the machine.
    """

    def note(arguments: Any, *_: object) -> tuple[str, str]:
        inputs.update(arguments.arguments)
        return asked.name, ""

    # CrossHair takes it from the environment, but only when it is imported.
    statespace.CROSSHAIR_SMT_RLIMIT = SOLVER_LIMIT  # type: ignore[attr-defined]
    options = AnalysisOptionSet(
        analysis_kind=[AnalysisKind.PEP316],
        max_iterations=asked.paths,
        max_uninteresting_iterations=0,  # which is: no limit
        report_all=True,
        stats=stats,
    )
    (checkable,) = analyze_function(asked.check, options)
    if isinstance(checkable, ConditionCheckable):
        checkable.conditions = replace(checkable.conditions, counterexample_description_maker=note)
    (message,) = run_checkables([checkable])
    outcome = SAID.get(message.state, Outcome.UNKNOWN)
    return outcome, "" if outcome in (Outcome.CONFIRMED, Outcome.SEARCHED) else message.message


def again(asked: Contract, inputs: dict[str, Any]) -> tuple[Outcome, str, Counterexample | None]:
    """Believe a refutation only if plain integers meet the premises and break the claim too."""
    (checkable,) = analyze_function(asked.check, AnalysisOptionSet(analysis_kind=[AnalysisKind.PEP316]))
    assert isinstance(checkable, ConditionCheckable)
    if not inputs or not all(premise.evaluate and premise.evaluate(inputs) for premise in checkable.conditions.pre):
        return Outcome.UNKNOWN, f"CrossHair's inputs do not meet the premises: {inputs}", None
    reached = "the code fails before the claim can be told"
    try:
        if asked.check(**inputs):
            return Outcome.UNKNOWN, f"the claim holds on plain integers: {inputs}", None
        reached = ""
        return Outcome.REFUTED, reached, asked.explain(inputs)
    except Exception as failure:  # the code under check may be as wrong as can be
        return Outcome.REFUTED, reached, Counterexample("the code runs", f"{type(failure).__name__}: {failure}")


def confirm_named(name: str) -> Result:
    """Check one contract; a worker process that imports this function has all of them."""
    return confirm(CONTRACTS[name])


def main(arguments: list[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m proofs.confirm", description="Check contracts with CrossHair.")
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
        from report.results import read_contracts  # here, since it is for those who want to look
        from report.runs import show, surprises

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


if __name__ == "__main__":
    exit_with(main)
