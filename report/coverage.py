"""What is not verified, line by line: a kernel's own file, and which of its code a proof or a hunt has reached.

Code is reached by a proof if a path that can be taken runs it, and the verdict is PROVED, with all that it rests on.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from kernel.build import Source
from kernel.ir import Module, ir_of
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Result
from report.pages import templates

MOST_RANGES = 12
"""Of code that nothing reaches, named on a terminal."""


@dataclass(frozen=True)
class BasicBlock:
    """A basic block of the file: its function, its lines, the claims whose proofs run it, and how often hunts have run it."""

    function: str
    lines: frozenset[int]
    claims: tuple[str, ...]
    times: int


@dataclass(frozen=True)
class Coverage:
    """The basic blocks of a file, of builds with and without debugging, in the order of its lines."""

    source: Source
    blocks: list[BasicBlock]

    def share(self, reached: Iterable[BasicBlock]) -> str:
        """Of all blocks, as in `91 % (210 of 230)`: rounded down."""
        number = len(list(reached))
        return f"{100 * number // len(self.blocks)} % ({number} of {len(self.blocks)})"

    @property
    def proved(self) -> list[BasicBlock]:
        return [block for block in self.blocks if block.claims]

    @property
    def hunted(self) -> list[BasicBlock]:
        return [block for block in self.blocks if block.times]


def coverage_of(source: Source, results: Iterable[Result], times: Mapping[int, int]) -> Coverage:
    """What the proofs with these results have run, and what hunts have, which ran lines so many times. Raises BuildError."""
    claims: dict[str, dict[str, None]] = {}
    for result in results:
        if result.verdict == Verdict.PROVED.value and not result.undermined:
            for code in result.run:
                claims.setdefault(code, {})[result.claim] = None
    hunted: dict[str, int] = {}
    for debug in (False, True):
        for code, number in times_of(ir_of(source, debug), source.file.name, times).items():
            hunted[code] = max(number, hunted.get(code, 0))
    blocks = [
        BasicBlock(code.split()[1], lines_of(code), tuple(claims.get(code, ())), number)
        for code, number in hunted.items()
    ]
    return Coverage(source, sorted(blocks, key=lambda block: (min(block.lines), max(block.lines))))


def times_of(module: Module, file: str, times: Mapping[int, int]) -> dict[str, int]:
    """The basic blocks of this file, and not of its headers, as `Module.code_of` names them; and how often each was run.

    A compiler may have fewer blocks than LLVM. So one was run, too, if there is no way but through it to a block that was run,
    or none from there to a return.
    """
    found: dict[str, int] = {}
    begins = f"{file.replace(' ', '_')} "
    for name, function in module.functions.items():
        codes = {block: module.code_of(name, block) for block in function.blocks}
        if not codes[function.entry].startswith(begins):
            continue
        lines = {block: lines_of(code) for block, code in codes.items()}
        alone = {line for line in set().union(*lines.values()) if sum(line in of for of in lines.values()) == 1}
        # A line that several blocks have does not say which of them was run.
        run = {block: max((times.get(line, 0) for line in of & alone or of), default=0) for block, of in lines.items()}
        run[function.entry] = max(run[function.entry], *(times.get(line, 0) for line in module.lines_of_head(name)))
        for block in function.blocks:
            sure = [run[other] for other in function.blocks if function.passes(other, block)]
            found[codes[block]] = max(run[block], max(sure, default=0))
    return {code: number for code, number in found.items() if code.startswith(begins)}


def functions_of(source: Source) -> dict[str, set[str]]:
    """The functions of a file, with and without debugging, each with its basic blocks. Raises BuildError."""
    found: dict[str, set[str]] = {}
    for debug in (False, True):
        for code in times_of(ir_of(source, debug), source.file.name, {}):
            found.setdefault(code.split()[1], set()).add(code)
    return found


def function_at(functions: dict[str, set[str]], line: int) -> str:
    """Of these functions, the one whose code is nearest to a line: there may be two of a name, one with debugging."""
    return min(
        functions,
        key=lambda name: min(abs(line - one) for code in functions[name] for one in lines_of(code)),
        default="",
    )


def lines_of(code: str) -> frozenset[int]:
    return frozenset(int(place.partition(".")[0]) for place in code.split()[2:])


def in_a_line(coverage: Coverage) -> str:
    proved, hunted = coverage.share(coverage.proved), coverage.share(coverage.hunted)
    return f"{proved} of basic blocks are reached by a proof, {hunted} by the hunt"


def in_text(coverage: Coverage) -> str:
    """What is reached, and by function the lines of what is not."""
    said = in_a_line(coverage)
    missed = [block for block in coverage.blocks if not block.claims and not block.times]
    ranges = [
        f"  {function}: {', '.join(sorted({in_range(block.lines) for block in blocks}, key=first_number))}"
        for function, blocks in groupby(missed, key=lambda block: block.function)
    ]
    if len(ranges) > MOST_RANGES:
        ranges[MOST_RANGES:] = [f"  and {len(ranges) - MOST_RANGES} more"]
    return "\n".join([f"{said}; by neither:" if ranges else f"{said}; every one is reached", *ranges])


def in_range(lines: Iterable[int]) -> str:
    first, last = min(lines), max(lines)
    return f"line {first}" if first == last else f"lines {first} to {last}"


def first_number(text: str) -> int:
    found = re.search(r"\d+", text)
    assert found is not None
    return int(found[0])


@dataclass(frozen=True)
class Line:
    """A line of the file: `reached` is `proved`, or `partly` if only some of its blocks are, `hunted`, `neither`; "" if it is
    no code."""

    number: int
    text: str
    reached: str
    claims: tuple[str, ...]
    times: int


def annotated(coverage: Coverage) -> list[Line]:
    lines = []
    for number, text in enumerate(coverage.source.file.read_text(errors="replace").splitlines(), 1):
        blocks = [block for block in coverage.blocks if number in block.lines]
        proved = [bool(block.claims) for block in blocks]
        times = max((block.times for block in blocks), default=0)
        reached = "proved" if all(proved) else "partly" if any(proved) else "hunted" if times else "neither"
        claims = dict.fromkeys(claim for block in blocks for claim in block.claims)
        lines.append(Line(number, text.expandtabs(8), reached if blocks else "", tuple(claims), times))
    return lines


def page(coverage: Coverage) -> str:
    """The file as a page of HTML that needs no other, each line marked."""
    return (
        templates()
        .get_template("coverage.html")
        .render(
            source=str(coverage.source),
            lines=annotated(coverage),
            proved=coverage.share(coverage.proved),
            hunted=coverage.share(coverage.hunted),
        )
    )
