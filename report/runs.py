"""Traces run on the revisions that there are, for what is told and drawn of them."""

from model.lockstep import BrokenClaim, replay
from model.trace import Trace, TraceError
from report.scene import Scene, scene_of
from report.shrink import shrink
from tests.targets import TARGETS
from tests.watchdog import begin, watchdog

SECONDS_OF_A_STEP = 0.25
"""While a trace is made smaller: many are tried, and one that hangs would take long."""


def seen(trace: Trace, on: str) -> Scene:
    """A run, and the pool before and after what breaks. Raises TraceError, and TimeoutError for a run that takes too long."""
    with watchdog():
        return scene_of(trace, TARGETS[on], begin)


def smallest(trace: Trace, on: str) -> Trace:
    """A trace that breaks the same claim, with nothing in it that could be left out."""

    def replayed(candidate: Trace) -> Trace | None:
        try:
            replay(candidate, TARGETS[on], lambda: begin(SECONDS_OF_A_STEP))
        except BrokenClaim as broken:
            return broken.trace if broken.claim.name == trace.claim else None
        except (TraceError, TimeoutError):
            pass
        return None

    with watchdog():
        return shrink(trace, replayed)
