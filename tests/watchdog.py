"""Code under test that never ends: what takes far too long is stopped by a TimeoutError."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SECONDS = 2
"""Of a step, in time of the processor, so that a busy machine barks at nothing. A step takes less than a millisecond, and
with a page of 64 KiB some."""


@contextmanager
def watchdog() -> Iterator[None]:
    """Let no more than SECONDS pass without a `begin`."""

    def bark(*_: Any) -> None:
        raise TimeoutError(f"no answer within {SECONDS} seconds")

    before = signal.signal(signal.SIGVTALRM, bark)
    begin()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def begin() -> None:
    """A step begins."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
