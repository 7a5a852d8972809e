"""A kernel's mm/dmapool.c, unmodified, as LLVM IR that can be executed: compiled by clang, tidied by LLVM, read from its text.

Nothing is optimised but for what gives the source's variables back: a `phi` bears the name that the variable has in C, and the
debug information has the names of the fields.
"""

import functools
import os
import re
import shlex
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from kernel.build import MEANING, MISTAKES, BuildError, Source, Variant, explained, run, write_headers

UNOPTIMISED = ["-O0", "-Xclang", "-disable-O0-optnone", "-w", "-fno-discard-value-names", "-fno-sanitize=all"]
FLAGS = [*MEANING, *UNOPTIMISED, "-S", "-emit-llvm"]


class NotFollowed(NotImplementedError):
    """Code that is not followed: an instruction, a call, or a loop that no proof knows. Says which, and the line of C.

    `proofs.engine.explore` knows it as what it is to Python, since proofs of impl/ have nothing to do with a kernel.
    """

    def at(self, place: str) -> "NotFollowed":
        """The same, with the line of C where it happened, unless it has one already."""
        said = str(self)
        return self if not place or re.search(r"\(\S+:\d+\)$", said) else NotFollowed(f"{said}, in {place}")


@dataclass(frozen=True)
class Instruction:
    """`name` is what it defines, "" if nothing; `rest` is its text behind the operation; `location` refers to its line of C."""

    name: str
    operation: str
    rest: str
    location: str = ""


@dataclass(frozen=True)
class Function:
    """A function of the file: its parameters' names, and its blocks in the order of the text, the entry first."""

    name: str
    parameters: list[str]
    blocks: dict[str, list[Instruction]]

    @cached_property
    def loops(self) -> list[str]:
        """The blocks that a loop goes back to."""
        heads: list[str] = []
        open_blocks: list[str] = []
        done: set[str] = set()

        def visit(block: str) -> None:
            open_blocks.append(block)
            for following in self.successors(block):
                if following in open_blocks and following not in heads:
                    heads.append(following)
                elif following not in open_blocks and following not in done:
                    visit(following)
            done.add(open_blocks.pop())

        visit(next(iter(self.blocks)))
        return [block for block in self.blocks if block in heads]

    def loop(self, number: int = 0, of: int = 1) -> str:
        """The block where a turn of a loop begins, of a function with so many. Raises NotFollowed if it has more or less."""
        if len(self.loops) != of:
            raise NotFollowed(f"{self.name} has {len(self.loops)} loops, not {of}")
        return self.loops[number]

    @property
    def entry(self) -> str:
        return next(iter(self.blocks))

    def passes(self, block: str, by: str) -> bool:
        """Whether a run through a block goes through another one as well, since every way to it or from it to a return does."""

        def reached(start: str) -> set[str]:
            known, ahead = set[str](), [start]
            while ahead:
                here = ahead.pop()
                if here != by and here not in known:
                    known.add(here)
                    ahead += self.successors(here)
            return known

        returns = {name for name, code in self.blocks.items() if code[-1].operation == "ret"}
        return block not in reached(self.entry) or not returns & reached(block)

    def successors(self, block: str) -> list[str]:
        return re.findall(r"label %([\w.]+)", self.blocks[block][-1].rest)

    def reaches(self, block: str, to: str) -> bool:
        """Whether there is a way from a block to another one, or to the same again."""
        known, ahead = set[str](), self.successors(block)
        while ahead:
            known.add(here := ahead.pop())
            ahead += [following for following in self.successors(here) if following not in known]
        return to in known


@dataclass(frozen=True)
class Field:
    """A member of a struct, or of a struct in it (`page_list.next`): its name, its width in bits, and its type's name, with a *
    behind it for a pointer; "" where it has none."""

    name: str
    width: int
    type: str = ""


