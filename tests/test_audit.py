"""The audit: every proof has mutants, quick ones are audited here, and what is not needed or not noticed makes it fail."""

from typing import Any

import pytest

from bugs.proved import MUTANTS, Mutant
from command.audit import main
from impl import layout
from model import claims
from proofs import audit as audit_module
from proofs.audit import audit, label, mutants_of
from proofs.catalogue import OBLIGATIONS
from proofs.engine.explore import Theory, Verdict
from proofs.engine.obligation import Counterexample, Obligation

PROVED = [o for o in OBLIGATIONS.values() if o.expected is Verdict.PROVED]
QUICK = (
    "block_lies_inside_its_page/series/Z",
    "blocks_are_disjoint/series/u32",
    "lookup_finds_the_page_of_an_address/series/u64",
    "tree_is_balanced/series/Z/insert_turn",
    "walk_follows_the_order/series/Z/next_page",
    "free_list_holds_the_free_blocks/series/u64/alloc",
    "double_free_is_refused/series/u64",
    "patch_08_changes_nothing/series/u64",
)


def test_every_proof_has_a_mutant_and_every_mutant_a_proof() -> None:
    labels = {label(o) for o in PROVED}
    assert labels == {name for mutant in MUTANTS for name in mutant.refutes}


@pytest.mark.parametrize("name", QUICK)
def test_every_premise_is_needed_and_every_mutant_noticed(name: str) -> None:
    result = audit(name)
    assert result.passed, result
    assert result.mutants


def body_with_an_idle_premise(path: Any) -> None:
    number = path.number("number")
    path.assume("the number is not 7", lambda: number != 7)
    path.show_claim(claims.layout_ends, number, number + 1)


def test_a_premise_that_is_not_needed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Obligation(
        claims.layout_ends,
        "series",
        Theory.INTEGERS,
        "idle",
        Verdict.PROVED,
        body_with_an_idle_premise,
        lambda _: Counterexample("", ""),
        __name__,
    )
    monkeypatch.setitem(OBLIGATIONS, made.name, made)
    result = audit(made.name)
    assert result.verdict == "PROVED"
    assert result.dropped == {"the number is not 7": "PROVED"}
    assert not result.passed


def test_a_mutant_that_is_not_noticed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "layout_ends/series/Z"
    blind = Mutant(layout.goes_on, "<", "<=", ("layout_ends/series",))
    monkeypatch.setattr(audit_module, "MUTANTS", (blind,))
    assert mutants_of(OBLIGATIONS[name]) == [blind]
    result = audit(name)
    assert result.mutants == {blind.name: "PROVED"}
    assert not result.passed


def test_a_mutant_is_gone_afterwards() -> None:
    before = layout.goes_on.__code__
    with Mutant(layout.goes_on, "<", ">", ()).planted():
        assert layout.goes_on.__code__ is not before
    assert layout.goes_on.__code__ is before


def test_the_table_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--jobs", "1", "lookup_finds_the_page_of_an_address/series/u64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok     lookup_finds_the_page_of_an_address/series/u64")
    assert "1 premises dropped, 1 mutants; 0 failed." in lines[-1]
