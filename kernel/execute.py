"""Executes functions of a kernel's file, as `kernel.ir` reads them, on plain integers or on symbolic ones.

Words are unsigned, and wrap at their width. Memory is the objects of `kernel.objects`.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kernel.fills import fill_at_once, fill_loop
from kernel.instructions import Global, Instruction, Local, Operand, Other, Part
from kernel.ir import Field, Function, Module, NotFollowed
from kernel.objects import Fault, FunctionPointer, Opaque, Pointer, Struct, View
from kernel.words import BINARY, Unknown, arithmetic, compare, convert, not_computed, signed

LONGEST = 100_000
"""Blocks of code in one run; one that needs more is taken for endless."""


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
the last beginning of a turn. The loop's state is these variables and memory."""

RUN: set[str] = set()
"""The basic blocks that were executed, as `Module.code_of` names them, since whoever looks for them has cleared it."""

ENTERED: deque[tuple[Module, str]] = deque(maxlen=1)
"""The function that was entered last, since whoever looks for it has cleared it: for what is not followed at no instruction."""


@dataclass
class Interpreter:
    """Runs the functions of a module. `externals` are those that the file calls and does not have; `globals` its objects."""

    module: Module
    externals: dict[str, External]
    globals: dict[str, Any] = field(default_factory=dict)
    any_global: Callable[[Struct, Field], Any] | None = None
    """What a variable of the file holds where the code begins; without, what it has from the start."""
    touched: Callable[[View, str, bool], None] = lambda *_: None
    """Is given a variable of the file, the name of its field, and whether it is written, at every access."""
    uncomputed: frozenset[str] = frozenset()
    """Operations that are left alone, as they are hard for a solver."""
    left: int = LONGEST
    replaced: dict[str, External] = field(default_factory=dict)
    """Functions of the file for which something else stands; whoever puts it there says by which claim."""
    cuts: dict[tuple[str, str], Cut] = field(default_factory=dict)
    """The same of loops, by function and the block where a turn begins."""
    over: dict[tuple[str, str], Callable[[], None]] = field(default_factory=dict)
    """Of these, what to do where a loop goes on nevertheless, but for not following it."""
    entered: Callable[["Frame", dict[str, Any]], dict[str, Any]] = lambda _, values: values
    """Called where a block begins, with the values of its phis; returns those that they get."""

    def call(self, name: str, *arguments: Any) -> Any:
        """Run a function to its end."""
        frame = self.enter(name, *arguments)
        self.advance(frame)
        return frame.result

    def enter(self, name: str, *arguments: Any) -> Frame:
        function = self.module.function(name)
        ENTERED.append((self.module, name))
        if len(function.parameters) != len(arguments):
            raise NotFollowed(f"{name} has {len(function.parameters)} parameters, not {len(arguments)}")
        return Frame(function, dict(zip(function.parameters, arguments, strict=True)), function.entry)

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
        for phi in frame.function.phis[head]:
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
        return {variable(phi.name): self._phi(frame, phi) for phi in frame.function.phis[frame.block]}

    def _phi(self, frame: Frame, phi: Instruction) -> Any:
        if frame.came_from not in phi.labels:
            raise NotFollowed(f"a phi does not know {frame.came_from}")
        return self._value(frame, phi.operands[phi.labels.index(frame.came_from)])

    def _block(self, frame: Frame) -> None:
        try:
            values = {phi.name: self._phi(frame, phi) for phi in frame.function.phis[frame.block]}
        except NotFollowed as lost:
            raise lost.at(self.module.place(frame.function.name, frame.block)) from lost
        frame.values.update(self.entered(frame, values))
        if (frame.function.name, frame.block) in self.cuts:
            self._cut(frame)
        elif values and frame.block in frame.function.loops:
            self._fill(frame, values)
        self._rest(frame)

    def _fill(self, frame: Frame, arrived: dict[str, Any]) -> None:
        """Run a loop that fills memory at once."""
        place = frame.function.name, frame.block
        if place not in self.module.fills:
            self.module.fills[place] = fill_loop(frame.function, frame.block)
        loop = self.module.fills[place]
        if loop is None or frame.came_from in loop.blocks:
            return

        def turn(variables: dict[str, Any]) -> tuple[bool, list[Any], Any, Any]:
            one = Frame(frame.function, frame.values | variables, frame.block)
            for instruction in (one for block in loop.blocks for one in frame.function.blocks[block]):
                if instruction.operation not in ("phi", "br", "store"):
                    one.values[instruction.name] = self._do(one, instruction)
            sides = [self._value(one, side) for side in loop.comparison.operands]
            byte, to = (self._value(one, operand) for operand in loop.store.operands)
            return bool(one.values[loop.comparison.name]), sides, known_pointer(to), byte

        try:
            over = fill_at_once(loop, arrived, turn)
        except NotFollowed as lost:
            raise lost.at(self.module.place(*place)) from lost
        if over is not None:
            RUN.add(self.module.code_of(frame.function.name, loop.blocks[1]))
            frame.values.update(over)

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
        variables = {variable(phi.name): phi.name for phi in frame.function.phis[frame.block]}
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

    def _value(self, frame: Frame, operand: Operand) -> Any:
        match operand.value:
            case Local(name):
                return frame.values[name]
            case Global(name):
                return self._global(name)
            case Part(name, kind, indices):
                return self._part(self._global(name), kind, indices)
            case Other("undef"):
                return Unknown("undef", 0, 0)
            case Other(text):
                raise NotFollowed(f"a value is not followed: {text}")
        return operand.value

    def _global(self, name: str) -> Any:
        if name in self.module.functions:
            return FunctionPointer(name)
        if name not in self.globals:
            kind, values = self.module.constants.get(name, ("", ()))
            variable, begins = self.module.variables.get(name, ("", 0))
            made = View(name, self._fields(kind or variable) if kind or variable else {})
            made.any_value = self.any_global or (lambda *_: begins % 2**64)
            self.globals[name] = Pointer(made, 0)
            for (offset, known), value in zip(made.fields.items(), values, strict=kind != ""):
                made.store(offset, known.width, self._global(value.name) if isinstance(value, Global) else value)
            made.touched = self.touched
        return self.globals[name]

    def _fields(self, kind: str) -> dict[int, Field]:
        """A type of LLVM as the fields of a struct, which are named by their place."""
        if kind in ("%struct.atomic_t", "%struct.atomic64_t"):
            return {0: Field("counter", 8 * self.module.size(kind), kind.removeprefix("%struct."))}
        if kind == "%struct.list_head":
            return {0: Field("next", 64, "list_head*"), 8: Field("prev", 64, "list_head*")}
        if kind not in self.module.structs:
            return {0: Field("", 8 * self.module.size(kind), "void*" if kind == "ptr" else "")}
        return {
            offset + inner: Field(f"{place}.{known.name}", known.width, known.type)
            for place, (part, offset) in enumerate(self.module.structs[kind].elements)
            for inner, known in self._fields(part).items()
        }

    def _do(self, frame: Frame, instruction: Instruction) -> Any:
        operation, given = instruction.operation, instruction.operands
        match operation:
            case "getelementptr":
                return self._element(frame, instruction)
            case "load":
                to = known_pointer(self._value(frame, given[0]))
                return to.object.load(to.offset, in_memory(instruction.width))
            case "br":
                taken = 1 if given and not self._value(frame, given[0]) else 0
                frame.block = instruction.labels[taken]
                return None
            case "store":
                store(
                    known_pointer(self._value(frame, given[1])), in_memory(given[0].width), self._value(frame, given[0])
                )
                return None
            case "call":
                return self._call(frame, given)
            case "icmp":
                x, y = (self._value(frame, one) for one in given)
                return compare(instruction.detail, given[0].width, x, y)
            case "ret":
                frame.returned = True
                frame.result = self._value(frame, given[0]) if given else None
                return None
            case "select":
                return self._value(frame, given[1] if self._value(frame, given[0]) else given[2])
            case "zext" | "sext" | "trunc" | "ptrtoint" | "inttoptr":
                return convert(operation, given[0].width, instruction.width, self._value(frame, given[0]))
            case "alloca":
                variable_of_c = Struct(
                    instruction.name, self._fields(instruction.detail), unwritten=Fault, private=True
                )
                return Pointer(variable_of_c, 0)
            case "insertvalue":  # of a struct that a function returns in registers
                members = self._value(frame, given[0])
                known = members if isinstance(members, dict) else {}  # of `poison`, none
                return {**known, int(instruction.detail): self._value(frame, given[1])}
            case "extractvalue":
                return self._value(frame, given[0])[int(instruction.detail)]
            case "unreachable":
                raise Fault("code is reached that should not be")
        if operation not in BINARY:
            raise NotFollowed(f"an instruction is not followed: {operation}")
        x, y = (self._value(frame, one) for one in given)
        if isinstance(x, Unknown) or isinstance(y, Unknown):
            return not_computed(operation, x, y)
        if operation in ("udiv", "urem") and y == 0:
            raise Fault("a division by zero")
        if operation in self.uncomputed:
            return Unknown(operation, x, y)
        return arithmetic(operation, instruction.width, x, y)

    def _element(self, frame: Frame, instruction: Instruction) -> Any:
        pointer, first, *others = instruction.operands
        base, kind = self._value(frame, pointer), instruction.detail
        if isinstance(base, int) and base == 0 and not others and self._value(frame, first) == 0:
            return 0
        indices = [signed(self._value(frame, index), index.width) for index in (first, *others)]
        return self._part(known_pointer(base), kind, indices)

    def _part(self, base: Pointer, kind: str, indices: Sequence[Any]) -> Pointer:
        """A part of what an address leads to, of a type of LLVM: an array's element, or a struct's, and so on."""
        first, *others = indices
        offset = base.offset + first * self.module.size(kind)
        for index in others:
            if array := re.fullmatch(r"\[\d+ x (.*)\]", kind):
                kind = array[1]
                offset = offset + index * self.module.size(kind)
            else:
                kind, place = self.module.layout(kind).elements[index]
                offset = offset + place
        return Pointer(base.object, offset)

    def _call(self, frame: Frame, operands: tuple[Operand, ...]) -> Any:
        *arguments, called = operands
        if isinstance(called.value, Other) and 'asm sideeffect "",' in called.value.text:
            return None  # no code, but for a compiler to keep the order of memory accesses
        function = called.value if isinstance(called.value, Global) else self._value(frame, called)
        if not isinstance(function, Global | FunctionPointer):
            raise NotFollowed("a call is not followed: what is called is no function that is known here")
        name, values = function.name, [self._value(frame, one) for one in arguments]
        if name in self.replaced:
            return self.replaced[name](*values)
        if name in self.module.functions:
            return self.call(name, *values)
        if name not in self.externals:
            raise NotFollowed(f"{frame.function.name} calls {name.removeprefix('kernel_')}, which is not known here")
        return self.externals[name](*values)


