"""The contracts that CrossHair checks: what each verdict takes, and what the command line says."""
# crosshair: max_iterations=20

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from bugs import BUGS, Bug, plant
from command.bugs import crosshair
from command.crosshair import CLAIM, FUNCTIONS, check
from model import claims  # noqa: F401 (for the contracts)
from proofs import contracts
from proofs.contracts import known
from tests.running import Command

QUICK = ["next_block", "v6_1_blks_per_alloc", "v6_1_next_block"]
FOUND = [bug for bug in BUGS.values() if bug.contracts]


def test_contracts_are_confirmed_and_what_v6_1_got_wrong_is_refuted_on_plain_integers(command: Command) -> None:
    status, out, _ = command("crosshair", *QUICK)
    assert status == 0
    said = dict(re.findall(r"(\w+)/\w+: (.+)", out))
    assert out.count("CONFIRMED, as expected") == 6
    assert out.count("REFUTED, as expected") == 4
    for function in map(FUNCTIONS.__getitem__, QUICK[1:]):
        premises = re.findall("pre: (.+)", function.__doc__)
        for line in re.findall("post: .+", function.__doc__):
            call = said[CLAIM.findall(line)[0]].removeprefix("false when calling ").partition(" (which")[0]
            scope = vars(contracts) | {"implies": lambda premise, claim: not premise or claim}
            arguments = eval(call, scope | {function.__name__: lambda *arguments: arguments})
            inputs = dict(zip(inspect.signature(function).parameters, arguments, strict=True))
            assert all(eval(premise, scope, inputs) for premise in premises)
            assert not eval(line.removeprefix("post: "), scope, inputs | {"_": function(*arguments)})


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


@pytest.mark.parametrize(
    ("function", "verdict", "why"),
    [
        (a_loop, "UNKNOWN", "Not confirmed"),
        (impossible, "VACUOUS", "Unable to meet precondition"),
        (v6_1_impossible, "VACUOUS", "Unable to meet precondition"),
        (endless, "UNKNOWN", "no end within"),
        (v6_1_failing, "UNKNOWN", "ZeroDivisionError"),
    ],
)
def test_what_is_neither_confirmed_nor_refuted_does_not_pass(function: Any, verdict: str, why: str) -> None:
    """Nor does code that fails stand for a refutation of the claim."""
    (found,) = check(function, longest=8 if function is endless else 600)
    assert (found.verdict, found.as_expected) == (verdict, False)
    assert why in found.evidence["CrossHair says"]


def test_known_is_the_same_number_or_the_nearest_below() -> None:
    assert [known(number, range(14)) for number in range(14)] == list(range(14))
    assert known(9, [1, 8, 16]) == 8


@pytest.mark.parametrize(
    "bug", [FOUND[0], *(pytest.param(bug, marks=pytest.mark.thorough) for bug in FOUND[1:])], ids=lambda bug: bug.name
)
def test_a_seeded_bug_is_found(bug: Bug, tmp_path: Path) -> None:
    plant(bug, tmp_path)
    notice = crosshair(bug, tmp_path)
    assert not notice.missed, notice.output
