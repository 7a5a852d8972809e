"""The contracts that CrossHair checks: what each outcome takes, and what the command line says."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from bugs import BUGS, Bug, plant
from command.bugs import crosshair
from command.bugs import run_in as run_planted
from command.crosshair import as_text, confirm_all
from hunt.revisions import TARGETS
from impl.rbtree import Node, PageTree
from model import claims
from model.checks import BrokenClaim
from model.lockstep import replay
from model.trace import loads
from proofs.confirm import Result, again, confirm
from proofs.contracts import CONTRACTS, ORDERS, Contract, Outcome, known
from proofs.engine.obligation import Counterexample

ROOT = Path(__file__).parent.parent
REFUTED = [made.name for made in CONTRACTS.values() if made.expected is Outcome.REFUTED]
QUICK = [
    "next_boundary_is_a_multiple/series/boundary_after_a_turn",
    "layout_stays_between_boundaries/series/block_after_a_turn",
    "no_block_crosses_a_boundary/series/boundaries_around_a_block",
    "offsets_fit_the_int_link/series/link_of_a_block",
    "layout_ends/series/progress_of_a_turn",
    "no_room_is_wasted/series/room_before_the_next_block",
    "create_admits_what_is_promised/series/keeping_a_geometry",
]


def run(*arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "command", "crosshair", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", QUICK)
def test_confirmed(name: str) -> None:
    """In a process of its own, as the command line does it: what CrossHair finds depends on what has run in one before."""
    (result,) = confirm_all([name], 1)
    assert result.as_expected, result
    assert result.outcome == "CONFIRMED"


@pytest.mark.parametrize("name", REFUTED)
def test_what_history_got_wrong_is_found(name: str) -> None:
    """A driver's arguments break the claim on the running pool too."""
    (result,) = confirm_all([name], 1)
    assert result.as_expected, result
    assert result.counterexample is not None
    if name.endswith("/original_count_of_a_small_page"):
        assert "trace" not in result.counterexample, "no kernel has such pages"
        return
    trace = loads(json.dumps(result.counterexample["trace"]))
    assert trace.claim == result.claim
    with pytest.raises(BrokenClaim) as broken:
        replay(trace, TARGETS[result.revision])
    # What a driver sees first of a block behind the page's end is its link, which is written there.
    seen = {"block_lies_inside_its_page": "pool_stays_in_its_memory"}
    assert broken.value.claim.name in (result.claim, seen.get(result.claim))


def asked(check: Any, **changes: Any) -> Contract:
    """A contract about nothing in particular."""
    nothing = Counterexample("true", "false")
    made = Contract(claims.layout_ends, "series", "any", Outcome.CONFIRMED, check, lambda _: nothing, 20)
    return replace(made, **changes)


def a_loop(number: int) -> bool:
    """
    pre: number >= 0
    post: _
    """
    while number > 0:
        number -= 1
    return number == 0


def impossible(number: int) -> bool:  # noqa: ARG001
    """
    pre: number > 0 and number < 0
    post: _
    """
    return False


def endless(number: int) -> bool:  # noqa: ARG001
    """
    post: _
    """
    while True:
        pass


def failing(number: int) -> bool:
    """
    post: _
    """
    return 1 // (number - 77) <= 1


def test_what_is_only_searched_does_not_pass_as_confirmed() -> None:
    result = confirm(asked(a_loop))
    assert (result.outcome, result.as_expected) == ("SEARCHED", False)
    assert "but CONFIRMED was expected" in as_text([result], 0)


def test_a_contract_that_no_input_meets_does_not_pass() -> None:
    result = confirm(asked(impossible))
    assert (result.outcome, result.as_expected) == ("VACUOUS", False)
    assert not confirm(asked(impossible, expected=Outcome.VACUOUS)).as_expected


def test_code_that_never_ends_is_given_up() -> None:
    result = confirm(asked(endless), longest=0.5)
    assert (result.outcome, result.as_expected) == ("UNKNOWN", False)
    assert "no end within" in result.why


def test_code_that_fails_is_no_refutation_of_the_claim() -> None:
    result = confirm(asked(failing, expected=Outcome.REFUTED))
    assert result.outcome == "REFUTED"
    assert result.inputs == {"number": 77}
    assert result.counterexample is not None
    assert "ZeroDivisionError" in result.counterexample["actual"]
    assert not result.as_expected


def test_inputs_that_break_nothing_on_plain_integers_are_not_believed() -> None:
    (made,) = (made for made in CONTRACTS.values() if made.check.__name__ == "original_last_block")
    assert again(made, {"size": 100, "block": 39})[0] is Outcome.REFUTED
    assert again(made, {"size": 100, "block": 38}) == (
        Outcome.UNKNOWN,
        "the claim holds on plain integers: {'size': 100, 'block': 38}",
        None,
    )
    outcome, why, _ = again(made, {"size": 3, "block": 1364})
    assert (outcome, "do not meet the premises" in why) == (Outcome.UNKNOWN, True)


def test_known_is_the_same_number() -> None:
    assert [known(number, 13) for number in range(14)] == list(range(14))


def test_there_is_an_order_for_each_shape_of_a_small_tree() -> None:
    def shape(order: tuple[int, ...]) -> Any:
        tree: PageTree[Node] = PageTree(1)
        for dma in order:
            tree.insert(Node(dma))
        return below(tree.root)

    def below(node: Any) -> Any:
        return None if node is None else tuple(map(below, node.child))

    shapes = {shape(order) for pages in range(8) for order in permutations(range(pages))}
    assert {shape(order) for order in ORDERS} == shapes
    assert len(ORDERS) == len(shapes)


FOUND = [bug for bug in BUGS.values() if bug.contracts]


@pytest.mark.parametrize("bug", FOUND, ids=lambda bug: bug.name)
def test_a_seeded_bug_is_found(bug: Bug, tmp_path: Path) -> None:
    plant(bug, tmp_path)
    notice = crosshair(bug, tmp_path)
    assert not notice.missed, notice.output


def test_a_counterexample_becomes_a_trace(tmp_path: Path) -> None:
    bug = BUGS["tree/lookup_one_byte_too_far"]
    plant(bug, tmp_path)
    status, output = run_planted(tmp_path, "command", "crosshair", *bug.contracts, "--traces", "traces")
    assert status == 1, output
    (file,) = (tmp_path / "traces").iterdir()
    status, output = run_planted(tmp_path, "command", "replay", str(file))
    assert status == 1, output
    replay(loads(file.read_text()), TARGETS["series"])


def test_results_as_text_as_json_and_as_traces(tmp_path: Path) -> None:
    file, folder = tmp_path / "results.json", tmp_path / "new"
    status, out, err = run("layout_ends", "--json", str(file), "--traces", str(folder))
    assert (status, err) == (0, "")
    assert "over all" in out
    assert "2 contracts in" in out
    results = [Result(**result) for result in json.loads(file.read_text())]
    assert [result.contract for result in results] == [name for name in CONTRACTS if name.startswith("layout_ends/")]
    assert [written.name for written in folder.iterdir()] == ["v6.1-layout_ends-original_progress.json"]