def in_memory(width: int) -> int:
    """Bits that a word takes in memory; 0 stands for an address. Raises NotFollowed for what is no word."""
    if width < 0:
        raise NotFollowed("a struct is read or written at once")
    return max(width, 8) if width else 64


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


def fill(to: Any, byte: int, nbytes: Any, *_: Any) -> Any:
    """memset."""
    if not (isinstance(nbytes, int) and nbytes == 0):
        known_pointer(to).object.fill(to.offset, nbytes, byte % 256)
    return to


def is_array(to: Pointer) -> bool:
    """Whether an address is that of a member that is no word."""
    known = to.object.fields.get(to.offset) if isinstance(to.object, Struct) and isinstance(to.offset, int) else None
    return known is not None and known.width not in (8, 16, 32, 64)


def copy(to: Any, source: Any, nbytes: Any, *_: Any) -> Any:
    """memcpy of a word, or of a whole struct."""
    of, into = known_pointer(source), known_pointer(to)
    length = of.object.length if isinstance(of.object, Opaque) and of.offset == 0 else None
    if length is not None and is_array(into) and nbytes <= length + 1:  # a text, perhaps with its end
        if into.object.unwritten != 0:
            raise NotFollowed(f"a text is copied to where {into.object.name} may have no end of it")
        if nbytes >= into.object.room_at(into.offset):
            raise Fault(f"{nbytes} bytes are copied to where {into.object.name} has less room")
    elif isinstance(nbytes, int) and nbytes in (1, 2, 4, 8):
        store(into, 8 * nbytes, of.object.load(of.offset, 8 * nbytes))
    elif isinstance(of.object, Struct) and 0 == of.offset == into.offset and of.object.end == nbytes:
        for offset, known in of.object.fields.items():
            store(into + offset, known.width, of.object.load(offset, known.width))
    else:
        raise NotFollowed(f"{nbytes} bytes are copied")
    return to


MEMORY: dict[str, External] = {
    "memset": fill,
    "llvm.memset.p0.i64": fill,
    "memcpy": copy,
    "llvm.memcpy.p0.p0.i64": copy,
}
"""What changes memory, whatever it is."""
