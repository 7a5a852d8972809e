"""Callers at once: several run operations on one pool, each on a processor of its own, in turns that a schedule says.

What comes of it is held to two rules. Of two accesses to the same bytes of which one writes, one comes before the other, in the
order that locks, atomic operations, READ_ONCE and WRITE_ONCE make (Lamport's “happened before”, 1978). And some order of the
operations, each as a whole, in which one comes before another that began after its end, gives what the callers were given
(the operations are linearizable: Herlihy and Wing, 1990).
Memory is sequentially consistent: what a processor may reorder is not tried.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from model import claims
from model.checks import DriversBlock, Record
from model.geometry import counted
from model.memory import Mapping
from model.pool import Addresses, SimplePool
from model.trace import NAMES, Alloc, Free, Step, Together, TraceError, Turn

if TYPE_CHECKING:
    from model.lockstep import Lockstep

READS, WRITES, READS_ONCE, WRITES_ONCE, ATOMIC, LOCKS, UNLOCKS = range(7)
"""What happens; as in kernel/shim/shim.h."""

GRANULE = 8
"""Bytes: what happens to the same ones depends on each other."""


class Event(NamedTuple):
    """What a caller does that another may see: to so many bytes at an address, or to a lock there."""

    caller: int
    call: int  # which of all
    kind: int  # READS to UNLOCKS
    address: int
    nbytes: int
    pc: int  # where in the program
    enabled: int  # a bit for each caller that could have gone on instead

    @property
    def writes(self) -> bool:
        return self.kind not in (READS, READS_ONCE)

    def granules(self) -> range:
        return range(self.address // GRANULE, (self.address + max(self.nbytes, 1) - 1) // GRANULE + 1)


@dataclass(frozen=True)
class Outcome:
    """What came of callers at once: the block that each call has given, None for none; how many pages of those that the device
    had ready were taken; what happened, in order; where in the code that is, as `function (file:line)`."""

    blocks: Sequence[Addresses | None]
    pages: int
    events: Sequence[Event]
    place: Callable[[Event], str]
    fault: Exception | None = None  # that has ended it


Clock = list[int]
"""For each caller, how many of its events come before."""


def joined(one: Clock, other: Clock) -> Clock:
    return [max(a, b) for a, b in zip(one, other, strict=True)]


def shared(events: Sequence[Event]) -> list[list[int]]:
    """Of each event, the granules that it is about and that several callers touch."""
    touched = dict[int, int]()
    of_each = [event.granules() for event in events]
    for event, granules in zip(events, of_each, strict=True):
        for granule in granules:
            touched[granule] = touched.get(granule, 0) | 1 << event.caller
    return [[one for one in granules if touched[one] & touched[one] - 1] for granules in of_each]


def race(events: Sequence[Event], callers: int) -> tuple[Event, Event] | None:
    """The first two accesses of which neither comes before the other, and one writes, as plain C."""
    clocks = [[0] * callers for _ in range(callers)]
    released = dict[int, Clock]()  # by address: what comes before who takes the lock, or reads what was written, there
    accesses = dict[
        int, list[tuple[Event, int]]
    ]()  # by granule: those so far, and when each was, by its caller's clock
    for event, granules in zip(events, shared(events), strict=True):
        clock = clocks[event.caller]
        clock[event.caller] += 1
        if event.kind in (LOCKS, ATOMIC, READS_ONCE):
            clocks[event.caller] = clock = joined(clock, released.get(event.address, clock))
        if event.kind in (UNLOCKS, ATOMIC, WRITES_ONCE):
            released[event.address] = joined(clock, released.get(event.address, clock))
        if event.kind in (LOCKS, UNLOCKS):
            continue
        for granule in granules:
            before = accesses.setdefault(granule, [])
            for other, at in before:
                if (
                    other.caller != event.caller
                    and at > clock[other.caller]
                    and (event.writes or other.writes)
                    and may_race(event, other)
                    and other.address < event.address + event.nbytes
                    and event.address < other.address + other.nbytes
                ):
                    return other, event
            before.append((event, clock[event.caller]))
    return None


def may_race(one: Event, other: Event) -> bool:
    """Of two that are in no order, whether that is a fault: if both are plain, or one reads what the other writes by
    WRITE_ONCE. A plain write beside a READ_ONCE is none (CONFIG_KCSAN_ASSUME_PLAIN_WRITES_ATOMIC)."""
    plain, marked = sorted((one, other), key=lambda event: event.kind > WRITES)
    return plain.kind <= WRITES and (marked.kind <= WRITES or marked.writes)


Call = tuple[int, Step]
"""Its number, and what is called."""


def orders(
    oracle: SimplePool, calls: Sequence[Call], outcome: Outcome, named: dict[str, Addresses]
) -> Iterator[tuple[Call, ...]]:
    """The orders of the calls in which the oracle may give what was given."""
    first, last = dict[int, int](), dict[int, int]()
    for at, event in enumerate(outcome.events):
        first.setdefault(event.call, at)
        last[event.call] = at
    in_use = frozenset((page.mapping.vaddr + offset) for page in oracle.pages for offset in page.in_use)
    starts = dict(oracle.free_blocks()) | dict(named.values())

    def is_before(one: Call, other: Call) -> bool:
        return last.get(one[0], -1) < first.get(other[0], 0)

    def rest(done: tuple[Call, ...], left: tuple[Call, ...], in_use: frozenset[int]) -> Iterator[tuple[Call, ...]]:
        if not left:
            yield done
        for call in left:
            if any(is_before(other, call) for other in left if other is not call):
                continue
            number, step = call
            block = outcome.blocks[number]
            after = in_use
            if isinstance(step, Alloc):
                if block is None or block[0] in in_use or starts.get(block[0]) != block[1]:
                    continue
                after = in_use | {block[0]}
            elif isinstance(step, Free) and block is not None:
                if block[0] not in in_use:
                    continue
                after = in_use - {block[0]}
            yield from rest((*done, call), tuple(one for one in left if one is not call), after)

    yield from rest((), tuple(calls), in_use)


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
    """Of two accesses to the same bytes, one comes before the other."""
    found = race(outcome.events, len(step.callers))
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
    oracle: SimplePool,
    calls: Sequence[Call],
    outcome: Outcome,
    named: dict[str, Addresses],
    ready: Sequence[Mapping],
) -> None:
    """Some order of the operations gives what was given; the oracle gets the pages that were taken, and does them in it."""
    for mapping in ready[: outcome.pages]:
        twin = Mapping(mapping.vaddr, mapping.dma, memoryview(bytearray(len(mapping.data))))
        lockstep.shadow.add(twin)
        oracle.add_page(twin)
    order = next(orders(oracle, calls, outcome, named), None)
    if not claims.operations_are_linearizable(order):
        told = "; ".join(
            f"{call.block}: {'NULL' if block is None else hex(block[1])}"
            for (_, call), block in zip(calls, outcome.blocks, strict=True)
            if isinstance(call, Alloc | Free)
        )
        record.description = lambda: ("what some order of the operations gives", told)
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
