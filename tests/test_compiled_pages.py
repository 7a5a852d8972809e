"""Proofs about a kernel's own pages and its lib/rbtree.c: what confirms a refutation, and changes that change nothing."""

from pathlib import Path

import pytest

from kernel.build import Source
from kernel.ir import NotFollowed
from kernel.patches import link
from kernel.rbtree import broken_by
from model import claims
from proofs.c_counterexamples import explain_rbtree
from proofs.c_runs import explain_natively
from proofs.compiled import obligations_of
from proofs.engine.obligation import Settings, prove
from proofs.subjects.c_pool import compile_file
from tests.kernels import fetched, needs_a_compiler

needs_a_compiler()

ABOUT = {"tree_is_balanced", "walk_follows_the_order", "destroy_reads_no_freed_page"}
HARMLESS = {
    "while (n->rb_left)\n\t\tn = n->rb_left;": "for (; n->rb_left; n = n->rb_left)\n\t\t;",
    "if(rb_is_black(parent))": "if (!rb_is_red(parent))",
    "\tif (rebalance)\n\t\t____rb_erase_color": "\tif (rebalance != NULL)\n\t\t____rb_erase_color",
    "if (parent && node == parent->rb_left && parent->rb_right)": "if (parent && parent->rb_left == node && parent->rb_right)",
    "\tif (node->rb_right) {\n\t\tnode = node->rb_right;\n": "\tif (node->rb_right) {\n\t\tnode = (void *)node->rb_right;\n",
}


def in_a_tree(source: Source, folder: Path) -> Source:
    """The source in a kernel tree of its own."""
    assert source.tree is not None
    link(source.tree, folder / "linux", [Path("mm/dmapool.c"), Path("lib/rbtree.c")])
    return Source(folder / "linux" / "mm" / "dmapool.c", folder / "linux")


@pytest.mark.parametrize("version", [pytest.param("v6.1", marks=pytest.mark.thorough), "v6.12"])
def test_what_confirms_a_refutation_breaks_no_kernel_as_it_is(version: str) -> None:
    """Or else a step that goes wrong where no pool gets would count."""
    source = fetched(version)
    file = source.rbtree()
    assert file is not None
    assert source.tree is not None
    assert broken_by(file, source.tree) == ""
    code = compile_file(source)
    for explain in (explain_natively, explain_rbtree):
        with pytest.raises(NotFollowed, match="this step does not hold of the code"):
            explain(code, claims.tree_is_balanced, {})


def test_harmless_changes_of_rbtree_are_followed(tmp_path: Path) -> None:
    source = in_a_tree(fetched("v6.1"), tmp_path)
    file = source.rbtree()
    assert file is not None
    text = file.read_text()
    for before, after in HARMLESS.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    file.write_text(text)
    results = [prove(one, Settings()) for one in obligations_of(source).values() if one.claim.name in ABOUT]
    assert len(results) == 7
    assert [result.verdict for result in results] == ["PROVED"] * 7, results


def test_a_loop_that_a_proof_does_not_know_is_not_followed(tmp_path: Path) -> None:
    """Where rb_first looks one node ahead, its turn begins with more than a node."""
    source = in_a_tree(fetched("v6.1"), tmp_path)
    file = source.rbtree()
    assert file is not None
    before = "while (n->rb_left)\n\t\tn = n->rb_left;"
    after = "struct rb_node *l = n->rb_left; while (l) { n = l; l = l->rb_left; }"
    file.write_text(file.read_text().replace(before, after))
    result = prove(obligations_of(source)["walk_follows_the_order/kernel/Z/first_page"], Settings())
    assert (result.verdict, "rb_first (rbtree.c:" in result.why) == ("NOT_FOLLOWED", True)


def test_without_rbtree_nothing_is_said_of_it(tmp_path: Path) -> None:
    source = in_a_tree(fetched("v6.1"), tmp_path)
    file = source.rbtree()
    assert file is not None
    file.unlink()
    assert ABOUT.isdisjoint(one.claim.name for one in obligations_of(source).values())
