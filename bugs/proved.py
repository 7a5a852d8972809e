"""One-token changes of the code under proof, and the obligations that have to be refuted with each of them.

Where a proof runs no code but draws a conclusion from other claims, the token is one of a claim's predicate.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from impl import block_stack, history, layout, list_head, struct_page
from impl.block_stack import BlockStackPool
from impl.pool import Pool
from impl.rbtree import PageTree
from model import claims


@dataclass(frozen=True)
class Mutant:
    """In the source of `function`, `old`, which occurs once, becomes `new`; these obligations have to be refuted.

    An obligation is named by its claim, its revision and its case, without its theory.
    """

    function: Callable[..., Any]
    old: str
    new: str
    refutes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.function.__qualname__}: {self.old} → {self.new}"

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Run with the mutant in the place of its function."""
        function: Any = self.function
        source = textwrap.dedent(inspect.getsource(function))
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.old!r} has to occur once")
        tree = ast.parse(source.replace(self.old, self.new))
        definition = tree.body[0]
        assert isinstance(definition, ast.FunctionDef)
        definition.decorator_list = []
        planted: dict[str, Any] = {}
        exec(compile(tree, f"<{self.name}>", "exec"), function.__globals__, planted)
        original = function.__code__
        function.__code__ = planted[definition.name].__code__
        try:
            yield
        finally:
            function.__code__ = original


PAGE_INVARIANT = (
    "free_list_holds_the_free_blocks",
    "in_use_counts_the_live_blocks",
    "blocks_are_in_use_or_free",
    "pages_with_room_are_listed",
    "list_is_a_ring",
)


def of_a_page(case: str) -> tuple[str, ...]:
    """The obligations of a page's invariant in a case."""
    return tuple(f"{claim}/series/{case}" for claim in PAGE_INVARIANT)


def of_the_tree(case: str) -> tuple[str, ...]:
    return f"tree_is_balanced/series/{case}", f"tree_keeps_pages_in_order/series/{case}"


STAYS, FULL = claims.layout_stays_between_boundaries.holds, claims.subtree_is_full.holds

