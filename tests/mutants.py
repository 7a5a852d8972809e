"""Seeded bugs: one small change of impl/ each, and the claims that break.

A mutant is tried in a copy of the repository, so that what notices it is exactly what would notice a mistake of ours.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Mutant:
    """Replace `old`, which occurs once, by `new`. The prover must refute every claim of `proofs`, and the state machine
    must see at least one of `hunted` broken: which one it meets first is a matter of luck."""

    name: str
    file: str
    old: str
    new: str
    proofs: tuple[str, ...] = ()
    hunted: tuple[str, ...] = ()
    revision: str = "series"


MUTANTS = (
    Mutant(
        "comparison_of_v6_1",
        "impl/layout.py",
        "unsigned_int(offset + geometry.size) > next_boundary",
        "unsigned_int(offset + geometry.size) >= next_boundary",
        proofs=("no_room_is_wasted",),
        hunted=("no_room_is_wasted", "total_counts_the_blocks", "free_list_holds_the_free_blocks"),
    ),
    Mutant(
        "boundary_not_clipped",
        "impl/layout.py",
        "boundary = min(boundary, allocation)",
        "pass",
        proofs=("admitted_geometry_is_ordered", "boundary_divides_the_allocation"),
        hunted=("block_lies_inside_its_page", "pool_stays_in_its_memory", "free_list_holds_the_free_blocks"),
    ),
    Mutant(
        "size_not_rounded_up",
        "impl/layout.py",
        "size = align_up(size, align)",
        "pass",
        proofs=("alignment_divides_size_and_boundary", "create_admits_what_is_promised"),
        hunted=("blocks_are_aligned", "reports_are_the_kernels", "create_admits_what_is_promised"),
    ),
    Mutant(
        "statistic_of_v6_1",
        "impl/layout.py",
        "return unsigned_int(size_t((allocation // boundary) * (boundary // size)) + (allocation % boundary) // size)",
        "return allocation // size",
        proofs=("total_counts_the_blocks",),
        hunted=("total_counts_the_blocks",),
    ),
    Mutant(
        "full_page_stays_listed",
        "impl/pool.py",
        "    def _page_is_full(self, page: Page) -> None:\n        list_del_init(page.avail_page_link)",
        "    def _page_is_full(self, page: Page) -> None:\n        pass",
        proofs=("pages_with_room_are_listed",),
        hunted=("pages_with_room_are_listed", "pool_stays_in_its_memory"),
    ),
    Mutant(
        "page_with_room_not_listed_again",
        "impl/pool.py",
        "        if list_empty(page.avail_page_link):\n",
        "        if not list_empty(page.avail_page_link):\n",
        proofs=(
            "pages_with_room_are_listed",
            "list_is_a_ring",
        ),
        hunted=("pages_with_room_are_listed",),
    ),
    Mutant(
        "link_not_initialised_again",
        "impl/list_head.py",
        "    link.next = link.prev = link\n",
        "",
        proofs=("list_is_a_ring",),
        hunted=("pages_with_room_are_listed",),
    ),
    Mutant(
        "rotation_forgets_the_inner_parent",
        "impl/rbtree.py",
        "        if node is not None:\n            node.parent = parent\n",
        "        if node is not None and parent is not None:\n            node.parent = parent\n",
        proofs=("tree_keeps_pages_in_order", "tree_is_balanced"),
        hunted=("tree_is_balanced", "operations_end"),
    ),
    Mutant(
        "rotation_to_the_wrong_side",
        "impl/rbtree.py",
        "self._rotate(grandparent, 1 - side)",
        "self._rotate(grandparent, side)",
        proofs=("tree_is_balanced",),
        hunted=("tree_is_balanced", "tree_keeps_pages_in_order", "pool_stays_in_its_memory"),
    ),
    Mutant(
        "grandparent_stays_black",
        "impl/rbtree.py",
        "        parent.red = False\n        grandparent.red = True\n",
        "        parent.red = False\n",
        proofs=("tree_is_balanced",),
        hunted=("tree_is_balanced",),
    ),
    Mutant(
        "lookup_one_byte_too_far",
        "impl/rbtree.py",
        "elif dma - node.dma >= self.allocation:",
        "elif dma - node.dma > self.allocation:",
        proofs=("lookup_finds_the_page_of_an_address",),
        hunted=("lookup_finds_the_page_of_an_address",),
    ),
    Mutant(
        "lookup_misses_the_first_byte",
        "impl/rbtree.py",
        "            if dma < node.dma:",
        "            if dma <= node.dma:",
        proofs=("lookup_finds_the_page_of_an_address",),
        hunted=(
            "lookup_finds_the_page_of_an_address",
            "free_list_holds_the_free_blocks",
            "in_use_counts_the_live_blocks",
        ),
    ),
    Mutant(
        "insertion_to_the_wrong_side",
        "impl/rbtree.py",
        "                    return node\n                side = LEFT",
        "                    return node\n                side = RIGHT",
        proofs=("tree_keeps_pages_in_order",),
        hunted=("tree_keeps_pages_in_order", "free_list_holds_the_free_blocks", "in_use_counts_the_live_blocks"),
    ),
    Mutant(
        "freed_block_still_counted",
        "impl/pool.py",
        "        page.in_use -= 1\n",
        "",
        proofs=(
            "in_use_counts_the_live_blocks",
            "blocks_are_in_use_or_free",
        ),
        hunted=("in_use_counts_the_live_blocks",),
    ),
    Mutant(
        "freed_block_not_linked",
        "impl/pool.py",
        "        page.offset = offset\n",
        "",
        proofs=("free_list_holds_the_free_blocks",),
        hunted=("free_list_holds_the_free_blocks",),
    ),
    Mutant(
        "busy_pages_given_back",
        "impl/pool.py",
        "        else:\n            self._give_back(page)\n",
        "        self._give_back(page)\n",
        proofs=("destroy_leaks_exactly_the_busy_pages",),
        hunted=("destroy_leaks_exactly_the_busy_pages",),
    ),
    Mutant(
        "poison_instead_of_zero",
        "impl/pool.py",
        "        if want_zero:\n",
        "        if want_zero and not self.debug:\n",
        proofs=("allocated_block_is_filled", "patch_07_keeps_what_the_driver_sees"),
        hunted=("allocated_block_is_filled",),
    ),
    Mutant(
        "first_block_at_the_boundarys_end",
        "impl/layout.py",
        "    return Cursor(0, unsigned_int(geometry.boundary))",
        "    return Cursor(geometry.boundary - geometry.size, unsigned_int(geometry.boundary))",
        proofs=("no_room_is_wasted", "total_counts_the_blocks"),
        hunted=(
            "free_list_holds_the_free_blocks",
            "no_room_is_wasted",
            "total_counts_the_blocks",
            "reports_are_the_kernels",
        ),
    ),
    Mutant(
        "block_smaller_than_its_link",
        "impl/layout.py",
        "        size = 4  # a free block holds the link to the next one",
        "        pass",
        proofs=("admitted_geometry_fits_an_int", "create_admits_what_is_promised"),
        hunted=("reports_are_the_kernels", "total_counts_the_blocks", "pool_stays_in_its_memory"),
    ),
    Mutant(
        "boundary_ignored",
        "impl/layout.py",
        "    if unsigned_int(offset + geometry.size) > next_boundary:",
        "    if offset == next_boundary:",
        proofs=("layout_stays_between_boundaries",),
        hunted=("free_list_holds_the_free_blocks", "no_block_crosses_a_boundary"),
    ),
    Mutant(
        "boundary_raised_by_a_block",
        "impl/layout.py",
        "unsigned_int(next_boundary + geometry.boundary)",
        "unsigned_int(next_boundary + geometry.size)",
        proofs=("next_boundary_is_a_multiple", "total_counts_the_blocks"),
        hunted=("free_list_holds_the_free_blocks", "no_block_crosses_a_boundary"),
    ),
    Mutant(
        "blocks_share_a_byte",
        "impl/layout.py",
        "    offset = unsigned_int(cursor.offset + geometry.size)\n",
        "    offset = unsigned_int(cursor.offset + geometry.size - 1)\n",
        proofs=("blocks_are_disjoint", "blocks_are_aligned"),
        hunted=("free_list_holds_the_free_blocks", "blocks_are_disjoint"),
    ),
    Mutant(
        "next_block_is_the_same",
        "impl/layout.py",
        "    offset = unsigned_int(cursor.offset + geometry.size)\n",
        "    offset = unsigned_int(cursor.offset)\n",
        proofs=("layout_ends",),
        hunted=("layout_ends",),
    ),
    Mutant(
        "one_block_past_the_page",
        "impl/layout.py",
        "    return cursor.offset < geometry.allocation\n",
        "    return cursor.offset <= geometry.allocation\n",
        proofs=("layout_stays_between_boundaries",),
        hunted=("pool_stays_in_its_memory",),
    ),
    Mutant(
        "list_ends_with_minus_one",
        "impl/layout.py",
        "    return Cursor(offset, next_boundary)\n",
        "    return Cursor(offset if offset < geometry.allocation else 2**32 - 1, next_boundary)\n",
        proofs=("offsets_fit_the_int_link",),
    ),
    Mutant(
        "lookup_skips_a_level",
        "impl/rbtree.py",
        "                node = node.child[LEFT]\n            elif dma - node.dma",
        "                node = node.child[LEFT] and (node.child[LEFT].child[LEFT] or node.child[LEFT])\n"
        "            elif dma - node.dma",
        proofs=("lookup_finds_the_page_of_an_address",),
        hunted=(
            "lookup_finds_the_page_of_an_address",
            "free_list_holds_the_free_blocks",
            "in_use_counts_the_live_blocks",
        ),
    ),
    Mutant(
        "lookup_changes_the_address",
        "impl/rbtree.py",
        "                node = node.child[RIGHT]\n            else:\n                return node\n        return None",
        "                node = node.child[RIGHT]\n                dma += 1\n"
        "            else:\n                return node\n        return None",
        proofs=("lookup_finds_the_page_of_an_address",),
        hunted=("lookup_finds_the_page_of_an_address",),
    ),
    Mutant(
        "overlapping_page_inserted",
        "impl/rbtree.py",
        "            else:\n                return node\n            node = node.child[side]",
        "            else:\n                side = RIGHT\n            node = node.child[side]",
        proofs=("insertion_keeps_pages_disjoint",),
        hunted=("insertion_keeps_pages_disjoint",),
    ),
    Mutant(
        "overlapping_page_used",
        "impl/pool.py",
        "            return False\n        list_add",
        "            return True\n        list_add",
        hunted=("insertion_keeps_pages_disjoint",),
    ),
    Mutant(
        "list_linked_one_way",
        "impl/list_head.py",
        "    head.next.prev = link\n",
        "",
        hunted=("pages_with_room_are_listed", "pool_stays_in_its_memory"),
    ),
    Mutant(
        "every_second_block_withheld",
        "impl/pool.py",
        "        return page.vaddr + offset, page.dma + offset\n",
        "        return None if page.in_use == 2 else (page.vaddr + offset, page.dma + offset)\n",
        hunted=("alloc_fails_only_without_memory",),
    ),
    Mutant(
        "block_handed_out_again",
        "impl/pool.py",
        "        page.offset = page.link(offset)\n",
        "        page.offset = offset\n",
        proofs=("free_list_holds_the_free_blocks",),
        hunted=("free_list_holds_the_free_blocks", "allocated_block_was_free", "blocks_are_disjoint"),
    ),
    Mutant(
        "freed_block_not_poisoned",
        "impl/pool.py",
        "                return False\n            page.fill(offset, self.geometry.size, POOL_POISON_FREED)\n",
        "                return False\n",
        proofs=("freed_block_is_filled", "patch_06_keeps_the_freed_block"),
        hunted=("freed_block_is_filled", "reports_are_the_kernels"),
    ),
    Mutant(
        "fill_reaches_the_next_block",
        "impl/pool.py",
        "        self.data[offset : offset + nbytes] = bytes([byte]) * nbytes\n",
        "        end = min(offset + nbytes + 1, len(self.data))\n"
        "        self.data[offset:end] = bytes([byte]) * (end - offset)\n",
        hunted=("live_block_is_left_alone", "free_list_holds_the_free_blocks"),
    ),
    Mutant(
        "name_one_character_too_long",
        "impl/pool.py",
        "name[:31]",
        "name[:32]",
        hunted=("reports_are_the_kernels",),
    ),
    Mutant(
        "red_child_of_an_erased_page_stays_red",
        "impl/rbtree.py",
        "            only_child.red = False  # it",
        "            pass  # it",
        proofs=("tree_is_balanced",),
    ),
    Mutant(
        "erase_forgets_the_far_nephew",
        "impl/rbtree.py",
        "        parent.red = far.red = False\n",
        "        parent.red = False\n",
        proofs=("tree_is_balanced",),
    ),
    Mutant(
        "following_page_keeps_its_colour",
        "impl/rbtree.py",
        "        page.red, following.red = following.red, page.red\n",
        "",
        proofs=("tree_is_balanced",),
    ),
    Mutant(
        "subtree_with_a_page_less",
        "model/claims.py",
        "pages + 1 >= 2**black_height",
        "pages + 2 >= 2**black_height",
        proofs=("tree_height_is_logarithmic", "subtree_is_full"),
    ),
    Mutant(
        "page_that_is_full_is_passed_over",
        "impl/pool.py",
        "        page: Page | None = self.avail_page_list.next.owner  # an",
        "        page: Page | None = self.avail_page_list.next.next.next.owner  # an",
        proofs=("alloc_touches_few_pages",),
    ),
    Mutant(
        "walk_ends_at_the_root",
        "impl/rbtree.py",
        "        while node.parent is not None and node is node.parent.child[RIGHT]:\n",
        "        while node.parent is not None and node is node.parent.child[LEFT]:\n",
        proofs=("walk_follows_the_order",),
        hunted=("reports_are_the_kernels", "in_use_counts_the_live_blocks", "lookup_finds_the_page_of_an_address"),
    ),
    Mutant(
        "page_is_read_after_it_was_freed",
        "impl/rbtree.py",
        "            following = self._next_postorder(node)\n            yield node\n",
        "            yield node\n            following = self._next_postorder(node)\n",
        proofs=("destroy_reads_no_freed_page",),
    ),
    Mutant(
        "search_misses_the_last_free_block",
        "impl/pool.py",
        "        while left > 0 and chain < self.geometry.allocation:\n",
        "        while left > 1 and chain < self.geometry.allocation:\n",
        proofs=("double_free_is_refused",),
        hunted=("reports_are_the_kernels", "freed_block_is_filled"),
    ),
    Mutant(
        "fill_before_the_free_is_refused",
        "impl/pool.py",
        "        if self.debug:\n            if self._is_refused",
        "        if self.init_on_free:\n            page.fill(offset, self.geometry.size, 0)\n"
        "        if self.debug:\n            if self._is_refused",
        proofs=("refused_free_changes_nothing",),
        hunted=("reports_are_the_kernels", "free_list_holds_the_free_blocks", "live_block_is_left_alone"),
    ),
    Mutant(
        "two_pages_for_one_block",
        "impl/pool.py",
        "            page = self._alloc_page()\n",
        "            self._alloc_page()\n            page = self._alloc_page()\n",
        proofs=("pages_are_bounded_by_the_demand",),
    ),
    Mutant(
        "poison_before_zeros",
        "impl/pool.py",
        "            if not want_zero:\n",
        "            if not zero:\n",
        proofs=("block_is_filled_once",),
    ),
    Mutant(
        "busy_page_is_reported_after_patch_08_only",
        "impl/history.py",
        "    def _free_page(self, page: Page) -> None:\n        if page.in_use:\n",
        "    def _free_page(self, page: Page) -> None:\n        if page.in_use > 1:\n",
        proofs=("patch_08_changes_nothing",),
    ),
    Mutant(
        "pages_compared_twice_a_level",
        "model/claims.py",
        "return bool(2**compared <= (pages + 1) * (pages + 1))",
        "return bool(2**compared <= pages + 1)",
        proofs=("free_compares_few_addresses",),
    ),
    *(
        Mutant(f"v6_12_{name}", "impl/block_stack.py", old, new, proofs, hunted, "v6.12")
        for name, old, new, proofs, hunted in (
            (
                "size_not_rounded_up",
                "    size = align_up(size, align)\n",
                "",
                ("alignment_divides_size_and_boundary", "create_admits_what_is_promised"),
                ("blocks_are_aligned", "reports_are_the_kernels", "create_admits_what_is_promised"),
            ),
            (
                "boundary_not_clipped",
                "    boundary = min(boundary, allocation)\n",
                "",
                ("admitted_geometry_is_ordered", "boundary_divides_the_allocation"),
                (),
            ),
            (
                "block_smaller_than_its_link",
                "        size = DMA_BLOCK.size\n",
                "        size = 8\n",
                ("admitted_geometry_fits_an_int",),
                ("reports_are_the_kernels", "total_counts_the_blocks", "pool_stays_in_its_memory", "operations_end"),
            ),
            (
                "last_block_of_a_page_not_laid",
                "    return unsigned_int(cursor.offset + geometry.size) <= geometry.allocation\n",
                "    return unsigned_int(cursor.offset + geometry.size) < geometry.allocation\n",
                ("no_room_is_wasted", "total_counts_the_blocks"),
                ("total_counts_the_blocks", "no_room_is_wasted", "pool_stays_in_its_memory"),
            ),
            (
                "goes_on_up_to_the_end",
                "    return unsigned_int(cursor.offset + geometry.size) <= geometry.allocation\n",
                "    return cursor.offset <= geometry.allocation\n",
                ("block_lies_inside_its_page",),
                (),
            ),
            (
                "comparison_of_v6_1",
                "    return unsigned_int(cursor.offset + geometry.size) > cursor.next_boundary\n",
                "    return unsigned_int(cursor.offset + geometry.size) >= cursor.next_boundary\n",
                ("no_room_is_wasted",),
                ("total_counts_the_blocks", "no_room_is_wasted", "pool_stays_in_its_memory"),
            ),
            (
                "boundary_ignored",
                "    return unsigned_int(cursor.offset + geometry.size) > cursor.next_boundary\n",
                "    return cursor.offset == cursor.next_boundary\n",
                ("layout_stays_between_boundaries", "no_block_crosses_a_boundary"),
                ("no_block_crosses_a_boundary", "total_counts_the_blocks"),
            ),
            (
                "boundary_raised_by_a_block",
                "unsigned_int(cursor.next_boundary + geometry.boundary)",
                "unsigned_int(cursor.next_boundary + geometry.size)",
                ("next_boundary_is_a_multiple",),
                ("no_block_crosses_a_boundary", "total_counts_the_blocks", "allocated_block_was_free"),
            ),
            (
                "blocks_share_a_byte",
                "Cursor(unsigned_int(cursor.offset + geometry.size), cursor.next_boundary)",
                "Cursor(unsigned_int(cursor.offset + geometry.size - 1), cursor.next_boundary)",
                ("blocks_are_disjoint", "blocks_are_aligned"),
                ("blocks_are_disjoint", "blocks_are_aligned", "total_counts_the_blocks", "allocated_block_was_free"),
            ),
            (
                "next_block_is_the_same",
                "Cursor(unsigned_int(cursor.offset + geometry.size), cursor.next_boundary)",
                "Cursor(cursor.offset, cursor.next_boundary)",
                ("layout_ends",),
                ("layout_ends",),
            ),
            (
                "allocated_block_not_counted",
                "            self.nr_active = size_t(self.nr_active + 1)\n",
                "",
                ("in_use_counts_the_live_blocks",),
                ("in_use_counts_the_live_blocks",),
            ),
            (
                "freed_block_still_counted",
                "        self.nr_active = size_t(self.nr_active - 1)\n",
                "",
                ("in_use_counts_the_live_blocks",),
                ("in_use_counts_the_live_blocks",),
            ),
            (
                "block_stays_on_the_stack",
                "            self.next_block, _ = self._read_block(block)\n",
                "",
                ("free_list_holds_the_free_blocks",),
                ("allocated_block_was_free", "blocks_are_disjoint", "block_lies_inside_its_page"),
            ),
            (
                "freed_block_lies_below_itself",
                "        self._write_block(block, self.next_block, dma)\n        self.next_block = block\n",
                "        self.next_block = block\n        self._write_block(block, self.next_block, dma)\n",
                ("free_list_holds_the_free_blocks",),
                ("allocated_block_was_free", "blocks_are_disjoint", "block_lies_inside_its_page"),
            ),
            (
                "what_was_freed_meanwhile_is_lost",
                "        self._write_block(last, self.next_block, page.dma",
                "        self._write_block(last, NULL, page.dma",
                ("free_list_holds_the_free_blocks",),
                (),
            ),
            (
                "every_block_at_the_pages_dma_address",
                "self._write_block(last, block, page.dma + (last - page.vaddr))",
                "self._write_block(last, block, page.dma)",
                ("allocated_block_was_free",),
                ("allocated_block_was_free", "blocks_are_disjoint"),
            ),
            (
                "laid_block_not_counted",
                "            self.nr_blocks += 1\n",
                "            self.nr_blocks = 1\n",
                ("total_counts_the_blocks",),
                ("total_counts_the_blocks",),
            ),
            (
                "walk_misses_the_top",
                "            if block == vaddr:\n",
                "            if block == vaddr and followed:\n",
                ("double_free_is_refused",),
                ("reports_are_the_kernels", "in_use_counts_the_live_blocks"),
            ),
            (
                "fill_before_the_free_is_refused",
                "            if self._block_err(vaddr, dma):\n                return\n"
                "            self._fill(vaddr, POOL_POISON_FREED)\n",
                "            self._fill(vaddr, POOL_POISON_FREED)\n"
                "            if self._block_err(vaddr, dma):\n                return\n",
                ("refused_free_changes_nothing",),
                ("live_block_is_left_alone", "pool_stays_in_its_memory", "reports_are_the_kernels"),
            ),
            (
                "new_page_serves_the_next_caller_only",
                "            self._initialise_page(page)\n",
                "            self._initialise_page(page)\n            return None\n",
                ("alloc_fails_only_without_memory",),
                ("alloc_fails_only_without_memory",),
            ),
            (
                "busy_pages_given_back",
                '            self._error(f"dma_pool_destroy {self.name} busy")\n            return\n',
                '            self._error(f"dma_pool_destroy {self.name} busy")\n',
                (),
                ("destroy_leaks_exactly_the_busy_pages",),
            ),
            (
                "allocated_block_not_zeroed",
                "        if want_zero:\n            self._fill(block, 0)\n",
                "        if zero:\n            self._fill(block, 0)\n",
                (),
                ("allocated_block_is_filled",),
            ),
            (
                "freed_block_not_poisoned",
                "            self._fill(vaddr, POOL_POISON_FREED)\n",
                "",
                (),
                ("freed_block_is_filled", "reports_are_the_kernels"),
            ),
        )
    ),
    Mutant(
        "v4_forgets_where_the_linear_map_begins",
        "impl/struct_page.py",
        "    return size_t(vaddr - PAGE_OFFSET) // page_size\n",
        "    return size_t(vaddr) // page_size\n",
        proofs=("virtual_address_names_the_page",),
        revision="v4",
    ),
)


def copy_to(folder: Path) -> None:
    """Copy the repository's Python into `folder`."""
    for package in ("model", "impl", "proofs", "tests"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))


def plant(mutant: Mutant, folder: Path) -> None:
    """Copy the repository's Python into `folder`, with the mutant in it."""
    copy_to(folder)
    file = folder / mutant.file
    source = file.read_text()
    assert source.count(mutant.old) == 1, f"{mutant.name}: {mutant.old!r} has to occur once in {mutant.file}"
    file.write_text(source.replace(mutant.old, mutant.new))


def run(folder: Path, *module: str) -> tuple[int, str]:
    """Exit status and output of `python -m module` on the copy."""
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutants", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", *module]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
