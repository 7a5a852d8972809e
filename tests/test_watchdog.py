"""What stops code under test that never ends, wherever it is at that moment."""

import sys
import weakref
from typing import Any

import pytest

from hunt.watchdog import begin, watchdog


class Node:
    """Of what a callback is called once it is gone."""


def for_ever(*_: Any) -> None:
    while True:
        pass


def test_a_loop_is_stopped() -> None:
    with watchdog():
        begin(0.01)
        with pytest.raises(TimeoutError):
            for_ever()


@pytest.mark.filterwarnings("error")
def test_what_a_callback_swallows_is_raised_again_and_not_reported() -> None:
    """A callback that Python calls where an object is gone, and whose exceptions it only reports."""
    hook = sys.unraisablehook
    with watchdog():
        node = Node()
        gone = weakref.ref(node, for_ever)
        begin(0.01)
        del node
        with pytest.raises(TimeoutError):
            for_ever()
        assert gone() is None
    assert sys.unraisablehook is hook


def test_what_else_is_swallowed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)

    def fails(_: Any) -> None:
        raise ValueError("not the watchdog's")

    with watchdog():
        node = Node()
        gone = weakref.ref(node, fails)
        del node
    assert gone() is None
    assert [str(one.exc_value) for one in said] == ["not the watchdog's"]
