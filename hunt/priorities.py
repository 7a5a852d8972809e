"""Callers at once in sets too large for every order: they run by priorities that are drawn, some of which change on the way.

Of those who can go on, the one of the highest priority does; at a few events, drawn as well, who would go on gets the lowest.
With K callers, N events and D - 1 changes, a fault that D events in the wrong order show is met with a chance of at least
1 / (K * N**(D - 1)) (PCT: Burckhardt and others, 2010).
"""

from collections.abc import Callable
from random import Random

from hunt.at_once import Meeting, Met, alloc, runs_of
from hunt.interleavings import Run
from model.checks import BrokenClaim
from model.revision import Revision
from model.trace import Alloc, Create, Free, PoolInfo, Step

DEPTH = 3
"""D of above."""

SCHEDULES = 10
"""Of a set of callers."""


def draw(random: Random) -> Meeting:
    """Three or four callers with four operations each, who meet at a pool with up to three blocks in use."""
    shared = [f"x{number}" for number in range(random.randrange(4))]
    callers = list[tuple[Step, ...]]()
    before = (Create(random.choice((16, 32, 64))), *alloc(*shared))
    for caller in range(random.choice((3, 4))):
        own, steps = list[str](), list[Step]()
        for place in range(4):
            has = own + shared
            if has and random.random() < 0.45:
                block = random.choice(has)
                (own if block in own else shared).remove(block)
                steps.append(Free(block))
            elif random.random() < 0.1:
                steps.append(PoolInfo())
            else:
                own.append(f"{'abcd'[caller]}{place}")
                steps.append(Alloc(own[-1]))
        callers.append(tuple(steps))
    return Meeting(before, tuple(callers))


def run_by_priorities(run: Run, callers: int, random: Random, events: int) -> int:
    """Run the callers once by priorities, of which some change among the first so many events. How many events there were."""
    drawn = random.sample(range(DEPTH, DEPTH + callers), callers)
    changes = {at: number for number, at in enumerate(random.sample(range(events), DEPTH - 1))}
    schedule = list[int]()
    while True:
        happened, priorities = run(schedule), list(drawn)
        for at, event in enumerate(happened):
            can = [caller for caller in range(callers) if event.enabled >> caller & 1]
            if at in changes:
                priorities[max(can, key=priorities.__getitem__)] = changes[at]
            if (first := max(can, key=priorities.__getitem__)) != event.caller:
                schedule = [one.caller for one in happened[:at]] + [first]
                break
        else:
            return len(happened)


def meet_by_priorities(revision: Revision, sets: int, told: Callable[[str], None] = lambda _: None) -> Met:
    """So many sets of callers, the same ones each time, with a few schedules each; until a claim breaks."""
    met = Met()
    for number in range(sets):
        told(f"callers at once by priorities, {number + 1} of {sets}")
        random = Random(number)
        meeting = draw(random)
        run, events = runs_of(revision, meeting), 100
        for _ in range(SCHEDULES):
            try:
                events = run_by_priorities(run, len(meeting.callers), random, max(events, DEPTH))
            except BrokenClaim as broken:
                met.broken = broken
                return met
            met.orders += 1
    return met
