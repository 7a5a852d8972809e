"""A hunt that is short enough for every change of `make mutation`; pytest collects it only where it is named."""

import pytest

from tests.fuzz import HUNTED, hunt


@pytest.mark.parametrize("revision", HUNTED)
def test_a_short_hunt_finds_nothing_in(revision: str) -> None:
    done = hunt(revision, seed=0, profile="short")
    assert not done.found, done.told()
