"""The orders in which callers at once are run: that none is left out, that none is run twice, and what a race is."""

from collections.abc import Sequence
from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hunt.at_once import IN_PYTHON, Meeting, alloc, meet
from hunt.interleavings import depend, explore
from hunt.revisions import REVISIONS, python
from impl.v6_12 import NULL, V6_12Pool
from model.checks import BrokenClaim
from model.events import (
    ATOMIC,
    FENCES,
    LOCKS,
    READS,
    READS_ONCE,
    TRIES,
    TRIES_IN_VAIN,
    UNLOCKS,
    UPDATES,
    WRITES,
    WRITES_ONCE,
    Event,
    race,
)
from model.lockstep import replay
from model.trace import Create, Free

LOCK = 64
KINDS = [READS, WRITES, ATOMIC]
Program = list[tuple[int, int]]
"""What a caller does: kinds of events, and addresses."""


class Toy:
    """Callers that do what their programs say; every one of them ends, or waits for a lock that nobody drops."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self.programs = programs
        self.seen: list[tuple[Event, ...]] = []

    def run(self, schedule: list[int]) -> list[Event]:
        at, holder, events = [0] * len(self.programs), None, list[Event]()
        current, turns = 0, list(schedule)
        while True:
            can = [
                caller
                for caller, program in enumerate(self.programs)
                if at[caller] < len(program) and not (program[at[caller]][0] == LOCKS and holder is not None)
            ]
            if not can:
                break
            current = turns.pop(0) if turns else current if current in can else can[0]
            assert current in can
            kind, address = self.programs[current][at[current]]
            enabled = sum(1 << caller for caller in can)
            if kind == TRIES and holder is not None:
                kind = TRIES_IN_VAIN
            events.append(Event(current, current, kind, address, 8, at[current], enabled))
            holder = current if kind in (LOCKS, TRIES) else None if kind == UNLOCKS else holder
            if kind == TRIES_IN_VAIN:  # and goes on behind what it would do under the lock
                while self.programs[current][at[current]][0] != UNLOCKS:
                    at[current] += 1
            at[current] += 1
        self.seen.append(tuple(events))
        return events


def class_of(events: Sequence[Event]) -> frozenset[tuple[tuple[int, ...], ...]]:
    """What is the same in all orders that differ only where events do not depend on each other: who of two comes first."""
    names = [(event.caller, event.pc, event.kind) for event in events]
    return frozenset((names[i], names[j]) for j in range(len(events)) for i in range(j) if depend(events[i], events[j]))


plain = st.tuples(st.sampled_from(KINDS), st.sampled_from([0, 8, 16]))
section = st.tuples(st.sampled_from([LOCKS, TRIES]), st.lists(plain, max_size=2)).map(
    lambda one: [(one[0], LOCK), *one[1], (UNLOCKS, LOCK)]
)
program = st.lists(plain.map(lambda one: [one]) | section, min_size=1, max_size=2).map(lambda parts: [*chain(*parts)])


@given(st.lists(program, min_size=2, max_size=3))
@example([[(WRITES, 0)], [(WRITES, 16), (READS, 0)], [(READS, 0)]])  # who goes on first is none of the two that meet
def test_no_order_is_left_out_and_none_is_run_twice(programs: list[Program]) -> None:
    if sum(map(len, programs)) > 8:
        programs = programs[:2]
    everything, reduced = Toy(programs), Toy(programs)
    assert explore(everything.run, len(programs), 100_000, reduced=False).all_of_them
    explored = explore(reduced.run, len(programs), 100_000)
    assert {class_of(run) for run in everything.seen} == {class_of(run) for run in reduced.seen}
    assert explored.runs == len({class_of(run) for run in reduced.seen})


def test_what_does_not_depend_on_each_other_is_run_once() -> None:
    toy = Toy([[(WRITES, 0), (READS, 16)], [(WRITES, 8), (READS, 16)]])
    assert explore(toy.run, 2, 100).runs == 1
    tried = Toy([[(LOCKS, LOCK), (UNLOCKS, LOCK)], [(TRIES, LOCK), (UNLOCKS, LOCK)]])
    assert explore(tried.run, 2, 100).runs == 3  # before, behind, and in vain
    locked = Toy([[(LOCKS, LOCK), (UNLOCKS, LOCK)] * 3] * 2)
    assert explore(locked.run, 2, 100).runs == 20  # 3 of 6
    assert not explore(locked.run, 2, 10).all_of_them


def test_a_race_is_two_accesses_in_no_order_of_which_one_writes() -> None:
    def raced(*programs: Program) -> bool:
        return race(Toy(programs).run([]), len(programs)) is not None

    assert raced([(WRITES, 0)], [(READS, 0)])
    assert raced([(READS, 0)], [(WRITES_ONCE, 0)])
    assert not raced([(READS, 0)], [(READS, 0)])
    assert not raced([(WRITES, 0)], [(READS_ONCE, 0)])
    assert not raced([(WRITES, 0)], [(WRITES, 8)])
    assert not raced([(ATOMIC, 0)], [(ATOMIC, 0)])
    assert not raced([(LOCKS, LOCK), (WRITES, 0), (UNLOCKS, LOCK)], [(LOCKS, LOCK), (READS, 0), (UNLOCKS, LOCK)])
    assert raced([(LOCKS, LOCK), (WRITES, 0), (UNLOCKS, LOCK)], [(READS, 0)])
    assert not raced([(TRIES, LOCK), (WRITES, 0), (UNLOCKS, LOCK)], [(LOCKS, LOCK), (READS, 0), (UNLOCKS, LOCK)])
    # What was written before is handed over with what says so, if a fence is between.
    assert raced([(WRITES, 0), (WRITES_ONCE, 8)], [(READS_ONCE, 8), (READS, 0)])
    assert raced([(FENCES, 32), (WRITES, 0), (WRITES_ONCE, 8)], [(READS_ONCE, 8), (READS, 0)])
    assert not raced([(WRITES, 0), (FENCES, 32), (WRITES_ONCE, 8)], [(READS_ONCE, 8), (READS, 0)])
    assert raced([(WRITES, 0), (UPDATES, 8)], [(READS_ONCE, 8), (READS, 0)])
    assert not raced([(WRITES, 0), (ATOMIC, 8)], [(READS_ONCE, 8), (READS, 0)])


@pytest.mark.parametrize("on", ["series", "v6.1-as-it-is", "v6.12"])
def test_two_callers_meet_in_python_in_every_order_and_break_nothing(on: str) -> None:
    explored = [meet(REVISIONS[on], meeting) for meeting in IN_PYTHON]
    assert all(one.all_of_them for one in explored)
    assert sum(one.runs for one in explored) > 200
    assert "__getattribute__" not in vars(V6_12Pool)


class TakesTheLockTwice(V6_12Pool):
    """Looks at the top of the stack, and takes it off when others may have done so."""

    def _pop(self) -> int:
        block = self.next_block
        if block != NULL:
            self.lock.drop()
            self.lock.take()
            self.next_block, _ = self._read_block(block)
            self.nr_active += 1
        return block


class CountsOutsideTheLock(V6_12Pool):
    def free(self, vaddr: int, dma: int) -> None:
        self.nr_active += 1
        super().free(vaddr, dma)
        self.nr_active -= 1


@pytest.mark.parametrize(
    ("pool", "claim", "happened"),
    [
        (
            TakesTheLockTwice,
            "operations_are_linearizable",
            "a has DMA address 0x100000010, b has DMA address 0x100000010",
        ),
        (CountsOutsideTheLock, "locking_rules_are_kept", "a race"),
    ],
)
def test_a_race_is_found_in_python(pool: type, claim: str, happened: str) -> None:
    revision = python(pool, REVISIONS["v6.12"].promises)
    meeting = Meeting((Create(16), *alloc("x")), (alloc("a"), alloc("b")))
    if pool is CountsOutsideTheLock:
        meeting = Meeting((Create(16), *alloc("x", "y")), ((Free("x"),), (Free("y"),)))
    with pytest.raises(BrokenClaim) as broken:
        meet(revision, meeting)
    assert broken.value.claim.name == claim
    assert happened in broken.value.happened
    with pytest.raises(BrokenClaim, match=claim):
        replay(broken.value.trace, revision)
