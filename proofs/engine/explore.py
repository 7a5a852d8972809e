"""Runs the body of a proof along every path that its symbolic numbers can take.

A body is an ordinary function of a `Path`. It asks for inputs (`number`), states premises (`assume`), runs code of
`impl`, and says what has to be true by then (`show`). It is run again and again, once for each way through its branches;
a branch that the solver excludes is not taken. What was shown on a path is known to the rest of the path, so an
intermediate `show` is a lemma.
"""

import ast
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from textwrap import dedent
from typing import Any, NamedTuple, Protocol

import z3

from model.claims import Claim
from proofs.engine.solver import Answer, Solver, value_of
from proofs.engine.symbolic import AsBits, AsIntegers, NoSuchReading, Number

DOUBTS = 3
"""So many paths that the solver cannot settle are enough to give up."""

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


class Verdict(Enum):
    """What became of an obligation."""

    PROVED = "PROVED"
    REFUTED = "REFUTED"
    UNKNOWN = "UNKNOWN"
    VACUOUS = "VACUOUS"
    LOST = "LOST"  # of a kernel's own code: the proof cannot follow it


class Abandoned(BaseException):
    """A premise does not hold on this path. No code under proof may catch it, nor `Broken`."""


class Broken(BaseException):
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
        self.asked: set[str] = set()

    def assume(self, premise: str, holds: Callable[[], Any]) -> None:
        """Go on only where a premise holds; `premise` says it in words. The claim fails without it."""
        if premise == self.dropped:
            return
        self.premises.append(premise)
        if not holds():
            raise Abandoned(premise)

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
        lemmas = [Lemma(claim.name, case, revision) for case in cases or ("",)]

        def by_the_lemma(*arguments: Any) -> Any:
            self.lemmas.update(dict.fromkeys(lemmas))
            return stub(*arguments)

        setattr(subject, name, by_the_lemma)

    def show(self, what: str, holds: Callable[[], Any]) -> None:
        """Demand that something holds here; `what` says it in words. It is known from here on."""
        if not holds():
            raise Broken(what)
        self.shown.append(Site(what, self._line_of_body()))

    def show_claim(self, claim: Claim, *arguments: Any) -> None:
        """Demand that a claim holds of these arguments."""
        self.show(claim.name, lambda: claim(*arguments))

    def name_input(self, name: str) -> str:
        """A name of its own for an input: code may well ask twice for what it should have asked for once."""
        while name in self.asked:
            name += ", again"
        self.asked.add(name)
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
        self, theory: Theory, reading: type[Number], solver: Solver, prefix: list[bool], dropped: str | None = None
    ) -> None:
        super().__init__(dropped)
        self.theory = theory
        self.words_truncate = theory is not Theory.INTEGERS
        self.reading = reading
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

    def number(self, name: str) -> Any:
        """An arbitrary input of the obligation's theory; in ℤ, any that is not negative."""
        name = self.name_input(name)
        width = self.theory.width
        if self.reading is AsBits:
            assert width is not None
            term = z3.BitVec(name, width + 1)
        else:
            term = z3.Int(name)
        self.know(term >= 0)
        if width is not None and self.reading is AsIntegers:
            self.know(term < 2**width)
        return self._input(name, term)

    def ghost(self, name: str) -> Any:
        """An arbitrary integer, not negative and of any size: a number that the proof needs and the code has not."""
        if self.reading is AsBits:
            raise NoSuchReading("a number of any size as bits")
        name = self.name_input(name)
        term = z3.Int(name)
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
            raise NoSuchReading(f"path of more than {LONGEST_PATH} decisions; the code may go on for ever")

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
        term = z3.Int(f"{name}!{len(self.constraints)}")
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
        number = self.reading(self, term)
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
    """A plain integer that is the same object as no other: two symbolic numbers that are equal are not the same either."""


