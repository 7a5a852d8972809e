"""The symbolic numbers mean what Python's own do: a constant input gives the same result in every encoding."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impl import layout, v6_1
from impl.words import size_t, unsigned_int
from model import geometry as promise
from proofs.engine.explore import Verdict, explore
from proofs.engine.path import Path, Theory
from proofs.engine.solver import Solver
from proofs.engine.symbolic import AsBits, AsIntegers, Number, Unsupported

words = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 200), st.sampled_from([2**31 - 1, 2**31, 2**32, 2**63]))
OPERATIONS: dict[str, Any] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x // y,
    "remainder": lambda x, y: x % y,
    "and": lambda x, y: x & y,
    "invert": lambda x, y: ~x & y,
    "unsigned_int": lambda x, y: unsigned_int(x + y),
    "size_t": lambda x, y: size_t(x * y),
    "less": lambda x, y: bool(x < y),
    "at_most": lambda x, y: bool(x <= y),
    "equal": lambda x, y: bool(x == y),
    "with_constant": lambda x, y: 7 + x - 3 * (5 - y),
    "round_up": lambda x, y: promise.round_up(x, y),
}


def constant(path: Path, name: str, value: int) -> Any:
    number = path.number(name)
    path.assume("the value", lambda: number == value)
    return number


def same(path: Path, symbolic: Any, plain: Any) -> bool:
    """Whether a result can only be the plain one; that it may be would not be enough."""
    if isinstance(symbolic, Number):
        return path.is_certain((symbolic == plain).term)
    return bool(symbolic == plain)


@pytest.mark.parametrize("encoding", [AsIntegers, AsBits], ids=lambda encoding: encoding.__name__)
@settings(max_examples=80)
@given(name=st.sampled_from(sorted(OPERATIONS)), x=words, y=words)
def test_an_operation_is_pythons(encoding: type[Number], name: str, x: int, y: int) -> None:
    operation = OPERATIONS[name]
    path = Path(Theory.U64, encoding, Solver(), [])
    try:
        result = operation(constant(path, "x", x), constant(path, "y", y))
    except ZeroDivisionError:
        assert y == 0
        return
    except Unsupported:
        assert encoding is AsIntegers
        assert name in ("and", "invert")
        return
    assert same(path, result, operation(x, y))


@pytest.mark.parametrize("admit", [layout.admit, v6_1.admit], ids=["series", "v6.1"])
@settings(max_examples=40)
@given(size=words, align=words, boundary=words)
def test_the_argument_check_is_the_same_in_bits(admit: Any, size: int, align: int, boundary: int) -> None:
    path = Path(Theory.U64, AsBits, Solver(), [])
    inputs = [constant(path, name, value) for name, value in (("s", size), ("a", align), ("b", boundary))]
    symbolic, plain = admit(*inputs, 4096), admit(size, align, boundary, 4096)
    assert (symbolic is None) == (plain is None)
    if plain is not None:
        symbolic, plain = layout.kept(symbolic), layout.kept(plain)
        assert same(path, symbolic.size, plain.size)
        assert same(path, symbolic.boundary, plain.boundary)
        assert same(path, symbolic.allocation, plain.allocation)


def verdict(body: Any, theory: Theory = Theory.U32, limit: int = 1_000_000) -> Verdict:
    return explore(body, theory, Solver(limit=limit)).verdict


def test_what_holds_is_proved_and_what_does_not_is_refuted_with_the_smallest_numbers() -> None:
    def wraps(path: Any) -> None:
        x = path.number("x")
        path.assume("x is large", lambda: x >= 10)
        path.show("adding 1 makes it larger", lambda: unsigned_int(x + 1) > x)

    assert verdict(wraps, Theory.INTEGERS) is Verdict.PROVED
    outcome = explore(wraps, Theory.U32, Solver())
    assert outcome.verdict is Verdict.REFUTED
    assert outcome.values == {"x": 2**32 - 1}


def test_a_refutation_is_minimal_over_all_paths() -> None:
    def never(path: Any) -> None:
        x, y = path.number("x"), path.number("y")
        if x > 100:
            path.show("no large x", lambda: y < 0)
        path.show("no x above 6", lambda: x <= 6)

    outcome = explore(never, Theory.U64, Solver())
    assert outcome.values == {"x": 7, "y": 0}


def test_premises_that_cannot_be_met_are_vacuous() -> None:
    def impossible(path: Any) -> None:
        x = path.number("x")
        path.assume("x is small", lambda: x < 5)
        path.assume("x is large", lambda: x > 5)
        path.show("anything", lambda: x == 77)

    def silent(path: Any) -> None:
        path.number("x")

    def halfway(path: Any) -> None:
        x = path.number("x")
        path.show("the easy part", lambda: x >= 0)
        path.assume("the loop goes on", lambda: x < 0)
        path.show("the induction step", lambda: x == 77)

    def show_more(path: Any, x: Any) -> None:
        path.show("what no path gets to", lambda: x == 77)

    def in_a_helper(path: Any) -> None:
        x = path.number("x")
        path.show("the easy part", lambda: x >= 0)
        if x < 0:
            show_more(path, x)

    assert verdict(impossible) is Verdict.VACUOUS
    assert verdict(halfway) is Verdict.VACUOUS
    assert verdict(in_a_helper) is Verdict.VACUOUS
    assert verdict(silent) is Verdict.VACUOUS


def test_a_solver_that_gives_up_is_unknown() -> None:
    def fermat(path: Any) -> None:
        x, y, z = path.number("x"), path.number("y"), path.number("z")
        path.assume("all are positive", lambda: x > 0 and y > 0 and z > 0)
        path.show("no sum of two cubes is a cube", lambda: x * x * x + y * y * y != z * z * z)

    assert verdict(fermat, Theory.INTEGERS, limit=20_000) is Verdict.UNKNOWN


def test_code_that_fails_is_refuted() -> None:
    def divides(path: Any) -> None:
        x = path.number("x")
        path.show("a quotient", lambda: 100 // x >= 0)

    outcome = explore(divides, Theory.U32, Solver())
    assert outcome.verdict is Verdict.REFUTED
    assert outcome.values == {"x": 0}
    assert "ZeroDivisionError" in outcome.broken


def test_a_model_that_plain_integers_do_not_confirm_is_not_believed() -> None:
    def differs(path: Any) -> None:
        x = path.number("x")
        path.show("only symbolic numbers fail", lambda: isinstance(x, int) or x != 3)

    assert verdict(differs) is Verdict.UNKNOWN


def test_a_model_that_is_not_followed_on_plain_integers_refutes_nothing() -> None:
    def lost(path: Any) -> None:
        x = path.number("x")
        if isinstance(x, int):
            raise NotImplementedError("only symbolic numbers are followed")
        path.show("it is not 3", lambda: x != 3)

    outcome = explore(lost, Theory.U32, Solver())
    assert (outcome.verdict, outcome.why) == (Verdict.NOT_FOLLOWED, "only symbolic numbers are followed")
