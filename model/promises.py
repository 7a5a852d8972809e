"""What the revisions of the pool promise differently, as a driver or a device notices it. All else they promise alike.

A pool is *out of contract* once a driver or a device has broken the rules unnoticed: a block freed twice, the
middle of a block freed, the link in a free block overwritten. No more is promised of it then than the claims that it still
`keeps`, for as long as it reads and writes only its pages: where it leaves them, the Python fails, and nothing is said of
what C does then.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from model.claims import (
    Claim,
    allocated_block_is_filled,
    block_lies_inside_its_page,
    block_starts_in_a_page,
    create_admits_what_is_promised,
    debug_is_on_where_it_was,
    destroy_leaks_exactly_the_busy_pages,
    free_list_of_wrong_length_is_refused,
    insertion_keeps_pages_disjoint,
    locking_rules_are_kept,
    no_room_is_wasted,
    operations_end,
    refused_free_changes_nothing,
    reports_are_the_kernels,
    total_counts_the_blocks,
)
from model.geometry import SMALLEST_BLOCK, counted

ALWAYS_KEPT = frozenset({locking_rules_are_kept, total_counts_the_blocks})
KEPT_BY_THE_SERIES = ALWAYS_KEPT | {operations_end, block_starts_in_a_page}


@dataclass(frozen=True)
class Promises:
    """The defaults are the series'."""

    like: str = "series"  # the revision of impl/ that keeps its free blocks alike
    smallest_block: int = SMALLEST_BLOCK  # bytes: what a free block holds for the pool
    lays_up_to_the_boundary: bool = (
        True  # otherwise a block that would end at a boundary is laid only if it starts at one
    )
    clips_the_boundary: bool = True  # to the allocation; otherwise no larger one may be asked for
    counts_what_is_laid: bool = True  # in the total; otherwise allocation / size, whatever the boundary
    reports_of_alloc: str = (
        "dma_pool_alloc"  # the function that messages about a block written to while it was free name
    )
    reports_of_free: str = "dma_pool_free"  # the function that messages about a wrong free name
    reports_of_foreign_dma: str = "dma_pool_free"  # the same, of a free in no page
    notices_foreign_dma: bool = True  # at a free, without debugging too
    notices_wrong_vaddr: bool = True  # at a free, in debug builds: the two addresses name different blocks
    notices_overlap: bool = True  # of the pages that a device gives
    refuses_before_filling: bool = True  # otherwise a refused free has zeroed the block already, with init_on_free
    leaks_every_page: bool = False  # on destroy, if any block is in use; otherwise the busy pages only
    # Of the row in the file pools, from its end: where blocks in use, blocks, size and pages are.
    columns: tuple[int, ...] = (-4, -3, -2, -1)
    always_debugs: bool = False  # in each build as debug builds do
    boot_options: str = ""  # of its own: their names
    debugs_by_option: bool = False  # in each build as debug builds do, if they are set
    keeps: frozenset[Claim] = KEPT_BY_THE_SERIES  # also out of contract
    keeps_in_debug_builds: frozenset[Claim] = KEPT_BY_THE_SERIES | {free_list_of_wrong_length_is_refused}

    def __str__(self) -> str:
        names = [*ALWAYS_TOLD, *(name for name in IN_WORDS if name not in ALWAYS_TOLD and self.differs(name))]
        options = [f"its boot options are {self.boot_options}"] if self.boot_options else []
        return "; ".join([f"what {self.like} promises", "fresh blocks ascend", *map(self.in_words, names), *options])

    def in_brief(self) -> str:
        """Only what is promised otherwise than by the revision that it is like."""
        return "; ".join([f"what {self.like} promises", *map(self.in_words, filter(self.differs, IN_WORDS))])

    def differs(self, name: str) -> bool:
        """From what the revision promises that it is like."""
        return bool(getattr(self, name) != getattr(VERSIONS[self.like], name))

    def in_words(self, name: str) -> str:
        """What a field says."""
        words, value = IN_WORDS[name], getattr(self, name)
        if isinstance(words, tuple):
            return words[not value]
        if name == "columns":
            return words.format(", ".join(str(-column) for column in value))
        return words.format(counted(value, "byte") if name == "smallest_block" else value)

    def changes(self, before: "Promises") -> list[tuple[Claim, bool, str]]:
        """What is promised otherwise than before: the claim that it is about, whether it is better now, and both in words."""
        return [
            (
                ABOUT.get(name, reports_are_the_kernels),
                name in BETTER and getattr(self, name) is BETTER[name],
                f"{self.in_words(name)}; before, {before.in_words(name).removeprefix(common(name))}",
            )
            for name in IN_WORDS
            if getattr(self, name) != getattr(before, name)
        ]

    def row(self, text: str) -> str:
        """A row of the file pools without the columns that nothing is promised of."""
        pieces = list(re.finditer(r"\s+\S+", text))[min(self.columns) :]
        if len(pieces) < -min(self.columns):
            return text
        return text[: pieces[0].start()] + "".join(pieces[column][0] for column in self.columns)


