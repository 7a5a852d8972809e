"""The one module that asks a solver. Every query has a fixed seed and a limit in solver steps, not in seconds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any

import z3

DEFAULT_LIMIT = 20_000_000
"""Z3 resource units for one query: some tens of seconds. The hardest query of the catalogue needs a small part of it."""

QUICK = 20_000
"""Z3 resource units for the bare solver, which settles most queries in no time; the tactics get what it gives up."""


class Answer(Enum):
    """What a solver says of a conjunction."""

    SAT = "sat"
    UNSAT = "unsat"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Asked:
    """A query that was asked, what was answered, and the steps that it took."""

    constraints: tuple[z3.BoolRef, ...]  # kept, so that their ids stay theirs
    answer: Answer
    model: z3.ModelRef | None
    steps: int
    seconds: float


ASKED: dict[tuple[int, ...], Asked] = {}
"""What this process has asked, by seed, limit and the ids of the constraints. Proofs begin alike, and a path repeats what an
earlier one has asked."""


@dataclass
class Solver:
    """Z3 with a seed and a limit; counts its queries and their steps, and keeps those that others can check.

    With any seed but 0, the numbers have other names and the constraints another order as well: no verdict may depend on them.
    """

    seed: int = 0
    limit: int = DEFAULT_LIMIT
    queries: int = 0
    steps: int = 0
    """Z3 resource units of all queries: the same on every machine. A query that was asked before counts again."""
    seconds: float = 0.0
    """That Z3 has taken for queries that were not asked before."""
    impossible: list[tuple[z3.BoolRef, ...]] = field(default_factory=list)
    """The conjunctions that cannot be met, says Z3. That a proof passes is due to these answers and to no others."""
    constraints: dict[int, z3.BoolRef] = field(default_factory=dict)
    """Every constraint of every query, by its id."""

    def ask(self, constraints: Sequence[z3.BoolRef]) -> tuple[Answer, z3.ModelRef | None]:
        """Whether the constraints can be met together, and by which values."""
        self.queries += 1
        self.constraints.update((constraint.get_id(), constraint) for constraint in constraints)
        query = (self.seed, self.limit, *(constraint.get_id() for constraint in constraints))
        if query not in ASKED:
            ASKED[query] = self._ask(tuple(constraints))
            self.seconds += ASKED[query].seconds
        asked = ASKED[query]
        self.steps += asked.steps
        if asked.answer is Answer.UNSAT:
            self.impossible.append(asked.constraints)
        return asked.answer, asked.model

    def _ask(self, constraints: tuple[z3.BoolRef, ...]) -> Asked:
        """What the bare solver says or, where it gives up, the one with tactics."""
        started, solver = time.perf_counter(), z3.SimpleSolver()
        before = steps_of(solver)
        answer, model = self._attempt(solver, min(QUICK, self.limit), constraints)
        if answer is Answer.UNKNOWN:
            solver = z3.Solver()
            answer, model = self._attempt(solver, self.limit, constraints)
        return Asked(constraints, answer, model, steps_of(solver) - before, time.perf_counter() - started)

    def named(self, name: str) -> str:
        """What Z3 is to call a number."""
        return f"{Random(self.seed).randrange(10**6)} {name}" if self.seed else name

    def _attempt(
        self, solver: z3.Solver, limit: int, constraints: Sequence[z3.BoolRef]
    ) -> tuple[Answer, z3.ModelRef | None]:
        """One of Z3's solvers' answer; a model that does not meet the constraints is none."""
        solver.set(random_seed=self.seed, rlimit=limit)
        solver.add(*(Random(self.seed).sample(constraints, len(constraints)) if self.seed else constraints))
        answer = solver.check()
        if answer == z3.unsat:
            return Answer.UNSAT, None
        if answer == z3.sat:
            model = solver.model()
            if all(z3.is_true(model.eval(constraint, model_completion=True)) for constraint in constraints):
                return Answer.SAT, model
        return Answer.UNKNOWN, None

    def simplify(self, term: z3.BoolRef) -> z3.BoolRef:
        """An equivalent term in fewer words, as Z3 says; that the two differ is one more conjunction that can't be met."""
        simple = z3.simplify(term)
        if not simple.eq(term):
            self.impossible.append((z3.Not(term == simple),))
        return simple

    def smallest(self, constraints: Sequence[z3.BoolRef], model: z3.ModelRef, terms: Sequence[Any]) -> list[int]:
        """Values of `terms` that meet the constraints, which `model` meets: the first term's smallest, then the second's, ...

        The first few values are tried one by one, since a constant is easier for the solver than a bound. Where it gives
        no answer within its limit, the smallest value that it did find is kept.
        """
        constraints = list(constraints)
        values = []
        for term in terms:
            high = value_of(model, term)
            for small in range(min(high, 16)):
                _, found = self.ask([*constraints, term == small])
                if found is not None:
                    model, high = found, small
                    break
            low = min(high, 16)
            while low < high:
                middle = (low + high) // 2
                _, found = self.ask([*constraints, term <= middle])
                if found is not None:
                    model, high = found, value_of(found, term)
                else:
                    low = middle + 1
            constraints.append(term == high)
            values.append(high)
        return values


def steps_of(solver: z3.Solver) -> int:
    """Z3's resource units so far, of all that this process has asked."""
    return int(solver.statistics().get_key_value("rlimit count"))


def allow_any_thread() -> None:
    """Let other threads give up terms while one thread, and never two, asks: Python collects garbage in any thread."""
    z3.Z3_enable_concurrent_dec_ref(z3.main_ctx().ref())


def value_of(model: z3.ModelRef, term: Any) -> int:
    """The value that a model gives to a number; 0 where it doesn't matter."""
    value = model.eval(term, model_completion=True)
    assert isinstance(value, z3.IntNumRef | z3.BitVecNumRef)
    return int(value.as_long())
