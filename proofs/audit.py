"""Evidence that the proofs mean what they say.

For each obligation: the verdict stays the same with other names, another order of what Z3 is told, and other seeds. For each
that is proved: its premises can be met, for otherwise it were VACUOUS; dropping any one premise refutes it, or the same body
about another subject or in another theory; and so does each seeded bug that has to, which `command.audit` plants. Under each
lemma that it rests on, a bug is planted, too: then the proof must not count. An UNKNOWN is a failure.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from model.revision import KERNEL
from proofs.catalogue import OBLIGATIONS, Catalogue, catalogue_of
from proofs.engine.explore import Outcome, Verdict, explore
from proofs.engine.obligation import Obligation, label
from proofs.engine.path import code_of
from proofs.engine.solver import DEFAULT_LIMIT, Solver

SAYS_NOTHING = "PROVED, but rests on what is broken"
LOST = "not followed any more"
NO_BUG = "no seeded bug breaks it"
NEEDED_BY = "PROVED, but needed by "


@dataclass
class Audit:
    """What became of an obligation: as it is, without each premise, with each seeded bug, with a bug under each lemma, and with
    each seed where it is another verdict than without."""

    obligation: str
    verdict: str
    dropped: dict[str, str] = field(default_factory=dict)
    bugs: dict[str, str] = field(default_factory=dict)
    lemmas: dict[str, str] = field(default_factory=dict)  # by label; also those that it rests on by way of others
    seeds: dict[str, str] = field(default_factory=dict)
    steps: int = 0  # of the solver, with the seed that takes most
    expected: str = Verdict.PROVED.value
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        if self.verdict != self.expected or self.seeds:
            return False
        if self.expected == Verdict.REFUTED.value:
            return True
        needed = all(became in (LOST, "REFUTED") or became.startswith(NEEDED_BY) for became in self.dropped.values())
        noticed = bool(self.bugs) and all(became == "REFUTED" for became in self.bugs.values())
        rests = all(became in (SAYS_NOTHING, LOST, "REFUTED") for became in self.lemmas.values())
        return needed and noticed and rests


def audit_body(names: Sequence[str], kernel: str | None, limit: int = DEFAULT_LIMIT, seeds: int = 0) -> list[Audit]:
    """Audit obligations that have a body and a theory in common: a premise is dropped for all of them at once. Of what is
    refuted, only what becomes of it with the seeds 1 to `seeds`.

    They are about impl/, or about a kernel's own file."""
    catalogue = catalogue_of(kernel)
    obligation = catalogue[names[0]]
    started = time.perf_counter()
    runs = []
    for seed in range(seeds + 1):
        solver = Solver(seed, limit)
        runs.append((explore(obligation.body, obligation.theory, solver), solver.steps))
    outcome, _ = runs[0]
    others = {str(seed): one.verdict.value for seed, (one, _) in enumerate(runs) if one.verdict is not outcome.verdict}
    lemmas, dropped = list[str](), dict[str, str]()
    if obligation.expected is Verdict.PROVED:
        lemmas = [label(lemma.claim, lemma.revision or obligation.revision, lemma.case) for lemma in outcome.lemmas]
        dropped = {premise: without(premise, obligation, limit, catalogue) for premise in outcome.premises}
    seconds = round((time.perf_counter() - started) / len(names), 3)
    return [
        Audit(
            name,
            outcome.verdict.value,
            dict(dropped),
            lemmas=dict.fromkeys(lemmas, NO_BUG),
            seeds=dict(others),
            steps=max(steps for _, steps in runs),
            expected=obligation.expected.value,
            seconds=seconds,
        )
        for name in names
    ]


def without(premise: str, obligation: Obligation, limit: int, catalogue: Catalogue) -> str:
    """What becomes of a proof without a premise; where it is still one, who needs the premise."""
    verdict = refuted(obligation, limit, premise).verdict
    if verdict is Verdict.PROVED:
        for other in (OBLIGATIONS | catalogue).values():
            alike = code_of(other.body) is code_of(obligation.body)
            another = other.body is not obligation.body or other.theory is not obligation.theory
            if alike and another and refuted(other, limit, premise).verdict is Verdict.REFUTED:
                return NEEDED_BY + other.name
    return LOST if verdict is Verdict.NOT_FOLLOWED and obligation.revision == KERNEL else verdict.value


def needed_by_others(results: list[Audit]) -> None:
    """Of proofs about a kernel's file: who else needs a premise. They have premises in common, which say what the states are
    that C's objects are views of."""
    for result in results:
        for premise, became in result.dropped.items():
            others = [one.obligation for one in results if one.dropped.get(premise) in ("REFUTED", LOST)]
            if became == "PROVED" and others:
                result.dropped[premise] = NEEDED_BY + others[0]


def refuted(obligation: Obligation, limit: int, dropped: str | None = None) -> Outcome:
    """Look for any counterexample; for the smallest one, where the first one is not confirmed on plain integers."""
    outcome = explore(obligation.body, obligation.theory, Solver(limit=limit), dropped, minimise=False)
    if outcome.verdict is Verdict.UNKNOWN:
        outcome = explore(obligation.body, obligation.theory, Solver(limit=limit), dropped)
    return outcome
