"""A counterexample on the terminal: what is wrong in one sentence, the steps, and the pool drawn in text."""

import os
import re
import sys
import textwrap
from collections.abc import Callable
from itertools import pairwise
from typing import TextIO, TypeVar

from model import claims
from model.claims import CLAIMS
from model.geometry import counted, number
from model.promises import numbers_in
from model.revision import KERNEL, TreeNode
from model.trace import NO_FAULT, Alloc, Create, Kernel, Step, Together
from report.moment import Cell, Moment, Strip
from report.scene import Scene, moment_of_lookup, moment_of_page
from report.verdicts import EngineVerdict, refutation_in_words

T = TypeVar("T")

WIDTH = 76
"""Columns of a page."""

MOST_STEPS = 24
"""Lines of a run; the middle of a longer one is left out."""

FILLS = {"in use": "▒", "free": " ", "lost": "·", "new": " ", "room": " "}

SMALL_PAGES = "no kernel has pages of less than 4096 bytes, which fill after a few operations"

LEGEND = "  ▒ in use   · lost: in no free list   ! what the claim is about   ▲ a boundary, or the page's end"


def run_as_text(scene: Scene, on: str) -> str:
    """A run, step by step; and, if it breaks a claim, what that is, and the pool before and after it."""
    lines = [*filter(None, [surroundings(scene.trace.kernel)]), *steps_of(scene.trace.steps)]
    if scene.broken is None:
        return "\n".join([*lines, "", f"{on} breaks no claim."])
    claim = scene.broken.claim
    lines += ["", f"{on} breaks {claim.name}: {claim.sentence}", f"  {break_in_words(scene)}"]
    if scene.broken.expected != NO_FAULT:
        lines += [f"  expected: {scene.broken.expected}", f"  happened: {scene.broken.happened}"]
    if on == KERNEL and scene.messages:
        lines += ["  the kernel's messages in this step:", *(f"    {message}" for message in scene.messages)]
    for title, moment in (("before", scene.before), ("after", scene.after)):
        if moment is not None:
            lines += ["", f"  {title} {described(scene.step)}:", *(f"  {line}" for line in drawing(moment))]
    if scene.after is not None and scene.after.strips:
        lines += ["", LEGEND]
    return "\n".join(lines)


def finding_as_text(verdict: EngineVerdict, scene: Scene | None) -> str:
    """A refutation: what is wrong, and the run of it, if there is one, or the page or the tree that its numbers are about."""
    lines = [
        f"{verdict.name} is {verdict.outcome}: {CLAIMS[verdict.claim].sentence}",
        f"  {refutation_in_words(verdict)}",
    ]
    found = verdict.counterexample
    if found is not None and found.fails:
        lines.append(f"  what fails in the proof: {found.fails}")
    moment = moment_of_proof(verdict, scene)
    drawn = ["", *(f"  {line}" for line in drawing(moment))] if moment is not None else []
    if scene is not None:
        return "\n".join([*lines, *drawn, "", run_as_text(scene, verdict.revision)])
    return "\n".join(lines + drawn)


def moment_of_proof(verdict: EngineVerdict, scene: Scene | None) -> Moment | None:
    """What is drawn of a proof's counterexample that no run shows: the page as the code lays it out, or a tree.

    A run shows it if it breaks the same claim, and there is a pool then.
    """
    found = verdict.counterexample
    if found is None or (scene and scene.broken and scene.after and scene.broken.claim.name == verdict.claim):
        return None
    return moment_of_page(found.page) if found.page is not None else moment_of_lookup(found.inputs)


