"""CrossHair, run on the contracts of `proofs.contracts`."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NoReturn

from crosshair import statespace
from crosshair.core import ConditionCheckable
from crosshair.core_and_libs import AnalysisKind, MessageType, analyze_function, run_checkables
from crosshair.options import AnalysisOptionSet

from proofs.contracts import CONTRACTS, Contract, Outcome
from proofs.engine.obligation import Counterexample

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
        if told.page is not None:
            counterexample["page"] = asdict(told.page)
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
