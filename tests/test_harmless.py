"""Changes of a kernel's file that break no promise: the prover follows them, or says which line of C it cannot follow; it never
refutes."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from kernel.build import Source
from proofs.compiled import obligations_of
from proofs.engine.obligation import Settings, prove
from tests.kernels import changed, fetched, needs_a_compiler

needs_a_compiler()

HARMLESS: dict[str, Any] = {}
for file in sorted(Path(__file__).parent.glob("harmless_*.toml")):
    HARMLESS |= tomllib.loads(file.read_text())
CHANGES = [(version, name) for version, changes in HARMLESS.items() for name in changes]
LAYOUT = ("layout_stays_between_boundaries", "free_list_holds_the_free_blocks", "total_counts_the_blocks")
"""What is proved again where a change does not say what it is about."""

OF_OTHER_PROOFS = dict.fromkeys(("counter", "bytes_left", "fifo"), ("LOST", "UNKNOWN")) | {"renamed": ("PROVED",)}


def harmless(version: str, name: str, folder: Path) -> Source:
    change: dict[str, Any] = HARMLESS[version][name]
    if not change.get("everywhere"):
        return changed(version, folder, *change["change"])
    text, source = fetched(version).file.read_text(), fetched(version)
    for before, after in zip(change["change"][::2], change["change"][1::2], strict=True):
        assert before in text, before
        text = text.replace(before, after)
    (folder / "dmapool.c").write_text(text)
    return Source(folder / "dmapool.c", source.tree)


@pytest.mark.parametrize(("version", "name"), CHANGES)
def test_a_harmless_change_is_followed_or_said_not_to_be(version: str, name: str, tmp_path: Path) -> None:
    change = HARMLESS[version][name]
    obligations = obligations_of(harmless(version, name, tmp_path)).values()
    named = [one for one in obligations if one.claim.name in change.get("about", LAYOUT)]
    about = [one for one in named if not one.case] or named
    assert about
    for result in (prove(one, Settings()) for one in about):
        if result.claim in change.get("not_followed", ()):
            assert (result.verdict, "(dmapool.c:" in result.why) == ("LOST", True), (result.obligation, result.why)
        else:
            assert result.as_expected, (result.obligation, result.verdict, result.why, result.counterexample)


@pytest.mark.parametrize("name", OF_OTHER_PROOFS)
def test_an_allocation_that_is_not_followed_is_not_refuted(name: str, tmp_path: Path) -> None:
    """Proofs about alloc know the loop of v6.12 as it is written there: of another that does the same, they say nothing."""
    obligations = obligations_of(harmless("v6.12", name, tmp_path)).values()
    (alloc,) = (one for one in obligations if one.name == "free_list_holds_the_free_blocks/kernel/u64/alloc")
    result = prove(alloc, Settings())
    assert result.verdict in OF_OTHER_PROOFS[name], (result.verdict, result.why, result.counterexample)
