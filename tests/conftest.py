"""Loads the Hypothesis profile before any test runs, and says which one, and from which seed."""

import os

import pytest
from hypothesis import settings

from hunt import profiles


def pytest_configure() -> None:
    # A test that calls make is not run by the make that runs the tests: neither its flags nor its depth are inherited.
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        os.environ.pop(name, None)
    try:
        profiles.register()
    except profiles.UnavailableError as unavailable:
        raise pytest.UsageError(str(unavailable)) from None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Past counterexamples first: what was broken once breaks again before anything else."""
    items.sort(key=lambda item: "past_counterexample" not in item.name)


def pytest_report_header() -> str:
    drawn = "the same inputs every time" if settings().derandomize else f"inputs of seed {profiles.seed()}"
    return f"hypothesis profile {profiles.name()}: {drawn}"
