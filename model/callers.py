"""Callers at once: several run operations on one pool, each on a processor of its own, in turns that a schedule says.

What comes of it is held to two rules. Of two accesses to the same bytes of which one writes, one comes before the other, in the
order that locks, atomic operations, and a fence or release before a WRITE_ONCE make for who reads what was written (Lamport's
“happened before”, 1978). And some order of the
operations, each as a whole, in which one comes before another that began after its end, gives what the callers were given
(the operations are linearizable: Herlihy and Wing, 1990).
Memory is sequentially consistent: what a processor may reorder is not tried.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from model import claims
from model.checks import DriversBlock, Record
from model.events import Event, Outcome, race
from model.geometry import counted
from model.linearizable import Call, orders, page_without_need, wrong_in_the_file
from model.memory import Mapping
from model.pool import Addresses, Oracle
from model.trace import NAMES, Alloc, Free, Step, Together, TraceError, Turn

if TYPE_CHECKING:
    from model.lockstep import Lockstep


def run_together(lockstep: "Lockstep", record: Record, step: Together) -> None:
    """Have the callers of a step run at once, hold what came of it to the rules, and have the oracle follow."""
    target, oracle = lockstep.target or lockstep.destroyed, lockstep.oracle
    together = lockstep.revision.together
    if together is None:
        raise TraceError("callers at once: this pool has no lock, and one caller at a time")
    calls = [(number, call) for number, (_, call) in enumerate(step.calls())]
    if oracle is None and any(isinstance(call, Alloc | Free) for _, call in calls):
        raise TraceError("callers at once: the pool is destroyed, and one of them uses it")
    ready = pages_for(lockstep, calls)
    named = {name: (block.vaddr, block.dma) for name, block in lockstep.blocks.items()}

    def happened() -> tuple[Outcome, list[Turn]]:
        outcome: Outcome = together(target, step, ready, named)
        turns = as_turns(outcome, [call for _, call in calls])
        lockstep.happened, record.step = outcome.events, replace(step, schedule=tuple(turns))
        if outcome.fault is not None:
            raise outcome.fault
        return outcome, turns

    outcome, turns = lockstep._call(record, happened)
    for mapping in ready[outcome.pages :]:
        lockstep.memory.free_coherent(len(mapping.data), mapping.vaddr, mapping.dma)
    record.description = lambda: ("", f"{counted(len(outcome.events), 'event')}, in {counted(len(turns), 'turn')}")
    check_accesses(lockstep, record, step, outcome)
    if oracle is not None:
        lockstep.at_once = max(lockstep.at_once, len(step.callers))
        lockstep.peak = max(lockstep.peak, lockstep.in_use_of_pool + len(ready))
        follow(lockstep, record, oracle, calls, outcome, named, ready)


def pages_for(lockstep: "Lockstep", calls: Sequence[Call]) -> list[Mapping]:
    """The pages that the device has ready: one for each that allocates; none for who cannot allocate any more."""
    if lockstep.oracle is None:
        return []
    lockstep.memory.place = lockstep.memory.next_free_place
    wanted, nbytes = sum(isinstance(call, Alloc) for _, call in calls), lockstep.oracle.geometry.allocation
    given = [lockstep.memory.alloc_coherent(nbytes) for _ in range(wanted)]
    return [mapping for mapping in given if mapping is not None]


def check_accesses(lockstep: "Lockstep", record: Record, step: Together, outcome: Outcome) -> None:
    """Of two accesses to the same bytes, one comes before the other, as on one processor."""
    found = None if step.interrupts else race(outcome.events, len(step.callers))
    if found is None:
        return
    told = " and ".join(
        f"caller {event.caller + 1} {'writes' if event.writes else 'reads'} in {outcome.place(event)}"
        for event in found
    )
    record.description = lambda: ("an order between two accesses to the same bytes", f"{told}: a race")
    lockstep._break(record, claims.locking_rules_are_kept, record.description, place_of_race(outcome, found))


def follow(
    lockstep: "Lockstep",
    record: Record,
    oracle: Oracle,
    calls: Sequence[Call],
    outcome: Outcome,
    named: dict[str, Addresses],
    ready: Sequence[Mapping],
) -> None:
    """Some order of the operations gives what was given; the oracle gets the pages that were taken, and does them in it."""
    wasted, read = page_without_need(oracle, calls, outcome), wrong_in_the_file(oracle, calls, outcome)
    for mapping in ready[: outcome.pages]:
        twin = Mapping(mapping.vaddr, mapping.dma, memoryview(bytearray(len(mapping.data))))
        lockstep.shadow.add(twin)
        oracle.add_page(twin)
    order = next(orders(oracle, calls, outcome, named), None)
    if not claims.operations_are_linearizable(order):
        told = ", ".join(
            f"{call.block} {'is NULL' if block is None else f'has DMA address {block[1]:#x}'}"
            for (_, call), block in zip(calls, outcome.blocks, strict=True)
            if isinstance(call, Alloc)
        )
        expected = "blocks that the pool has, and counts that are right, as they are in some order of the operations"
        record.description = lambda: (expected, told or "in no order of them it goes as it went")
        lockstep._break(record, claims.operations_are_linearizable, record.description)
    if wasted:
        record.description = lambda: ("a free block, or one that another caller may have taken", wasted)
        lockstep._break(record, claims.no_room_is_wasted, record.description)
    if read is not None:
        record.description = lambda: read
        lockstep._break(record, claims.operations_are_linearizable, record.description)
    freed = {call.block for _, call in calls if isinstance(call, Free)}
    for number, call in order or ():
        block = outcome.blocks[number]
        if isinstance(call, Alloc) and block is not None:
            vaddr, dma = block
            oracle.take(vaddr, dma)
            start = lockstep.memory.offset(vaddr)
            lockstep.first_uses.setdefault(vaddr - start, {}).setdefault(start)
            if call.block in freed:  # nobody can write to it any more
                lockstep.blocks[call.block] = DriversBlock(vaddr, dma, b"")
            else:
                lockstep._give(call.block, vaddr, dma, bytes([len(lockstep.blocks) % 0x9F + 1]))
        elif isinstance(call, Free) and block is not None:
            oracle.free(*block)
            if call.block in named:
                lockstep._take_back(call.block)


def as_turns(outcome: Outcome, calls: Sequence[Step]) -> list[Turn]:
    """The schedule that was: whose turn it was, for how many events, and before what it ended."""
    turns, at = list[Turn](), 0
    for caller, events in groupby(outcome.events, lambda event: event.caller):
        count = len(list(events))
        at += count
        following = next((event for event in outcome.events[at:] if event.caller == caller), None)
        if following is not None:
            until = ", ".join(filter(None, [in_short(calls[following.call]), outcome.place(following)]))
        elif outcome.fault is None:
            until = "its end"
        else:
            until = "what goes wrong" if at == len(outcome.events) else ""
        turns.append(Turn(caller, count, until))
    return turns


def in_short(call: Step) -> str:
    return " ".join([NAMES[type(call)], *filter(None, [getattr(call, "block", "")])])


def place_of_race(outcome: Outcome, found: tuple[Event, Event]) -> str:
    return "+".join(sorted({outcome.place(event).rpartition("(")[2].rstrip(")") for event in found}))
