"""A kernel's mm/dmapool.c, unmodified, as LLVM IR that can be executed: compiled by clang, tidied and parsed by LLVM.

Nothing is optimised but for what gives the source's variables back: a `phi` bears the name that the variable has in C, and the
debug information has the names of the fields.
"""

import functools
import os
import re
import shlex
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kernel.build import MEANING, MISTAKES, PLAIN, Source, Variant, kernel_flags
from kernel.compiler import BuildError, explained, run
from kernel.headers import wrapped
from kernel.instructions import LINE, Instruction, Local, constant, decoded, width_of
from kernel.switches import only_set_by_options, set_by_options

UNOPTIMISED = ["-O0", "-Xclang", "-disable-O0-optnone", "-fno-discard-value-names", "-fno-sanitize=all"]


ATOMIC = ("atomic_t", "atomic64_t")
"""Types of words that only operations touch which need no lock."""


class NotFollowed(NotImplementedError):
    """Code that is not followed: an instruction, a call, or a loop that no proof knows. Says which, and the line of C.

    `proofs.engine.explore` knows it as what it is to Python, since proofs of impl/ have nothing to do with a kernel.
    """

    def at(self, place: str) -> "NotFollowed":
        """The same, with the line of C where it happened, unless it has one already."""
        said = str(self)
        return self if not place or re.search(r"\(\S+:\d+\)$", said) else NotFollowed(f"{said}, in {place}")


@dataclass(frozen=True)
class Function:
    """A function of the file: its parameters' names and widths, and its blocks in the order of the text, the entry first."""

    name: str
    parameters: list[str]
    widths: list[int]
    blocks: dict[str, list[Instruction]]

    @property
    def result(self) -> int:
        """The width of what it returns, as `Instruction` has it."""
        given = [
            one.operands[0].width
            for code in self.blocks.values()
            for one in code
            if one.operation == "ret" and one.operands
        ]
        return given[0] if given else -1

    @cached_property
    def loops(self) -> list[str]:
        """The blocks that a loop goes back to."""
        around = {block: self.reached([self.entry], without=block) for block in self.blocks}
        return [
            block
            for block, missed in around.items()
            if any(block in self.successors(other) for other in self.blocks if other not in missed)
        ]

    def loop(self, number: int = 0, of: int = 1) -> str:
        """The block where a turn of a loop begins, of a function with so many but for those that fill memory byte by byte.

        Raises NotFollowed if it has more or less."""
        loops = [head for head in self.loops if not self.fills(head)]
        if len(loops) != of:
            raise NotFollowed(f"{self.name} has {len(loops)} loops, not {of}")
        return loops[number]

    def fills(self, head: str) -> bool:
        """Whether a loop does nothing but to store a byte in each turn."""
        inside = [block for block in self.blocks if self.reaches(head, block) and self.reaches(block, head)]
        code = [one for block in inside for one in self.blocks[block]]
        widths = [one.operands[0].width for one in code if one.operation == "store"]
        return widths == [8] and not any(one.operation == "call" for one in code)

    @property
    def entry(self) -> str:
        return next(iter(self.blocks))

    @cached_property
    def phis(self) -> dict[str, list[Instruction]]:
        """What each block's variables are, where it begins."""
        return {block: [one for one in code if one.operation == "phi"] for block, code in self.blocks.items()}

    def passes(self, block: str, by: str) -> bool:
        """Whether a run through a block goes through another one as well, since every way to it or from it to a return does."""
        returns = {name for name, code in self.blocks.items() if code[-1].operation == "ret"}
        return block not in self.reached([self.entry], by) or not returns & self.reached([block], by)

    def successors(self, block: str) -> tuple[str, ...]:
        return self.blocks[block][-1].labels

    def reaches(self, block: str, to: str) -> bool:
        """Whether there is a way from a block to another one, or to the same again."""
        return to in self.reached(self.successors(block))

    def reached(self, ahead: Iterable[str], without: str = "") -> set[str]:
        """These blocks, and where ways from them lead that go not through a certain one."""
        known, ahead = set[str](), list(ahead)
        while ahead:
            here = ahead.pop()
            if here != without and here not in known:
                known.add(here)
                ahead += self.successors(here)
        return known


