"""Runs the body of a proof along every path that its symbolic numbers can take.

It is run again and again, once for each way through its branches; a branch that the solver excludes is not taken. A path whose
assertion fails is a counterexample, which is run again on plain integers. `proofs.engine.path` says what a body is.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from textwrap import dedent
from typing import Any

import z3

from proofs.engine.path import AssertionFailed, AssumptionFailed, Body, Lemma, Path, Replay, Site, Theory, code_of
from proofs.engine.solver import Answer, Solver, value_of
from proofs.engine.symbolic import AsBits, AsIntegers, Number, Unsupported

DOUBTS = 3
"""So many paths that the solver cannot settle are enough to give up."""


class Verdict(Enum):
    """What became of an obligation."""

    PROVED = "PROVED"
    REFUTED = "REFUTED"
    UNKNOWN = "UNKNOWN"
    VACUOUS = "VACUOUS"
    NOT_FOLLOWED = "NOT_FOLLOWED"  # of a kernel's own code: the proof cannot follow it


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
    run: set[str] = field(default_factory=set)  # the basic blocks of compiled code on paths that can be taken
    encoding: str = ""


def explore(
    body: Body,
    theory: Theory,
    solver: Solver,
    dropped: str | None = None,
    minimise: bool = True,
    run: set[str] | None = None,
) -> Outcome:
    """The verdict on a body: over integers first, then, where that does not settle it, over bits.

    Without a premise, if one is `dropped`; with the first counterexample instead of the smallest, unless asked to `minimise`.
    Compiled code puts the names of its basic blocks into `run` while it is executed.
    """
    outcomes = []
    run = set() if run is None else run
    for encoding in (AsIntegers,) if theory is Theory.INTEGERS else (AsIntegers, AsBits):
        solver.impossible.clear()  # an earlier encoding has settled nothing
        outcome = explore_encoding(body, theory, encoding, solver, dropped, minimise, run)
        outcome.encoding = encoding.__name__
        if outcome.verdict is not Verdict.UNKNOWN:
            return outcome
        outcomes.append(outcome)
    outcomes[0].why = "; ".join(dict.fromkeys(outcome.why for outcome in outcomes))
    return outcomes[0]


def explore_encoding(
    body: Body,
    theory: Theory,
    encoding: type[Number],
    solver: Solver,
    dropped: str | None,
    minimise: bool,
    run: set[str],
) -> Outcome:
    """The verdict on a body in one encoding."""
    premises: dict[str, None] = {}  # in the order of the argument
    lemmas: dict[Lemma, None] = {}
    shown: set[Site] = set()  # on a path that has been found possible
    smallest: dict[str, Any] | None = None
    broken_by_smallest = ""
    way_to_smallest: list[z3.BoolRef] = []
    doubts: list[str] = []
    silent = False
    run_on_possible_paths = set[str]()
    lost = ""
    number_of_paths = 0
    for path in run_paths(body, theory, encoding, solver, dropped, run):
        number_of_paths += 1
        premises.update(dict.fromkeys(path.premises))
        lemmas.update(path.lemmas)
        if path.example is not None:
            run_on_possible_paths |= run
        nothing_new = shown.issuperset(path.shown) and run <= run_on_possible_paths
        if path.refusal is None and path.broken is None and path.shown and nothing_new:
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
            run_on_possible_paths |= run
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
    outcome.shown, outcome.run = {site.what for site in shown}, run_on_possible_paths
    if smallest is not None:
        outcome.constraints = way_to_smallest
        break_plainly(body, Replay(theory, smallest, dropped), broken_by_smallest, outcome)
    elif lost:
        outcome.verdict, outcome.why = Verdict.NOT_FOLLOWED, lost
    elif doubts:
        outcome.verdict, outcome.why = Verdict.UNKNOWN, doubts[0]
    elif never:
        where = f"{code_of(body).co_filename.rpartition('/')[2]}:{never[0]}"
        outcome.verdict, outcome.why = Verdict.VACUOUS, f"no path that meets the premises gets to {where}"
    elif silent or not shown:
        outcome.verdict, outcome.why = Verdict.VACUOUS, "a path that meets the premises ends without showing anything"
    return outcome


def lines_that_show(body: Body) -> set[int]:
    """The lines of a body in which something has to be shown, there or in a function named `show…`; a proof that leaves one
    out has proved less than it says."""
    source, first = inspect.getsourcelines(code_of(body))
    calls = (node for node in ast.walk(ast.parse(dedent("".join(source)))) if isinstance(node, ast.Call))
    called = ((call, getattr(call.func, "attr", getattr(call.func, "id", ""))) for call in calls)
    return {first + call.lineno - 1 for call, name in called if name.startswith("show")}


def run_paths(
    body: Body, theory: Theory, encoding: type[Number], solver: Solver, dropped: str | None, run: set[str]
) -> Iterator[Path]:
    """Every path whose premises hold, to its end; while one is looked at, `run` has its basic blocks, and no others."""
    pending: list[list[bool]] = [[]]
    while pending:
        run.clear()
        path = Path(theory, encoding, solver, pending.pop(), dropped)
        path.body_code = code_of(body)
        try:
            body(path)
        except AssumptionFailed:
            pending += path.alternatives
            continue
        except AssertionFailed as what:
            path.broken = str(what)
        except Unsupported as what:
            path.refusal = f"this encoding has no {what}"
        except NotImplementedError as what:
            path.refusal, path.lost = str(what), True
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as failure:
            path.broken = without(failure)
        pending += path.alternatives
        yield path


def without(failure: BaseException) -> str:
    """What does not hold where code under proof raises this; what a proof raises itself says so in a `promise`."""
    return getattr(failure, "promise", f"the code runs without {type(failure).__name__}")


def smallest_inputs(path: Path, model: z3.ModelRef, solver: Solver, minimise: bool) -> dict[str, Any]:
    """Values of a path's inputs; if asked, each the smallest possible in the order in which the body asked for them."""
    numbers = {name: value.term for name, value in path.inputs.items() if isinstance(value, Number)}
    if minimise:
        values = dict(zip(numbers, solver.smallest(path.constraints, model, list(numbers.values())), strict=True))
    else:
        values = {name: value_of(model, term) for name, term in numbers.items()}
    return {**path.inputs, **values}


def break_plainly(body: Body, replay: Replay, broken: str, outcome: Outcome) -> None:
    """Run a counterexample on plain integers: it has to break there what it broke in the solver's encoding. Where it cannot be
    followed there, nothing is said of it."""
    try:
        body(replay)
        found = "nothing breaks"
    except AssumptionFailed as premise:
        found = f"the premise does not hold: {premise}"
    except AssertionFailed as what:
        found = str(what)
    except NotImplementedError as lost:
        outcome.verdict, outcome.why = Verdict.NOT_FOLLOWED, str(lost)
        return
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as failure:
        found = without(failure)
    outcome.verdict, outcome.values, outcome.broken = Verdict.REFUTED, replay.values, broken
    outcome.arguments = replay.latest[1] if replay.latest[0] == broken else {}
    if found != broken:
        outcome.verdict = Verdict.UNKNOWN
        outcome.why = f"a model that breaks “{broken}” does otherwise on plain integers: {found}"
