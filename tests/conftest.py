"""Loads the Hypothesis profile before any test runs, and says which one, and from which seed."""

from hypothesis import settings

from tests import profiles

profiles.register()


def pytest_report_header() -> str:
    drawn = "the same inputs every time" if settings().derandomize else f"inputs of seed {profiles.seed()}"
    return f"hypothesis profile {profiles.name()}: {drawn}"
