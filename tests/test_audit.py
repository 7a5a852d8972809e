"""The audit: every proof has seeded bugs, quick ones are audited here, and what is not needed or not noticed makes it fail."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import command.audit
from bugs import BUGS
from command.audit import audit_all, break_lemmas, bugs_of
from impl.words import unsigned_int
from model import claims
from model.bad_input import BadInput
from proofs.audit import LOST, NEEDED_BY, NO_BUG, SAYS_NOTHING, Audit, audit_body, needed_by_others
from proofs.catalogue import OBLIGATIONS
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Counterexample, Obligation, Obligations
from proofs.engine.path import Theory
from tests.kernels import fetched, needs_a_compiler, tiny
from tests.running import Command

PROVED = [o for o in OBLIGATIONS.values() if o.expected is Verdict.PROVED]
QUICK = ("block_lies_inside_its_page/series/u32", "patch_08_changes_nothing/series/u64")
"""Whose premises and bugs are looked at here; `make audit` looks at all."""


def test_every_proof_has_a_bug_and_every_named_case_is_a_proof() -> None:
    labels = {o.label for o in PROVED}
    assert labels == {named for bug in BUGS.values() for named in bug.refuted if "/" in named}


def test_every_premise_is_needed_and_every_bug_noticed() -> None:
    for result in audit_all(list(QUICK), 1):
        assert result.passed, result
        assert result.bugs


def stated(monkeypatch: pytest.MonkeyPatch, body: Any, *theories: Theory) -> list[Obligation]:
    """Obligations about a body, which the catalogue has for this test."""
    state = Obligations(__name__)
    state(claims.layout_ends, "series", *theories, explain=lambda _: Counterexample("", ""), case="test")(body)
    for made in state.stated:
        monkeypatch.setitem(OBLIGATIONS, made.name, made)
    return state.stated


def body_with_an_idle_premise(path: Any) -> None:
    number = path.number("number")
    path.assume("the number is not 7", lambda: number != 7)
    path.show_claim(claims.layout_ends, number, number + 1)


def test_a_premise_that_is_not_needed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    (made,) = stated(monkeypatch, body_with_an_idle_premise, Theory.INTEGERS)
    (result,) = audit_body([made.name], None)
    assert result.verdict == "PROVED"
    assert result.dropped == {"the number is not 7": "PROVED"}
    assert not result.passed


def body_whose_premise_only_words_need(path: Any) -> None:
    number = path.number("number")
    path.assume("the next one is a word", lambda: number < 2**32 - 1)
    path.show_claim(claims.layout_ends, number, unsigned_int(number + 1))


def test_a_premise_that_another_domain_needs_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    both = stated(monkeypatch, body_whose_premise_only_words_need, Theory.INTEGERS, Theory.U32)
    integers, words = (audit_body([made.name], None)[0] for made in both)
    assert integers.dropped == {"the next one is a word": NEEDED_BY + "layout_ends/series/u32/test"}
    assert words.dropped == {"the next one is a word": "REFUTED"}
    assert replace(integers, bugs={"one": "REFUTED"}).passed
    assert not integers.passed  # since no bug is known


def test_a_bug_that_is_not_noticed_or_a_broken_lemma_that_changes_nothing_fails() -> None:
    noticed = {"one": "REFUTED"}
    assert Audit("", "PROVED", {}, noticed).passed
    assert not Audit("", "PROVED").passed  # since no bug is known
    for became in ("REFUTED", SAYS_NOTHING):
        assert Audit("", "PROVED", {}, noticed, {"lemma": became}).passed
    for verdict in ("PROVED", "UNKNOWN", "VACUOUS", "NOT_FOLLOWED"):
        assert not Audit("", "PROVED", {}, {**noticed, "another": verdict}).passed
    for became in ("PROVED", "UNKNOWN", "NOT_FOLLOWED", "VACUOUS", NO_BUG):
        assert not Audit("", "PROVED", {}, noticed, {"a lemma": "REFUTED", "lemma": became}).passed


def test_a_lemma_that_no_bug_breaks_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.audit, "BUGS", {})
    one, other = "freed_block_is_filled/series/u64", "double_free_is_refused/series/u64"
    results = {
        one: Audit(one, "PROVED", lemmas={"double_free_is_refused/series": SAYS_NOTHING}),
        other: Audit(other, "PROVED", lemmas={"a lemma of the lemma": SAYS_NOTHING}),
    }
    break_lemmas(results, 1)
    assert results[one].lemmas == {"double_free_is_refused/series": NO_BUG, "a lemma of the lemma": NO_BUG}
    assert results[other].lemmas == {"a lemma of the lemma": NO_BUG}


def test_with_a_bug_under_a_lemma_what_rests_on_it_stops_counting() -> None:
    name = "freed_block_is_filled/series/u64/link"
    (result,) = audit_all([name], 1)
    assert result.passed, result
    assert result.lemmas["double_free_is_refused/series"] == SAYS_NOTHING


@pytest.mark.thorough
def test_proofs_about_a_kernel_are_audited(tmp_path: Path) -> None:
    needs_a_compiler()
    source = fetched("v6.12")
    (result,) = audit_all(["managed_pool_is_destroyed_once/kernel/u64/not_managed"], 1, str(source.tree))
    assert result.passed, result
    assert set(result.bugs) == {"v6.12/managed_pool_destroyed_twice", "history/managed_pool_freed_too_early"}
    with pytest.raises(BadInput, match="name a folder of"):
        bugs_of(str(tiny(tmp_path).file))


def test_a_premise_of_a_kernels_proof_is_needed_where_another_proof_needs_it() -> None:
    idle = {"a premise": "PROVED", "another": "PROVED"}
    results = [Audit("one", "PROVED", idle), Audit("other", "PROVED", {"a premise": LOST})]
    needed_by_others(results)
    assert results[0].dropped == {"a premise": NEEDED_BY + "other", "another": "PROVED"}


def test_the_table_on_the_terminal(command: Command) -> None:
    ran = command("audit", "--jobs", 1, "--seeds", 2, "lookup_finds_the_page_of_an_address/series/u64")
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[0].startswith("ok     lookup_finds_the_page_of_an_address/series/u64")
    assert "1 premises dropped, 1 bugs planted, 0 lemmas broken, 0 verdicts that a seed changes; 0 failed." in lines[-1]
