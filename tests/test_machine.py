"""The state machine on every target that does what it promises, and on the one that does not."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from command.fuzz import described
from hunt import profiles
from hunt.fuzz import HUNTED, hunt
from hunt.machine import machine, missed
from hunt.revisions import TARGETS
from model.lockstep import BrokenClaim


@pytest.mark.parametrize("revision", HUNTED)
def test_the_machine_finds_nothing_in(revision: str) -> None:
    """And does not find nothing for want of trying."""
    done = hunt(revision, profiles.seed())
    assert not done.found, described(done)
    assert not missed(done.tally, revision)


def test_the_machine_finds_the_defects_of_the_original() -> None:
    """A machine that cannot fail would be worth nothing: v6.1 breaks promises, and it has to notice."""
    first_bug = settings(phases=[Phase.generate], report_multiple_bugs=False, database=None)
    with pytest.raises(BrokenClaim) as broken:
        run_state_machine_as_test(machine(TARGETS["v6.1"]), settings=first_bug)
    assert broken.value.claim.name in {
        "no_room_is_wasted",
        "total_counts_the_blocks",
        "block_lies_inside_its_page",
        "pool_stays_in_its_memory",
    }
