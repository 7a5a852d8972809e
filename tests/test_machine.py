"""The state machine on every target that does what it promises, and on the one that does not."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.stateful import run_state_machine_as_test

from command.fuzz import described
from hunt import directed, profiles
from hunt.events import missed
from hunt.fuzz import HUNTED, hunt
from hunt.machine import machine
from hunt.revisions import TARGETS
from model.checks import BrokenClaim

BROKEN_IN_V6_1 = {
    "no_room_is_wasted",
    "total_counts_the_blocks",
    "block_lies_inside_its_page",
    "pool_stays_in_its_memory",
    "live_block_is_left_alone",
    "in_use_counts_the_live_blocks",
}


@pytest.mark.parametrize("revision", HUNTED)
def test_the_directed_runs_meet_every_event(revision: str) -> None:
    """So that no hunt depends on what it draws."""
    hunter = machine(TARGETS[revision])
    assert not directed.run_all(hunter)
    assert not missed(hunter.tally, revision)


@pytest.mark.parametrize("revision", HUNTED)
def test_the_machine_finds_nothing_in(revision: str) -> None:
    """And does not find nothing for want of trying."""
    done = hunt(revision, profiles.seed())
    assert not done.found, described(done)
    assert not missed(done.tally, revision)


def test_the_directed_runs_find_the_defects_of_the_original() -> None:
    found = [broken.claim.name for broken in directed.run_all(machine(TARGETS["v6.1"]))]
    assert {"no_room_is_wasted", "total_counts_the_blocks", "pool_stays_in_its_memory"} <= set(found) <= BROKEN_IN_V6_1


def test_the_machine_finds_the_defects_of_the_original() -> None:
    """What is drawn is enough: v6.1 breaks a promise within some hundred steps, and a hunt has more than ten thousand."""
    first_bug = settings(phases=[Phase.generate], report_multiple_bugs=False, database=None)
    with pytest.raises(BrokenClaim) as broken:
        run_state_machine_as_test(machine(TARGETS["v6.1"]), settings=first_bug)
    assert broken.value.claim.name in BROKEN_IN_V6_1


def test_what_a_seed_draws_does_not_depend_on_the_modules_that_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn() -> list[int]:
        numbers: list[int] = []

        @seeded(1)
        @settings(max_examples=200, phases=[Phase.generate], derandomize=False, database=None)
        @given(st.integers(0, 10**6))
        def draw(number: int) -> None:
            numbers.append(number)

        draw()
        return numbers

    before = drawn()
    monkeypatch.setitem(sys.modules, "loaded_later", later := ModuleType("loaded_later"))
    later.__file__ = str(tmp_path / "loaded_later.py")
    (tmp_path / "loaded_later.py").write_text("NUMBERS = 271828, 314159, 141421\n")
    assert drawn() == before


def test_a_hypothesis_that_collects_constants_elsewhere_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers.HypothesisProvider, "_local_constants", None)
    with pytest.raises(RuntimeError, match=r"mend profiles\.fix_constants"):
        profiles.fix_constants()
