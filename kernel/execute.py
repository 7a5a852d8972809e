"""Executes functions of a kernel's file, as `kernel.ir` reads them, on plain integers or on symbolic ones.

Words are unsigned, and wrap at their width. Memory is the objects of `kernel.objects`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kernel.ir import Field, Function, Instruction, Module, NotFollowed, split
from kernel.objects import Fault, FunctionPointer, Pointer, Struct
from kernel.words import Unknown, arithmetic, compare, convert, signed

LONGEST = 100_000
"""Blocks of code in one run; one that needs more is taken for endless."""

MODIFIERS = {"inbounds", "nuw", "nsw", "nusw", "exact", "disjoint", "nneg", "samesign", "volatile", "noundef"}


@dataclass
class Frame:
    """A function that is running: its values, and the block that it came from and the one that comes next."""

    function: Function
    values: dict[str, Any]
    block: str
    came_from: str = ""
    result: Any = None
    returned: bool = False
    cut: set[str] = field(default_factory=set)
    """The loops, by the block where a turn begins, of which only the last beginning was run."""


External = Callable[..., Any]

Cut = Callable[[dict[str, Any]], dict[str, Any]]
"""What a loop does: given the values of its variables on arrival, it changes memory as the loop does, and returns the values at
the last beginning of a turn. The loop's state is these variables and memory, since the code is in SSA form."""

RUN: set[str] = set()
"""The basic blocks that were executed, as `Module.code_of` names them, since whoever looks for them has cleared it."""


@dataclass
class Interpreter:
    """Runs the functions of a module. `externals` are those that the file calls and does not have; `globals` its objects."""

    module: Module
    externals: dict[str, External]
    globals: dict[str, Any] = field(default_factory=dict)
    uncomputed: frozenset[str] = frozenset()
    """Operations that are left alone, as they are hard for a solver."""
    left: int = LONGEST
    replaced: dict[str, External] = field(default_factory=dict)
    """Functions of the file for which something else stands; whoever puts it there says by which claim."""
    cuts: dict[tuple[str, str], Cut] = field(default_factory=dict)
    """The same of loops, by function and the block where a turn begins."""
    entered: Callable[["Frame", dict[str, Any]], dict[str, Any]] = lambda _, values: values
    """Called where a block begins, with the values of its phis; returns those that they get."""
    over: dict[tuple[str, str], Callable[[], None]] = field(default_factory=dict)
    """Of these, what to do where a loop goes on nevertheless, but for not following it."""

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

    def resume(self, frame: Frame, variables: dict[str, Any], leave: bool = True) -> dict[str, Any] | None:
        """Go once from the block that `advance` stopped at to its next beginning, with these variables; where the loop is over,
        to the end, unless told not to `leave` it."""
        head = frame.block
        for phi in phis(frame.function, head):
            frame.values[phi.name] = variables[variable(phi.name)]
        self._rest(frame)
        while not leave and not frame.returned and frame.block != head:
            if not frame.function.reaches(frame.block, head):
                return None
            self._block(frame)
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
        frame.values.update(self.entered(frame, values))
        if (frame.function.name, frame.block) in self.cuts:
            self._cut(frame)
        self._rest(frame)

    def _cut(self, frame: Frame) -> None:
        if frame.block in frame.cut:
            if (loop := (frame.function.name, frame.block)) in self.over:
                cut = self.cuts.pop(loop)
                goes_on = self.goes_on(frame)
                self.cuts[loop] = cut
                if not goes_on:
                    return  # a `while` leaves it here, after its last turn
                self.over[loop]()
            reason = "this loop goes on where it is over, by what the proof knows of it"
            raise NotFollowed(reason).at(self.module.place(frame.function.name, frame.block))
        frame.cut.add(frame.block)
        variables = {variable(phi.name): phi.name for phi in phis(frame.function, frame.block)}
        last = self.cuts[frame.function.name, frame.block](
            {name: frame.values[value] for name, value in variables.items()}
        )
        frame.values.update({value: last[name] for name, value in variables.items()})

    def _rest(self, frame: Frame) -> None:
        self.left -= 1
        if self.left < 0:
            raise TimeoutError(f"{frame.function.name} never ends")
        here = frame.block
        RUN.add(self.module.code_of(frame.function.name, here))
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
            return self._global(frame, text[1:])
        if address := re.fullmatch(r"inttoptr \(i64 (\d+) to ptr\)", text):
            return int(address[1])
        raise NotFollowed(f"a value is not followed: {text}")

    def _global(self, frame: Frame, name: str) -> Any:
        if name in self.module.functions:
            return FunctionPointer(name)
        if name not in self.globals:
            kind, values = self.module.constants.get(name, ("", ""))
            made = Struct(name, self._fields(kind) if kind else {})
            self.globals[name] = Pointer(made, 0)
            for (offset, known), value in zip(made.fields.items(), split(values), strict=kind != ""):
                made.store(offset, known.width, self._typed(frame, value))
        return self.globals[name]

    def _fields(self, kind: str) -> dict[int, Field]:
        """A type of LLVM as the fields of a struct, which are named by their place."""
        if kind == "ptr" or re.fullmatch(r"i\d+", kind):
            return {0: Field("", 8 * self.module.size(kind))}
        parts = [self.module.element(kind, index) for index in range(self.module.elements(kind))]
        return {
            offset + inner: Field(f"{place}.{known.name}", known.width)
            for place, (part, offset) in enumerate(parts)
            for inner, known in self._fields(part).items()
        }

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
            case "alloca":
                variable_of_c = Struct(instruction.name, self._fields(split(rest)[0]), unwritten=Fault, private=True)
                return Pointer(variable_of_c, 0)
            case "load":
                kind, pointer = split(rest)[:2]
                return self._access(frame, pointer, lambda to: to.object.load(to.offset, 8 * self.module.size(kind)))
            case "store":
                what, pointer = split(rest)[:2]
                value, width = self._typed(frame, what), 8 * self.module.size(what.split()[0])
                return self._access(frame, pointer, lambda to: store(to, width, value))
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
        return do(known_pointer(self._typed(frame, pointer)))

    def _element(self, frame: Frame, parts: list[str]) -> Any:
        kind, pointer, first, *others = parts
        base = self._typed(frame, pointer)
        if isinstance(base, int) and base == 0 and not others and self._index(frame, first) == 0:
            return 0
        base = known_pointer(base)
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
        called = re.search(r"([@%])([\w.]+)\((.*)\)", text)
        if called is None:
            raise NotFollowed(f"a call is not followed: {text}")
        name, arguments = called[2], [self._typed(frame, argument) for argument in split(called[3])]
        if called[1] == "%":
            function = frame.values[name]
            if not isinstance(function, FunctionPointer):
                raise NotFollowed(f"a call is not followed: {text}")
            name = function.name
        if name in self.replaced:
            return self.replaced[name](*arguments)
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


def known_pointer(value: Any) -> Pointer:
    """What is followed or added to. Raises Fault for null, or a small number; NotFollowed for any other number."""
    if isinstance(value, Pointer):
        return value
    raise (
        Fault("a null pointer is followed")
        if isinstance(value, int)
        else NotFollowed("an address is of no known object")
    )


def store(to: Pointer, width: int, value: Any) -> None:
    """Store a word; an object to which a pointer is stored is private no more, but where only private ones know of it."""
    if isinstance(value, Pointer) and isinstance(value.object, Struct) and not getattr(to.object, "private", False):
        value.object.private = False
    to.object.store(to.offset, width, value)
