"""The state machine on every target that does what it promises, and on the one that does not."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import Phase, given, reject, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.stateful import run_state_machine_as_test

from command.fuzz import described, table
from hunt import directed, profiles
from hunt.events import Tally, missed
from hunt.fuzz import HUNTED, Hunt, hunt
from hunt.machine import machine
from hunt.revisions import REVISIONS
from model.checks import BrokenClaim
from model.trace import Step
from tests.kernels import hunt_briefly

BROKEN_IN_V6_1 = {
    "no_room_is_wasted",
    "total_counts_the_blocks",
    "block_lies_inside_its_page",
    "pool_stays_in_its_memory",
    "live_block_is_left_alone",
    "in_use_counts_the_live_blocks",
    "double_free_is_refused",  # of a block that init_on_free zeroes first
}


@pytest.mark.parametrize("revision", HUNTED)
def test_the_directed_runs_meet_every_event(revision: str) -> None:
    """So that no hunt depends on what it draws."""
    hunter = machine(REVISIONS[revision])
    assert not directed.run_all(hunter)
    assert not missed(hunter.tally, revision)


@pytest.mark.parametrize("revision", HUNTED)
def test_what_is_drawn_breaks_nothing_in(revision: str) -> None:
    done = hunt(revision, profiles.seed(), directed_first=False)
    assert not done.found, described(done)
    assert done.tally.steps >= settings().max_examples


def test_the_directed_runs_find_the_defects_of_v6_1() -> None:
    found = [broken.claim.name for broken in directed.run_all(machine(REVISIONS["v6.1"]))]
    assert {"no_room_is_wasted", "total_counts_the_blocks", "pool_stays_in_its_memory"} <= set(found) <= BROKEN_IN_V6_1


def test_what_is_drawn_finds_the_defects_of_v6_1() -> None:
    """The simplest run, which Hypothesis draws first whatever the seed, and of the others about a half."""
    found: list[str] = []

    class Counting(machine(REVISIONS["v6.1"])):  # type: ignore[misc]
        def run(self, step: Step) -> None:
            try:
                super().run(step)
            except BrokenClaim as broken:
                found.append(broken.claim.name)
                self.lockstep = None
                reject()

        def teardown(self) -> None:
            """Nothing is run: a test that Hypothesis has ended cannot be rejected."""
            self.watched.close()

    drawn = settings(max_examples=40, phases=[Phase.generate], derandomize=False, database=None)
    run_state_machine_as_test(seeded(profiles.seed())(Counting), settings=drawn)
    assert "no_room_is_wasted" in found
    assert len(found) > 2


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


def test_a_hunt_tells_how_far_it_is() -> None:
    told: list[str] = []
    done = hunt("oracle", 1, "directed", progress=told.append)
    assert told[0].startswith("oracle: ")
    assert told[0].endswith(" steps")
    assert done.tally.steps > 0


def test_a_table_is_as_wide_as_its_longest_event() -> None:
    done = Hunt("oracle", Tally(1, Counter({"e" * 60: 1})), 1, 1, "dev")
    assert {len(line) for line in table([done]).splitlines()} == {75}


def test_of_debugging_that_is_off_nothing_is_told_that_follows_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = REVISIONS["v6.12"]
    off = replace(sound, create=lambda *arguments, **options: sound.create(*arguments, **options | {"debug": False}))
    monkeypatch.setattr("hunt.fuzz.revisions", lambda _: {"v6.12": off})
    hunt_briefly(monkeypatch)
    found = hunt("v6.12", 0, "directed").found
    assert [trace.claim for trace in found] == ["debug_is_on_where_it_was"]