def break_in_words(scene: Scene) -> str:
    """What is wrong, in one sentence, with its numbers."""
    create, broken = scene.trace.steps[0], scene.broken
    assert isinstance(create, Create)
    assert broken is not None
    asked = f"With size={number(create.size)}, align={number(create.align)}, boundary={number(create.boundary)}"
    asked += "".join(f", {option}" for option in options_of(scene.trace.kernel))
    strip, cell = (scene.after.marked if scene.after is not None else None) or (None, None)
    happened = f"{described(scene.step)} → {broken.happened}"
    happened += f"; expected: {broken.expected}" if broken.expected != NO_FAULT else ""
    of_create = isinstance(scene.step, Create) and broken.expected != NO_FAULT
    if broken.claim is claims.create_admits_what_is_promised and of_create:
        happened = f"there should be {broken.expected}, and there is {broken.happened}"
        if not broken.expected.startswith("a pool"):
            happened = f"a pool is created, although {broken.expected}"
    elif (row := numbers_in(broken.happened)) and (expected := numbers_in(broken.expected)):
        if broken.claim is claims.total_counts_the_blocks:
            laid, pages = counted(row.total, "block", ""), counted(row.pages, "page")
            happened = f"the pools file counts {laid} in {pages}, and there are {expected.total}"
        elif broken.claim is claims.in_use_counts_the_live_blocks:
            in_use = counted(row.in_use, "block", "")
            happened = f"the pools file counts {in_use} in use, and there are {expected.in_use}"
    elif strip is not None and cell is not None and isinstance(scene.step, Alloc):
        block, start, end = scene.step.block.removeprefix("block "), number(cell.start), number(cell.end)
        where = f"block {block} starts at offset {start} and ends at {end}"
        crossed = [at for at in strip.boundaries if cell.start < at < cell.end]
        if broken.claim is claims.block_lies_inside_its_page:
            happened = f"{where}, {cell.end - strip.nbytes} bytes past the page's end"
        elif broken.claim is claims.no_block_crosses_a_boundary and crossed:
            happened = f"{where}, across the boundary at {crossed[0]}"
        elif broken.claim is claims.blocks_are_disjoint:
            happened = f"{where}, which is {broken.happened}"
        elif broken.claim is claims.no_room_is_wasted:
            happened = f"another page is asked for, although there is room for a block at offset {cell.start}"
    if scene.after is not None and scene.after.misled:
        places = [
            f"the page at {dma[-1]:#x}" if dma else "no page" for dma in (scene.after.path, scene.after.right_path)
        ]
        happened += f"; the lookup of {scene.after.sought:#x} ends at {places[0]}, and should end at {places[1]}"
    after = f", after {scene.corrupted_by}" if scene.corrupted_by else ""
    return f"{asked}{after}: {happened}."


def options_of(kernel: Kernel) -> list[str]:
    """How a kernel was configured, and its boot options, as far as that is not usual."""
    page = [f"pages of {kernel.page_size} bytes"] if kernel.page_size != Kernel().page_size else []
    options = (
        []
        if kernel.with_options is None
        else [f"the file's own boot options {'' if kernel.with_options else 'not '}set"]
    )
    return page + [name for name, value in vars(kernel).items() if value is True and name != "with_options"] + options


def surroundings(kernel: Kernel) -> str:
    """How the kernel was configured, and its boot options, as far as that is not usual."""
    options = options_of(kernel)
    if kernel.page_size < Kernel().page_size:
        options[0] += f": {SMALL_PAGES}"
    return f"on a kernel with {'; '.join(options)}" if options else ""


def described(step: Step) -> str:
    """A step as a call: its operation, and the arguments that are not the usual ones."""
    arguments = []
    for name, value in vars(step).items():
        usual = getattr(type(step), name, None)
        if name not in ("expected", "happened", "page", "schedule", "callers", "interrupts") and (
            value != usual or name == "align"
        ):
            arguments.append(f"{name}={value:#x}" if name == "dma" else f"{name}={number(value)}")
    return f"{type(step).__name__.lower()}({', '.join(arguments)})"


def steps_of(steps: tuple[Step, ...]) -> list[str]:
    """The steps, a line each; in a long run, the middle is left out."""
    return elided(lines_of(steps, ""), MOST_STEPS, lambda left_out: f"  … {left_out} more")


