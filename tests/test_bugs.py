"""The table of seeded bugs, and for each engine some of them: `make bugs` plants all."""

from pathlib import Path

import pytest

from bugs import BUGS, Bug, plant
from command.bugs import hunter, obligations_of, prover, run_in
from command.claims import hunted
from command.history import TABLE, rows
from model.claims import CLAIMS
from tests.kernels import fetched
from tests.running import Command

PROVED = """block_stack/lookup_one_byte_too_far claims/subtree_with_a_page_less layout/size_of_three_bytes
list/deletion_keeps_prev pool/poison_before_zeros pool/full_page_stays_listed tree/rotation_to_the_wrong_side
older/v4_forgets_where_the_linear_map_begins"""
HUNTED = """block_stack/walk_misses_the_top older/destroy_skips_every_second_page layout/comparison_of_v6_1
list/list_linked_one_way pool/block_handed_out_again pool/page_poisoned_after_it_was_given_back
tree/lookup_one_byte_too_far pool/lock_is_kept_while_a_page_is_allocated v6.1/boundary_ignored v6.12/boundary_not_moved
v6.12/tail_of_a_page_not_found v6.12/double_free_below_40_blocks v6.12/largest_int_refused"""


def needs(bug: Bug) -> None:
    if bug.kernel:
        fetched(bug.kernel)


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_a_bug_can_be_planted_and_names_what_exists(bug: Bug) -> None:
    needs(bug)
    assert bug.text() != bug.original.read_text()
    if not bug.kernel:
        compile(bug.text(), bug.file, "exec")
    named = {name.partition("/")[0] for name in (*bug.refuted, *bug.hunted, *bug.contracts)}
    assert named
    assert named <= set(CLAIMS)
    assert bug.kernel or all(obligations_of(bug, name) for name in bug.refuted)


def test_every_claim_is_named_by_a_bug() -> None:
    named = {name.partition("/")[0] for bug in BUGS.values() for name in (*bug.refuted, *bug.hunted)}
    assert named == {*CLAIMS}


def test_a_claim_is_hunted_where_a_hunt_notices_a_bug_by_it() -> None:
    """A tree that is too high is out of balance, which is noticed first."""
    noticed = {name for bug in BUGS.values() for name in bug.hunted}
    assert noticed | {"tree_height_is_logarithmic"} == hunted("series") | hunted(None)


@pytest.mark.parametrize("name", [*PROVED.split(), pytest.param("v6.12/counted_twice", marks=pytest.mark.thorough)])
def test_the_prover_refutes(name: str, tmp_path: Path) -> None:
    needs(BUGS[name])
    plant(BUGS[name], tmp_path)
    notice = prover(BUGS[name], tmp_path)
    assert not notice.missed, notice.output


@pytest.mark.parametrize("name", HUNTED.split())
def test_a_hunt_notices(name: str, tmp_path: Path, command: Command) -> None:
    bug = BUGS[name]
    needs(bug)
    plant(bug, tmp_path)
    notice = hunter(bug, tmp_path)
    assert not notice.missed, notice.output

    # Whatever was drawn, misuse and what ran meanwhile included: the trace alone shows the same.
    (claim,) = notice.broken
    (found,) = (tmp_path / "reports" / "traces").glob("*.json")
    where, name = (("--kernel", "linux"), "kernel") if bug.kernel else (("--on", bug.revision), bug.revision)
    status, replayed = run_in(tmp_path, "command", "replay", str(found), *where)
    assert f"{name} breaks {claim}:" in replayed, notice.output + replayed
    assert status == 1
    ran = command("replay", found, *(("--kernel", bug.original) if bug.kernel else where))
    assert f"breaks {claim}:" not in ran.out


def test_what_is_not_followed_is_not_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {"obligation": "no_room_is_wasted/kernel/u64", "claim": "no_room_is_wasted"}
    result = {**lost, "expected": "PROVED", "verdict": "NOT_FOLLOWED"}
    monkeypatch.setattr("command.bugs.results_in", lambda *_: ([result], ""))
    notice = prover(BUGS["v6.12/gap"], tmp_path)
    assert (notice.broken, notice.missed) == ((), ("no_room_is_wasted",))
    assert str(notice).startswith("MISSED no_room_is_wasted; not followed no_room_is_wasted/kernel/u64; nothing (")
    result["verdict"] = "REFUTED"
    assert prover(BUGS["v6.12/gap"], tmp_path).broken == ("no_room_is_wasted",)


def test_what_is_not_noticed_is_exit_status_1(monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    missed = "layout_ends", "layout_ends/series"
    harmless = Bug("layout/harmless", "impl/layout.py", "size > largest_size", "largest_size < size", missed)
    monkeypatch.setitem(BUGS, harmless.name, harmless)
    ran = command("bugs", "harmless", "--only", "prover")
    assert ran.status == 1
    assert "MISSED layout_ends, layout_ends/series; nothing" in ran.out
    assert "1 not noticed by all that have to: layout/harmless." in ran.out


def test_a_text_that_occurs_twice_is_not_planted(tmp_path: Path) -> None:
    for old in ("size", "no such text"):
        with pytest.raises(ValueError, match="not once"):
            plant(Bug("layout/anywhere", "impl/layout.py", old, ""), tmp_path)


def test_history_is_noticed_and_the_file_as_it_is_is_clean(command: Command) -> None:
    ran = command("history", "walk_of_a_circle", "history/short_list_not_seen")
    assert ran.status == 0, ran.out
    assert "2 of 2 bugs noticed." in ran.out
    assert "series as it is: nothing is noticed" in ran.out


def test_every_bug_of_history_is_in_the_documentation() -> None:
    history = [bug for bug in BUGS.values() if bug.year]
    assert len(history) >= 20
    assert all(bug.what and bug.found and bug.source for bug in history)
    text = TABLE.read_text()
    for row in rows(history, dict.fromkeys(BUGS, "")):
        assert f"| {' | '.join(row[:-1])} |" in text, "run `make history ARGS=--write`"