class Replay(Argument):
    """A `Path` whose inputs are the plain integers of a counterexample."""

    def __init__(self, theory: Theory, values: dict[str, Any], dropped: str | None = None) -> None:
        super().__init__(dropped)
        self.theory = theory
        self.values = values
        self.latest: tuple[str, dict[str, str]] = ("", {})  # the claim that was shown last, and of what

    def number(self, name: str) -> Any:
        name = self.name_input(name)
        if name not in self.values:
            raise Abandoned(f"the solver's run did not ask for {name}")
        return Input(self.values[name])

    ghost = number

    def show_claim(self, claim: Claim, *arguments: Any) -> None:
        self.latest = claim.name, claim.named(*arguments)
        super().show_claim(claim, *arguments)

    def one_of(self, name: str, *_: Any) -> Any:
        name = self.name_input(name)
        if name not in self.values:
            raise Abandoned(f"the solver's run did not choose {name}")
        return self.values[name]


class Body(Protocol):
    """A proof's body: an ordinary function of a `Path` or of a `Replay`."""

    __code__: types.CodeType

    def __call__(self, path: Any, /) -> None: ...


@dataclass
class Outcome:
    """What exploring a body found. `values` are a refutation's inputs, and `broken` says what does not hold for them, on the
    path with these `constraints`; if that is a claim, then of these `arguments`."""

    verdict: Verdict
    why: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    broken: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    constraints: list[z3.BoolRef] = field(default_factory=list)
    paths: int = 0
    premises: list[str] = field(default_factory=list)
    lemmas: list[Lemma] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    reading: str = ""


def explore(body: Body, theory: Theory, solver: Solver, dropped: str | None = None, minimise: bool = True) -> Outcome:
    """The verdict on a body: over integers first, then, where that does not settle it, over bits.

    Without a premise, if one is `dropped`; with the first counterexample instead of the smallest, unless asked to `minimise`.
    """
    outcomes = []
    for reading in (AsIntegers,) if theory is Theory.INTEGERS else (AsIntegers, AsBits):
        solver.impossible.clear()  # an earlier reading has settled nothing
        outcome = explore_reading(body, theory, reading, solver, dropped, minimise)
        outcome.reading = reading.__name__
        if outcome.verdict is not Verdict.UNKNOWN:
            return outcome
        outcomes.append(outcome)
    outcomes[0].why = "; ".join(dict.fromkeys(outcome.why for outcome in outcomes))
    return outcomes[0]


def explore_reading(
    body: Body, theory: Theory, reading: type[Number], solver: Solver, dropped: str | None, minimise: bool
) -> Outcome:
    """The verdict on a body in one reading."""
    premises: dict[str, None] = {}  # in the order of the argument
    lemmas: dict[Lemma, None] = {}
    shown: set[Site] = set()  # on a path that has been found possible
    smallest: dict[str, Any] | None = None
    broken_by_smallest = ""
    way_to_smallest: list[z3.BoolRef] = []
    doubts: list[str] = []
    silent = False
    lost = ""
    number_of_paths = 0
    for path in run_paths(body, theory, reading, solver, dropped):
        number_of_paths += 1
        premises.update(dict.fromkeys(path.premises))
        lemmas.update(path.lemmas)
        if path.refusal is None and path.broken is None and path.shown and shown.issuperset(path.shown):
            continue
        way = list(path.constraints)
        if path.broken is not None and smallest is not None:
            path.know(path.smaller_than(smallest))
        answer, model = solver.ask(path.constraints)
        if path.lost and answer is not Answer.UNSAT:
            lost = str(path.refusal)
            continue
        if model is not None and path.refusal is None:
            shown.update(path.shown)
            silent = silent or (path.broken is None and not path.shown)
            if path.broken is not None:
                smallest, broken_by_smallest = smallest_inputs(path, model, solver, minimise), path.broken
                way_to_smallest = way
                if not minimise:
                    break
        elif answer is not Answer.UNSAT and smallest is None:
            met = "the solver gave up on whether the premises can be met: " + ", ".join(
                site.what for site in path.shown
            )
            gave_up = path.broken and f"the solver gave up on: {path.broken}"
            doubts.append(path.refusal or gave_up or met)
            if len(doubts) == DOUBTS:
                break  # it will not be PROVED any more, and paths multiply where the solver excludes none

    reached = {site.line for site in shown}
    never = sorted(lines_that_show(body) - reached)
    outcome = Outcome(Verdict.PROVED, paths=number_of_paths, premises=list(premises), lemmas=list(lemmas))
    outcome.shown = {site.what for site in shown}
    if smallest is not None:
        outcome.constraints = way_to_smallest
        confirm(body, Replay(theory, smallest, dropped), broken_by_smallest, outcome)
    elif lost:
        outcome.verdict, outcome.why = Verdict.LOST, lost
    elif doubts:
        outcome.verdict, outcome.why = Verdict.UNKNOWN, doubts[0]
    elif never:
        where = f"{body.__code__.co_filename.rpartition('/')[2]}:{never[0]}"
        outcome.verdict, outcome.why = Verdict.VACUOUS, f"no path that meets the premises gets to {where}"
    elif silent or not shown:
        outcome.verdict, outcome.why = Verdict.VACUOUS, "a path that meets the premises ends without showing anything"
    return outcome


