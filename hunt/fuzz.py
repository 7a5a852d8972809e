"""Hunts: the state machine run on a revision, with a seed, for as long as a profile says."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from hypothesis import Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test

from hunt import directed, profiles
from hunt.deep import DEPTH, run_deep
from hunt.edges import CREATED, run_edges
from hunt.events import Tally
from hunt.machine import PoolMachine, machine
from hunt.numbers import of_kernel, of_python, with_neighbours
from hunt.revisions import KernelFile, revisions
from hunt.shrink import measure, smallest
from hunt.sweep import PAGE_SIZE, SWEPT, sweep
from kernel.pool import lines_run
from model.checks import ABOUT_REPORTS, BrokenClaim
from model.claims import Claim
from model.revision import KERNEL, Revision
from model.trace import Trace

SECONDS_TO_SHRINK = 30.0
"""Of the processor, for all that a hunt has found."""

MOST_TURNS = 8
"""Of a part of a hunt, each past what broke in those before."""

HUNTED = ("model", "series", "v6.1-as-it-is", "v6.12")
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
    progress: Callable[[str], None] = lambda _: None,
) -> Hunt:
    """Run the machine on a revision: after the directed runs, pools at the edges of the argument check and pools of very many
    blocks, unless only what is drawn is wanted; and after a sweep if one is.

    Where a claim breaks, the hunt goes on past that: each claim that breaks has a trace, made smaller, unless the profile says
    otherwise. `progress` is told how far it is.
    """
    among, source = revisions(kernel), kernel.source if revision == KERNEL and kernel else None
    numbers = of_python() if source is None else of_kernel(source)

    def so_far(what: str) -> None:
        progress(f"{revision}: {what}")

    profiles.register()
    wanted = profiles.chosen(profile or profiles.name())
    shrinks = Phase.shrink in wanted.phases
    # A trace is made smaller step by step, in a second; what it was drawn from, in minutes.
    wanted = settings(wanted, phases=[phase for phase in wanted.phases if phase is not Phase.shrink])
    hunter = seeded(seed)(hunter_of(revision, kernel, numbers))
    wanted = settings(wanted, derandomize=False)  # which would draw the same with every seed
    done = Hunt(revision, hunter.tally, 0, seed, profile or profiles.name())
    broken: dict[str, BrokenClaim] = {}
    check = Claim.__call__

    def past() -> Revision:
        """What is hunted in, past what has broken so far."""
        return among[revision].going_past(broken)

    def counted(claim: Claim, *arguments: Any) -> Any:
        done.checked[claim.name] += 1
        if done.checked[claim.name] % 5_000 == 0:
            so_far(f"{hunter.tally.steps:,} steps")
        return check(claim, *arguments)

    def directed_runs() -> list[BrokenClaim | None]:
        with timed(done):
            return [*directed.run_all(hunter, most=None if shrinks else 1)]

    def edges() -> list[BrokenClaim | None]:
        done.tally.events[CREATED], found = run_edges(past(), numbers, so_far)
        return [found]

    def deep() -> list[BrokenClaim | None]:
        done.tally.events[DEPTH], found = run_deep(past(), numbers, source is not None, so_far)
        return [found]

    def swept() -> list[BrokenClaim | None]:
        page_sizes = (PAGE_SIZE,) if revision == "model" else ()  # it walks from byte to byte
        swept = sweep(past(), source, page_sizes, numbers, so_far)
        done.tally.events |= {SWEPT: swept.pools, "block of the sweep": swept.blocks}
        return [swept.broken]

    def drawn() -> list[BrokenClaim | None]:
        found = list[BrokenClaim | None]()
        with timed(done):
            try:
                run_state_machine_as_test(hunter, settings=wanted)
            except* BrokenClaim as several:
                found += [one for one in several.exceptions if isinstance(one, BrokenClaim)]
        return found

    def turn(part: Callable[[], list[BrokenClaim | None]]) -> bool:
        """Run a part; whether it breaks something new, so that it is worth another turn."""
        before = len(broken)
        for one in part():
            if one is not None:
                broken[one.key] = min(broken.get(one.key, one), one, key=lambda one: measure(one.trace))
        hunter.revision = past()
        return shrinks and len(broken) > before and not any(one.never_ends for one in broken.values())

    parts = [
        *([directed_runs, edges] if directed_first else []),
        *([deep] if directed_first and revision != "model" else []),
    ]
    parts += [*([swept] if sweeps else []), drawn]
    profiles.fix_constants(with_neighbours(numbers))
    try:
        with patch.object(Claim, "__call__", counted):
            for part in parts:
                if not broken or shrinks:  # a seeded bug that is noticed is not looked for any further
                    for _ in range(MOST_TURNS):
                        if not turn(part):
                            break
    finally:
        profiles.fix_constants()
    done.found = [one.trace for one in sorted(broken.values(), key=in_order)]
    if revision == KERNEL and kernel is not None:
        done.announced = frozenset(one.claim.name for one in broken.values() if kernel.is_announced(one.claim.name))
    # Every step is held to these, by what stops it.
    done.checked["operations_end"] = done.checked["pool_stays_in_its_memory"] = done.tally.steps
    if revision == KERNEL:
        done.checked["locking_rules_are_kept"] = done.tally.steps
        assert kernel is not None
        if shutil.which("addr2line"):
            done.lines = lines_run(kernel.source)
    if shrinks and done.found:
        so_far("what was found is made smaller")
        seconds = SECONDS_TO_SHRINK / max(3, len(done.found))
        done.found = [smallest(trace, revision, among, seconds) for trace in done.found]
    return done


def in_order(broken: BrokenClaim) -> tuple[bool, bool, tuple[int, int, str]]:
    """Causes before what follows from them: misused locks first, then what fewer steps show, and last what is about reports."""
    about_reports = broken.claim in ABOUT_REPORTS
    return broken.claim.name != "locking_rules_are_kept", about_reports, measure(broken.trace)


@contextmanager
def timed(hunt: Hunt) -> Iterator[None]:
    """Add to a hunt's seconds those of the block: of the steps that it counts."""
    started = time.perf_counter()
    try:
        yield
    finally:
        hunt.seconds += time.perf_counter() - started
