"""One way through the body of a proof, with symbolic numbers, or with plain ones.

A body is an ordinary function of a `Path`. It asks for inputs (`number`), states premises (`assume`), runs code of `impl`,
and says what has to be true by then (`show`). What was shown on a path is known from there on, so that an intermediate
`show` is a step of the proof. `proofs.engine.explore` runs a body once for each way through its branches.
"""

import inspect
import sys
import types
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

import z3

from model.claims import Claim
from proofs.engine.solver import Answer, Solver
from proofs.engine.symbolic import AsBits, AsIntegers, Number, Unsupported

Body = Callable[[Any], None]
"""A proof's body: an ordinary function of a `Path` or of a `Replay`."""

AGAIN = ", again"
"""Behind the name of an input that a body has asked for before."""

LONGEST_PATH = 1000
"""Decisions on one path; the longest one of the catalogue has less than a hundred."""


class Theory(Enum):
    """What the inputs of a body range over."""

    INTEGERS = "Z"
    U32 = "u32"
    U64 = "u64"

    @property
    def width(self) -> int | None:
        return {"Z": None, "u32": 32, "u64": 64}[self.value]


class AssumptionFailed(BaseException):
    """A premise does not hold on this path. No code under proof may catch it, nor `AssertionFailed`."""


class AssertionFailed(BaseException):
    """What had to be shown does not hold on this path."""


class Site(NamedTuple):
    """Where in a body something was shown."""

    what: str
    line: int


class Lemma(NamedTuple):
    """The claim whose proof says what a stub says; of the revision that is being proved, unless another one is named."""

    claim: str
    case: str
    revision: str


class Argument:
    """What a body says: its premises, its lemmas, and what it shows. Common to both kinds of path."""

    body_code: types.CodeType | None = None

    def __init__(self, dropped: str | None = None) -> None:
        self.dropped = dropped  # a premise that is not made this time
        self.premises: list[str] = []
        self.lemmas: dict[Lemma, None] = {}  # in the order in which their stubs were called
        self.shown: list[Site] = []
        self.inputs_named: set[str] = set()

    def assume(self, premise: str, holds: Callable[[], Any]) -> None:
        """Go on only where a premise holds; `premise` says it in words. The claim fails without it."""
        if premise == self.dropped:
            return
        self.premises.append(premise)
        if not holds():
            raise AssumptionFailed(premise)

    def assume_claim(self, claim: Claim, *arguments: Any) -> None:
        """Take a claim, which has its own obligations, as a premise."""
        self.assume(claim.name, lambda: claim(*arguments))

    def by(
        self, claim: Claim, subject: Any, name: str, stub: Callable[..., Any], *cases: str, revision: str = ""
    ) -> None:
        """Replace a function of `subject` by what a claim, which has its own proof, says of it.

        The claim is a lemma of every path that calls the stub: its proofs in these cases, or else the one that is no case.
        Nothing else in `proofs` may replace code of `impl`.
        """
        if not callable(getattr(subject, name)):
            raise TypeError(f"{name} of {type(subject).__name__} is no code that a lemma could be about")
        setattr(subject, name, self.lemma(claim, stub, *cases, revision=revision))

    def lemma(self, claim: Claim, stub: Callable[..., Any], *cases: str, revision: str = "") -> Callable[..., Any]:
        """A stub that makes the claim a lemma of the path when it is called; see `by`."""
        lemmas = [Lemma(claim.name, case, revision) for case in cases or ("",)]

        def by_the_lemma(*arguments: Any) -> Any:
            self.lemmas.update(dict.fromkeys(lemmas))
            return stub(*arguments)

        return by_the_lemma

    def follow(self, what: str, holds: Callable[[], Any]) -> None:
        """Go on only where the code is as the proof knows it; where it is not, it is not followed, which refutes nothing."""
        if not holds():
            raise NotImplementedError(f"not so: {what}")

    def show(self, what: str, holds: Callable[[], Any]) -> None:
        """Demand that something holds here; `what` says it in words. It is known from here on."""
        if not holds():
            raise AssertionFailed(what)
        self.shown.append(Site(what, self._line_of_body()))

    def show_claim(self, claim: Claim, *arguments: Any) -> None:
        """Demand that a claim holds of these arguments."""
        self.show(claim.name, lambda: claim(*arguments))

    def name_input(self, name: str) -> str:
        """A name of its own for an input: code may well ask twice for what it should have asked for once."""
        while name in self.inputs_named:
            name += AGAIN
        self.inputs_named.add(name)
        return name

    def _line_of_body(self) -> int:
        """The line of the body that is running."""
        frame = sys._getframe()
        while frame.f_back is not None and frame.f_code is not self.body_code:
            frame = frame.f_back
        return frame.f_lineno