def lines_that_show(body: Body) -> set[int]:
    """The lines of a body in which something has to be shown; a proof that leaves one out has proved less than it says."""
    source, first = inspect.getsourcelines(body)
    calls = (node for node in ast.walk(ast.parse(dedent("".join(source)))) if isinstance(node, ast.Call))
    shows = (
        call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in ("show", "show_claim")
    )
    return {first + call.lineno - 1 for call in shows}


def run_paths(body: Body, theory: Theory, reading: type[Number], solver: Solver, dropped: str | None) -> Iterator[Path]:
    """Every path whose premises hold, to its end."""
    pending: list[list[bool]] = [[]]
    while pending:
        path = Path(theory, reading, solver, pending.pop(), dropped)
        path.body_code = body.__code__
        try:
            body(path)
        except Abandoned:
            pending += path.alternatives
            continue
        except Broken as what:
            path.broken = str(what)
        except NoSuchReading as what:
            path.refusal = f"this reading has no {what}"
        except NotImplementedError as what:
            path.refusal, path.lost = f"cannot follow the code: {what}", True
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as failure:
            path.broken = f"the code runs without {type(failure).__name__}"
        pending += path.alternatives
        yield path


def smallest_inputs(path: Path, model: z3.ModelRef, solver: Solver, minimise: bool) -> dict[str, Any]:
    """Values of a path's inputs; if asked, each the smallest possible in the order in which the body asked for them."""
    numbers = {name: value.term for name, value in path.inputs.items() if isinstance(value, Number)}
    if minimise:
        values = dict(zip(numbers, solver.smallest(path.constraints, model, list(numbers.values())), strict=True))
    else:
        values = {name: value_of(model, term) for name, term in numbers.items()}
    return {**path.inputs, **values}


def confirm(body: Body, replay: Replay, broken: str, outcome: Outcome) -> None:
    """Run a counterexample on plain integers: it has to break there what it broke in the solver's reading."""
    try:
        body(replay)
        seen = "nothing breaks"
    except Abandoned as premise:
        seen = f"the premise does not hold: {premise}"
    except Broken as what:
        seen = str(what)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as failure:
        seen = f"the code runs without {type(failure).__name__}"
    outcome.verdict, outcome.values, outcome.broken = Verdict.REFUTED, replay.values, broken
    outcome.arguments = replay.latest[1] if replay.latest[0] == broken else {}
    if seen != broken:
        outcome.verdict = Verdict.UNKNOWN
        outcome.why = f"a model that breaks “{broken}” does otherwise on plain integers: {seen}"
