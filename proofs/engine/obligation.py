"""Obligations: a claim about a revision, the body that shows it, and the verdict that is expected."""

import re
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from model.claims import CLAIMS, Claim
from model.geometry import LaidPage
from model.revision import KERNEL
from model.trace import Trace
from proofs.engine import smtlib
from proofs.engine.explore import Outcome, Verdict, explore
from proofs.engine.path import AGAIN, Body, Theory, code_of
from proofs.engine.solver import DEFAULT_LIMIT, Solver


@dataclass(frozen=True)
class Counterexample:
    """A refutation in the field's words, from a run of the code on plain integers."""

    expected: str
    actual: str
    trace: Trace | None = None  # where the arguments are ones that a driver can pass
    page: LaidPage | None = None  # as the code lays it out, where the claim is about that

    def to_json(self) -> dict[str, Any]:
        """As it is passed on and written: without what it does not have."""
        trace = {} if self.trace is None else {"trace": self.trace.to_json()}
        page = {}
        if self.page is not None:
            page = {"page": {**asdict(self.page), "blocks": [list(block) for block in self.page.blocks]}}
        return {"expected": self.expected, "actual": self.actual, **trace, **page}


Explain = Callable[[dict[str, Any]], Counterexample]
"""From the inputs of a refutation to what people read. Sizes and offsets are in bytes."""

Search = Callable[[str], Counterexample | None]
"""A run that breaks the claim where the proof cannot follow the code, for this reason; None if there is none."""


def from_this_state(expected: str, trace: Trace | None = None) -> Explain:
    """Where the inputs are all that there is to tell: a state of the pool, or of a tree, from which a step goes wrong; beside
    it, perhaps, a run that reaches such a state."""
    return lambda _: Counterexample(expected, "from this state, it goes otherwise", trace)


@dataclass(frozen=True)
class Obligation:
    """`body` runs code of `revision` on inputs of `theory` and shows `claim`; `case` tells siblings apart."""

    claim: Claim
    revision: str
    theory: Theory
    case: str
    expected: Verdict
    body: Body
    explain: Explain
    module: str  # which says so
    search: Search | None = None

    @property
    def proof(self) -> str:
        """Where the proof is, for whoever wants to read it."""
        return f"{code_of(self.body).co_name} in {self.body.__module__.replace('.', '/')}.py"

    @property
    def label(self) -> str:
        return label(self.claim.name, self.revision, self.case)

    @property
    def name(self) -> str:
        parts = (self.claim.name, self.revision, self.theory.value, self.case)
        return "/".join(part for part in parts if part)


def label(claim: str, revision: str, case: str) -> str:
    """An obligation's name without its theory."""
    return "/".join(filter(None, (claim, revision, case)))