class Path(Argument):
    """One way through a body, with symbolic numbers. `prefix` are the decisions to repeat."""

    def __init__(
        self, theory: Theory, encoding: type[Number], solver: Solver, prefix: list[bool], dropped: str | None = None
    ) -> None:
        super().__init__(dropped)
        self.theory = theory
        self.words_truncate = theory is not Theory.INTEGERS
        self.encoding = encoding
        self.solver = solver
        self.decisions: list[bool] = []
        self.prefix = prefix
        self.alternatives: list[list[bool]] = []
        self.constraints: list[z3.BoolRef] = []
        self.inputs: dict[str, Any] = {}
        self.quotients: dict[tuple[int, int], tuple[Any, Any]] = {}
        self.powers: list[tuple[Any, Any]] = []
        self.broken: str | None = None  # what does not hold at its end
        self.refusal: str | None = None  # why it could not be followed to its end
        self.lost = False  # since the code under proof is not the code that the proof is about
        self.example: z3.ModelRef | None = None  # of the constraints so far; saves asking

    def number(self, name: str, width: int | None = None) -> Any:
        """An arbitrary input of the obligation's theory, or of so many bits; in ℤ, any that is not negative."""
        name = self.name_input(name)
        width = self.theory.width if width is None else width
        if self.encoding is AsBits:
            assert width is not None
            term = z3.BitVec(self.solver.named(name), width + 1)
        else:
            term = z3.Int(self.solver.named(name))
        self.know(term >= 0)
        if width is not None and self.encoding is AsIntegers:
            self.know(term < 2**width)
        return self._input(name, term)

    def ghost(self, name: str) -> Any:
        """An arbitrary integer, not negative and of any size: a number that the proof needs and the code has not."""
        if self.encoding is AsBits:
            raise Unsupported("a number of any size as bits")
        name = self.name_input(name)
        term = z3.Int(self.solver.named(name))
        self.know(term >= 0)
        return self._input(name, term)

    def one_of(self, name: str, *choices: Any) -> Any:
        """Each of the choices, on paths of their own."""
        name = self.name_input(name)
        chosen = 0
        while chosen < len(choices) - 1 and not self._fork():
            chosen += 1
        self.inputs[name] = choices[chosen]
        return choices[chosen]

    def _fork(self) -> bool:
        """Go one of two ways that are both open; the other one is kept for a later path."""
        if len(self.decisions) < len(self.prefix):
            choice = self.prefix[len(self.decisions)]
        else:
            choice = True
            self.alternatives.append([*self.decisions, False])
        self._append(choice)
        return choice

    def _append(self, choice: bool) -> None:
        self.decisions.append(choice)
        if len(self.decisions) > LONGEST_PATH:
            raise Unsupported(f"path of more than {LONGEST_PATH} decisions; the code may go on for ever")

    def decide(self, condition: z3.BoolRef) -> bool:
        """Which way to go at a condition. Where both are possible, the other one is kept for a later path."""
        condition = self.solver.simplify(condition)
        if z3.is_true(condition) or z3.is_false(condition):
            return bool(z3.is_true(condition))
        if len(self.decisions) < len(self.prefix):
            choice = self.prefix[len(self.decisions)]
        else:
            choice = self._possible(condition)
            if choice and self._possible(z3.Not(condition)):
                self.alternatives.append([*self.decisions, False])
        self._append(choice)
        self.know(condition if choice else z3.Not(condition))
        return choice

    def is_certain(self, fact: z3.BoolRef) -> bool:
        """Whether the solver is sure of a fact on this path. Nothing is decided, so every run asks again."""
        fact = self.solver.simplify(fact)
        return bool(z3.is_true(fact)) or not self._possible(z3.Not(fact))

    def define(self, name: str) -> z3.ArithRef:
        """A fresh integer, not negative, that `know` is about to define."""
        term = z3.Int(self.solver.named(f"{name}!{len(self.constraints)}"))
        self.know(term >= 0)
        return term

    def know(self, fact: z3.BoolRef) -> None:
        self.constraints.append(fact)
        if self.example is not None and not z3.is_true(self.example.eval(fact, model_completion=True)):
            self.example = None

    def smaller_than(self, values: dict[str, Any]) -> z3.BoolRef:
        """That the inputs come before other values of theirs in lexicographic order."""
        smaller, equal = z3.BoolVal(False), z3.BoolVal(True)
        for name, value in self.inputs.items():
            if isinstance(value, Number) and name in values:
                smaller = z3.Or(smaller, z3.And(equal, value.term < values[name]))
                equal = z3.And(equal, value.term == values[name])
        return smaller

    def _input(self, name: str, term: Any) -> Number:
        number = self.encoding(self, term)
        self.inputs[name] = number
        return number

    def _possible(self, condition: z3.BoolRef) -> bool:
        """Whether the path can go on with `condition`; if the solver doesn't know, it has to be tried."""
        if self.example is not None and z3.is_true(self.example.eval(condition, model_completion=True)):
            return True
        answer, example = self.solver.ask([*self.constraints, condition])
        self.example = self.example or example
        return answer is not Answer.UNSAT


class Input(int):
    """An int without CPython's cache of small ints, so that `is` behaves as it does for symbolic numbers."""


class Replay(Argument):
    """A `Path` whose inputs are the plain integers of a counterexample."""

    def __init__(self, theory: Theory, values: dict[str, Any], dropped: str | None = None) -> None:
        super().__init__(dropped)
        self.theory = theory
        self.values = values
        self.latest: tuple[str, dict[str, str]] = ("", {})  # the claim that was shown last, and of what

    def number(self, name: str, width: int | None = None) -> Any:
        del width
        name = self.name_input(name)
        if name not in self.values:
            raise AssumptionFailed(f"the solver's run did not ask for {name}")
        return Input(self.values[name])

    ghost = number

    def show_claim(self, claim: Claim, *arguments: Any) -> None:
        self.latest = claim.name, claim.named(*arguments)
        super().show_claim(claim, *arguments)

    def one_of(self, name: str, *_: Any) -> Any:
        name = self.name_input(name)
        if name not in self.values:
            raise AssumptionFailed(f"the solver's run did not choose {name}")
        return self.values[name]


def code_of(body: Body) -> types.CodeType:
    """The code of a body; of one that is written for several subjects, the code that they have in common."""
    code = inspect.unwrap(body).__code__
    assert isinstance(code, types.CodeType)
    return code