@dataclass(frozen=True)
class Field:
    """A member of a struct, or of a struct in it (`page_list.next`): its name, its width in bits, and its type's name, with a *
    behind it for a pointer; "" where it has none."""

    name: str
    width: int
    type: str = ""


@dataclass(frozen=True)
class Layout:
    """A struct's size in bytes, and the types and the offsets of its elements."""

    size: int
    elements: list[tuple[str, int]]


class Module:
    """The functions and types of a file. Built from LLVM IR with debug information, as text or as llvmlite has parsed it."""

    def __init__(self, given: Any) -> None:
        import llvmlite.binding as llvm  # here, so that whoever needs no IR needs no llvmlite

        module = llvm.parse_assembly(given, llvm.create_context()) if isinstance(given, str) else given
        text, target = str(module), llvm.create_target_data(module.data_layout)
        self.structs = {
            f"%{struct.name}": Layout(
                target.get_abi_size(struct),
                [
                    (str(one).partition(" = ")[0], target.get_element_offset(struct, place))
                    for place, one in enumerate(struct.elements)
                ],
            )
            for struct in module.struct_types
            if struct.name and not struct.is_opaque_struct
        }
        lines = iter(re.findall(LINE, "".join(re.findall(r"^define .*?^}", text, re.M | re.S)), re.M))
        self.functions = {
            function.name: Function(
                function.name,
                [parameter.name for parameter in function.arguments],
                [width_of(parameter) for parameter in function.arguments],
                {block.name: [decoded(one, next(lines)) for one in block.instructions] for block in function.blocks},
            )
            for function in module.functions
            if not function.is_declaration
        }
        self.fills: dict[tuple[str, str], Any] = {}  # loops that fill memory, by function and block, see kernel.fills
        self.aliases: dict[str, str] = {}  # names of functions by what others call them
        self.constants = {
            name: (kind, [constant(value) for value in re.findall(r"(?:ptr|i\d+) ([^,]+)", values)])
            for name, kind, values in re.findall(r"^@([\w.]+) = [\w ]*?constant (%[\w.]+) \{ (.*?) \}", text, re.M)
        }
        """Structs whose values never change."""
        self.variables = {
            name: (kind, int(begins) if begins.lstrip("-").isdigit() else 0)
            for name, kind, begins in re.findall(
                r"^@([\w.]+) = [a-z_ ]*?\bglobal (ptr|i\d+|%[\w.]+) (?:\{.*?i32 )?([^,\s]+)", text, re.M
            )
        }
        """Words and structs of the file that may change: their types, and what a word, or a static key, begins with."""
        self.options, self.parameters = set_by_options(text)
        self.switches = {name: self.variables[name][1] for name in only_set_by_options(text) if name in self.variables}
        """Variables that nobody sets but boot options, and what they hold without these."""
        self._nodes = {reference: node_of(node) for reference, node in re.findall(r"^(!\d+) = (.*)$", text, re.M)}

    def has(self, function: str) -> bool:
        return self.aliases.get(function, function) in self.functions

    def function(self, name: str) -> Function:
        """By its name, or by an alias. Raises NotFollowed if there is none."""
        if not self.has(name):
            raise NotFollowed(f"there is no function {name}")
        return self.functions[self.aliases.get(name, name)]

    @functools.cache  # noqa: B019  (a process has few modules)
    def read_by(self, function: str, *blocks: str) -> frozenset[str]:
        """The objects of the file that a function mentions, or what it calls, in all its blocks or in these."""
        code = self.function(function).blocks
        mentioned, ahead = set[str](), [code[block] for block in blocks or code]
        while ahead:
            values = [operand.value for one in ahead.pop() for operand in one.operands]
            named = {getattr(value, "name", "") for value in values if not isinstance(value, Local)} - mentioned - {""}
            mentioned |= named
            for name in named & self.functions.keys():
                ahead += self.functions[name].blocks.values()
        return frozenset(mentioned)

    def place(self, function: str, block: str, instruction: Instruction | None = None) -> str:
        """The function, the file and the line of an instruction, or of the first of a block that has one; "" if none has."""
        instructions = [instruction] if instruction is not None else self.function(function).blocks[block]
        return next(filter(None, (self._place(function, one.location) for one in instructions)), "")

    def place_of(self, function: str) -> str:
        """Where a function has its first statement."""
        return next(filter(None, (self.place(function, block) for block in self.function(function).blocks)), "")

    @functools.cache  # noqa: B019  (a process has few modules)
    def code_of(self, function: str, block: str) -> str:
        """What a basic block is in C, as in `dmapool.c pool_find_page 386.2 388.17`: its lines and columns; "" if it is none.

        The same code has the same name in every build of a file.
        """
        places: dict[str, set[tuple[int, int]]] = {}
        for reference in {one.location for one in self.function(function).blocks[block] if one.location}:
            column = self._node(reference)["column"]
            place = re.search(r"\((.+):(\d+)\)$", self._place("", reference))
            if column and place:
                places.setdefault(place[1], set()).add((int(place[2]), int(column)))
        if not places:
            return ""
        own = re.search(r"\(([^()]+):\d+\)$", self.place_of(function))
        file = own[1] if own and own[1] in places else min(places)  # what a header has inlined is not the file's
        return " ".join(
            [file.replace(" ", "_"), function, *(f"{line}.{column}" for line, column in sorted(places[file]))]
        )

    def lines_of_head(self, function: str) -> list[int]:
        """The lines of a function's declaration, and of the brace that opens it."""
        nodes = [node for _, node in self._named("DISubprogram", function)]
        return [int(node[key]) for node in nodes for key in ("line", "scopeLine") if node[key]]

    def _node(self, reference: str) -> dict[str, str]:
        return self._nodes.get(reference) or node_of("")

    def _named(self, kind: str, name: str) -> Iterator[tuple[str, dict[str, str]]]:
        return ((key, node) for key, node in self._nodes.items() if node["kind"] == f"!{kind}" and node["name"] == name)

    def _place(self, name: str, reference: str) -> str:
        """A name with the file and the line of C that debug information refers to."""
        node = self._node(reference)
        line = int(node["line"] or 0)
        while above := node["file"] or node["scope"]:
            node = self._node(above)
        file = node["filename"].rpartition("/")[2]
        return f"{name} ({file}:{line})" if line and file else ""

    @functools.cache  # noqa: B019
    def struct(self, name: str) -> tuple[dict[int, Field], str]:
        """The fields of a struct of C by their offset in bytes, and where it is declared, from the debug information."""
        for reference, node in self._named("DICompositeType", name):
            if node["tag"] == "DW_TAG_structure_type":
                return dict(self._members(node, 0, "")), self._place(f"struct {name}", reference)
        raise NotFollowed(f"there is no struct {name}")

    def _members(self, struct: dict[str, str], base: int, prefix: str) -> Iterator[tuple[int, Field]]:
        for member in map(self._node, re.findall(r"!\d+", self._node(struct["elements"])["text"])):
            offset, label = base + int(member["offset"] or 0) // 8, prefix + (member["name"] or "?")
            inner, is_atomic = self._node(member["baseType"]), False
            while inner["kind"] == "!DIDerivedType" and inner["tag"] != "DW_TAG_pointer_type":
                is_atomic = is_atomic or inner["name"] in ATOMIC
                inner = self._node(inner["baseType"])  # a typedef
            if inner["tag"] == "DW_TAG_structure_type":
                for place, known in self._members(inner, offset, label + "."):
                    yield place, replace(known, type=ATOMIC[0]) if is_atomic else known
            else:
                yield offset, Field(label, int(member["size"] or 0), self._type_of(member["baseType"]))

    def _type_of(self, reference: str) -> str:
        node = self._node(reference)
        if node["tag"] == "DW_TAG_pointer_type":
            return (self._type_of(node["baseType"]) or "void") + "*"
        return node["name"]

    def parameter_type(self, function: str, number: int) -> str:
        """The type of a function's parameter, the first of which is number 1, as in `Field`."""
        scopes = {key for key, _ in self._named("DISubprogram", self.function(function).name)}
        for node in self._nodes.values():
            if node["kind"] == "!DILocalVariable" and node["arg"] == str(number) and node["scope"] in scopes:
                return self._type_of(node["type"])
        return ""

    def size(self, of: str) -> int:
        """Bytes of a type of LLVM."""
        if of == "ptr":
            return 8
        if number := re.fullmatch(r"i(\d+)", of):
            return max(1, int(number[1]) // 8)
        if array := re.fullmatch(r"\[(\d+) x (.*)\]", of):
            return int(array[1]) * self.size(array[2])
        return self.layout(of).size

    def layout(self, struct: str) -> Layout:
        """Of a struct of LLVM, or of words that have no name together. Raises NotFollowed for any other type."""
        if words := re.fullmatch(r"\{ ([\w, ]+) \}", struct):
            elements, end = list[tuple[str, int]](), 0
            for word in words[1].split(", "):
                elements.append((word, -(-end // self.size(word)) * self.size(word)))
                end = elements[-1][1] + self.size(word)
            return Layout(-(-end // 8) * 8, elements)
        if struct not in self.structs:
            raise NotFollowed(f"a type is not followed: {struct}")
        return self.structs[struct]


def node_of(text: str) -> defaultdict[str, str]:
    """A node of the debug information: what it says by key, "" where it says nothing; its `kind`, and its `text`."""
    said = dict(re.findall(r'(\w+): "?((?<=")[^"]*|[^",()]+)', text))
    return defaultdict(str, said, kind=text.removeprefix("distinct ").partition("(")[0], text=text)


def clang() -> list[str]:
    """$CLANG, or the compiler of the package ziglang, whose IR llvmlite can read. Raises BuildError if there is none."""
    if wanted := os.environ.get("CLANG"):
        return shlex.split(wanted)
    if find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise BuildError("the Python package 'ziglang' is missing: run .venv/bin/pip install ziglang llvmlite")


def ir_of(source: Source, debug: bool = False) -> Module:
    """The file as it is, compiled; with its debugging code, or without. Raises BuildError."""
    try:
        import llvmlite.binding as llvm
    except ModuleNotFoundError as missing:
        raise BuildError(
            "the Python package 'llvmlite' is missing: run .venv/bin/pip install ziglang llvmlite"
        ) from missing
    with tempfile.TemporaryDirectory() as scratch:
        whole, out = Path(scratch) / "wrapped.c", Path(scratch) / "dmapool.ll"
        whole.write_text(wrapped(source.file, source.whole_tree()))
        flags = [*MEANING, *PLAIN, *kernel_flags(source), *UNOPTIMISED, *Variant(debug).flags(), *MISTAKES]
        done = run([*clang(), *flags, "-S", "-emit-llvm", str(whole), "-o", str(out)])
        if done.returncode:
            raise BuildError(source.blamed(explained(done.stderr, source.file, source.whole_tree())))
        text = out.read_text()
    try:
        module = llvm.parse_assembly(text, llvm.create_context())
    except RuntimeError as error:
        raise BuildError(
            f"llvmlite cannot read this clang's IR, use the one of ziglang: {str(error).splitlines()[0]}"
        ) from error
    llvm.initialize_native_target()
    machine = llvm.Target.from_default_triple().create_target_machine()
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_instruction_namer_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(0)))
    return Module(module)