class Row(NamedTuple):
    """The numbers in a row of the file pools: blocks in use, blocks, bytes of a block, pages."""

    in_use: int
    total: int
    size: int
    pages: int


def numbers_in(row: str) -> Row | None:
    """The four numbers that a row ends with; None if it does not."""
    numbers = row.split()[-4:]
    return Row(*map(int, numbers)) if len(numbers) == 4 and all(map(str.isdecimal, numbers)) else None


def common(name: str) -> str:
    """What the words of a field begin with, whatever it is."""
    words = IN_WORDS[name]
    return words.partition("{}")[0] if isinstance(words, str) else ""


SERIES = Promises()
V6_1 = Promises(
    like="v6.1-as-it-is",
    lays_up_to_the_boundary=False,
    clips_the_boundary=False,
    counts_what_is_laid=False,
    notices_overlap=False,
    refuses_before_filling=False,
    keeps_in_debug_builds=ALWAYS_KEPT | {block_starts_in_a_page},  # before patch 05
)
V6_12 = Promises(
    like="v6.12",
    smallest_block=16,
    reports_of_alloc="pool_check_block",
    reports_of_free="pool_block_err",
    reports_of_foreign_dma="pool_block_err",
    notices_foreign_dma=False,
    notices_wrong_vaddr=False,
    notices_overlap=False,
    leaks_every_page=True,
    keeps=ALWAYS_KEPT | {operations_end},
    keeps_in_debug_builds=ALWAYS_KEPT,
)
VERSIONS = {promises.like: promises for promises in (SERIES, V6_1, V6_12)}
"""What is promised where nothing is tried, by the revision of impl/ that keeps that."""

IN_WORDS: dict[str, str | tuple[str, str]] = {
    "smallest_block": "a block has at least {}",
    "columns": "the numbers in a row of the file pools are, from its end, its columns {}",
    "reports_of_alloc": "a message about a block that was written to while it was free names {}",
    "reports_of_free": "a message about a wrong free names {}",
    "reports_of_foreign_dma": "a message about a free in no page names {}",
    "lays_up_to_the_boundary": ("a block may end at a boundary", "a block that ends at a boundary starts at one"),
    "clips_the_boundary": ("a boundary above the page is clipped", "a boundary is at most a page"),
    "counts_what_is_laid": ("the total counts the blocks that are laid", "the total is the page divided by the size"),
    "notices_foreign_dma": ("a free in no page is noticed", "a free in no page is noticed in debug builds only"),
    "notices_wrong_vaddr": (
        "a free with another block's virtual address is noticed",
        "a free with another block's virtual address is not noticed",
    ),
    "notices_overlap": ("a page that overlaps another is refused", "a page that overlaps another is not noticed"),
    "refuses_before_filling": ("a refused free fills nothing", "a refused free may have filled the block"),
    "leaks_every_page": ("destroy leaks all pages if a block is in use", "destroy leaks the pages in use only"),
    "always_debugs": ("each build is a debug build", "only debug builds are"),
    "debugs_by_option": ("a boot option turns debugging on", "no boot option turns debugging on"),
}
"""What the fields say, of those that are true or false in both cases."""

ALWAYS_TOLD = ("smallest_block", "columns", "reports_of_alloc", "reports_of_free")

BETTER = {
    name: name != "leaks_every_page"
    for name, words in IN_WORDS.items()
    if isinstance(words, tuple) and name != "always_debugs"
}
"""The better one of two ways."""

ABOUT = {
    "smallest_block": create_admits_what_is_promised,
    "lays_up_to_the_boundary": no_room_is_wasted,
    "clips_the_boundary": block_lies_inside_its_page,
    "counts_what_is_laid": total_counts_the_blocks,
    "notices_overlap": insertion_keeps_pages_disjoint,
    "refuses_before_filling": refused_free_changes_nothing,
    "leaks_every_page": destroy_leaks_exactly_the_busy_pages,
    "always_debugs": allocated_block_is_filled,
    "debugs_by_option": debug_is_on_where_it_was,
}
"""The claim that is announced where a field is meant to change; of the others, `reports_are_the_kernels`."""
