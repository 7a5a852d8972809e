"""Symbolic numbers: Python's operators over solver terms, so that ordinary functions run on all inputs at once.

A symbolic number is an integer, exact like Python's own: nothing wraps until the code says so with a conversion of
`impl.words`, which truncates a machine word (theories u32 and u64) and leaves a number of ℤ as it is. A comparison gives
a `Truth`; when Python asks for its `bool`, the path that runs decides which way to go, and comes back for the other
(`proofs.engine.explore`).

The solver can be asked about the same run in two *encodings*: over integers, which is fast where there are products and
quotients, or over bit-vectors that are wide enough to be exact, which knows `&` and `~`. What an encoding cannot say
exactly, it refuses with `Unsupported`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol

import z3

Term = Any  # a z3 integer or bit-vector; z3's own annotations do not know its operators


class Unsupported(Exception):
    """This encoding has no exact term for an operation; another one has to be tried."""


class Decider(Protocol):
    """The path that a number belongs to."""

    words_truncate: bool
    quotients: dict[tuple[int, int], tuple[Term, Term]]
    powers: list[tuple[Term, Term]]

    def decide(self, condition: z3.BoolRef) -> bool: ...
    def is_certain(self, fact: z3.BoolRef) -> bool: ...
    def define(self, name: str) -> Term: ...
    def know(self, fact: z3.BoolRef) -> None: ...


class Truth:
    """A truth value that a path decides when Python needs to know."""

    def __init__(self, path: Decider, term: z3.BoolRef) -> None:
        self.path = path
        self.term = term

    def __bool__(self) -> bool:
        return self.path.decide(self.term)

    def __eq__(self, other: object) -> bool:
        return bool(self) == bool(other)

    __hash__ = None  # type: ignore[assignment]


class Number:
    """A symbolic integer. Subclasses are the encodings."""

    def __init__(self, path: Decider, term: Term) -> None:
        self.path = path
        self.term = term

    def __add__(self, other: Operand) -> Number:
        return self._apply("add", self, other)

    def __radd__(self, other: int) -> Number:
        return self._apply("add", other, self)

    def __sub__(self, other: Operand) -> Number:
        return self._apply("sub", self, other)

    def __rsub__(self, other: int) -> Number:
        return self._apply("sub", other, self)

    def __mul__(self, other: Operand) -> Number:
        return self._apply("mul", self, other)

    def __rmul__(self, other: int) -> Number:
        return self._apply("mul", other, self)

    def __floordiv__(self, other: Operand) -> Number:
        return self._divide("floordiv", self, other)

    def __rfloordiv__(self, other: int) -> Number:
        return self._divide("floordiv", other, self)

    def __mod__(self, other: Operand) -> Number:
        return self._divide("mod", self, other)

    def __rmod__(self, other: int) -> Number:
        return self._divide("mod", other, self)

    def __rpow__(self, base: int) -> Number:
        if base != 2 or self < 0:
            raise Unsupported("power but those of two")
        return self._power_of_two()

    def __and__(self, other: Operand) -> Number:
        return self._apply("and_", self, other)

    def __rand__(self, other: int) -> Number:
        return self._apply("and_", other, self)

    def __invert__(self) -> Number:
        return -1 - self

    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        return self._compare("eq", other)

    def __ne__(self, other: object) -> Truth:  # type: ignore[override]
        return self._compare("ne", other)

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Operand) -> Truth:
        return self._compare("lt", other)

    def __le__(self, other: Operand) -> Truth:
        return self._compare("le", other)

    def __gt__(self, other: Operand) -> Truth:
        return self._compare("gt", other)

    def __ge__(self, other: Operand) -> Truth:
        return self._compare("ge", other)

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __format__(self, specification: str) -> str:
        return str(self.term)  # in a message

    def narrow(self, width: int) -> Number:
        """C's conversion to an unsigned word of `width` bits, on a path of its own where it changes the value."""
        if not self.path.words_truncate or (self >= 0 and self < 2**width):
            return self
        return self._truncated(width)

    def _divide(self, operation: str, left: Operand, right: Operand) -> Number:
        if right == 0:
            raise ZeroDivisionError("division by zero")
        if left < 0 or right < 0:
            raise Unsupported("division of negative numbers")
        return self._apply(operation, left, right)

    def _compare(self, operation: str, other: object) -> Truth:
        if not isinstance(other, int | Number):
            return NotImplemented  # type: ignore[no-any-return]  # let the other side answer
        compare: Callable[[Term, Term], z3.BoolRef] = getattr(operator, operation)
        return Truth(self.path, compare(*self._terms(self, other)))

    def _apply(self, operation: str, left: Operand, right: Operand) -> Number:
        raise NotImplementedError

    def _terms(self, left: Operand, right: Operand) -> tuple[Term, Term]:
        raise NotImplementedError

    def _truncated(self, width: int) -> Number:
        raise NotImplementedError

    def _power_of_two(self) -> Number:
        raise Unsupported("2 to an unknown power")


