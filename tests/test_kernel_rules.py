"""Changes of a kernel's own code: what breaks a rule of locks, interrupts, callers that may not sleep, or requests that are
refused; what a hunt finds; and what breaks nothing."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from kernel.promises import revision_of
from model.checks import BrokenClaim
from model.lockstep import replay
from model.trace import Alloc, Create, Destroy, Free, Kernel, Trace, Write
from tests.kernels import changed, fetched, hunt, needs_a_compiler
from tests.pools import broken_by

needs_a_compiler()

CHANGES = tomllib.loads((Path(__file__).parent / "changes.toml").read_text())
BROKEN, HUNTED = (
    [(claim, change) for claim, changes in CHANGES[kind].items() for change in changes] for kind in ("broken", "hunted")
)


@pytest.mark.parametrize(("claim", "change"), BROKEN, ids=[change["message"][:50] for _, change in BROKEN])
def test_a_rule_of_the_kernel_that_is_broken_is_found(tmp_path: Path, claim: str, change: dict[str, Any]) -> None:
    """By the simplest use of a pool, in which a page is busy at the end."""
    allocs = Alloc("a", flags="GFP_ATOMIC"), Alloc("b"), Alloc("c", flags="GFP_NOIO")
    use = Trace((Create(2048), *allocs, Free("c"), Free("b"), Destroy()))
    replay(use, revision_of(fetched(change["kernel"])))
    broken = broken_by(use, revision_of(changed(change["kernel"], tmp_path, *change["change"])))
    assert (broken.claim.name, change["message"] in str(broken)) == (claim, True), broken


@pytest.mark.parametrize(("claim", "change"), HUNTED, ids=[f"{change['kernel']}-{claim}" for claim, change in HUNTED])
def test_a_bug_in_the_kernels_own_code_is_found(tmp_path: Path, claim: str, change: dict[str, Any]) -> None:
    with pytest.raises(BrokenClaim) as broken:
        hunt(changed(change["kernel"], tmp_path, *change["change"]))
    assert broken.value.claim.name == claim


@pytest.mark.parametrize("change", CHANGES["harmless"], ids=range(len(CHANGES["harmless"])))
def test_what_breaks_no_rule_is_no_finding(tmp_path: Path, change: dict[str, Any]) -> None:
    assert hunt(changed(change["kernel"], tmp_path, *change["change"])) > 5000


def test_a_lock_that_a_corrupted_pool_keeps_is_found(tmp_path: Path) -> None:
    """Of a debug build, which notices the corruption."""
    poisoned = "			continue;\n"
    source = changed("v6.12", tmp_path, poisoned, poisoned + "		spin_lock(&pool->lock);\n")
    corruption = (Create(64), Alloc("a"), Free("a"), Write("a", 0, "01"), Write("a", 20, "01"), Alloc("b"))
    broken = broken_by(Trace(corruption, Kernel(debug=True)), revision_of(source))
    assert broken.claim.name == "locking_rules_are_kept"


@pytest.mark.parametrize("flags", ["GFP_KERNEL", "GFP_ATOMIC", "GFP_NOWAIT"])
def test_a_store_in_an_xarray_may_need_memory(tmp_path: Path, flags: str) -> None:
    """With the spinlock held, only flags that do not sleep are right."""
    pop = "\tstruct dma_block *block = pool->next_block;\n\n\tif (block) {\n"
    declared = "#include <linux/xarray.h>\nstatic DEFINE_XARRAY(known);\n\nstruct dma_block {\n"
    store = f"\t\tif (xa_is_err(xa_store(&known, (unsigned long)block, block, {flags})))\n\t\t\treturn NULL;\n"
    store += "\t\txa_erase(&known, (unsigned long)block);\n"  # or else it outlives the pool, and its memory
    source = changed("v6.12", tmp_path, "struct dma_block {\n", declared, pop, pop + store)
    use = Trace((Create(64), Alloc("a"), Free("a")))
    if flags != "GFP_KERNEL":
        assert replay(use, revision_of(source)).steps
        return
    assert "may sleep, and is called with a lock held: it has GFP_KERNEL" in str(broken_by(use, revision_of(source)))
