"""Lemmas: a stub names the claim that says what it does, and a proof whose lemma is not proved says nothing."""

import ast
import inspect
import json
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from impl import layout, list_head, pool, rbtree, v6_1, v6_12
from impl.pool import Pool
from kernel.once import ROOT
from model import claims
from proofs.catalogue import OBLIGATIONS
from proofs.engine import path as engine
from proofs.engine.explore import Verdict, explore
from proofs.engine.obligation import Result
from proofs.engine.path import Replay, Theory
from proofs.engine.resting import circle, with_what_undermines
from proofs.engine.solver import Solver
from report.formats import as_junit, as_sarif
from report.pages import kind_of
from report.prover import as_text
from report.verdicts import of_proof
from tests.proved import prove_one
from tests.running import Command

LABELS = {obligation.label for obligation in OBLIGATIONS.values()}
RESTING = (
    "in_use_counts_the_live_blocks/series/u64/free",
    "freed_block_is_filled/series/u64",
    "freed_block_is_filled/series/u64/link",
)


def proved(name: str, **changed: Any) -> Result:
    return replace(prove_one(name), **changed)


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
    assert engine.Path.by is Replay.by


def test_a_proof_whose_lemma_is_refuted_says_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search of debug builds is turned round: what takes it for right still runs through, and must not count."""
    lemma = "double_free_is_refused/series/u64"
    turned_round = dedent(inspect.getsource(Pool._walk)).replace("chain == offset", "chain != offset")
    names = dict(vars(pool))
    exec(turned_round, names)
    monkeypatch.setattr(Pool, "_walk", names["_walk"])
    monkeypatch.setattr("proofs.run.prove_all", lambda tasks, *_: [proved(name) for name, _ in tasks])
    alone = command("prove", RESTING[1])
    assert alone.status == 1
    assert f"{RESTING[1]} is PROVED, but rests on double_free_is_refused, so that it says nothing here." in alone.out
    found = [proved(name) for name in (*RESTING, lemma)]
    monkeypatch.setattr("proofs.run.prove_all", lambda *_: found)
    assert command("prove").status == 1
    monkeypatch.setattr("proofs.run.prove_all", lambda *_: [*found[:3], replace(found[3], verdict="PROVED", broken="")])
    assert command("prove").status == 0
    results = with_what_undermines(found, LABELS)
    assert [result.verdict for result in results] == ["PROVED", "PROVED", "PROVED", "REFUTED"]
    text = as_text(results, 1).split("\n")
    assert not any(result.as_expected for result in results[:3])
    nothing = "PROVED, but rest, some through others, on double_free_is_refused, so that they say nothing here."
    told = text.index(f"  3 obligations are {nothing}")
    assert text[told + 1 : told + 4] == [f"    {result.obligation}" for result in results[:3]]
    verdicts = [of_proof(result) for result in results]
    assert [kind_of(verdict) for verdict in verdicts] == ["open", "open", "open", "wrong"]
    nothing = f"{RESTING[0]} is PROVED, but it says nothing, since it rests on double_free_is_refused."
    sarif = json.loads(as_sarif(verdicts))["runs"][0]["results"]
    assert [finding["level"] for finding in sarif] == ["error"] * 4
    assert nothing in sarif[0]["message"]["text"]
    assert nothing in as_junit(verdicts)


def test_a_lemma_that_was_not_proved_here_is_named() -> None:
    results = with_what_undermines([proved(RESTING[1])], LABELS)
    assert results[0].as_expected
    assert as_text(results, 1).splitlines()[-1] == (
        "  These proofs rest on claims that were not proved here: "
        "lookup_finds_the_page_of_an_address, double_free_is_refused."
    )


def test_what_a_lemma_rests_on_counts_too() -> None:
    """A case of a claim, and all that leads to it; a lemma that nobody has stated is never proved."""
    top = proved(RESTING[1])
    search = replace(proved("double_free_is_refused/series/u64"), lemmas=["list_is_a_ring/series/protocol"])
    ring = proved("list_is_a_ring/series/Z/protocol", verdict="UNKNOWN")
    results = with_what_undermines([top, search, ring], LABELS)
    assert results[1].undermined == ["list_is_a_ring/series/protocol"]
    assert "double_free_is_refused" in results[0].undermined
    assert with_what_undermines([top], LABELS - {search.label})[0].undermined == ["double_free_is_refused"]


def test_another_case_of_a_claim_than_the_lemma_counts_where_it_is_a_premise_too() -> None:
    lemma = proved("reports_are_the_kernels/series/u64/destroy")
    other = replace(lemma, case="row", verdict="NOT_FOLLOWED")
    top = proved(RESTING[1], rests_on=[lemma.claim], lemmas=[lemma.label], assumed=[])
    assert with_what_undermines([top, lemma, other], LABELS)[0].undermined == []
    assert with_what_undermines([replace(top, assumed=[lemma.claim]), lemma, other], LABELS)[0].undermined == [
        lemma.claim
    ]


def test_a_proof_may_not_rest_on_itself(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """By way of a lemma; parts of one invariant may be premises of each other."""
    one = proved("layout_stays_between_boundaries/series/Z")
    other = proved("next_boundary_is_a_multiple/series/u32", rests_on=[one.claim])
    assert other.claim in one.rests_on
    assert circle([one, other]) == []
    assert circle([replace(one, lemmas=[one.label])]) == [one.label] * 2
    assert circle([one, replace(other, lemmas=[one.label])]) == [other.label, one.label, other.label]
    monkeypatch.setattr("proofs.run.prove_all", lambda *_: [replace(one, lemmas=[one.label])])
    ran = command("prove")
    circle_said = f"rests on itself, so that it proves nothing: {one.label} rests on {one.label}"
    assert (ran.status, circle_said in ran.err) == (1, True)


IN_PLACE_OF_MEMORY = {
    "AnyPage": {"link", "set_link", "fill", "is_filled", "__repr__"},
    "CorruptedPage": {"link", "is_filled"},
    "AnyPool": {"_new_page"},
    "CorruptedPool": {"_new_page"},
    "AnyStack": {"_read_block", "_write_block", "_fill"},
    "TreeDestroyedInC": {"destroy"},
    "ListDestroyedInC": {"destroy"},
    "Operations": {"alloc", "free"},
    "CPool": {"_walk"},
    "CStack": {"_block_err"},
}
"""What stands for a page's bytes, or for a stack's, or runs a kernel's C where impl/ has code of its own: all that a class of
the proofs may override."""

SOURCES = [file for file in (ROOT / "proofs").glob("**/*.py") if file.name != "path.py"]
SUBJECTS = [
    kind
    for module in (layout, list_head, pool, rbtree, v6_1, v6_12)
    for kind in vars(module).values()
    if isinstance(kind, type)
]
CODE = {name for kind in SUBJECTS for name, value in vars(kind).items() if callable(value)}


def replaced_in(tree: ast.AST) -> list[str]:
    """The methods of subjects that a source replaces by assignment, `setattr` or an object of functions."""
    found = []
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            for one in ast.walk(target) if isinstance(target, ast.AST) else ():
                if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store) and one.attr in CODE:
                    found.append(one.attr)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "setattr" or called.endswith("__setattr__"):
                found.append(called)
            if called.endswith("SimpleNamespace"):
                found += [str(given.arg) for given in node.keywords if isinstance(given.value, ast.Lambda)]
    return found


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_no_code_is_replaced_but_by_a_lemma(file: Path) -> None:
    assert replaced_in(ast.parse(file.read_text())) == []


@pytest.mark.parametrize(
    "source",
    ["pool._is_refused = lambda *_: False", "setattr(pool, name, f)", "SimpleNamespace(find=lambda _: None)"],
)
def test_a_replacement_is_found(source: str) -> None:
    assert replaced_in(ast.parse(source))


def test_no_class_overrides_code_but_what_reads_and_writes_memory() -> None:
    """Code that is taken over from another revision is code, too, and so is that of a class that is mixed in. Subclasses are
    found once the catalogue is loaded."""
    kinds = {one for kind in SUBJECTS for one in all_below(kind) if one.__module__.startswith("proofs.")}
    assert {"AnyPage", "AnyPool", "AnyStack", "AnyTree"} <= {kind.__name__ for kind in kinds}
    for kind in kinds:
        bases = [base for base in kind.__mro__ if base.__module__.startswith("impl.")]
        own = [(one, name) for one in kind.__mro__ if one.__module__.startswith("proofs.") for name in vars(one)]
        for one, name in own:
            inherited = any(callable(vars(base).get(name)) for base in bases)
            if inherited and name not in ("__init__", "__doc__", "__class_getitem__"):
                is_real = getattr(vars(one)[name], "__module__", "").startswith("impl.")
                assert is_real or name in IN_PLACE_OF_MEMORY.get(one.__name__, ()), f"{one.__name__}.{name}"


def all_below(kind: type) -> set[type]:
    below: set[type] = set(kind.__subclasses__())
    return below.union(*map(all_below, below))
