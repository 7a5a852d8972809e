"""Code under test that never ends: what takes far too long is stopped by a TimeoutError."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS = 2
"""Of a step, in time of the processor, so that a busy machine stops none. A step takes less than a millisecond, and
with a page of 64 KiB some."""


@contextmanager
def watchdog() -> Iterator[None]:
    """Have a step that takes longer than `begin` gave it raise TimeoutError."""

    def stop(_: int, frame: FrameType | None) -> None:
        while frame:
            if frame.f_code.co_name == "__del__":  # Python would print what is raised here, and go on: a moment later
                signal.setitimer(signal.ITIMER_VIRTUAL, 0.01, SECONDS)
                return
            frame = frame.f_back
        raise TimeoutError("no answer for too long")

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        yield
    finally:
        end()
        signal.signal(signal.SIGVTALRM, before)


def begin(seconds: float = SECONDS) -> None:
    """A step begins."""
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, SECONDS)  # again, should somebody have swallowed the first one


def end() -> None:
    """No step is under way: what is between two of them may take any time."""
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
