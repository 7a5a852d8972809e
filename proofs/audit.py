"""Evidence that the proofs mean what they say.

For each obligation that is proved: its premises can be met, for otherwise it were VACUOUS; dropping any one premise refutes
it, or the same body about another subject or in another theory; and so does each seeded bug that has to, which
`command.audit` plants. Under each lemma that it rests on, a bug is planted, too: then the proof must not count. An UNKNOWN is
a failure.
"""

import time
from dataclasses import dataclass, field

from proofs.catalogue import OBLIGATIONS
from proofs.engine.explore import Outcome, Verdict, explore
from proofs.engine.obligation import Obligation, label
from proofs.engine.path import code_of
from proofs.engine.solver import DEFAULT_LIMIT, Solver

SAYS_NOTHING = "PROVED, but rests on what is broken"
NO_BUG = "no seeded bug breaks it"
NEEDED_BY = "PROVED, but needed by "


@dataclass
class Audit:
    """What became of an obligation: as it is, without each premise, with each seeded bug, and with a bug under each lemma."""

    obligation: str
    verdict: str
    dropped: dict[str, str] = field(default_factory=dict)
    bugs: dict[str, str] = field(default_factory=dict)
    lemmas: dict[str, str] = field(default_factory=dict)  # by label; also those that it rests on by way of others
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        needed = all(became == "REFUTED" or became.startswith(NEEDED_BY) for became in self.dropped.values())
        noticed = bool(self.bugs) and all(became == "REFUTED" for became in self.bugs.values())
        rests = all(became in (SAYS_NOTHING, "REFUTED") for became in self.lemmas.values())
        return self.verdict == "PROVED" and needed and noticed and rests


def audit(name: str, limit: int = DEFAULT_LIMIT) -> Audit:
    """Audit the premises of one obligation, and name its lemmas."""
    obligation = OBLIGATIONS[name]
    started = time.perf_counter()
    outcome = explore(obligation.body, obligation.theory, Solver(limit=limit))
    result = Audit(name, outcome.verdict.value)
    for lemma in outcome.lemmas:
        result.lemmas[label(lemma.claim, lemma.revision or obligation.revision, lemma.case)] = NO_BUG
    for premise in outcome.premises:
        result.dropped[premise] = without(premise, obligation, limit)
    result.seconds = round(time.perf_counter() - started, 3)
    return result


def without(premise: str, obligation: Obligation, limit: int) -> str:
    """What becomes of a proof without a premise; where it is still one, who needs the premise."""
    verdict = refuted(obligation, limit, premise).verdict
    if verdict is Verdict.PROVED:
        for other in OBLIGATIONS.values():
            alike = other.claim is obligation.claim and code_of(other.body) is code_of(obligation.body)
            if alike and other is not obligation and refuted(other, limit, premise).verdict is Verdict.REFUTED:
                return NEEDED_BY + other.name
    return verdict.value


def refuted(obligation: Obligation, limit: int, dropped: str | None = None) -> Outcome:
    """Look for any counterexample; for the smallest one, where the first one is not confirmed on plain integers."""
    outcome = explore(obligation.body, obligation.theory, Solver(limit=limit), dropped, minimise=False)
    if outcome.verdict is Verdict.UNKNOWN:
        outcome = explore(obligation.body, obligation.theory, Solver(limit=limit), dropped)
    return outcome
