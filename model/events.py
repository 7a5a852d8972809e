"""What callers at once do that another may see, and which of it races."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from model.pool import Addresses

READS, WRITES, READS_ONCE, WRITES_ONCE, UPDATES, ATOMIC, FENCES, LOCKS, TRIES, TRIES_IN_VAIN, UNLOCKS, ASKS = range(12)
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
        return self.kind not in (READS, READS_ONCE, FENCES, TRIES_IN_VAIN)

    def granules(self) -> range:
        return range(self.address // GRANULE, (self.address + max(self.nbytes, 1) - 1) // GRANULE + 1)


@dataclass(frozen=True)
class Outcome:
    """What came of callers at once: the block that each call has given, or the blocks in use and the pages that it has read in
    the file pools, None for none; how many pages of those that the device had ready were taken; what happened, in order; where
    in the code that is, as `function (file:line)`."""

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
    fenced = [[0] * callers for _ in range(callers)]  # by caller: what comes before its latest fence
    released = dict[int, Clock]()  # by address: what comes before who takes the lock, or reads what was written, there
    accesses = dict[
        int, list[tuple[Event, int]]
    ]()  # by granule: those so far, and when each was, by its caller's clock
    for event, granules in zip(events, shared(events), strict=True):
        clock = clocks[event.caller]
        clock[event.caller] += 1
        if event.kind in (LOCKS, TRIES, ATOMIC, UPDATES, READS_ONCE):
            clocks[event.caller] = clock = joined(clock, released.get(event.address, clock))
        if event.kind in (ATOMIC, FENCES):
            fenced[event.caller] = list(clock)
        if event.kind in (UNLOCKS, ATOMIC):
            released[event.address] = joined(clock, released.get(event.address, clock))
        elif event.kind == UPDATES:
            released[event.address] = joined(fenced[event.caller], released.get(event.address, fenced[event.caller]))
        elif event.kind == WRITES_ONCE:
            released[event.address] = fenced[event.caller]
        if event.kind >= FENCES:
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
