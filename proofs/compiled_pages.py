"""The claims about how the C of a kernel finds, adds, visits and gives back its pages; and about its lib/rbtree.c.

The bodies are those of `proofs.lookup`, `proofs.tree`, `proofs.balance`, `proofs.walk` and `proofs.destroy`, about what
`proofs.subjects.c_pages` and `proofs.subjects.c_rbtree` make of the code. What they say of lib/rbtree.c stands by itself, for
every kernel tree that has that file: of rb_insert_color, of rb_erase, and of the walks.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kernel.build import Source
from kernel.ir import Module, ir_of
from kernel.rbtree import with_rb_first
from model import claims
from model.promises import SERIES
from proofs import balance, destroy, lookup, tree, walk
from proofs.c_counterexamples import explain_overlap, explain_rbtree
from proofs.c_runs import explain_natively
from proofs.engine.explore import Verdict
from proofs.engine.path import Body, Theory
from proofs.subjects.c_destroy import ListDestroyedInC, TreeDestroyedInC, VisitedInC
from proofs.subjects.c_pages import PageTreeInC, found_in_list
from proofs.subjects.c_pool import lookup_case
from proofs.subjects.c_rbtree import RbTree, TreeInC, WalksInC
from proofs.subjects.search_tree import Trees
from proofs.subjects.subject import about


def rbtree_of(source: Source) -> Module | None:
    """lib/rbtree.c of the tree, compiled; None if the tree has none. Raises BuildError."""
    file = source.rbtree()
    if file is None:
        return None
    with TemporaryDirectory() as folder:
        return ir_of(Source(with_rb_first(file, Path(folder)), source.tree))


def lookups(state: Any) -> None:
    code, claim = state.code, claims.lookup_finds_the_page_of_an_address
    if code.promises is not SERIES:
        case = lookup_case(code)
        scan = about(lookup.scan, partial(found_in_list, code))
        state.prove(claim, scan, explain_natively, case)
        pages = destroyed(state, ListDestroyedInC)
        state.prove(claims.locking_rules_are_kept, pages, explain_natively, "page_of_destroy")
        return
    rbtree = rbtree_of(code.source)
    trees = Trees(lambda path, allocation: PageTreeInC(path, allocation, code, rbtree), ("insert_turn",))
    order, disjoint = claims.tree_keeps_pages_in_order, claims.insertion_keeps_pages_disjoint
    for of, body, case in (
        (claim, lookup.lookup_finds_the_page_of_an_address, ""),
        (claim, lookup.lookup_in_an_empty_tree_finds_nothing, "empty_tree"),
        (claims.free_compares_few_addresses, lookup.free_compares_few_addresses, ""),
        (order, tree.tree_keeps_pages_in_order, ""),
        (order, tree.insertion_into_an_empty_tree, "first_page"),
        (disjoint, tree.insertion_keeps_pages_disjoint, ""),
    ):
        theory = Theory.INTEGERS if of is claims.free_compares_few_addresses else Theory.U64
        state.prove(of, about(body, trees), explain_natively, case, theory=theory)
    destroyed(state, TreeDestroyedInC)
    if rbtree is not None:
        visited = about(walk.postorder_gives_each_page, partial(VisitedInC, code=code, rbtree=rbtree))
        postorder = claims.destroy_reads_no_freed_page
        state.prove(postorder, visited, explain_natively, "all_pages", theory=Theory.INTEGERS)
    misses = about(tree.insertion_misses_a_page_from_below, trees)
    state.prove(disjoint, misses, explain_overlap, "any_alignment", Verdict.REFUTED)


def destroyed(state: Any, kind: Any) -> Body:
    """What becomes of a page, and what is said of it; the body about the first."""
    subject = partial(kind, state.code)
    pages = about(destroy.destroy_leaks_exactly_the_busy_pages, subject)
    said = about(destroy.busy_page_is_reported, subject)
    state.prove(claims.destroy_leaks_exactly_the_busy_pages, pages, explain_natively)
    state.prove(claims.structs_are_freed, pages, explain_natively, "destroy")
    state.prove(claims.reports_are_the_kernels, said, explain_natively, "destroy")
    return pages


def rbtree(state: Any) -> None:
    """lib/rbtree.c, whether the pool uses it or not."""
    module = rbtree_of(state.code.source)
    if module is None:
        return
    file = RbTree(module)
    balanced, order = claims.tree_is_balanced, claims.tree_keeps_pages_in_order
    follows, postorder = claims.walk_follows_the_order, claims.destroy_reads_no_freed_page
    for body, kind, case, *about_it in (
        (balance.insert_turn, TreeInC, "insert_turn", balanced, order),
        (balance.erase_turn, TreeInC, "erase_turn", balanced, order),
        (balance.erase, TreeInC, "erase", balanced, order),
        (walk.walk_starts_at_the_first_page, WalksInC, "first_page", follows),
        (walk.walk_goes_to_the_next_page, WalksInC, "next_page", follows),
        (walk.postorder_starts_at_the_bottom, WalksInC, "first_page", postorder),
        (walk.postorder_goes_to_the_sibling_or_up, WalksInC, "next_page", postorder),
    ):
        of_the_file = about(body, partial(kind, file=file))
        for claim in about_it:
            state.prove(claim, of_the_file, explain_rbtree, case, theory=Theory.INTEGERS)
    full, height = claims.subtree_is_full, claims.tree_height_is_logarithmic
    state.prove(full, balance.empty_subtree_is_full, explain_rbtree, "empty", theory=Theory.INTEGERS)
    state.prove(full, balance.subtree_is_full, explain_rbtree, theory=Theory.INTEGERS)
    state.prove(height, balance.tree_height_is_logarithmic, explain_rbtree, theory=Theory.INTEGERS)