class Module:
    """The functions and types of a file. Built from the text of LLVM IR with debug information."""

    def __init__(self, text: str) -> None:
        self.types = dict(re.findall(r"^(%[\w.]+) = type (.*)$", text, re.M))
        self.functions: dict[str, Function] = {}
        for head, name, parameters, body in re.findall(
            r"^(define [^@]*@([\w.]+)\((.*?)\)[^\n]*)\n(.*?)^}", text, re.M | re.S
        ):
            del head
            names = re.findall(r"%([\w.]+)(?:,|$)", parameters)
            self.functions[name] = Function(name, names, blocks_of(body))
        self.aliases: dict[str, str] = {}  # names of functions by what others call them
        constants = re.findall(r"^@([\w.]+) = [\w ]*?constant (%[\w.]+) \{ (.*?) \}", text, re.M)
        self.constants = {
            name: (kind, values) for name, kind, values in constants
        }  # structs, whose values never change
        self._layouts: dict[str, tuple[list[int], int]] = {}  # of structs: the elements' offsets, and the size in bytes
        self.metadata = dict(re.findall(r"^(!\d+) = (.*)$", text, re.M))

    def has(self, function: str) -> bool:
        return self.aliases.get(function, function) in self.functions

    def function(self, name: str) -> Function:
        """By its name, or by an alias. Raises NotFollowed if there is none."""
        if not self.has(name):
            raise NotFollowed(f"there is no function {name}")
        return self.functions[self.aliases.get(name, name)]

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
            column = re.search(r"\bcolumn: (\d+)", self.metadata.get(reference, ""))
            place = re.search(r"\((\S+):(\d+)\)$", self._place("", reference))
            if column and place:
                places.setdefault(place[1], set()).add((int(place[2]), int(column[1])))
        if not places:
            return ""
        own = re.search(r"\((\S+):\d+\)$", self.place_of(function))
        file = own[1] if own and own[1] in places else min(places)  # what a header has inlined is not the file's
        return " ".join([file, function, *(f"{line}.{column}" for line, column in sorted(places[file]))])

    def lines_of_head(self, function: str) -> list[int]:
        """The lines of a function's declaration, and of the brace that opens it."""
        nodes = [node for node in self.metadata.values() if f'DISubprogram(name: "{function}"' in node]
        return [int(line) for node in nodes for line in re.findall(r"\b(?:line|scopeLine): (\d+)", node)]

    def _place(self, name: str, reference: str) -> str:
        """A name with the file and the line of C that debug information refers to."""
        line = re.search(r"\bline: ([1-9]\d*)", self.metadata.get(reference, ""))
        while scope := re.search(r"\b(?:file|scope): (!\d+)", self.metadata.get(reference, "")):
            reference = scope[1]
        file = re.search(r'filename: "(?:[^"]*/)?([^"/]*)"', self.metadata.get(reference, ""))
        return f"{name} ({file[1]}:{line[1]})" if line and file else ""

    def struct(self, name: str) -> tuple[dict[int, Field], str]:
        """The fields of a struct of C by their offset in bytes, and where it is declared, from the debug information."""
        for reference, node in self.metadata.items():
            if "DICompositeType(tag: DW_TAG_structure_type" in node and f'name: "{name}"' in node:
                return dict(self._members(node, 0, "")), self._place(f"struct {name}", reference)
        raise NotFollowed(f"there is no struct {name}")

    def _members(self, struct: str, base: int, prefix: str) -> list[tuple[int, Field]]:
        found: list[tuple[int, Field]] = []
        elements = re.search(r"elements: (!\d+)", struct)
        for reference in re.findall(r"!\d+", self.metadata[elements[1]]) if elements else []:
            member = self.metadata[reference]
            name = re.search(r'name: "(\w+)"', member)
            width, start = (
                int(bits[1]) if (bits := re.search(rf"\b{key}: (\d+)", member)) else 0 for key in ("size", "offset")
            )
            offset, label = base + start // 8, prefix + (name[1] if name else "?")
            inner = self._without_typedefs(member)
            if inner is not None and "DW_TAG_structure_type" in inner:
                found += self._members(inner, offset, label + ".")
            else:
                found.append((offset, Field(label, width, self._type_of(member))))
        return found

    def _type_of(self, member: str) -> str:
        base = re.search(r"baseType: (!\d+)", member)
        kind = self.metadata[base[1]] if base is not None else ""
        if "DW_TAG_pointer_type" in kind:
            return (self._type_of(kind) or "void") + "*"
        name = re.search(r'name: "([^"]+)"', kind)
        return name[1] if name else ""

    def parameter_type(self, function: str, number: int) -> str:
        """The type of a function's parameter, the first of which is number 1, as in `Field`."""
        subprogram = next(
            (
                key
                for key, node in self.metadata.items()
                if f'DISubprogram(name: "{self.function(function).name}"' in node
            ),
            "?",
        )
        for node in self.metadata.values():
            if node.startswith("!DILocalVariable") and f"arg: {number}, scope: {subprogram}," in node:
                return self._type_of(node.replace("type: ", "baseType: "))
        return ""

    def _without_typedefs(self, member: str) -> str | None:
        while (base := re.search(r"baseType: (!\d+)", member)) is not None:
            member = self.metadata[base[1]]
            if "DW_TAG_pointer_type" in member:
                return None
            if "DICompositeType" in member:
                return member
        return None

    def size(self, of: str) -> int:
        """Bytes of a type of LLVM."""
        if of == "ptr":
            return 8
        if number := re.fullmatch(r"i(\d+)", of):
            return max(1, int(number[1]) // 8)
        if array := re.fullmatch(r"\[(\d+) x (.*)\]", of):
            return int(array[1]) * self.size(array[2])
        offsets, end = self._laid_out(of)
        del offsets
        return end

    def elements(self, of: str) -> int:
        """How many elements a struct has."""
        return len(self._elements(of))

    def element(self, of: str, index: int) -> tuple[str, int]:
        """The type of a struct's element, and its offset in bytes."""
        return self._elements(of)[index], self._laid_out(of)[0][index]

    def _elements(self, of: str) -> list[str]:
        text = self.types.get(of, of)
        if not (text.startswith("{") and text.endswith("}")):
            raise NotFollowed(f"a type is not followed: {text}")
        return split(text[1:-1])

    def _laid_out(self, of: str) -> tuple[list[int], int]:
        if of in self._layouts:
            return self._layouts[of]
        offsets: list[int] = []
        end, most = 0, 1
        for element in self._elements(of):
            align = self._align(element)
            end += -end % align
            offsets.append(end)
            end += self.size(element)
            most = max(most, align)
        self._layouts[of] = offsets, end + -end % most
        return self._layouts[of]

    def _align(self, of: str) -> int:
        if array := re.fullmatch(r"\[\d+ x (.*)\]", of):
            return self._align(array[1])
        if of == "ptr" or re.fullmatch(r"i\d+", of):
            return self.size(of)
        return max(map(self._align, self._elements(of)), default=1)


def blocks_of(body: str) -> dict[str, list[Instruction]]:
    """The blocks of a function's text."""
    blocks: dict[str, list[Instruction]] = {}
    for line in re.sub(r"\[\n\s*(.*?)\n\s*\]", lambda found: f"[ {found[1]} ]", body, flags=re.S).splitlines():
        if label := re.match(r"([\w.]+):", line):
            blocks[label[1]] = []
            continue
        location = re.search(r"!dbg (!\d+)", line)
        line = re.sub(r"(, !\w+(\.\w+)* !\d+)+$|\s*;.*$", "", line.strip())
        if not line or line.startswith("#dbg"):
            continue
        parts = re.fullmatch(r"(?:%([\w.]+) = )?(?:tail |notail )?(\w+)\s*(.*)", line)
        if parts is None:
            raise NotFollowed(f"an instruction is not followed: {line}")
        blocks[next(reversed(blocks))].append(
            Instruction(parts[1] or "", parts[2], parts[3], location[1] if location else "")
        )
    return blocks


def split(text: str) -> list[str]:
    """The parts of a list, at commas outside of any brackets."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    last = text[start:].strip()
    return [*parts, last] if last else parts


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
        import llvmlite.binding as llvm  # here, so that whoever needs no IR needs no llvmlite
    except ModuleNotFoundError as missing:
        raise BuildError(
            "the Python package 'llvmlite' is missing: run .venv/bin/pip install ziglang llvmlite"
        ) from missing
    with tempfile.TemporaryDirectory() as scratch:
        write_headers(source, Path(scratch) / "include")
        out = Path(scratch) / "dmapool.ll"
        flags = [*FLAGS, *Variant(debug).flags(), *MISTAKES, "-I", str(Path(scratch) / "include")]
        done = run([*clang(), *flags, str(source.file), "-o", str(out)])
        if done.returncode:
            raise BuildError(explained(done.stderr, source))
        text = out.read_text()
    try:
        module = llvm.parse_assembly(text)
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
    return Module(str(module))