Operand = int | Number


class AsIntegers(Number):
    """The encoding over the integers."""

    def _apply(self, operation: str, left: Operand, right: Operand) -> Number:
        x, y = self._terms(left, right)
        match operation:
            case "floordiv":
                term = self._quotient_and_remainder(x, y)[0]
            case "mod":
                term = self._quotient_and_remainder(x, y)[1]
            case "and_":
                raise Unsupported("& over the integers")
            case _:
                term = getattr(operator, operation)(x, y)
        return AsIntegers(self.path, term)

    def _terms(self, left: Operand, right: Operand) -> tuple[Term, Term]:
        return (
            left.term if isinstance(left, Number) else z3.IntVal(left),
            right.term if isinstance(right, Number) else z3.IntVal(right),
        )

    def _truncated(self, width: int) -> Number:
        return AsIntegers(self.path, self.term % 2**width)

    def _power_of_two(self) -> Number:
        """By what is known of powers of two: the first few, and how those that the path speaks of compare."""
        x, power = self.term, self.path.define("power")
        for small in range(4):
            self.path.know(z3.Implies(x == small, power == 2**small))
        self.path.know(z3.Implies(x >= 4, power >= 2**4))
        for y, other in self.path.powers:
            self.path.know(z3.Implies(x <= y, power <= other))
            self.path.know(z3.Implies(y <= x, other <= power))
            self.path.know(z3.Implies(x == y + 1, power == 2 * other))
            self.path.know(z3.Implies(y == x + 1, other == 2 * power))
            self.path.know(z3.Implies(x == 2 * y, power == other * other))
            self.path.know(z3.Implies(y == 2 * x, other == power * power))
        self.path.powers.append((x, power))
        return AsIntegers(self.path, power)

    def _quotient_and_remainder(self, x: Term, y: Term) -> tuple[Term, Term]:
        """By their definition, which solvers take better than `/` and `%` of two unknowns."""
        if z3.is_int_value(y):
            return x / y, x % y
        key = (x.get_id(), y.get_id())
        if key not in self.path.quotients:
            quotient, remainder = self.path.define("quotient"), self.path.define("remainder")
            self.path.know(x == quotient * y + remainder)
            self.path.know(remainder < y)
            self.path.quotients[key] = quotient, remainder
        return self.path.quotients[key]


class AsBits(Number):
    """The encoding over signed bit-vectors, each as wide as its value can need."""

    def _apply(self, operation: str, left: Operand, right: Operand) -> Number:
        x, y = self._terms(left, right)
        width: int = x.size()
        if operation == "mul":
            x, y = z3.SignExt(width, x), z3.SignExt(width, y)
        elif operation in ("add", "sub"):
            x, y = z3.SignExt(1, x), z3.SignExt(1, y)
        elif operation == "mod" and x.eq(y):
            return AsBits(self.path, z3.BitVecVal(0, 1))  # by itself, which a solver does not see in a division
        elif operation == "mod" and self.path.is_certain(y & (y - 1) == 0):
            # A remainder by a power of two is a mask, which is far easier to reason about than a division.
            return AsBits(self.path, x & (y - 1))
        # Neither operand of a division is negative here, so the signed and the unsigned one agree.
        function = {"floordiv": z3.UDiv, "mod": z3.URem}.get(operation) or getattr(operator, operation)
        return AsBits(self.path, function(x, y))

    def _terms(self, left: Operand, right: Operand) -> tuple[Term, Term]:
        terms = [
            side.term if isinstance(side, Number) else z3.BitVecVal(side, side.bit_length() + 1)
            for side in (left, right)
        ]
        width = max(term.size() for term in terms)
        x, y = (z3.SignExt(width - term.size(), term) for term in terms)
        return x, y

    def _truncated(self, width: int) -> Number:
        wide_enough = z3.SignExt(max(0, width - self.term.size()), self.term)
        return AsBits(self.path, z3.ZeroExt(1, z3.Extract(width - 1, 0, wide_enough)))
