"""Hunts: the state machine run on a revision, with a seed, for as long as a profile says."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test

from hunt import directed, profiles
from hunt.at_once import IN_PYTHON, MEETINGS, meet_all
from hunt.deep import DEPTH, run_deep
from hunt.edges import CREATED, run_edges
from hunt.events import Tally
from hunt.machine import PoolMachine, machine
from hunt.numbers import of_kernel, of_python, with_neighbours
from hunt.priorities import meet_by_priorities
from hunt.revisions import KernelFile, revisions
from hunt.shrink import measure, smallest
from hunt.sweep import PAGE_SIZE, SWEPT, sweep
from hunt.watchdog import begin, watchdog
from kernel.places import lines_run
from kernel.pool import rules_of_the_server
from model.checks import ABOUT_REPORTS, BrokenClaim
from model.claims import Claim, debug_is_on_where_it_was, locking_rules_are_kept, operations_are_linearizable
from model.lockstep import Lockstep
from model.revision import KERNEL, Revision
from model.trace import Create, Trace, TraceError

SECONDS_TO_SHRINK = 30.0
"""Of the processor, for all that a hunt has found."""

FEWEST_ORDERS = 300
"""Of a set of callers at once, in the shortest hunt; two callers with three operations each have fewer."""

ORDERS, PRUNED = (
    "order of callers at once",
    "order of callers at once that was begun, and left out as the same as another",
)
UNFINISHED, DRAWN = "callers at once that have more orders", "order of callers at once by priorities"
"""What a hunt counts."""

MOST_ROUNDS = 8
"""Of a part of a hunt, each past what broke in those before."""

HUNTED = ("oracle", "series", "v6.1-as-it-is", "v6.12")
"""The revisions in which the machine finds nothing: they do what they promise."""


@dataclass
class Hunt:
    """What became of a hunt: its tally, and a trace for each claim that broke; of the rules of locks, for each line of C."""

    revision: str
    tally: Tally
    seconds: float
    seed: int
    profile: str
    checked: Counter[str] = field(default_factory=Counter)  # how often each claim was
    found: list[Trace] = field(default_factory=list)
    announced: frozenset[str] = frozenset()  # of the claims that broke, those that are meant to
    lines: Counter[int] = field(default_factory=Counter)  # of a kernel's file: how often each was run

    @property
    def findings(self) -> list[Trace]:
        """What broke, and was not meant to."""
        return [trace for trace in self.found if trace.claim not in self.announced]

    def to_json(self) -> dict[str, Any]:
        return {
            "revision": self.revision,
            "seed": self.seed,
            "profile": self.profile,
            "seconds": round(self.seconds, 2),
            "steps": self.tally.steps,
            "tally": dict(sorted(self.tally.events.items())),
            "checked": dict(sorted(self.checked.items())),
            "found": [trace.to_json() for trace in self.found],
        }


def hunter_of(revision: str, kernel: KernelFile | None = None, numbers: Iterable[int] = ()) -> type[PoolMachine]:
    """The machine for a revision, under a name of its own."""
    hunter = machine(revisions(kernel)[revision], numbers)
    # Hypothesis keys its example database by test name; each revision, and each kernel's file, needs its own.
    named = revision if kernel is None else f"{revision}_{kernel.path}"
    hunter.__name__ = hunter.__qualname__ = f"PoolMachine_{named}"
    return hunter


def hunt(
    revision: str,
    seed: int,
    profile: str | None = None,
    kernel: KernelFile | None = None,
    *,
    directed_first: bool = True,
    sweeps: bool = False,
    pools: tuple[Create, ...] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Hunt:
    """Run the machine on a revision: after the directed runs, these `pools` and others at the edges of the argument check, and
    pools of very many blocks, unless only what is drawn is wanted; and after a sweep if one is.

    Where a claim breaks, the hunt goes on past that: each claim that breaks has a trace, made smaller, unless the profile says
    otherwise. `progress` is told how far it is.
    """
    among = revisions(kernel)
    profiles.register()
    wanted = profiles.chosen(profile or profiles.name())
    on_the_way = Parts(revision, seed, kernel, wanted, lambda what: progress(f"{revision}: {what}"), pools)
    hunter, done = on_the_way.hunter, Hunt(revision, on_the_way.hunter.tally, 0, seed, profile or profiles.name())
    before = Claim.asked
    Claim.asked = staticmethod(lambda name: on_the_way.count(done.checked, name))
    profiles.fix_constants(with_neighbours(on_the_way.numbers))
    try:
        on_the_way.run(directed_first, sweeps)
    finally:
        Claim.asked = staticmethod(before)
        profiles.fix_constants()
    broken = sorted(on_the_way.broken.values(), key=in_order)
    done.found, done.seconds = [one.trace for one in broken], on_the_way.seconds
    # Every step is held to these, by what stops it.
    by_steps = {"operations_end", "pool_stays_in_its_memory"}
    if revision == KERNEL and kernel is not None:
        done.announced = frozenset(one.claim.name for one in broken if kernel.is_announced(one.claim.name))
        by_steps |= {"locking_rules_are_kept", *rules_of_the_server(kernel.source.real)}
        if shutil.which("addr2line"):
            done.lines = lines_run(kernel.source.file)
    done.checked |= dict.fromkeys(by_steps, hunter.tally.steps)
    if on_the_way.shrinks and done.found:
        on_the_way.so_far("what was found is made smaller")
        seconds = SECONDS_TO_SHRINK / max(3, len(done.found))
        done.found = [smallest(trace, revision, among, seconds) for trace in done.found]
    return done


class Parts:
    """The parts of a hunt, one after the other, each past what has broken so far: `broken` has a run for each key."""

    def __init__(
        self,
        revision: str,
        seed: int,
        kernel: KernelFile | None,
        wanted: settings,
        so_far: Callable[[str], None],
        pools: tuple[Create, ...] = (),
    ) -> None:
        self.name, self.revision, self.so_far = revision, revisions(kernel)[revision], so_far
        self.source = kernel.source if revision == KERNEL and kernel is not None else None
        self.pools = pools
        self.numbers = of_python() if self.source is None else of_kernel(self.source)
        self.hunter = seeded(seed)(hunter_of(revision, kernel, self.numbers))
        self.shrinks = Phase.shrink in wanted.phases
        # A trace is made smaller step by step, in a second; what it was drawn from, in minutes. A machine that is derandomized
        # would draw the same with every seed.
        phases = [phase for phase in wanted.phases if phase is not Phase.shrink]
        self.wanted = settings(wanted, phases=phases, derandomize=False)
        self.seconds = 0.0  # of the steps that the tally counts
        self.broken: dict[str, BrokenClaim] = {}

    def run(self, directed_first: bool, sweeps: bool) -> None:
        """A seeded bug that is noticed is not looked for any further, if nothing is to be made smaller."""
        parts = [self.directed_runs, self.edges] if directed_first else []
        parts += [self.deep] if directed_first and self.name != "oracle" else []
        parts += [*([self.swept, self.at_once] if sweeps else []), self.drawn]
        for part in parts:
            if not self.broken or self.shrinks:
                for _ in range(MOST_ROUNDS):
                    if not self.round(part):
                        break

    def round(self, part: Callable[[], Iterable[BrokenClaim | None]]) -> bool:
        """Run a part; whether it breaks something new, so that it is worth another round."""
        before = len(self.broken)
        for one in part():
            if one is not None:
                self.broken[one.key] = min(self.broken.get(one.key, one), one, key=lambda one: measure(one.trace))
        if (off := debug_is_on_where_it_was.name) in self.broken and off not in self.hunter.revision.past:
            self.broken = {name: one for name, one in self.broken.items() if name == off or self.breaks(one, past=off)}
        self.hunter.revision = self.past_what_broke()
        return self.shrinks and len(self.broken) > before and not any(one.never_ends for one in self.broken.values())

    def breaks(self, one: BrokenClaim, past: str) -> bool:
        """Whether a run, in contract, breaks its claim past another break, too, or only because of that."""
        lockstep = Lockstep(self.revision.going_past((*one.trace.past, past)), one.trace.kernel)
        try:
            with watchdog():
                for step in one.trace.steps:
                    begin()
                    lockstep.run(step)
        except BrokenClaim as again:
            return again.key == one.key
        except TraceError:
            pass  # the run goes on otherwise
        return False

    def past_what_broke(self) -> Revision:
        """What is hunted in, past what has broken so far."""
        return self.revision.going_past(self.broken)

    def count(self, checked: Counter[str], claim: str) -> None:
        checked[claim] += 1
        if checked[claim] % 5_000 == 0:
            self.so_far(f"{self.hunter.tally.steps:,} steps")

    def directed_runs(self) -> Iterable[BrokenClaim | None]:
        with self.timed():
            return directed.run_all(self.hunter, most=None if self.shrinks else 1)

    def edges(self) -> Iterable[BrokenClaim | None]:
        self.hunter.tally.events[CREATED], found = run_edges(
            self.past_what_broke(), self.numbers, self.so_far, self.pools
        )
        return [found]

    def deep(self) -> Iterable[BrokenClaim | None]:
        of_c = self.source is not None
        self.hunter.tally.events[DEPTH], found = run_deep(self.past_what_broke(), self.numbers, of_c, self.so_far)
        return [found]

    def swept(self) -> Iterable[BrokenClaim | None]:
        page_sizes = (PAGE_SIZE,) if self.name == "oracle" else ()  # it walks from byte to byte
        swept = sweep(self.past_what_broke(), self.source, page_sizes, self.numbers, self.so_far)
        self.hunter.tally.events |= {SWEPT: swept.pools, "block of the sweep": swept.blocks}
        return [swept.broken]

    def at_once(self) -> Iterable[BrokenClaim | None]:
        if self.revision.together is None or (self.source is not None and self.source.real):
            return []
        most = max(FEWEST_ORDERS, 3 * self.wanted.max_examples)
        met = meet_all(self.past_what_broke(), most, IN_PYTHON if self.source is None else MEETINGS, self.so_far)
        self.hunter.tally.events |= {ORDERS: met.orders, PRUNED: met.pruned, UNFINISHED: met.unfinished}
        if met.broken is None:
            met = meet_by_priorities(self.past_what_broke(), most // 15, self.so_far)
            self.hunter.tally.events[DRAWN] = met.orders
        return [met.broken]

    def drawn(self) -> Iterable[BrokenClaim | None]:
        found = list[BrokenClaim]()
        with self.timed():
            try:
                run_state_machine_as_test(self.hunter, settings=self.wanted)
            except* BrokenClaim as several:
                found += [one for one in several.exceptions if isinstance(one, BrokenClaim)]
        return found

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add to the hunt's seconds those of the block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started


def in_order(broken: BrokenClaim) -> tuple[bool, bool, tuple[int, bool, int, str]]:
    """Causes before what follows from them: misused locks and lost debugging first, then what fewer steps show, and last what
    is about reports, or about callers at once, to whom anything that is wrong is wrong."""
    follows = broken.claim in (*ABOUT_REPORTS, operations_are_linearizable)
    return broken.claim not in (locking_rules_are_kept, debug_is_on_where_it_was), follows, measure(broken.trace)
