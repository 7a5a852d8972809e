"""Lemmas: a stub names the claim that says what it does, and a proof whose lemma is not proved says nothing."""

import inspect
import json
from dataclasses import replace
from textwrap import dedent
from typing import Any

import pytest

from command import prove
from command.prove import as_json, as_text
from impl import pool, rbtree
from impl.pool import Pool
from model import claims
from proofs.catalogue import OBLIGATIONS, prove_named
from proofs.engine.explore import Path as WayThrough
from proofs.engine.explore import Replay, Theory, Verdict, explore
from proofs.engine.obligation import Result
from proofs.engine.resting import circle, with_what_undermines
from proofs.engine.solver import DEFAULT_LIMIT, Solver
from report.formats import as_junit, as_sarif
from report.pages import kind_of
from report.verdicts import read_prover

LABELS = {obligation.label for obligation in OBLIGATIONS.values()}
RESTING = (
    "in_use_counts_the_live_blocks/series/u64/free",
    "freed_block_is_filled/series/u64",
    "freed_block_is_filled/series/u64/link",
)


def proved(name: str, **changed: Any) -> Result:
    return replace(prove_named(name, 0, DEFAULT_LIMIT), **changed)


def test_a_stub_names_its_claim_when_it_is_called() -> None:
    def body(path: Any) -> None:
        tree: rbtree.PageTree[Any] = rbtree.PageTree(1)
        path.by(claims.tree_is_balanced, tree, "_rebalance", lambda _: None, "insert_turn", "insert_loop")
        path.by(claims.walk_follows_the_order, tree, "_leftmost", lambda node: node, revision="series")
        tree.insert(rbtree.Node(path.number("page")))
        path.show("the page is there", lambda: tree.root is not None)

    outcome = explore(body, Theory.INTEGERS, Solver())
    assert outcome.verdict is Verdict.PROVED
    assert outcome.lemmas == [("tree_is_balanced", "insert_turn", ""), ("tree_is_balanced", "insert_loop", "")]


def test_only_code_can_be_replaced_by_a_lemma() -> None:
    replay = Replay(Theory.INTEGERS, {})
    with pytest.raises(TypeError, match="allocation of PageTree is no code"):
        replay.by(claims.tree_is_balanced, rbtree.PageTree(1), "allocation", lambda: 2)
    with pytest.raises(AttributeError):
        replay.by(claims.tree_is_balanced, rbtree.PageTree(1), "_rebalanse", lambda: 2)
    assert WayThrough.by is Replay.by


def test_a_proof_whose_lemma_is_refuted_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search of debug builds is turned round: what takes it for right still runs through, and must not count."""
    lemma = "double_free_is_refused/series/u64"
    turned_round = dedent(inspect.getsource(Pool._is_refused)).replace("chain == offset", "chain != offset")
    names = dict(vars(pool))
    exec(turned_round, names)
    monkeypatch.setattr(Pool, "_is_refused", names["_is_refused"])
    found = [proved(name) for name in (*RESTING, lemma)]
    monkeypatch.setattr(prove, "prove_all", lambda *_: found)
    assert prove.main([]) == 1
    monkeypatch.setattr(prove, "prove_all", lambda *_: [*found[:3], replace(found[3], verdict="PROVED", broken="")])
    assert prove.main([]) == 0
    capsys.readouterr()
    results = with_what_undermines(found, LABELS)
    assert [result.verdict for result in results] == ["PROVED", "PROVED", "PROVED", "REFUTED"]
    text = as_text(results, 1).split("\n")
    for result in results[:3]:
        assert not result.as_expected
        assert (
            f"  {result.obligation} is PROVED, but rests on double_free_is_refused, so that it says nothing here."
            in text
        )
    verdicts = read_prover(as_json(results))
    assert [kind_of(verdict) for verdict in verdicts] == ["open", "open", "open", "wrong"]
    nothing = f"{RESTING[0]} is PROVED, but it says nothing, since it rests on double_free_is_refused."
    sarif = json.loads(as_sarif(verdicts))["runs"][0]["results"]
    assert [finding["level"] for finding in sarif] == ["error"] * 4
    assert nothing in sarif[0]["message"]["text"]
    assert nothing in as_junit(verdicts)


def test_a_lemma_that_was_not_asked_for_is_named() -> None:
    results = with_what_undermines([proved(RESTING[1])], LABELS)
    assert results[0].as_expected
    assert as_text(results, 1).splitlines()[-1] == (
        "  These proofs rest on claims that were not asked for here: "
        "lookup_finds_the_page_of_an_address, double_free_is_refused."
    )


def test_what_a_lemma_rests_on_counts_too() -> None:
    """A case of a claim, and all that leads to it; a lemma that nobody has stated is never proved."""
    top = proved(RESTING[1])
    search = proved("double_free_is_refused/series/u64")
    longest = proved("double_free_is_refused/series/u64/longest_list", verdict="UNKNOWN")
    results = with_what_undermines([top, search, longest], LABELS)
    assert results[1].undermined == ["double_free_is_refused/series/longest_list"]
    assert "double_free_is_refused" in results[0].undermined
    assert with_what_undermines([top], LABELS - {search.label})[0].undermined == ["double_free_is_refused"]


def test_a_proof_may_not_rest_on_itself() -> None:
    """By way of a lemma; parts of one invariant may be premises of each other."""
    one = proved("layout_stays_between_boundaries/series/Z")
    other = proved("next_boundary_is_a_multiple/series/u32")
    assert other.claim in one.rests_on
    assert one.claim in other.rests_on
    assert circle([one, other]) == []
    assert circle([replace(one, lemmas=[one.label])]) == [one.label] * 2
    assert circle([one, replace(other, lemmas=[one.label])]) == [other.label, one.label, other.label]