MUTANTS = (
    # The argument check.
    Mutant(layout.admit, "size > INT_MAX", "size >= INT_MAX", ("create_admits_what_is_promised/series",)),
    Mutant(
        layout.admit,
        "min(boundary, allocation)",
        "max(boundary, allocation)",
        ("admitted_geometry_is_ordered/series", "boundary_divides_the_allocation/series"),
    ),
    Mutant(layout.admit, "size < 4", "size < 3", ("admitted_geometry_fits_an_int/series",)),
    Mutant(layout.align_up, "~(align - 1)", "~(align + 1)", ("alignment_divides_size_and_boundary/series",)),
    Mutant(block_stack.admit, "size > INT_MAX", "size >= INT_MAX", ("create_admits_what_is_promised/v6.12",)),
    Mutant(
        block_stack.admit,
        "min(boundary, allocation)",
        "max(boundary, allocation)",
        ("admitted_geometry_is_ordered/v6.12", "boundary_divides_the_allocation/v6.12"),
    ),
    Mutant(block_stack.admit, "size < DMA_BLOCK", "size > DMA_BLOCK", ("admitted_geometry_fits_an_int/v6.12",)),
    Mutant(
        block_stack.admit,
        "max(size, page_size)",
        "min(size, page_size)",
        ("admitted_geometry_is_ordered/v6.12",),
    ),
    Mutant(layout.align_up, "~(align - 1)", "~(align + 1)", ("alignment_divides_size_and_boundary/v6.12",)),
    # The layout.
    Mutant(
        layout.next_block,
        "next_boundary + geometry.boundary",
        "next_boundary + geometry.size",
        ("next_boundary_is_a_multiple/series",),
    ),
    Mutant(
        layout.next_block,
        "cursor.offset + geometry.size",
        "cursor.offset * geometry.size",
        ("blocks_are_disjoint/series", "layout_ends/series", "offsets_fit_the_int_link/series"),
    ),
    Mutant(layout.next_block, "> next_boundary", "< next_boundary", ("layout_stays_between_boundaries/series",)),
    Mutant(layout.next_block, "> next_boundary", ">= next_boundary", ("no_room_is_wasted/series",)),
    Mutant(layout.first_block, "Cursor(0", "Cursor(1", ("blocks_are_aligned/series",)),
    Mutant(layout.blks_per_alloc, "(boundary // size)", "(boundary % size)", ("total_counts_the_blocks/series",)),
    Mutant(
        layout.laid_blocks,
        "yield cursor.offset, following.offset",
        "yield cursor.offset, cursor.offset",
        ("free_list_holds_the_free_blocks/series/as_laid",),
    ),
    Mutant(STAYS, "next_boundary <= geometry", "next_boundary >= geometry", ("block_lies_inside_its_page/series",)),
    Mutant(STAYS, "offset + geometry.size", "offset - geometry.size", ("no_block_crosses_a_boundary/series",)),
    Mutant(
        block_stack.goes_on,
        "<= geometry.allocation",
        ">= geometry.allocation",
        ("layout_stays_between_boundaries/v6.12", "block_lies_inside_its_page/v6.12"),
    ),
    Mutant(
        block_stack.skips,
        "> cursor.next_boundary",
        ">= cursor.next_boundary",
        ("no_room_is_wasted/v6.12", "total_counts_the_blocks/v6.12"),
    ),
    Mutant(
        block_stack.skips,
        "> cursor.next_boundary",
        "< cursor.next_boundary",
        ("no_block_crosses_a_boundary/v6.12",),
    ),
    Mutant(
        block_stack.turn,
        "cursor.next_boundary + geometry.boundary",
        "cursor.next_boundary + geometry.size",
        ("next_boundary_is_a_multiple/v6.12",),
    ),
    Mutant(
        block_stack.turn,
        "cursor.offset + geometry.size",
        "cursor.offset * geometry.size",
        ("blocks_are_disjoint/v6.12", "layout_ends/v6.12"),
    ),
    Mutant(layout.first_block, "Cursor(0", "Cursor(1", ("blocks_are_aligned/v6.12",)),
    # The tree.
    Mutant(PageTree.find, ">= self.allocation", "> self.allocation", ("lookup_finds_the_page_of_an_address/series",)),
    Mutant(
        history.OriginalPool._find_page,
        "< self.geometry",
        "<= self.geometry",
        ("lookup_finds_the_page_of_an_address/v6.1",),
    ),
    Mutant(
        BlockStackPool._find_page,
        "< self.geometry",
        "<= self.geometry",
        ("lookup_finds_the_page_of_an_address/v6.12",),
    ),
    Mutant(PageTree.find, "return None", "return self", ("lookup_finds_the_page_of_an_address/series/empty_tree",)),
    Mutant(PageTree.insert, "page.dma < node.dma", "page.dma > node.dma", ("tree_keeps_pages_in_order/series",)),
    Mutant(
        PageTree.insert,
        "while",
        "if",
        (
            "tree_keeps_pages_in_order/series",
            "insertion_keeps_pages_disjoint/series",
            "insertion_keeps_pages_disjoint/checked",
        ),
    ),
    Mutant(
        PageTree.insert,
        "(parent, side), page",
        "(parent, side), parent",
        ("tree_keeps_pages_in_order/series/first_page",),
    ),
    Mutant(PageTree.insert, ">= self.allocation", "> self.allocation", ("insertion_keeps_pages_disjoint/series",)),
    Mutant(
        PageTree.insert,
        "node.dma - page.dma < self",
        "node.dma - page.dma > self",
        ("insertion_keeps_pages_disjoint/checked",),
    ),
    Mutant(PageTree._rotate, "(node, 1 - side)", "(node, side)", ("tree_keeps_pages_in_order/series/rotation",)),
    Mutant(PageTree._repair_red, "(grandparent, 1 - side)", "(grandparent, side)", of_the_tree("insert_turn")),
    Mutant(PageTree._repair_red, "uncle.red = False", "uncle.red = True", of_the_tree("insert_turn")),
    Mutant(PageTree._repair_black, "far.red = False", "far.red = True", of_the_tree("erase_turn")),
    Mutant(PageTree._repair_black, "(sibling, 1 - side)", "(sibling, side)", of_the_tree("erase_turn")),
    Mutant(PageTree.erase, "only_child.red = False", "only_child.red = True", of_the_tree("erase")),
    Mutant(PageTree._exchange, "(page, LEFT), None", "(page, LEFT), left", of_the_tree("erase")),
    Mutant(
        PageTree._repair_black, "parent is None", "parent is not None", ("tree_is_balanced/series/erase_at_the_root",)
    ),
    Mutant(PageTree._rebalance, "while", "if", ("tree_is_balanced/series/insert_loop",)),
    Mutant(PageTree.erase, "while", "if", ("tree_is_balanced/series/erase_loop",)),
    Mutant(FULL, "<= 2 * black_height", "<= 1 * black_height", ("subtree_is_full/series",)),
    Mutant(FULL, "pages + 1", "pages + 0", ("subtree_is_full/series/empty",)),
    Mutant(FULL, "pages + 1", "pages + 2", ("tree_height_is_logarithmic/series",)),
    Mutant(claims.free_compares_few_addresses.holds, "* (pages", "+ (pages", ("free_compares_few_addresses/series",)),
    Mutant(
        PageTree._leftmost, "child[LEFT] is not", "child[RIGHT] is not", ("walk_follows_the_order/series/first_page",)
    ),
    Mutant(PageTree._leftmost, "while", "if", ("walk_follows_the_order/series/first_page",)),
    Mutant(PageTree._next, "while", "if", ("walk_follows_the_order/series/next_page",)),
    Mutant(PageTree._next, "_leftmost", "_deepest", ("walk_follows_the_order/series/next_page",)),
    Mutant(PageTree._next, "parent.child[RIGHT]", "parent.child[LEFT]", ("walk_follows_the_order/series/next_page",)),
    Mutant(PageTree.__iter__, "_leftmost", "_next", ("walk_follows_the_order/series/all_pages",)),
    Mutant(
        PageTree._deepest,
        "else node.child[RIGHT]",
        "else node.child[LEFT]",
        ("destroy_reads_no_freed_page/series/first_page",),
    ),
    Mutant(PageTree.__iter__, "_leftmost", "_deepest", ("walk_follows_the_order/series/all_pages",)),
    Mutant(PageTree._deepest, "while", "if", ("destroy_reads_no_freed_page/series/first_page",)),
    Mutant(PageTree._next_postorder, "_deepest", "_leftmost", ("destroy_reads_no_freed_page/series/next_page",)),
    Mutant(PageTree._next_postorder, "== LEFT", "== RIGHT", ("destroy_reads_no_freed_page/series/next_page",)),
    Mutant(PageTree.postorder, "_deepest", "_next_postorder", ("destroy_reads_no_freed_page/series/all_pages",)),
    # The pool.
    Mutant(
        Pool.alloc, ">= self.geometry", "> self.geometry", (*of_a_page("alloc"), *of_a_page("alloc_with_a_new_page"))
    ),
    Mutant(Pool.alloc, "in_use += 1", "in_use -= 1", (*of_a_page("alloc"), *of_a_page("alloc_with_a_new_page"))),
    Mutant(
        Pool.alloc,
        ">= self.geometry",
        "> self.geometry",
        ("block_starts_in_a_page/series/alloc", "block_starts_in_a_page/series/alloc_with_a_new_page"),
    ),
    Mutant(Pool.free, "page.offset = offset", "page.offset = vaddr", ("block_starts_in_a_page/series/free",)),
    Mutant(Pool.free, "in_use - 1", "in_use + 1", of_a_page("free")),
    Mutant(Pool.free, "page.offset = offset", "page.offset = vaddr", of_a_page("free")),
    Mutant(Pool.free, "offset, page.offset", "offset, offset", ("freed_block_is_filled/series/link",)),
    Mutant(list_head.list_add, "head.next = link", "head.prev = link", ("list_is_a_ring/series/protocol",)),
    Mutant(
        list_head.list_del_init,
        "link.next.prev = link.prev",
        "link.next.prev = link.next",
        ("list_is_a_ring/series/protocol",),
    ),
    Mutant(
        list_head.list_del_init, "link.next = link.prev = link", "link.next = link", ("list_is_a_ring/series/protocol",)
    ),
    Mutant(Pool._is_refused, "left > 0", "left > 1", ("double_free_is_refused/series",)),
    Mutant(Pool._longest_free_list, "- page.in_use", "+ page.in_use", ("double_free_is_refused/series/longest_list",)),
    Mutant(Pool._fill_freed, "return False", "return True", ("refused_free_changes_nothing/series",)),
    Mutant(
        Pool._fill_freed,
        "POOL_POISON_FREED",
        "POOL_POISON_ALLOCATED",
        ("freed_block_is_filled/series", "patch_06_keeps_the_freed_block/series"),
    ),
    Mutant(
        Pool._fill_allocated,
        "zero or",
        "zero and",
        ("allocated_block_is_filled/series", "patch_07_keeps_what_the_driver_sees/series"),
    ),
    Mutant(Pool._fill_allocated, "not want_zero", "not zero", ("block_is_filled_once/series",)),
    Mutant(Pool._page_with_room, "list.next", "list.prev", ("alloc_touches_few_pages/series",)),
    Mutant(
        Pool.alloc,
        "page is None:",
        "page is not None:",
        ("pages_are_bounded_by_the_demand/series", "pages_are_bounded_by_the_demand/series/reached"),
    ),
    Mutant(Pool._free_page, "if page.in_use", "if not page.in_use", ("destroy_leaks_exactly_the_busy_pages/series",)),
    Mutant(Pool._give_back, "if self.debug", "if not self.debug", ("destroy_leaks_exactly_the_busy_pages/series",)),
    Mutant(history.TidiedPool._free_page, "if page.in_use", "if not page.in_use", ("patch_08_changes_nothing/series",)),
    # The stack of the merged rewrite.
    Mutant(
        BlockStackPool._pop,
        "nr_active + 1",
        "nr_active - 1",
        ("in_use_counts_the_live_blocks/v6.12/alloc",),
    ),
    Mutant(
        BlockStackPool._pop,
        "block != NULL",
        "block == NULL",
        (
            "allocated_block_was_free/v6.12",
            "free_list_holds_the_free_blocks/v6.12/alloc",
            "alloc_fails_only_without_memory/v6.12",
        ),
    ),
    Mutant(
        BlockStackPool._push, "next_block = block", "next_block = dma", ("free_list_holds_the_free_blocks/v6.12/free",)
    ),
    Mutant(BlockStackPool.free, "nr_active - 1", "nr_active + 1", ("in_use_counts_the_live_blocks/v6.12/free",)),
    Mutant(
        BlockStackPool._initialise_page, "nr_blocks += 1", "nr_blocks -= 1", ("total_counts_the_blocks/v6.12/new_page",)
    ),
    Mutant(BlockStackPool._is_free, "block == vaddr", "block != vaddr", ("double_free_is_refused/v6.12",)),
    Mutant(
        BlockStackPool.free,
        "if self.debug",
        "if not self.debug",
        ("refused_free_changes_nothing/v6.12",),
    ),
    Mutant(
        struct_page.page_frame, "vaddr - PAGE_OFFSET", "vaddr + PAGE_OFFSET", ("virtual_address_names_the_page/v4",)
    ),
)
