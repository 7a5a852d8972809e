"""The contracts that CrossHair checks: what each outcome takes, and what the command line says."""
# crosshair: max_iterations=20

import json
from pathlib import Path

import pytest

from bugs import BUGS, Bug, plant
from command.bugs import crosshair, run_in
from command.crosshair import as_text
from hunt.revisions import REVISIONS
from impl.layout import Geometry
from model import claims  # noqa: F401 (for the contracts)
from model.lockstep import replay
from model.trace import loads
from proofs.confirm import CONTRACTS, ContractResult, again, claims_of, confirm
from proofs.contracts import known, v6_1_next_block
from tests.pools import broken_by
from tests.running import Command

QUICK = [name for name in CONTRACTS if name.endswith(("/next_block", "/kept")) or "/v6_1_" in name]
FOUND = [bug for bug in BUGS.values() if bug.contracts]


def test_contracts_are_confirmed_and_what_history_got_wrong_is_found(tmp_path: Path, command: Command) -> None:
    """A driver's arguments break the claim on the running pool too."""
    file, folder = tmp_path / "results.json", tmp_path / "new"
    status, out, err = command("crosshair", *QUICK, "--json", file, "--traces", folder)
    assert status == 0
    assert "11 contracts in" in out
    assert "7 CONFIRMED, 4 REFUTED; 0 not as expected." in out
    assert err == ""
    results = [ContractResult(**result) for result in json.loads(file.read_text())]
    assert [result.contract for result in results] == QUICK
    for result in results:
        assert result.outcome == ("REFUTED" if "/v6_1_" in result.contract else "CONFIRMED")
        if result.counterexample is not None:
            trace = loads((folder / f"v6.1-{result.claim}-{result.contract.partition('/')[2]}.json").read_text())
            assert trace == loads(json.dumps(result.counterexample["trace"]))
            assert trace.claim == result.claim
            # What a driver sees first of a block behind the page's end is its link, which is written there.
            seen = {"block_lies_inside_its_page": "pool_stays_in_its_memory"}
            assert broken_by(trace, REVISIONS["v6.1"]).claim.name in (result.claim, seen.get(result.claim))
    assert len(list(folder.iterdir())) == 4


def a_loop(number: int) -> int:
    """
    pre: number >= 0
    post: claims.layout_ends(_, 1)
    """
    while number > 0:
        number -= 1
    return number


def impossible(number: int) -> int:
    """
    pre: number > 0 and number < 0
    post: claims.layout_ends(_, _)
    """
    return number


def v6_1_impossible(number: int) -> int:
    """
    pre: number > 0 and number < 0
    post: claims.layout_ends(_, _)
    """
    return number


def endless(number: int) -> int:  # noqa: ARG001
    """
    post: claims.layout_ends(0, 1)
    """
    while True:
        pass


def v6_1_failing(number: int) -> int:
    """
    post: claims.layout_ends(0, 1)
    """
    return 1 // (number - 77)


def test_what_is_only_searched_does_not_pass_as_confirmed() -> None:
    result = confirm("layout_ends/a_loop", a_loop)
    assert (result.outcome, result.as_expected) == ("SEARCHED", False)
    assert "but CONFIRMED was expected" in as_text([result], 0)


def test_a_contract_that_no_input_meets_does_not_pass() -> None:
    for check in (impossible, v6_1_impossible):
        result = confirm(f"layout_ends/{check.__name__}", check)
        assert (result.outcome, result.as_expected) == ("VACUOUS", False)


def test_code_that_never_ends_is_given_up() -> None:
    result = confirm("layout_ends/endless", endless, longest=0.5)
    assert (result.outcome, result.as_expected) == ("UNKNOWN", False)
    assert "no end within" in result.why


def test_code_that_fails_is_no_refutation_of_the_claim() -> None:
    result = confirm("layout_ends/v6_1_failing", v6_1_failing)
    assert (result.outcome, result.expected, result.as_expected) == ("REFUTED", "REFUTED", False)
    assert result.inputs == {"number": 77}
    assert result.counterexample is not None
    assert "ZeroDivisionError" in result.counterexample["actual"]


def test_inputs_that_break_nothing_on_plain_integers_are_not_believed() -> None:
    name = "block_lies_inside_its_page/v6_1_next_block"
    said = {}
    for size, block in ((100, 39), (100, 38), (3, 1364)):
        inputs = {"page": Geometry(size, 8192, 4096), "block": block, "start": 0}
        said[size, block] = again(name, claims_of(v6_1_next_block)[name], inputs)[:2]
    assert said[100, 39] == ("REFUTED", "")
    assert said[100, 38][0] == said[3, 1364][0] == "UNKNOWN"
    assert "the claim holds on plain integers" in said[100, 38][1]
    assert "do not meet the premises" in said[3, 1364][1]


def test_known_is_the_same_number_or_the_nearest_below() -> None:
    assert [known(number, range(14)) for number in range(14)] == list(range(14))
    assert known(9, [1, 8, 16]) == 8


@pytest.mark.parametrize("bug", FOUND, ids=lambda bug: bug.name)
def test_a_seeded_bug_is_found(bug: Bug, tmp_path: Path) -> None:
    """Where its counterexample is a trace, the trace breaks the claim in the copy with the bug, and not here."""
    plant(bug, tmp_path)
    notice = crosshair(bug, tmp_path)
    assert not notice.missed, notice.output
    (result,) = json.loads((tmp_path / "crosshair.json").read_text())
    if bug.name == "tree/lookup_one_byte_too_far":
        file = tmp_path / "trace.json"
        file.write_text(json.dumps(result["counterexample"]["trace"]))
        status, output = run_in(tmp_path, "command", "replay", str(file))
        assert status == 1, output
        replay(loads(file.read_text()), REVISIONS["series"])
