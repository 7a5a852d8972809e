"""Changes of a kernel's file that break no promise: the prover follows them, or says which line of C it cannot follow; it never
refutes."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from kernel.build import Source
from proofs.compiled import obligations_of
from proofs.engine.obligation import Obligation, Settings, prove
from tests.kernels import changed, fetched, needs_a_compiler

needs_a_compiler()

HARMLESS: dict[str, Any] = {}
for file in sorted(Path(__file__).parent.glob("harmless_*.toml")):
    for version, changes in tomllib.loads(file.read_text()).items():
        HARMLESS.setdefault(version, {}).update(changes)
CHANGES = [
    pytest.param(version, name, marks=[pytest.mark.thorough] * change.get("thorough", False))
    for version, of_version in HARMLESS.items()
    for name, change in of_version.items()
]
TWINS = [(version, name) for version, changes in HARMLESS.items() for name in changes if "twin" in changes[name]]
"""Changes beside which is one that is nearly the same, and breaks a promise."""

LAYOUT = ("layout_stays_between_boundaries", "free_list_holds_the_free_blocks", "total_counts_the_blocks")
"""What is proved again where a change does not say what it is about."""

LAID_FOR_AN_ALLOCATION = {
    "free_list_holds_the_free_blocks/kernel/u64/alloc": ("counter",),
    "free_list_holds_the_free_blocks/kernel/u64/alloc_with_a_new_page": ("while",),
}
"""Proofs about alloc, for which the loop that lays a page out is a lemma, and other ways to write it."""


def harmless(version: str, name: str, folder: Path, more: Iterable[str] = ()) -> Source:
    """The file with the change, and `more` that is replaced in it."""
    change: dict[str, Any] = HARMLESS[version][name]
    if not change.get("everywhere"):
        return changed(version, folder, *change["change"], *more)
    text, source = fetched(version).file.read_text(), fetched(version)
    for before, after in zip(change["change"][::2], change["change"][1::2], strict=True):
        assert before in text, before
        text = text.replace(before, after)
    (folder / "dmapool.c").write_text(text)
    return Source(folder / "dmapool.c", source.tree)


def first_of(obligations: list[Obligation]) -> list[Obligation]:
    """Of a claim: what is not about a case, or else all."""
    assert obligations
    return [one for one in obligations if not one.case] or obligations


@pytest.mark.parametrize(("version", "name"), CHANGES)
def test_a_harmless_change_is_followed_or_said_not_to_be(version: str, name: str, tmp_path: Path) -> None:
    change = HARMLESS[version][name]
    obligations = obligations_of(harmless(version, name, tmp_path)).values()
    about = [
        one
        for claim in change.get("about", LAYOUT)
        for one in first_of([o for o in obligations if o.claim.name == claim])
    ]
    for result in (prove(one, Settings()) for one in about):
        if result.claim in change.get("not_followed", ()):
            assert (result.verdict, "(dmapool.c:" in result.why) == ("NOT_FOLLOWED", True), (
                result.obligation,
                result.why,
            )
        else:
            assert result.as_expected, (result.obligation, result.verdict, result.why, result.counterexample)


@pytest.mark.parametrize(("version", "name"), TWINS)
def test_a_change_that_is_nearly_the_same_and_breaks_a_promise_is_refuted(
    version: str, name: str, tmp_path: Path
) -> None:
    change = HARMLESS[version][name]
    result = prove(obligations_of(harmless(version, name, tmp_path, change["twin"]))[change["twin_breaks"]], Settings())
    assert (result.verdict, result.counterexample is not None) == ("REFUTED", True), (result.verdict, result.why)


@pytest.mark.parametrize(
    ("obligation", "name"), [(about, name) for about, names in LAID_FOR_AN_ALLOCATION.items() for name in names]
)
def test_an_allocation_is_proved_however_the_loop_is_written(obligation: str, name: str, tmp_path: Path) -> None:
    version = "v6.1" if obligation.endswith("new_page") else "v6.12"
    result = prove(obligations_of(harmless(version, name, tmp_path))[obligation], Settings())
    assert result.as_expected, (result.verdict, result.why, result.counterexample)
    assert "free_list_holds_the_free_blocks/kernel" in result.lemmas


def test_a_pool_that_is_freed_while_it_is_in_a_list_is_refuted(tmp_path: Path) -> None:
    """Of the file's own list of all pools, where create fails."""
    change = HARMLESS["v6.12"]["list_of_all_pools"]["change"]
    sound = obligations_of(harmless("v6.12", "list_of_all_pools", tmp_path))
    assert prove(sound["destroy_leaks_exactly_the_busy_pages/kernel/u64"], Settings()).as_expected
    freed = obligations_of(changed("v6.12", tmp_path, *change[:-2]))
    result = prove(freed["failed_create_leaves_nothing_behind/kernel/u64/create"], Settings())
    assert result.counterexample is not None, result.why
    assert "is written to after it was freed" in result.counterexample["actual"]


def test_blocks_that_are_described_elsewhere_are_not_refuted(tmp_path: Path) -> None:
    """In an array of kcalloc()."""
    redesigns = tomllib.loads((Path(__file__).parent / "redesigns.toml").read_text())["change"]
    (text,) = [change["text"] for change in redesigns if "kcalloc" in str(change)]
    obligations = obligations_of(changed("v6.12", tmp_path, *text))
    for name in ("layout_ends/kernel/u64", "free_list_holds_the_free_blocks/kernel/u64/alloc"):
        result = prove(obligations[name], Settings())
        assert (result.verdict, "(dmapool.c:" in result.why) == ("NOT_FOLLOWED", True), result.why


def test_a_queue_of_free_blocks_is_not_refuted(tmp_path: Path) -> None:
    """Proofs about alloc and free know a stack: of a queue that does the same, they say nothing."""
    obligations = obligations_of(harmless("v6.12", "fifo", tmp_path))
    result = prove(obligations["free_list_holds_the_free_blocks/kernel/u64/free"], Settings())
    assert (result.verdict, "(dmapool.c:" in result.why) == ("NOT_FOLLOWED", True), result.why
