"""Loops of C that fill memory byte by byte: run at once, as memset is, however many turns they have.

In its first block, such a loop compares what rises or falls by one in each turn with what stays; each turn stores one byte, and
nothing else is done. What is compared and where bytes go are computed for the first turn, the last, and the one that is none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kernel.instructions import Instruction, Local, Operand
from kernel.ir import Function, NotFollowed
from kernel.objects import Pointer
from kernel.words import signed, wrap

PLAIN = {"phi", "br", "icmp", "load", "getelementptr", "add", "sub", "zext", "sext", "trunc", "xor", "select", "store"}


@dataclass(frozen=True)
class FillLoop:
    """Its blocks; its variables' widths, and by how much each changes in a turn; what it compares, and stores; and what the
    comparison says where there is one more turn."""

    blocks: tuple[str, str]
    variables: dict[str, tuple[int, int]]
    comparison: Instruction
    store: Instruction
    stays: bool


def fill_loop(function: Function, head: str) -> FillLoop | None:
    """The loop that begins in a block, if it is one that fills memory."""
    inside = [one for one in function.blocks if function.reaches(head, one) and function.reaches(one, head)]
    body = next((one for one in inside if one != head), "")
    if {*inside} != {head, body} or function.successors(body) != (head,):
        return None
    code = [*function.blocks[head], *function.blocks[body]]
    stores, comparisons = ([one for one in code if one.operation == kind] for kind in ("store", "icmp"))
    ends = function.blocks[head][-1]
    variables = steps(function, head)
    if {one.operation for one in code} - PLAIN or not all(by for _, by in variables.values()):
        return None
    if len(stores) != 1 or len(comparisons) != 1 or ends.operands != (Operand(1, Local(comparisons[0].name)),):
        return None
    changes = {*variables}
    while more := {one.name for one in code if any(depends(x, changes) for x in one.operands)} - changes:
        changes |= more
    stay = [one.operands[0] for one in code if one.operation == "load"] + [stores[0].operands[0]]
    if stores[0].operands[0].width != 8 or any(depends(one, changes) for one in stay):
        return None
    return FillLoop((head, body), variables, comparisons[0], stores[0], ends.labels[0] == body)


def steps(function: Function, head: str) -> dict[str, tuple[int, int]]:
    """The width of each variable of a loop, and by how much it changes in every turn, if that is 1 or -1; else 0."""
    made = {one.name: one for code in function.blocks.values() for one in code}
    known = {}
    for phi in function.phis[head]:
        turns = [
            made[value.name] if isinstance(value, Local) and value.name in made else phi
            for (_, value), label in zip(phi.operands, phi.labels, strict=True)
            if function.reaches(head, label)
        ]
        moves = {moved(one, phi.name) for one in turns}
        known[phi.name] = phi.width or 64, moves.pop() if len(moves) == 1 else 0
    return known


def moved(by: Instruction, name: str) -> int:
    """What an instruction adds to a variable, if that is 1 or -1; else 0."""
    if by.operation not in ("add", "sub", "getelementptr") or by.detail not in ("", "i8") or len(by.operands) != 2:
        return 0
    (_, of), (width, number) = by.operands
    if of != Local(name) or not isinstance(number, int):
        return 0
    added = signed(number % 2**width, width) * (-1 if by.operation == "sub" else 1)
    return added if added in (1, -1) else 0


def after(variables: dict[str, tuple[int, int]], turns: Any, arrived: dict[str, Any]) -> dict[str, Any]:
    """What variables hold after so many turns, by their widths and steps, and what they hold before the first one."""
    held = {}
    for name, (width, step) in variables.items():
        by = turns * step
        held[name] = arrived[name] + by if isinstance(arrived[name], Pointer) else wrap(arrived[name] + by, width)
    return held


def depends(operand: Operand, on: set[str]) -> bool:
    return isinstance(operand.value, Local) and operand.value.name in on


def fill_at_once(
    loop: FillLoop, arrived: dict[str, Any], turn: Callable[[dict[str, Any]], tuple[bool, list[Any], Any, Any]]
) -> dict[str, Any] | None:
    """Fill what the loop fills: its variables by then; None if there is no turn. `turn` gives, for values of the variables,
    what the comparison says, its two sides, and the address and the byte of the store. Raises NotFollowed where it is not
    certain that nothing wraps between the first turn and the last."""
    goes_on, sides, first, byte = turn(arrived)
    if goes_on != loop.stays:
        return None
    turns = number_of_turns(loop, sides)
    still, _, last, _ = turn(after(loop.variables, turns - 1, arrived))
    over = turn(after(loop.variables, turns, arrived))[0]
    if not (turns > 0 and still == loop.stays != over and isinstance(byte, int)):
        raise NotFollowed("how many bytes this loop fills is not known")
    low, high = (first, last) if first.offset <= last.offset else (last, first)
    if low.object is not high.object or not high.offset - low.offset == turns - 1:
        raise NotFollowed("what this loop fills is not known")
    low.object.fill(low.offset, turns, byte % 256)
    return after(loop.variables, turns, arrived)


def number_of_turns(loop: FillLoop, sides: list[Any]) -> Any:
    """By what the first turn compares: up to the bound, or with it."""
    predicate, width = loop.comparison.detail, loop.comparison.operands[0].width
    x, y = (one.offset if isinstance(one, Pointer) else one for one in sides)
    if predicate[0] == "s":
        x, y = signed(x, width), signed(y, width)
    with_the_bound = predicate[-2:] in (("le", "ge") if loop.stays else ("lt", "gt"))
    return (y - x if y >= x else x - y) + int(with_the_bound)
