"""The orders in which callers at once are run: that none is left out, that none is run twice, and what a race is."""

from collections.abc import Sequence
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from hunt.interleavings import depend, explore
from model.callers import ATOMIC, LOCKS, READS, READS_ONCE, UNLOCKS, WRITES, WRITES_ONCE, Event, race

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
            events.append(Event(current, current, kind, address, 8, at[current], enabled))
            holder = current if kind == LOCKS else None if kind == UNLOCKS else holder
            at[current] += 1
        self.seen.append(tuple(events))
        return events


def class_of(events: Sequence[Event]) -> frozenset[tuple[tuple[int, int], tuple[int, int]]]:
    """What is the same in all orders that differ only where events do not depend on each other: who of two comes first."""
    names = [(event.caller, event.pc) for event in events]
    return frozenset((names[i], names[j]) for j in range(len(events)) for i in range(j) if depend(events[i], events[j]))


plain = st.tuples(st.sampled_from(KINDS), st.sampled_from([0, 8, 16]))
section = st.lists(plain, max_size=2).map(lambda inside: [(LOCKS, LOCK), *inside, (UNLOCKS, LOCK)])
program = st.lists(plain.map(lambda one: [one]) | section, min_size=1, max_size=2).map(lambda parts: [*chain(*parts)])


@given(st.lists(program, min_size=2, max_size=3))
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
    # What was written before is handed over with what says so.
    assert not raced([(WRITES, 0), (WRITES_ONCE, 8)], [(READS_ONCE, 8), (READS, 0)])
