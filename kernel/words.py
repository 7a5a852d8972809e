"""The arithmetic of LLVM's words, on plain integers or on symbolic ones, and on pointers as far as C's code needs it."""

from dataclasses import dataclass
from typing import Any

from kernel.ir import NotFollowed
from kernel.objects import ALIGNED, Pointer, Word, is_same


def wrap(value: Word, width: int) -> Word:
    """A word of so many bits."""
    return value % 2**width if isinstance(value, int) else value.narrow(width)


def signed(value: Word, width: int) -> Word:
    return value - 2**width if value >= 2 ** (width - 1) else value


BINARY = {"add", "sub", "mul", "udiv", "urem", "and", "or", "xor", "shl", "lshr"}
"""The operations of `arithmetic`."""


ERRORS = 2**64 - 4095
"""From here on, addresses are error numbers, as IS_ERR() knows; no object lies there."""


@dataclass(frozen=True)
class Unknown:
    """A word that is not computed: it is known only how it would be. No branch may depend on it."""

    operation: str
    x: Any
    y: Any

    def __bool__(self) -> bool:
        raise NotFollowed("a branch depends on what is not computed here")


def not_computed(operation: str, x: Any, y: Any) -> Any:
    """An operation on what is not computed; but a quotient times its divisor, as roundup() has it, takes no division."""
    for quotient, divisor in ((x, y), (y, x)):
        whole = operation == "mul" and isinstance(quotient, Unknown) and quotient.operation == "udiv"
        if whole and not isinstance(divisor, Unknown) and not isinstance(quotient.x, Unknown) and quotient.y == divisor:
            return quotient.x - quotient.x % divisor
    return Unknown(operation, x, y)


def arithmetic(operation: str, width: int, x: Any, y: Any) -> Any:
    if width == 1:
        x, y = bool(x), bool(y)
        return {"and": x and y, "or": x or y, "xor": x != y}[operation]
    if isinstance(x, Pointer) or isinstance(y, Pointer):
        if operation == "sub" and isinstance(x, Pointer) and isinstance(y, Pointer) and x.object is y.object:
            return wrap(x.offset - y.offset, width)
        return with_flags(operation, width, x, y)
    match operation:
        case "add":
            return wrap(x + y, width)
        case "sub":
            return wrap(x - y, width)
        case "mul":
            return wrap(x * y, width)
        case "udiv" | "urem":
            return x // y if operation == "udiv" else x % y
        case "xor" if isinstance(y, int) and y == 2**width - 1:
            return y - x
        case "and":
            return x if isinstance(y, int) and y == 2**width - 1 else x & y
        case "shl" if isinstance(y, int):
            return wrap(x * 2**y, width)
        case "lshr" if isinstance(y, int):
            return x // 2**y
        case "or" | "xor" if isinstance(x, int) and isinstance(y, int):
            return x | y if operation == "or" else x ^ y
        case "or" | "xor":
            return x + y - (x & y) * (1 if operation == "or" else 2)
    raise NotFollowed(f"an operation is not followed: {operation}")


def with_flags(operation: str, width: int, x: Any, y: Any) -> Any:
    """An address that is moved by a number, or whose low bits, which are flags, are set or read."""
    if isinstance(y, Pointer) and operation in ("add", "or", "and"):
        x, y = y, x
    if isinstance(y, Pointer) or not isinstance(x, Pointer) or width != 64:
        raise NotFollowed("an address is computed with")
    if operation in ("add", "sub"):
        return x + signed(y, 64) * (1 if operation == "add" else -1)
    if isinstance(x.offset, int) and isinstance(y, int):
        low = x.offset % ALIGNED
        if operation == "and" and y < ALIGNED:
            return low & y
        if operation == "and" and 2**64 - 1 - y < ALIGNED:
            return Pointer(x.object, x.offset - low + (low & y))
        if operation == "or" and y < ALIGNED:
            return Pointer(x.object, x.offset - low + (low | y))
    raise NotFollowed("an address is computed with")


def compare(predicate: str, width: int, x: Any, y: Any) -> Any:
    if isinstance(x, Unknown) or isinstance(y, Unknown):
        raise NotFollowed("what is not computed here is compared")
    if isinstance(x, Pointer) or isinstance(y, Pointer):
        if not all(isinstance(side, Pointer | int) for side in (x, y)):
            raise NotFollowed("an address is compared with a number")
        if predicate in ("eq", "ne"):
            return (isinstance(x, Pointer) and x == y) == (predicate == "eq")
        if isinstance(y, int) and y >= ERRORS and predicate[0] == "u":
            return predicate in ("ult", "ule")
        if not (isinstance(x, Pointer) and isinstance(y, Pointer) and is_same(x.object, y.object)):
            raise NotFollowed("addresses are compared")
        return compare(predicate, 64, x.offset, y.offset)
    if width == 0:
        x, y = int(x), int(y)  # null
    if predicate[0] == "s" and width > 1:
        x, y = signed(x, width), signed(y, width)
    match predicate[-2:]:
        case "eq":
            return x == y
        case "ne":
            return x != y
        case "lt":
            return x < y
        case "le":
            return x <= y
        case "gt":
            return x > y
    return x >= y


def convert(operation: str, width: int, to: int, value: Any) -> Any:
    if operation in ("ptrtoint", "inttoptr") or isinstance(value, Unknown):
        return value
    if width == 1:
        return (1 if operation == "zext" else 2**to - 1) if value else 0
    if operation == "trunc":
        return bool(value % 2 != 0) if to == 1 else wrap(value, to)
    return wrap(signed(value, width), to) if operation == "sext" else value
