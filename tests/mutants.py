"""Seeded bugs: one small change of impl/ each, and the claims that have to break.

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
    """Replace `old`, which occurs once, by `new`. `proofs` are claims that the prover must refute, `hunted` ones that the
    state machine must see broken; either may be empty, but not both."""

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
        "impl/page_list.py",
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
)


def plant(mutant: Mutant, folder: Path) -> None:
    """Copy the repository's Python into `folder`, with the mutant in it."""
    for package in ("model", "impl", "proofs", "tests"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
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