@dataclass(frozen=True)
class Result:
    """What proving an obligation gave. `rests_on` are claims that it takes as premises or as lemmas."""

    obligation: str
    claim: str
    revision: str
    theory: str
    case: str
    expected: str
    verdict: str
    proof: str
    seconds: float
    queries: int
    paths: int
    steps: int = 0  # of the solver, in all queries of the body
    budget: int = 0  # of steps; 0 where there is none
    solver_seconds: float = 0.0  # of `seconds`, what Z3 took for queries that were not asked before in the same process
    premises: list[str] = field(default_factory=list)
    rests_on: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)  # of these, the premises; the others are lemmas only
    lemmas: list[str] = field(default_factory=list)  # the proofs behind its stubs: claim, revision and case
    undermined: list[str] = field(default_factory=list)  # of both, what is not proved: so this proof says nothing
    not_proved_here: list[str] = field(default_factory=list)  # of both, what was not proved in the same run
    why: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    broken: str = ""  # what does not hold for them; if that is a claim, then of these arguments
    arguments: dict[str, str] = field(default_factory=dict)
    counterexample: dict[str, Any] | None = None
    second: dict[str, Any] | None = None  # a `proofs.engine.second.Second`, of a proof that was checked again
    smt2: str = ""  # the text of what Z3 has ruled out, or of the path that is broken, where it was asked for
    cached: bool = False  # found by an earlier run
    non_linear: bool = False  # a query multiplies or divides unknowns, so that the verdict may depend on the seed
    seeds: dict[str, str] = field(default_factory=dict)  # the verdict with each further seed that was asked for
    run: list[str] = field(default_factory=list)  # the basic blocks of a kernel's file on paths that can be taken

    @property
    def label(self) -> str:
        """Claim, revision and case: what a lemma names. The theories of a claim have it in common."""
        return label(self.claim, self.revision, self.case)

    @property
    def short_name(self) -> str:
        """Of its trace: revision, claim and case."""
        return "-".join(filter(None, (self.revision, self.claim, self.case)))

    @property
    def smt2_file(self) -> str:
        """What the file of its queries is called; "" where they were not asked for."""
        return re.sub(r"[^a-zA-Z0-9_.]+", "-", self.obligation) + ".smt2" if self.smt2 else ""

    @property
    def mended(self) -> bool:
        """A known defect that a kernel's own file has no more."""
        return self.revision == KERNEL and (self.verdict, self.expected) == (
            Verdict.PROVED.value,
            Verdict.REFUTED.value,
        )

    @property
    def as_expected(self) -> bool:
        """The verdict is, and the solver has kept to its budget."""
        return self.verdict_is_as_expected and not self.too_dear

    @property
    def verdict_is_as_expected(self) -> bool:
        """It is the expected one, or better; a refutation breaks the claim itself, not a step on the way to it; and what a
        proof rests on is proved."""
        of_the_claim = self.verdict == self.expected and self.broken in ("", self.claim)
        return not self.undermined and (self.mended or of_the_claim)

    @property
    def too_dear(self) -> bool:
        """The verdict is as expected, but the solver has taken more steps than its budget."""
        return self.verdict_is_as_expected and 0 < self.budget < self.steps

    @property
    def may_be_kept(self) -> bool:
        """It is as expected, by all who were asked; and a solver that gave up is never expected."""
        return self.as_expected and self.agreed and self.verdict in (Verdict.PROVED.value, Verdict.REFUTED.value)

    @property
    def steady(self) -> bool:
        """The verdict is the same with every seed that was asked for."""
        return set(self.seeds.values()) <= {self.verdict}

    @property
    def agreed(self) -> bool:
        """No other solver that was asked has failed to prove a query again."""
        return self.second is None or self.second["agreed"] == self.second["queries"]


