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
        "        list_del_init(page.avail_page_link)",
        "        pass",
        hunted=("pages_with_room_are_listed", "pool_stays_in_its_memory"),
    ),
    Mutant(
        "page_with_room_not_listed_again",
        "impl/pool.py",
        "        if list_empty(page.avail_page_link):\n",
        "        if not list_empty(page.avail_page_link):\n",
        hunted=("pages_with_room_are_listed",),
    ),
    Mutant(
        "link_not_initialised_again",
        "impl/list_head.py",
        "    link.next = link.prev = link\n",
        "",
        hunted=("pages_with_room_are_listed",),
    ),
    Mutant(
        "rotation_forgets_the_inner_parent",
        "impl/rbtree.py",
        "            inner.parent = node\n",
        "            pass\n",
        proofs=("insertion_keeps_pages_in_order",),
        hunted=("tree_is_balanced", "operations_end"),
    ),
    Mutant(
        "rotation_to_the_wrong_side",
        "impl/rbtree.py",
        "self._rotate(grandparent, 1 - side)",
        "self._rotate(grandparent, side)",
        hunted=("tree_is_balanced", "insertion_keeps_pages_in_order", "pool_stays_in_its_memory"),
    ),
    Mutant(
        "grandparent_stays_black",
        "impl/rbtree.py",
        "            parent.red = False\n            grandparent.red = True\n",
        "            parent.red = False\n",
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
        "            if page.dma < node.dma:\n                side = LEFT",
        "            if page.dma < node.dma:\n                side = RIGHT",
        proofs=("insertion_keeps_pages_in_order",),
        hunted=("insertion_keeps_pages_in_order", "free_list_holds_the_free_blocks", "in_use_counts_the_live_blocks"),
    ),
    Mutant(
        "freed_block_still_counted",
        "impl/pool.py",
        "        page.in_use -= 1\n",
        "",
        hunted=("in_use_counts_the_live_blocks",),
    ),
    Mutant(
        "freed_block_not_linked",
        "impl/pool.py",
        "        page.offset = offset\n",
        "",
        hunted=("free_list_holds_the_free_blocks",),
    ),
    Mutant(
        "busy_pages_given_back",
        "impl/pool.py",
        "                continue\n",
        "",
        hunted=("destroy_leaks_exactly_the_busy_pages",),
    ),
    Mutant(
        "poison_instead_of_zero",
        "impl/pool.py",
        "            if not want_zero:\n                self._fill(page, offset, POOL_POISON_ALLOCATED)\n        if want_zero:",
        "            self._fill(page, offset, POOL_POISON_ALLOCATED)\n        elif want_zero:",
        hunted=("allocated_block_is_filled",),
    ),
    Mutant(
        "first_block_at_the_boundarys_end",
        "impl/layout.py",
        "    return Cursor(0, unsigned_int(geometry.boundary))",
        "    return Cursor(geometry.boundary - geometry.size, unsigned_int(geometry.boundary))",
        proofs=("no_room_is_wasted", "total_counts_the_blocks"),
        hunted=("free_list_holds_the_free_blocks", "no_room_is_wasted", "total_counts_the_blocks"),
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
        "        page.offset = FREE_LINK.unpack_from(page.data, offset)[0]\n",
        "        page.offset = offset\n",
        hunted=("free_list_holds_the_free_blocks", "allocated_block_was_free", "blocks_are_disjoint"),
    ),
    Mutant(
        "freed_block_not_poisoned",
        "impl/pool.py",
        "                return\n            self._fill(page, offset, POOL_POISON_FREED)\n",
        "                return\n",
        hunted=("freed_block_is_filled", "reports_are_the_kernels"),
    ),
    Mutant(
        "fill_reaches_the_next_block",
        "impl/pool.py",
        "        page.data[offset : offset + self.geometry.size] = bytes([byte]) * self.geometry.size\n",
        "        end = min(offset + self.geometry.size + 1, self.geometry.allocation)\n"
        "        page.data[offset:end] = bytes([byte]) * (end - offset)\n",
        hunted=("live_block_is_left_alone", "free_list_holds_the_free_blocks"),
    ),
    Mutant(
        "name_one_character_too_long",
        "impl/pool.py",
        "name[:31]",
        "name[:32]",
        hunted=("reports_are_the_kernels",),
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