def elided(lines: list[T], most: int, left_out: Callable[[int], T]) -> list[T]:
    """The first lines and the last ones, and between them how many are left out."""
    if len(lines) <= most:
        return lines
    return [*lines[: most // 2], left_out(len(lines) - most + 1), *lines[1 - most // 2 :]]


def lines_of(steps: tuple[Step, ...], indent: str) -> list[str]:
    lines = []
    for step in steps:
        lines.append(f"{indent}{described(step)}{f' → {step.happened}' if step.happened else ''}")
        if isinstance(step, Together):
            lines += [f"{indent}  {line}" for line in lanes(step)]
        if isinstance(step, Alloc) and step.page is not None:
            place = "fails" if step.page.dma is None else f"gives DMA address {step.page.dma:#x}"
            lines.append(f"{indent}  if a page is asked for, the device {place}")
            lines += lines_of(step.page.meanwhile, indent + "    meanwhile: ")
    return lines


def lanes(step: Together) -> list[str]:
    """Callers at once, a lane for each: what each calls; below, from top to bottom, whose turn it is and where that ends."""
    width = max(WIDTH // len(step.callers) - 3, 16)

    def row(texts: dict[int, str]) -> list[str]:
        wrapped = [textwrap.wrap(texts.get(lane, ""), width) for lane in range(len(step.callers))]
        return [
            " │ ".join(f"{line[n] if n < len(line) else '':<{width}}" for line in wrapped).rstrip()
            for n in range(max(map(len, wrapped)))
        ]

    names = [f"{'interrupt' if step.interrupts and n else 'caller'} {n + 1}" for n in range(len(step.callers))]
    heads = row(
        {
            lane: f"{names[lane]}: {', '.join(map(described, calls)) or 'nothing'}"
            for lane, calls in enumerate(step.callers)
        }
    )
    lines = [*heads, "─┼─".join("─" * width for _ in step.callers)]
    for turn in step.schedule:
        lines += row({turn.caller: f"{counted(turn.events, 'event')}{turn.until and f', to {turn.until}'}"})
    return lines


def drawing(moment: Moment) -> list[str]:
    """The pages of a pool, and its tree if a lookup in it went wrong."""
    lines = [line for strip in moment.strips for line in page(strip)]
    if moment.hidden:
        lines.append(f"and {counted(moment.hidden, 'more page')}")
    if moment.shows_tree:
        lines += tree(moment)
    return lines or ["no pages"]


def page(strip: Strip) -> list[str]:
    """A page to scale: a row of blocks, below it the offsets where they begin, boundaries, and the links of the free list."""

    def column(offset: int) -> int:
        return round((offset - strip.start) * WIDTH / max(strip.end - strip.start, 1))

    row, ruler, marks = [" "] * (WIDTH + 1), [" "] * (WIDTH + 24), [" "] * (WIDTH + 24)
    for cell in strip.drawn:
        first, last = column(cell.start), column(cell.end)
        room = max(last - first - 1, 0)
        row[first + 1 : last] = label_of(cell, room).center(room, "!" if cell.wrong else FILLS[cell.state])
        row[first] = row[last] = "│"
    wrong = {end for cell in strip.cells if cell.wrong for end in (cell.start, cell.end)}
    for offset in sorted(
        {cell.start for cell in strip.cells} | wrong | {strip.end}, key=lambda at: (at not in wrong, at)
    ):
        write(ruler, column(offset), number(offset))
    for offset in strip.pointed:
        if strip.start <= offset < strip.end:
            write(marks, column(offset), "↑ DMA address")
    if strip.start <= strip.nbytes < strip.end:
        write(marks, column(strip.nbytes), "▲ end of the page")
    for offset in [*strip.boundaries, *([strip.nbytes] if strip.nbytes == strip.end else [])]:
        write(marks, column(offset), "▲")
    return [
        line.rstrip()
        for line in (strip.caption, *map("".join, (row, ruler, marks)), free_list(strip), *strip.misaddressed)
        if line.strip()
    ]


def label_of(cell: Cell, room: int) -> str:
    """The name or the state of a block, as far as there is room for it."""
    if len(cell.label) + 2 <= room:
        return f" {cell.label} "
    return cell.name[:room]


def write(line: list[str], column: int, text: str) -> None:
    """Put a text at a column, unless it would touch another one."""
    end = column + len(text)
    if end <= len(line) and all(character == " " for character in line[max(column - 1, 0) : end + 1]):
        line[column:end] = text


def free_list(strip: Strip) -> str:
    """The links between the free blocks that are drawn."""
    arrows = list(dict.fromkeys(strip.arrows))
    if not arrows:
        return ""
    text = str(arrows[0][0])
    for (_, former), (start, end) in pairwise([(0, arrows[0][0]), *arrows[:8]]):
        text += f" → {end}" if start == former else f", {start} → {end}"
    more = " …" if len(arrows) > 8 else ", in a circle" if len(arrows) < len(strip.arrows) else ""
    return f"free list: {text}{more}"


def tree(moment: Moment) -> list[str]:
    """The tree, a page a line, children below their parent, with the lookup's way and where it should have led."""
    lines = [f"the tree of pages, in which {moment.sought:#x} is looked up:"]

    def walk(node: TreeNode | None, indent: str, side: str) -> None:
        if node is None:
            return
        ways = ["looked at"] * (node.dma in moment.path)
        ways += ["found"] * (node.dma == moment.found) + ["should be found"] * (node.dma in moment.right_path[-1:])
        addresses = f"{node.dma:#x} to {node.dma + moment.allocation:#x}, {'red' if node.red else 'black'}"
        lines.append(f"{indent}{side}{addresses}{'  ← ' if ways else ''}{', '.join(ways)}")
        walk(node.left, indent + "  ", "left:  ")
        walk(node.right, indent + "  ", "right: ")

    walk(moment.tree, "  ", "")
    return lines


def coloured(text: str, stream: TextIO) -> str:
    """With what is wrong in red, on a terminal that wants colours."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    wrong = re.compile(r" breaks \w+: |!!|should be found")
    return "\n".join(f"\x1b[1;31m{line}\x1b[0m" if wrong.search(line) else line for line in text.split("\n"))


def show_progress(what: str) -> None:
    """One line on a terminal, in place of the one before; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)
