"""Instructions of LLVM, each decoded once: from what llvmlite tells of it, and from its text what llvmlite does not tell."""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Local:
    """What an instruction of the same function gives, or a parameter."""

    name: str


@dataclass(frozen=True)
class Global:
    """The address of a function or of an object of the file."""

    name: str


@dataclass(frozen=True)
class Part:
    """The address of a part of an object of the file, computed as `getelementptr` does, of a type by these indices."""

    name: str
    kind: str
    indices: tuple[int, ...]


@dataclass(frozen=True)
class Other:
    """A constant that is no word: `undef`, or what is not followed."""

    text: str


UNDEFINED = Other("undef")


class Operand(NamedTuple):
    """A word, or where a run finds it; `width` is as in `Instruction`."""

    width: int
    value: int | bool | Local | Global | Part | Other


@dataclass(frozen=True)
class Instruction:
    """`name` is what it defines, "" if nothing; `width` that has in bits: 0 if it is an address, -1 if it is no word."""

    name: str
    operation: str
    width: int
    operands: tuple[Operand, ...]
    """Of a call, the function is the last one."""
    labels: tuple[str, ...] = ()
    """Of a branch, where to; of a phi, where each operand comes from."""
    detail: str = ""
    """What a comparison asks; the type that an address is computed by, or of a variable on the stack; the place of what is
    inserted or extracted."""
    location: str = field(default="", compare=False)
    """A reference to its line of C."""


ELEMENT = r"getelementptr (?:(?:inbounds|nuw|nusw) )*"

LINE = r"^  (?![ #\];]).*(?:\n    i\d.*)*(?:\n  \].*)?"
"""An instruction in a module's text; a `switch` has several lines."""

DETAIL = {
    "icmp": r" = icmp (?:samesign )?(\w+)",
    "getelementptr": rf" = {ELEMENT}(\{{.*?\}}|.+?), ptr ",
    "alloca": r" = alloca ([^,]+)",
    "insertvalue": r", (\d+)(?:, !|$)",
    "extractvalue": r", (\d+)(?:, !|$)",
}
"""Where an instruction's text has what llvmlite does not tell of it."""


def decoded(one: Any, text: str) -> Instruction:
    """An instruction of llvmlite, and its text in the module's; alone it would be printed with other numbers of metadata."""
    operation = one.opcode
    if operation not in text:
        raise ValueError(f"LLVM's text of {one} is {text}")
    location = re.search(r"!dbg (!\d+)", text)
    detail = re.search(DETAIL[operation], text) if operation in DETAIL else None
    if operation == "phi":
        labels = tuple(block.name for block in one.incoming_blocks)
    else:
        labels = tuple(re.findall(r"label %([\w.]+)", text))
    return Instruction(
        one.name,
        operation,
        width_of(one),
        tuple(operand(given) for given in one.operands if given.value_kind.name != "basic_block"),
        labels,
        detail[1] if detail else "",
        location[1] if location else "",
    )


def operand(given: Any) -> Operand:
    width = width_of(given)
    match given.value_kind.name:
        case "instruction" | "argument":
            return Operand(width, Local(given.name))
        case "function" | "global_variable":
            return Operand(width, Global(given.name))
        case "constant_int":
            number = given.get_constant_value()
            return Operand(width, bool(number) if width == 1 else number)
    return Operand(width, constant(str(given)))


def constant(text: str) -> int | Global | Part | Other:
    """One that is written as LLVM writes it, perhaps behind its type."""
    if address := re.search(r"inttoptr \(i64 (\d+) to ptr\)$|(?:^| )(\d+)$", text):
        return int(address[1] or address[2])
    if text.startswith("@"):
        return Global(text[1:])
    if part := re.search(rf"{ELEMENT}\((\S+), ptr @([\w.]+)((?:, i\d+ \d+)+)\)$", text):
        return Part(part[2], part[1], tuple(map(int, re.findall(r" (\d+)", part[3]))))
    if said := re.search(r"\b(null|zeroinitializer|undef|poison)$", text):
        return 0 if said[1] in ("null", "zeroinitializer") else UNDEFINED
    return Other(text)


def width_of(given: Any) -> int:
    """As in `Instruction`, of what llvmlite has a type of."""
    kind = given.type
    return int(kind.type_width) or (0 if kind.is_pointer else -1)
