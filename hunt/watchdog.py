"""Code under test that never ends: what takes far too long is stopped by a TimeoutError."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS = 2
"""Of a step, in time of the processor, so that a busy machine stops none. A step takes less than a millisecond, and
with a page of 64 KiB some."""

MOMENT = 0.01
"""Seconds until a step is stopped that has swallowed what was to stop it."""


@contextmanager
def watchdog() -> Iterator[None]:
    """Have a step that takes longer than `begin` gave it raise TimeoutError.

    Where Python swallows exceptions, as in finalizers and in callbacks of weak references, it is raised again a moment later.
    """
    stopped = TimeoutError("no answer for too long")

    def stop(_: int, __: FrameType | None) -> None:
        raise stopped.with_traceback(None)

    def swallowed(unraisable: "sys.UnraisableHookArgs") -> None:
        if unraisable.exc_value is stopped:
            signal.setitimer(signal.ITIMER_VIRTUAL, MOMENT, SECONDS)
        else:
            hook(unraisable)

    before, hook = signal.signal(signal.SIGVTALRM, stop), sys.unraisablehook
    sys.unraisablehook = swallowed
    try:
        yield
    finally:
        end()
        signal.signal(signal.SIGVTALRM, before)
        sys.unraisablehook = hook


def begin(seconds: float = SECONDS) -> None:
    """A step begins."""
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, SECONDS)  # again, should somebody have swallowed the first one


def end() -> None:
    """No step is under way: what is between two of them may take any time."""
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
