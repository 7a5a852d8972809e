"""Callers at once, in every order: which pools, and which operations; each order is a run beside the oracle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from hunt.interleavings import Explored, Run, explore
from model.checks import BrokenClaim
from model.events import Event
from model.lockstep import Lockstep, rerun
from model.revision import Revision
from model.trace import Alloc, Create, Destroy, Free, Kernel, PoolInfo, Step, Together, Trace, Turn

MOST = 20_000
"""Orders of one set of callers."""


class Meeting(NamedTuple):
    """What was done before, and what each caller does."""

    before: tuple[Step, ...]
    callers: tuple[tuple[Step, ...], ...]
    kernel: Kernel = Kernel(page_size=64)
    interrupts: bool = False  # all but the first are interrupt handlers on its processor


def alloc(*names: str) -> tuple[Step, ...]:
    return tuple(Alloc(name) for name in names)


ONE_PAGE = Create(32), *alloc("x")
"""A pool with a page of two blocks, of which one is in use."""

AT_THE_FILE = (
    Meeting((Create(32), Destroy()), ((Create(64), Destroy()), (PoolInfo(), PoolInfo()))),
    Meeting((Create(32), Destroy()), ((Create(64), Destroy(), Create(64)), (Create(64), Destroy()))),
    Meeting((Create(32),), ((Create(64), Destroy(), PoolInfo()), (Create(64), PoolInfo(), Destroy()))),
    Meeting(ONE_PAGE, ((*alloc("a"), Free("x"), *alloc("b")), (Create(64), PoolInfo(), Destroy()))),
)
"""Two callers with three operations each, who create and destroy pools of a device, and read its file `pools`."""

AT_A_POOL = (
    Meeting((*ONE_PAGE, *alloc("y")), ((Free("x"), *alloc("a"), PoolInfo()), (Free("y"), *alloc("b"), Free("b")))),
    Meeting(
        (Create(32),), ((*alloc("a"), Free("a"), *alloc("b")), (*alloc("c"), Free("c"), Alloc("d", flags="GFP_ATOMIC")))
    ),
    Meeting(ONE_PAGE, (alloc("a", "b", "c"), (Alloc("d", flags="GFP_ATOMIC"), Free("a"), Free("b")))),
    Meeting((Create(64),), ((*alloc("a"), Free("a"), *alloc("b")), (*alloc("c"), Free("c"), *alloc("d")))),
    Meeting(ONE_PAGE, ((*alloc("a"), Free("x"), *alloc("b")), (*alloc("c", "d"), Free("c")))),
    Meeting((Create(16), *alloc("x")), (alloc("a", "b"), (*alloc("c", "d"), Free("c")))),
    Meeting(ONE_PAGE, ((Free("x"), *alloc("a")), alloc("b", "c"), (*alloc("d"), PoolInfo()))),
    Meeting((Create(32),), tuple((*alloc(name), Free(name)) for name in "abc")),
    Meeting(ONE_PAGE, ((*alloc("a"), Free("a"), *alloc("b")), alloc("c"), (Free("x"),)), interrupts=True),
    Meeting(
        (*ONE_PAGE, *alloc("y")),
        ((Free("x"), *alloc("a", "b")), (*alloc("c"), Free("c")), (Free("y"),)),
        interrupts=True,
    ),
)
"""Two callers with three operations each, or three with two; as they meet at an empty pool, at a full one, and at one with a
page for each block; where one frees what another was given; and where one may not sleep. And one with three, whom
two interrupt handlers interrupt, with an operation or two each."""

MEETINGS = AT_THE_FILE + AT_A_POOL
IN_PYTHON = tuple(meeting for meeting in AT_A_POOL if len(meeting.callers) == 2)
"""The Python has no devices with a file."""


def turns(schedule: list[int]) -> tuple[Turn, ...]:
    return tuple(Turn(caller, len(list(events))) for caller, events in groupby(schedule))


def run_of(meeting: Meeting, schedule: list[int]) -> Trace:
    """The callers by a schedule."""
    return Trace((*meeting.before, Together(meeting.callers, turns(schedule), meeting.interrupts)), meeting.kernel)


def take_what_is_free(lockstep: Lockstep) -> None:
    """Each block that should be free is given without another page, and the pool's lists are sound behind it."""
    if lockstep.oracle is None:
        return
    names = [f"after {number}" for number in range(len(lockstep.oracle.free_blocks()) or 1)]
    rerun(Trace((*alloc(*names), Free(names[0]))), lockstep)


def runs_of(revision: Revision, meeting: Meeting) -> Run:
    """What runs the callers by a schedule, beside the oracle. It raises BrokenClaim."""

    def run(schedule: list[int]) -> list[Event]:
        lockstep = Lockstep(revision, meeting.kernel)
        rerun(run_of(meeting, schedule), lockstep)
        happened = list(lockstep.happened)
        take_what_is_free(lockstep)
        return happened

    return run


def meet(revision: Revision, meeting: Meeting, most: int = MOST) -> Explored:
    """Run the callers in every order. Raises BrokenClaim."""
    return explore(runs_of(revision, meeting), len(meeting.callers), most, reduced=not meeting.interrupts)


@dataclass
class Met:
    """What became of all: the orders that were run; those begun, and left out as the same; how many sets of callers were not
    run in every order; and what broke."""

    orders: int = 0
    pruned: int = 0
    unfinished: int = 0
    broken: BrokenClaim | None = None


def meet_all(
    revision: Revision,
    most: int = MOST,
    meetings: Sequence[Meeting] = MEETINGS,
    told: Callable[[str], None] = lambda _: None,
) -> Met:
    """Each set of callers in every order, at most so many; until a claim breaks."""
    met = Met()
    for number, meeting in enumerate(meetings, 1):
        told(f"callers at once, {number} of {len(meetings)}")
        try:
            explored = meet(revision, meeting, most)
        except BrokenClaim as broken:
            met.broken = broken
            break
        met.orders += explored.runs
        met.pruned += explored.pruned
        met.unfinished += not explored.all_of_them
    return met
