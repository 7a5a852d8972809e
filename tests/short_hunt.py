"""A hunt that is short enough to be run for every mutant of `make mutation`: pytest collects it only where it is named."""

import pytest
from hypothesis import Phase, settings

from tests import profiles
from tests.fuzz import HUNTED, hunt

# A mutant has to be noticed, not understood, and a verdict has to be the same every time: no shrinking, and no new inputs.
profiles.register()
settings.register_profile(
    "short", settings.get_profile("dev"), max_examples=20, phases=[Phase.generate], report_multiple_bugs=False
)


@pytest.mark.parametrize("revision", HUNTED)
def test_a_short_hunt_finds_nothing_in(revision: str) -> None:
    done = hunt(revision, seed=0, profile="short")
    assert not done.found, done.found
