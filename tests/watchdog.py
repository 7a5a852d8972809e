"""Code under test that never ends: what takes far too long is stopped by a TimeoutError."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SECONDS = 10
"""Of a step; it takes less than a millisecond, and with a page of 64 KiB some."""


@contextmanager
def watchdog() -> Iterator[None]:
    """Let no more than SECONDS pass without a `begin`."""

    def bark(*_: Any) -> None:
        raise TimeoutError(f"no answer within {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, bark)
    begin()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def begin() -> None:
    """A step begins."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
