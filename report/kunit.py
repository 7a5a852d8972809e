"""A trace as a KUnit test in C, for the kernel's own tree: it fails where the trace breaks a claim, and passes where not.

The test includes mm/dmapool.c once more under other names, with a device of its own; what it expects is what the oracle says.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from jinja2 import Template

from hunt.revisions import REVISIONS
from model.bad_input import BadInput
from model.claims import CLAIMS
from model.lockstep import Lockstep
from model.trace import Alloc, Create, Destroy, Free, Kernel, PageChoice, PoolInfo, Step, Together, Trace

FRAME = Path(__file__).parent / "kunit.c.jinja"
TAB = 8
WIDTH = 80
ABOUT_ROWS = ("in_use_counts_the_live_blocks", "total_counts_the_blocks")


def kunit_test(trace: Trace, claim: str) -> str:
    """The C of a test of a claim. Raises BadInput for a trace that cannot be one."""
    if others := [one.name for one in fields(Kernel) if getattr(trace.kernel, one.name) != getattr(Kernel(), one.name)]:
        raise BadInput(f"a KUnit test runs in a kernel as it is, and the trace asks for another {', '.join(others)}")
    steps = Steps(trace, claim)
    body = [line for lines, number in grouped(steps, trace) for line in in_a_loop(lines, number)]
    if not steps.refused and not isinstance(trace.steps[-1], Destroy):
        body += ["", "\tdma_pool_destroy(pool);"]
    text = "\n".join(part for line in body for part in (wrapped(line) if "(" in line else [line]))
    sentence = textwrap.wrap(f"KUnit test of mm/dmapool.c: {CLAIMS[claim].sentence}", WIDTH - 3)
    return rendered(
        FRAME,
        about="\n".join(f" * {line}" for line in sentence),
        name=claim,
        size=in_c(steps.size),
        places="\n".join(f"\t{place}," for place in steps.places or ["NO_MEMORY"]),
        blocks=len(steps.numbers),
        expects_blocks="expect_block(" in text,
        expects_rows="expect_row(" in text,
        loops="\tfor (n = " in text,
        body=text,
    )


def rendered(frame: Path, **values: object) -> str:
    """A template of C, in which << >> and <% %> are what jinja calls {{ }} and {% %}."""
    template = Template(
        frame.read_text(),
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return str(template.render(**values))


def grouped(steps: "Steps", trace: Trace) -> Iterator[tuple[list[str], range]]:
    """The lines of each step, `{n}` being the number of its block; of steps that are alike, once, and the blocks of all."""
    former, numbers = list[str](), range(0)
    for step in trace.steps:
        lines, number = [*steps.lines(step)], steps.numbers.get(getattr(step, "block", ""), 0)
        if lines == former and number == numbers.stop:
            numbers = range(numbers.start, number + 1)
        else:
            yield former, numbers
            former, numbers = lines, range(number, number + 1)
    yield former, numbers


def in_a_loop(lines: list[str], numbers: range) -> Iterator[str]:
    if len(numbers) < 2 or not any("{n}" in line for line in lines):
        for _ in numbers:
            yield from (line.replace("{n}", str(numbers.start)) for line in lines)
        return
    blank, comment, *rest = lines
    yield blank
    yield comment
    yield f"\tfor (n = {numbers.start}; n < {numbers.stop}; n++) {{"
    yield from (f"\t{line.replace('{n}', 'n')}" for line in rest)
    yield "\t}"


class Steps:
    """The C of each step of a trace, with what has to hold after it."""

    def __init__(self, trace: Trace, claim: str) -> None:
        create = trace.steps[0]
        assert isinstance(create, Create)
        self.size = create.size
        self.about_rows = claim in ABOUT_ROWS
        self.run = Lockstep(REVISIONS["oracle"], trace.kernel)
        self.places: list[str] = []  # of the pages that the device is asked for
        self.numbers: dict[str, int] = {}  # of blocks
        self.refused = False

    def lines(self, step: Step) -> Iterator[str]:
        match step:
            case _ if self.refused:
                return
            case Create():
                yield from self.create(step)
            case Alloc(page=page) if page is None or not page.forced:
                yield from self.alloc(step)
            case Free() if self.run.target is not None and self.run.in_use_at(*self.run.addresses(step)) == step.block:
                vaddr, dma = (f"block[{{n}}].{name}" for name in ("vaddr", "dma"))
                self.run.run(step)
                yield ""
                yield call("dma_pool_free", "pool", vaddr, dma)
                yield f"\t{vaddr} = NULL;"
            case PoolInfo():
                self.run.run(step)
            case Destroy():
                self.run.run(step)
                yield ""
                yield "\tdma_pool_destroy(pool);"
            case Together():
                raise BadInput("the trace has callers at once, and a KUnit test is one thread")
            case _:
                why = f"{type(step).__name__.lower()} is a driver's or a device's mistake, after which nothing is promised"
                raise BadInput(f"the trace has a step that no test of the pool can have: {why}")
        if self.run.target is not None and self.about_rows and self.run.oracle is not None:
            row = re.sub(r"[^\w -]", "_", self.run.oracle.poolinfo())
            yield call("expect_row", "test", f'"poolinfo - 0.1\\n{row}\\n"')

    def create(self, step: Create) -> Iterator[str]:
        self.run.run(step)
        self.refused = self.run.target is None
        name = re.sub(r"[^\w -]", "_", step.name)
        yield call("pool = dma_pool_create", f'"{name}"', "dev", "SIZE", in_c(step.align), in_c(step.boundary))
        if self.refused:
            yield "\t/* There can be no such pool: it has to be refused. */"
            yield "\tKUNIT_EXPECT_NULL(test, pool);"
            yield "\tdma_pool_destroy(pool);"
        else:
            yield "\tKUNIT_ASSERT_NOT_NULL(test, pool);"

    def alloc(self, step: Alloc) -> Iterator[str]:
        self.numbers[step.block] = len(self.numbers)
        oracle, given = self.run.oracle, "block[{n}].vaddr"
        assert oracle is not None
        if step.page is not None and step.page.meanwhile:
            raise BadInput("others run while the pool asks for a page, and a KUnit test is one thread")
        if asks := not oracle.free_blocks():
            self.places.append(self.place(step.page, oracle.geometry.allocation))
        self.run.run(step)
        there = self.run.blocks.get(step.block) is not None
        what = "A block, for which a page is asked for." if there and asks else "A block of a page that there is."
        yield ""
        yield f"\t/* {what if there else 'No block: the device has no page for it.'} */"
        flags = step.flags + " | __GFP_ZERO" * step.zero
        yield call(f"{given} = dma_pool_alloc", "pool", flags, "&block[{n}].dma")
        yield "\texpect_block(test, {n});" if there else f"\tKUNIT_EXPECT_NULL(test, {given});"
        yield f"\tKUNIT_EXPECT_EQ(test, asked, {len(self.places)});"

    def place(self, chosen: PageChoice | None, nbytes: int) -> str:
        """The DMA address that the device gives."""
        if chosen is not None:
            return "NO_MEMORY" if chosen.dma is None else f"{chosen.dma:#x}"
        return f"{self.run.memory.next_free_place(0) + len(self.places) * (1 << (nbytes - 1).bit_length()):#x}"


def in_c(number: int) -> str:
    return str(number) if number < 2**31 else f"{number:#x}"


def call(function: str, *arguments: str) -> str:
    return f"\t{function}({', '.join(arguments)});"


def wrapped(line: str) -> Iterator[str]:
    """A call in lines of at most 80 columns, aligned as in the kernel; any other line is short."""
    column = len(line.partition("(")[0].expandtabs(TAB)) + 1
    now, *more = line.split(", ")
    for argument in more:
        if len(f"{now}, {argument},".expandtabs(TAB)) > WIDTH:
            yield now + ","
            now = "\t" * (column // TAB) + " " * (column % TAB) + argument
        else:
            now += ", " + argument
    yield now
