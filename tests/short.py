"""A plugin of pytest for `make mutation`: few inputs for every Hypothesis test, the same ones every time, and no shrinking.

A change has to be noticed, not understood. To shrink what failed took minutes for some of them.
"""

from hypothesis import Phase, settings

from tests import profiles


def pytest_configure() -> None:
    """Runs when tests/conftest.py has loaded a profile."""
    profiles.register()
    settings.register_profile(
        "short", settings.get_profile("dev"), max_examples=25, phases=[Phase.generate], report_multiple_bugs=False
    )
    settings.load_profile("short")
