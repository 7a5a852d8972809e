"""The table of seeded bugs, and for each engine some of them: `make bugs` plants all."""

from pathlib import Path

import pytest

from bugs import BUGS, Bug, plant
from command.__main__ import main
from command.bugs import hunter, obligations_of, prover, run_in
from model.claims import CLAIMS

PROVED = """block_stack/comparison_of_v6_1 claims/subtree_with_a_page_less history/lookup_one_byte_too_far
layout/boundary_not_clipped list/deletion_keeps_prev pool/search_misses_the_last_free_block pool/poison_before_zeros
pool/full_page_stays_listed history/v4_forgets_where_the_linear_map_begins tree/rotation_to_the_wrong_side"""
HUNTED = """block_stack/walk_misses_the_top history/destroy_skips_every_second_page layout/comparison_of_v6_1
list/list_linked_one_way pool/block_handed_out_again pool/init_on_free_ignored pool/page_poisoned_after_it_was_given_back
tree/lookup_one_byte_too_far pool/lock_is_kept_while_a_page_is_allocated block_stack/lock_is_not_taken_again"""
OF_A_KERNEL = """v6.1/boundary_ignored v6.1/no_room_for_a_link v6.1/one_byte_too_many v6.1/link_behind v6.12/link_to_the_first
v6.12/boundary_not_moved v6.12/counted_twice v6.12/gap"""


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_a_bug_can_be_planted_and_names_what_exists(bug: Bug) -> None:
    if bug.kernel and not bug.original.is_file():
        pytest.skip(f"the kernel {bug.kernel} is not there: run `make kernels`")
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


@pytest.mark.parametrize("name", [*PROVED.split(), *OF_A_KERNEL.split()])
def test_the_prover_refutes(name: str, tmp_path: Path) -> None:
    if not BUGS[name].original.is_file():
        pytest.skip(f"the kernel {BUGS[name].kernel} is not there: run `make kernels`")
    plant(BUGS[name], tmp_path)
    notice = prover(BUGS[name], tmp_path)
    assert not notice.missed, notice.output


@pytest.mark.parametrize("name", HUNTED.split())
def test_a_hunt_notices(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bug = BUGS[name]
    plant(bug, tmp_path)
    notice = hunter(bug, tmp_path)
    assert not notice.missed, notice.output

    # Whatever was drawn, misuse and what ran meanwhile included: the trace alone shows the same.
    (claim,) = notice.broken
    (found,) = (tmp_path / "reports" / "traces").glob("*.json")
    status, replayed = run_in(tmp_path, "command", "replay", str(found), "--on", bug.revision)
    assert f"{bug.revision} breaks {claim}:" in replayed, notice.output + replayed
    assert status == 1
    main(["replay", str(found), "--on", bug.revision])
    assert f"breaks {claim}:" not in capsys.readouterr().out


def test_what_is_not_noticed_is_exit_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    harmless = Bug(
        "layout/harmless",
        "impl/layout.py",
        "size > largest_size",
        "largest_size < size",
        ("layout_ends", "layout_ends/series"),
    )
    monkeypatch.setitem(BUGS, harmless.name, harmless)
    assert main(["bugs", "harmless", "--only", "prover"]) == 1
    said = capsys.readouterr().out
    assert "MISSED layout_ends, layout_ends/series; nothing" in said
    assert "1 not noticed by all that have to: layout/harmless." in said


def test_a_text_that_occurs_twice_is_not_planted(tmp_path: Path) -> None:
    for old in ("size", "no such text"):
        with pytest.raises(ValueError, match="not once"):
            plant(Bug("layout/anywhere", "impl/layout.py", old, ""), tmp_path)
