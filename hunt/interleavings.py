"""Every order in which callers at once can run, but for those that only exchange what does not depend on each other.

Two events depend on each other if they are of one caller, or about the same bytes and one writes. Orders that differ only in
the exchange of events that do not are one trace (Mazurkiewicz), and one of them is run: by dynamic partial-order reduction
(Flanagan and Godefroid, 2005), which adds a schedule for each two events that depend on each other and might have come the
other way round, with source sets (Abdulla and others, 2014) and sleep sets (Godefroid, 1996), which leave out a schedule that
was run already.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from model.events import LOCKS, UNLOCKS, Clock, Event, joined, shared

Run = Callable[[list[int]], Sequence[Event]]
"""Runs the callers, of which those go on that a schedule names, event by event; what happened, to the end."""


@dataclass
class Explored:
    """How many schedules were run to their end; how many were begun, and left out since one of the same trace was run; and
    whether these are all."""

    runs: int = 0
    pruned: int = 0
    all_of_them: bool = True


@dataclass
class Node:
    """A moment of the latest run: what happened next, who could have gone on, and who has to in other runs."""

    event: Event
    wanted: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    asleep: dict[int, Event] = field(default_factory=dict)  # what would happen next of callers who need not go on here

    def can(self, caller: int) -> bool:
        return bool(self.event.enabled >> caller & 1)

    def next(self) -> int | None:
        """Who goes on in another run."""
        return min((one for one in self.wanted - self.done if one not in self.asleep), default=None)


def depend(one: Event, other: Event) -> bool:
    if one.caller == other.caller:
        return True
    if not (one.writes or other.writes):
        return False
    mine, others = one.granules(), other.granules()
    return mine.start < others.stop and others.start < mine.stop


def explore(run: Run, callers: int, most: int, reduced: bool = True) -> Explored:
    """Run the callers in every order, at most so many times. Without the reduction, none is left out: where that is put to the
    test, and for interrupts, since whether one may come is no event that another depends on."""
    explored, path, schedule = Explored(), list[Node](), list[int]()
    while True:
        if explored.runs + explored.pruned == most:
            explored.all_of_them = False
            return explored
        events = run(schedule)
        ended = extend(path, events, schedule, reduced)
        if ended is None:
            explored.pruned += 1
            continue  # with another schedule, since who went on is asleep
        explored.runs += ended
        explored.pruned += not ended
        if reduced:
            want_the_other_order([node.event for node in path], path, callers)
        if not (following := next_schedule(path)):
            return explored
        schedule = following


def extend(path: list[Node], events: Sequence[Event], schedule: list[int], reduced: bool) -> bool | None:
    """Add to a path what has happened behind it. Whether that is all; or None, with another schedule, where a caller went on
    that is asleep while another is not."""
    for at, event in enumerate(events):
        if at < len(path):
            path[at].event = event
            continue
        before = path[-1] if path else None
        asleep = (
            {}
            if before is None
            else {caller: other for caller, other in before.asleep.items() if not depend(other, before.event)}
        )
        node = Node(event, asleep=asleep if reduced else {})
        if event.caller in node.asleep:
            awake = [
                caller for caller in range(event.enabled.bit_length()) if node.can(caller) and caller not in asleep
            ]
            if not awake:
                return False
            schedule[:] = [one.event.caller for one in path] + awake[:1]
            return None
        node.done = {event.caller}
        node.wanted = {event.caller} if reduced else {c for c in range(event.enabled.bit_length()) if node.can(c)}
        path.append(node)
    return True


def next_schedule(path: list[Node]) -> list[int]:
    """Go back to the latest moment at which another caller has to go on; its schedule, and none if there is no such moment."""
    while path:
        node = path[-1]
        node.asleep[node.event.caller] = node.event
        if (caller := node.next()) is not None:
            node.done.add(caller)
            return [one.event.caller for one in path[:-1]] + [caller]
        path.pop()
    return []


def want_the_other_order(events: Sequence[Event], path: list[Node], callers: int) -> None:
    """For each event, and the latest one of another caller that it depends on and does not come behind anyhow: who has to go
    on at that moment, for the two to come the other way round."""
    clocks: list[Clock] = [[0] * callers for _ in range(callers)]
    of_event = list[Clock]()
    numbers = list[int]()  # of an event, among those of its caller
    accesses: dict[int, list[Clock]] = {}  # by granule: what comes before who writes there, and before who reads
    latest: dict[int, list[list[int]]] = {}  # by granule and caller: its latest write, access, and unlock
    for at, (event, granules) in enumerate(zip(events, shared(events), strict=True)):
        me = event.caller
        before = clocks[me]
        clock = list(before)
        clock[me] += 1
        for granule in granules:
            written, read = accesses.setdefault(granule, [[0] * callers, [0] * callers])
            clock = joined(clock, written)
            if event.writes:
                clock = joined(clock, read)
        clocks[me] = clock
        of_event.append(clock)
        numbers.append(clock[me])
        for granule in granules:
            for other, places in enumerate(latest.get(granule, ())):
                # Who waits for a lock could not have come before it was dropped; who tries to take it, could.
                for place in places[event.writes : event.writes + 1] + places[2:] * (
                    event.kind not in (LOCKS, UNLOCKS)
                ):
                    if other != me and place >= 0 and before[other] < numbers[place]:
                        want(path[place], place, at, events, of_event, numbers)
        for granule in granules:
            pair = accesses[granule]
            pair[not event.writes] = joined(pair[not event.writes], clock)
            places = latest.setdefault(granule, [[-1] * 3 for _ in range(callers)])[me]
            if event.kind == UNLOCKS:
                places[2] = at
                continue
            places[True] = at
            if event.writes:
                places[False] = at


def want(
    node: Node, place: int, last: int, events: Sequence[Event], of_event: Sequence[Clock], numbers: Sequence[int]
) -> None:
    """Have the event at `last` come before the one at a place: what happened in between, and need not come behind that, goes
    first, and somebody has to begin with it who can (source sets: Abdulla and others, 2014)."""
    late, since = events[place].caller, numbers[place]
    first, begin = dict[int, int](), set[int]()  # the first event of each caller; who is behind no other of these
    for at in range(place + 1, last + 1):
        caller, clock = events[at].caller, of_event[at]
        if caller in first or (at < last and clock[late] >= since):
            continue
        if node.can(caller) and not any(clock[other] >= number for other, number in first.items()):
            begin.add(caller)
        first[caller] = numbers[at]
    if not begin & node.wanted:
        node.wanted |= {min(begin)} if begin else {one for one in range(len(of_event[0])) if node.can(one)}
