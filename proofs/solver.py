"""The one module that asks a solver. Every query has a fixed seed and a limit in solver steps, not in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import z3

DEFAULT_LIMIT = 20_000_000
"""Z3 resource units for one query: some tens of seconds. The hardest query of the catalogue needs a small part of it."""


class Answer(Enum):
    """What a solver says of a conjunction."""

    SAT = "sat"
    UNSAT = "unsat"
    UNKNOWN = "unknown"


@dataclass
class Solver:
    """Z3 with a seed and a limit; counts its queries."""

    seed: int = 0
    limit: int = DEFAULT_LIMIT
    queries: int = 0

    def ask(self, constraints: Sequence[z3.BoolRef]) -> tuple[Answer, z3.ModelRef | None]:
        """Whether the constraints can be met together, and by which values."""
        self.queries += 1
        solver = z3.Solver()
        solver.set(random_seed=self.seed, rlimit=self.limit)
        solver.add(*constraints)
        answer = solver.check()
        if answer == z3.sat:
            return Answer.SAT, solver.model()
        return (Answer.UNSAT if answer == z3.unsat else Answer.UNKNOWN), None

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


def value_of(model: z3.ModelRef, term: Any) -> int:
    """The value that a model gives to a number; 0 where it doesn't matter."""
    value = model.eval(term, model_completion=True)
    assert isinstance(value, z3.IntNumRef | z3.BitVecNumRef)
    return int(value.as_long())