class Obligations:
    """The obligations that a module states, in order: a decorator for their bodies."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.stated: list[Obligation] = []

    def __call__(
        self,
        claim: Claim,
        revision: str,
        *theories: Theory,
        explain: Explain,
        expected: Verdict = Verdict.PROVED,
        case: str = "",
        search: Search | None = None,
    ) -> Callable[[Body], Body]:
        """Make a body an obligation in each of the theories."""

        def state(body: Body) -> Body:
            self.stated += [
                Obligation(claim, revision, theory, case, expected, body, explain, self.module, search)
                for theory in theories
            ]
            return body

        return state

    def refuted(
        self, claim: Claim, revision: str, *theories: Theory, explain: Explain, case: str = ""
    ) -> Callable[[Body], Body]:
        """Make a body an obligation that is refuted: what the revision gets wrong, or what fails without a premise."""
        return self(claim, revision, *theories, explain=explain, expected=Verdict.REFUTED, case=case)


@dataclass(frozen=True)
class Settings:
    """How to prove: the solver's random seed and limit; whether other solvers are to check a proof; whether its queries
    are wanted as text."""

    seed: int = 0
    limit: int = DEFAULT_LIMIT
    second: bool = False
    smt2: bool = False


def prove(obligation: Obligation, settings: Settings) -> Result:
    """Prove one obligation. Raises ModuleNotFoundError if another solver is asked for that is not installed."""
    return prove_body([obligation], settings)[0]


def prove_body(obligations: Sequence[Obligation], settings: Settings, run: set[str] | None = None) -> list[Result]:
    """Explore a body once: the verdict on each of these claims, all of which it shows of the same numbers.

    Compiled code puts the names of its basic blocks into `run` while it is executed.
    """
    started = time.perf_counter()
    solver = Solver(settings.seed, settings.limit)
    outcome = explore(obligations[0].body, obligations[0].theory, solver, run=run)
    seconds = time.perf_counter() - started
    return [result_of(one, outcome, solver, settings, seconds, len(obligations)) for one in obligations]


def result_of(
    obligation: Obligation, outcome: Outcome, solver: Solver, settings: Settings, explored: float, claims: int
) -> Result:
    """The verdict on one claim of a body that has been explored, which has taken so many seconds for all of its claims."""
    started = time.perf_counter()
    verdict, why = outcome.verdict, outcome.why
    if verdict is Verdict.PROVED and obligation.claim.name not in outcome.shown:
        verdict, why = Verdict.VACUOUS, f"{obligation.claim.name} is never shown on a path that can be taken"
    counterexample: dict[str, Any] | None = None
    if verdict is Verdict.REFUTED:
        explained: Counterexample | None
        try:
            explained = obligation.explain(outcome.values)
        except NotImplementedError as changed:
            of_the_claim = outcome.broken in ("", obligation.claim.name)
            why = str(changed) if of_the_claim else f"not shown: {outcome.broken}; {changed}"
            verdict, explained = Verdict.NOT_FOLLOWED, None
        except Exception as failure:
            raised = f"{type(failure).__name__}: {failure}"
            if is_of_the_prover(failure):
                verdict, why, explained = Verdict.UNKNOWN, f"the counterexample cannot be explained: {raised}", None
            else:  # the code under proof may fail in any way
                explained = Counterexample("the code runs", raised)
        counterexample = None if explained is None else explained.to_json()
    searched = obligation.search if verdict is Verdict.NOT_FOLLOWED and obligation.expected is Verdict.PROVED else None
    if searched is not None and (found := searched(why)) is not None:
        verdict, why, counterexample = Verdict.REFUTED, "", found.to_json()
    seconds = explored / claims + time.perf_counter() - started
    script, opinion = None, None
    if verdict is Verdict.REFUTED and settings.smt2:
        script = smtlib.script(described(obligation, outcome), [outcome.constraints])
    if verdict is Verdict.PROVED and (settings.second or settings.smt2):
        script = smtlib.script(described(obligation, outcome), solver.impossible)
        if settings.second:
            from proofs.engine.second import check  # here, since only those who want it need the other solvers

            opinion = asdict(check(script))
    return Result(
        obligation=obligation.name,
        claim=obligation.claim.name,
        revision=obligation.revision,
        theory=obligation.theory.value,
        case=obligation.case,
        expected=obligation.expected.value,
        verdict=verdict.value,
        proof=obligation.proof,
        seconds=round(seconds, 3),
        solver_seconds=round(solver.seconds / claims, 3),
        queries=solver.queries,
        steps=solver.steps,
        paths=outcome.paths,
        premises=[premise for premise in outcome.premises if premise not in CLAIMS],
        rests_on=list(
            dict.fromkeys(
                [premise for premise in outcome.premises if premise in CLAIMS]
                + [lemma.claim for lemma in outcome.lemmas]
            )
        ),
        assumed=[premise for premise in outcome.premises if premise in CLAIMS],
        lemmas=[label(lemma.claim, lemma.revision or obligation.revision, lemma.case) for lemma in outcome.lemmas],
        why=why,
        inputs={name: value for name, value in outcome.values.items() if not name.endswith(AGAIN)},
        broken=outcome.broken,
        arguments=outcome.arguments,
        counterexample=counterexample,
        second=opinion,
        non_linear=any(map(smtlib.is_non_linear, smtlib.subterms(solver.constraints.values()))),
        smt2=script.text if script is not None and settings.smt2 else "",
        run=sorted(outcome.run),
    )


def is_of_the_prover(failure: Exception) -> bool:
    """Whether an exception came up without any code but that of proofs/: then the prover is wrong, not what it is about."""
    frames = traceback.extract_tb(failure.__traceback__)
    return all(Path(frame.filename).is_relative_to(Path(__file__).parent.parent) for frame in frames)


def described(obligation: Obligation, outcome: Outcome) -> list[str]:
    """What the text of the queries of a proof, or of the one of a refutation, begins with."""
    meaning = ["Each query is a case that the proof rules out: every check-sat has to answer unsat."]
    if outcome.verdict is Verdict.REFUTED:
        meaning = ["The query is a path on which this is refuted: the check-sat has to answer sat."]
        meaning += [
            f"Broken: {outcome.broken}",
            *(f"Input: {name} = {value}" for name, value in outcome.values.items()),
        ]
    return [
        f"{obligation.name}: {obligation.claim.sentence}",
        *meaning,
        f"Theory: {obligation.theory.value}. Encoding: {outcome.encoding}, see proofs/engine/symbolic.py.",
        *(f"Premise: {premise}" for premise in outcome.premises),
    ]
