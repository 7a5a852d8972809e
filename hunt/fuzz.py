"""Hunts: the state machine run on a revision, with a seed, for as long as a profile says."""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from hypothesis import Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test

from hunt import directed, profiles
from hunt.events import Tally
from hunt.machine import PoolMachine, machine
from hunt.revisions import KernelFile, revisions
from hunt.shrink import smallest
from hunt.sweep import SWEPT, sweep
from kernel.pool import lines_run
from model.checks import BrokenClaim
from model.claims import Claim
from model.revision import KERNEL
from model.trace import Trace

HUNTED = ("model", "series", "v6.1-as-it-is", "v6.12")
"""The revisions in which the machine finds nothing: they do what they promise."""


@dataclass
class Hunt:
    """What became of a hunt: its tally, and a trace for each claim that broke."""

    revision: str
    tally: Tally
    seconds: float
    seed: int
    profile: str
    checked: Counter[str] = field(default_factory=Counter)  # how often each claim was
    found: list[Trace] = field(default_factory=list)
    lines: Counter[int] = field(default_factory=Counter)  # of a kernel's file: how often each was run

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


def hunter_of(revision: str, kernel: KernelFile | None = None) -> type[PoolMachine]:
    """The machine for a revision, under a name of its own."""
    hunter = machine(revisions(kernel)[revision])
    # Hypothesis keys its example database by test name; each revision needs its own.
    hunter.__name__ = hunter.__qualname__ = f"PoolMachine_{revision}"
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
    """Run the machine on a revision, after the directed runs unless only what is drawn is wanted, and after a sweep if one is.

    Each claim that breaks has a trace, made smaller unless the profile says otherwise. `progress` is told how far it is.
    """

    def so_far(what: str) -> None:
        progress(f"{revision}: {what}")

    profiles.register()
    wanted = profiles.chosen(profile or profiles.name())
    shrinks = Phase.shrink in wanted.phases
    # A trace is made smaller step by step, in a second; what it was drawn from, in minutes.
    wanted = settings(wanted, phases=[phase for phase in wanted.phases if phase is not Phase.shrink])
    hunter = seeded(seed)(hunter_of(revision, kernel))
    wanted = settings(wanted, derandomize=False)  # which would draw the same with every seed
    started, done = time.perf_counter(), Hunt(revision, hunter.tally, 0, seed, profile or profiles.name())
    broken: list[BrokenClaim] = []
    check = Claim.__call__

    def counted(claim: Claim, *arguments: Any) -> Any:
        done.checked[claim.name] += 1
        if done.checked[claim.name] % 5_000 == 0:
            so_far(f"{hunter.tally.steps:,} steps")
        return check(claim, *arguments)

    try:
        with patch.object(Claim, "__call__", counted):
            if sweeps:
                source = kernel.source if revision == KERNEL and kernel else None
                swept = sweep(revisions(kernel)[revision], source, progress=so_far)
                done.tally.events |= {SWEPT: swept.pools, "block of the sweep": swept.blocks}
                broken += [swept.broken] if swept.broken else []
                started = time.perf_counter()
            if directed_first:
                broken += directed.run_all(hunter, most=None if shrinks else 1)
            if not broken or shrinks:  # a seeded bug that is noticed is not looked for any further
                run_state_machine_as_test(hunter, settings=wanted)
    except* BrokenClaim as several:
        broken += [one for one in several.exceptions if isinstance(one, BrokenClaim)]
    done.found = list({one.claim.name: one.trace for one in reversed(broken)}.values())[::-1]
    done.seconds = time.perf_counter() - started
    # Every step is held to these, by what stops it.
    done.checked["operations_end"] = done.checked["pool_stays_in_its_memory"] = done.tally.steps
    if revision == KERNEL:
        done.checked["locking_rules_are_kept"] = done.tally.steps
        assert kernel is not None
        if shutil.which("addr2line"):
            done.lines = lines_run(kernel.source)
    if shrinks and done.found:
        so_far("what was found is made smaller")
        done.found = [smallest(trace, revision, revisions(kernel)) for trace in done.found]
    return done
