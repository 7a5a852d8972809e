"""Executes functions of a kernel's file, as `kernel.ir` reads them, on plain integers or on symbolic ones.

Words are unsigned, and wrap at their width. Memory is the objects of `kernel.objects`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kernel.ir import Function, Instruction, Module, NotFollowed, split
from kernel.objects import Fault, Pointer, Struct, Word

LONGEST = 100_000
"""Blocks of code in one run; one that needs more is taken for endless."""

MODIFIERS = {"inbounds", "nuw", "nsw", "nusw", "exact", "disjoint", "nneg", "samesign", "volatile", "noundef"}


def wrap(value: Word, width: int) -> Word:
    """A word of so many bits."""
    return value % 2**width if isinstance(value, int) else value.narrow(width)


def signed(value: Word, width: int) -> Word:
    return value - 2**width if value >= 2 ** (width - 1) else value


@dataclass
class Frame:
    """A function that is running: its values, and the block that it came from and the one that comes next."""

    function: Function
    values: dict[str, Any]
    block: str
    came_from: str = ""
    result: Any = None
    returned: bool = False


@dataclass(frozen=True)
class Unknown:
    """A word that is not computed: it is known only how it would be. No branch may depend on it."""

    operation: str
    x: Any
    y: Any

    def __bool__(self) -> bool:
        raise NotFollowed("a branch depends on what is not computed here")


External = Callable[..., Any]


@dataclass
class Interpreter:
    """Runs the functions of a module. `externals` are those that the file calls and does not have; `globals` its objects."""

    module: Module
    externals: dict[str, External]
    globals: dict[str, Any] = field(default_factory=dict)
    uncomputed: frozenset[str] = frozenset()
    """Operations that are left alone, as they are hard for a solver."""
    left: int = LONGEST

    def call(self, name: str, *arguments: Any) -> Any:
        """Run a function to its end."""
        frame = self.enter(name, *arguments)
        self.advance(frame)
        return frame.result

    def enter(self, name: str, *arguments: Any) -> Frame:
        function = self.module.function(name)
        if len(function.parameters) != len(arguments):
            raise NotFollowed(f"{name} has {len(function.parameters)} parameters, not {len(arguments)}")
        return Frame(function, dict(zip(function.parameters, arguments, strict=True)), next(iter(function.blocks)))

    def advance(self, frame: Frame, until: str = "") -> dict[str, Any] | None:
        """Go on to the end, or until a block would be entered: then with the values that its variables would have."""
        while not frame.returned:
            if frame.block == until and frame.came_from:
                return self.incoming(frame)
            self._block(frame)
        return None

    def resume(self, frame: Frame, variables: dict[str, Any]) -> dict[str, Any] | None:
        """Go once from the block that `advance` stopped at to its next beginning, or to the end, with these variables."""
        head = frame.block
        for phi in phis(frame.function, head):
            frame.values[phi.name] = variables[variable(phi.name)]
        self._rest(frame)
        return self.advance(frame, head)

    def goes_on(self, frame: Frame) -> bool:
        """Whether the loop has one more turn, where `advance` has stopped: a `while` may leave it in its first block."""
        head, came_from = frame.block, frame.came_from
        function, ways = frame.function, frame.function.successors(frame.block)
        if head in ways or all(function.reaches(way, head) for way in ways):
            return True  # the condition is not here, or at the end of a loop of one block
        self._block(frame)
        taken = frame.block
        frame.block, frame.came_from = head, came_from
        return function.reaches(taken, head)

    def incoming(self, frame: Frame) -> dict[str, Any]:
        """What the variables of the block that comes next would be."""
        return {variable(phi.name): self._phi(frame, phi) for phi in phis(frame.function, frame.block)}

    def _phi(self, frame: Frame, phi: Instruction) -> Any:
        kind = phi.rest.partition("[")[0].strip()
        for value, block in re.findall(r"\[ (.+?), %([\w.]+) \]", phi.rest):
            if block == frame.came_from:
                return self._value(frame, kind, value)
        raise NotFollowed(f"a phi does not know {frame.came_from}")

    def _block(self, frame: Frame) -> None:
        try:
            values = {phi.name: self._phi(frame, phi) for phi in phis(frame.function, frame.block)}
        except NotFollowed as lost:
            raise lost.at(self.module.place(frame.function.name, frame.block)) from lost
        frame.values.update(values)
        self._rest(frame)

    def _rest(self, frame: Frame) -> None:
        self.left -= 1
        if self.left < 0:
            raise TimeoutError(f"{frame.function.name} never ends")
        here = frame.block
        for instruction in frame.function.blocks[here]:
            if instruction.operation != "phi":
                try:
                    result = self._do(frame, instruction)
                except NotFollowed as lost:
                    raise lost.at(self.module.place(frame.function.name, here, instruction)) from lost
                if instruction.name:
                    frame.values[instruction.name] = result
        frame.came_from = here

    def _value(self, frame: Frame, kind: str, text: str) -> Any:
        if text.startswith("%"):
            return frame.values[text[1:]]
        if text in ("true", "false"):
            return text == "true"
        if text in ("undef", "poison"):
            return Unknown(text, 0, 0)
        if text in ("null", "zeroinitializer"):
            return 0
        if re.fullmatch(r"-?\d+", text):
            return int(text) % 2 ** int(kind[1:])
        if re.fullmatch(r"@[\w.]+", text):
            return self.globals.setdefault(text[1:], Pointer(Struct(text[1:], {}), 0))
        if address := re.fullmatch(r"inttoptr \(i64 (\d+) to ptr\)", text):
            return int(address[1])
        raise NotFollowed(f"a value is not followed: {text}")

    def _typed(self, frame: Frame, text: str) -> Any:
        """The value of `i32 %x`, with whatever else is said of it."""
        kind, _, rest = text.partition(" ")
        return self._value(frame, kind, rest if rest.startswith("inttoptr") else rest.split()[-1])

    def _do(self, frame: Frame, instruction: Instruction) -> Any:
        rest = instruction.rest
        while (word := rest.partition(" ")[0]) in MODIFIERS:
            rest = rest[len(word) + 1 :]
        match instruction.operation:
            case "br":
                labels = re.findall(r"label %([\w.]+)", rest)
                taken = 0
                if len(labels) == 2:
                    taken = 0 if self._typed(frame, split(rest)[0]) else 1
                frame.block = labels[taken]
                return None
            case "ret":
                frame.returned = True
                frame.result = None if rest == "void" else self._typed(frame, rest)
                return None
            case "icmp":
                predicate, _, operands = rest.removeprefix("samesign ").partition(" ")
                kind, (x, y) = self._operands(frame, operands)
                return compare(predicate, kind, x, y)
            case "select":
                condition, x, y = split(rest)
                return self._typed(frame, x if self._typed(frame, condition) else y)
            case "zext" | "sext" | "trunc" | "ptrtoint" | "inttoptr":
                given, _, target = rest.rpartition(" to ")
                return convert(instruction.operation, given.split()[0], target, self._typed(frame, given))
            case "load":
                kind, pointer = split(rest)[:2]
                return self._access(frame, pointer, lambda to: to.object.load(to.offset, 8 * self.module.size(kind)))
            case "store":
                what, pointer = split(rest)[:2]
                value, width = self._typed(frame, what), 8 * self.module.size(what.split()[0])
                return self._access(frame, pointer, lambda to: to.object.store(to.offset, width, value))
            case "getelementptr":
                return self._element(frame, split(rest))
            case "call":
                return self._call(frame, rest)
            case "insertvalue":  # of a struct that a function returns in registers
                struct, value, index = split(rest)
                members = frame.values.get(struct.rpartition(" %")[2], {})  # of `poison`, none
                return {**members, int(index): self._typed(frame, value)}
            case "extractvalue":
                struct, index = split(rest)
                return frame.values[struct.rpartition(" %")[2]][int(index)]
            case "unreachable":
                raise Fault("code is reached that should not be")
            case "add" | "sub" | "mul" | "udiv" | "urem" | "and" | "or" | "xor" | "shl" | "lshr":
                kind, (x, y) = self._operands(frame, rest)
                if isinstance(x, Unknown) or isinstance(y, Unknown):
                    return Unknown(instruction.operation, x, y)
                if instruction.operation in ("udiv", "urem") and y == 0:
                    raise Fault("a division by zero")
                if instruction.operation in self.uncomputed:
                    return Unknown(instruction.operation, x, y)
                return arithmetic(instruction.operation, int(kind[1:]), x, y)
        raise NotFollowed(f"an instruction is not followed: {instruction.operation}")

    def _operands(self, frame: Frame, text: str) -> tuple[str, list[Any]]:
        kind, _, operands = text.partition(" ")
        return kind, [self._value(frame, kind, operand) for operand in split(operands)]

    def _access(self, frame: Frame, pointer: str, do: Callable[[Pointer], Any]) -> Any:
        to = self._typed(frame, pointer)
        if not isinstance(to, Pointer):
            raise Fault("a null pointer is followed")
        return do(to)

    def _element(self, frame: Frame, parts: list[str]) -> Any:
        kind, pointer, first, *others = parts
        base = self._typed(frame, pointer)
        if not isinstance(base, Pointer):
            raise Fault("a null pointer is added to")
        offset = base.offset + self._index(frame, first) * self.module.size(kind)
        for index in others:
            if array := re.fullmatch(r"\[\d+ x (.*)\]", kind):
                kind = array[1]
                offset = offset + self._index(frame, index) * self.module.size(kind)
            else:
                kind, place = self.module.element(kind, self._index(frame, index))
                offset = offset + place
        return Pointer(base.object, offset)

    def _index(self, frame: Frame, text: str) -> Any:
        return signed(self._typed(frame, text), int(text.split()[0][1:]))

    def _call(self, frame: Frame, text: str) -> Any:
        called = re.search(r"@([\w.]+)\((.*)\)", text)
        if called is None:
            raise NotFollowed(f"a call is not followed: {text}")
        name, arguments = called[1], [self._typed(frame, argument) for argument in split(called[2])]
        if name in self.module.functions:
            return self.call(name, *arguments)
        if name not in self.externals:
            raise NotFollowed(f"{frame.function.name} calls {name}, which is not known here")
        return self.externals[name](*arguments)


def phis(function: Function, block: str) -> list[Instruction]:
    return [instruction for instruction in function.blocks[block] if instruction.operation == "phi"]


def variable(name: str) -> str:
    """The variable of C that a value is of: `offset.0` is one of `offset`."""
    return name.partition(".")[0]


def arithmetic(operation: str, width: int, x: Any, y: Any) -> Any:
    if width == 1:
        x, y = bool(x), bool(y)
        return {"and": x and y, "or": x or y, "xor": x != y}[operation]
    if isinstance(x, Pointer) or isinstance(y, Pointer):
        if operation == "sub" and isinstance(x, Pointer) and isinstance(y, Pointer) and x.object is y.object:
            return wrap(x.offset - y.offset, width)
        raise NotFollowed("an address is computed with")
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
    raise NotFollowed(f"an operation is not followed: {operation}")


def compare(predicate: str, kind: str, x: Any, y: Any) -> Any:
    if isinstance(x, Unknown) or isinstance(y, Unknown):
        raise NotFollowed("what is not computed here is compared")
    if isinstance(x, Pointer) or isinstance(y, Pointer):
        same = isinstance(x, Pointer) and isinstance(y, Pointer) and x.object is y.object
        if predicate not in ("eq", "ne"):
            raise NotFollowed("addresses are compared")
        equal = bool(x.offset == y.offset) if same else False
        return equal == (predicate == "eq")
    if kind == "ptr":
        x, y = int(x), int(y)  # null
    if predicate[0] == "s" and kind != "i1":
        x, y = signed(x, int(kind[1:])), signed(y, int(kind[1:]))
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


def convert(operation: str, source: str, target: str, value: Any) -> Any:
    if operation in ("ptrtoint", "inttoptr") or isinstance(value, Unknown):
        return value
    to = int(target[1:])
    if source == "i1":
        return (1 if operation == "zext" else 2**to - 1) if value else 0
    if operation == "trunc":
        return bool(value % 2 != 0) if to == 1 else wrap(value, to)
    if operation == "sext":
        return wrap(signed(value, int(source[1:])), to)
    return value
