"""Changes of a kernel's own mm/dmapool.c: each has to keep some proof about the C from passing."""

import re
from dataclasses import dataclass

CREATE = "create_admits_what_is_promised"
PLACE = "layout_stays_between_boundaries"
LIST = "free_list_holds_the_free_blocks"
WASTE = "no_room_is_wasted"
LOOKUP = "lookup_finds_the_page_of_an_address"
ENDS = "layout_ends"
TOTAL = "total_counts_the_blocks"
DISJOINT = "blocks_are_disjoint"
MULTIPLE = "next_boundary_is_a_multiple"


@dataclass(frozen=True)
class KernelMutant:
    """In the file of a revision, what a pattern matches is replaced; `noticed_by` is a claim whose proof must fail."""

    name: str
    revision: str
    pattern: str
    replacement: str
    noticed_by: str

    def plant(self, text: str) -> str:
        """The changed file. Raises ValueError unless the pattern is there exactly once."""
        changed, times = re.subn(self.pattern, self.replacement, text)
        if times != 1:
            raise ValueError(f"{self.name}: {self.pattern!r} is there {times} times")
        return changed


MUTANTS = [
    KernelMutant("align_of_no_power", "v6.1", r"else if \(align & \(align - 1\)\)", "else if (0)", CREATE),
    KernelMutant("no_size", "v6.1", r"if \(size == 0\)\s+return NULL;\s+else if", "if", CREATE),
    KernelMutant("no_room_for_a_link", "v6.1", r"size = 4;", "size = 2;", CREATE),
    KernelMutant("size_not_aligned", "v6.1", r"size = ALIGN\(size, align\);", "", CREATE),
    KernelMutant("smaller_page", "v6.1", r"max_t\(size_t, size, PAGE_SIZE\)", "PAGE_SIZE", CREATE),
    KernelMutant("boundary_below_size", "v6.1", r"\(boundary < size\) \|\|", "", CREATE),
    KernelMutant("boundary_equal_to_size", "v6.1", r"boundary < size\)", "boundary <= size)", CREATE),
    KernelMutant("boundary_of_no_power", "v6.1", r"\|\| \(boundary & \(boundary - 1\)\)", "", CREATE),
    KernelMutant("no_boundary", "v6.1", r"boundary = allocation;", "boundary = size;", CREATE),
    KernelMutant("size_kept_wrong", "v6.1", r"retval->size = size;", "retval->size = allocation;", CREATE),
    KernelMutant("first_block_further", "v6.1", r"unsigned int offset = 0;", "unsigned int offset = 4;", PLACE),
    KernelMutant("boundary_ignored", "v6.1", r"\(next \+ pool->size\) >= next_boundary", "0", PLACE),
    KernelMutant("boundary_of_the_start", "v6.1", r"\(next \+ pool->size\) >= next_b", "next >= next_b", PLACE),
    KernelMutant(
        "boundary_by_size", "v6.1", r"next_boundary \+= pool->boundary", "next_boundary += pool->size", MULTIPLE
    ),
    KernelMutant("one_byte_further", "v6.1", r"next = next_boundary;", "next = next_boundary + 1;", PLACE),
    KernelMutant("shorter_step", "v6.1", r"next = offset \+ pool->size", "next = offset + pool->size / 2", DISJOINT),
    KernelMutant("longer_step", "v6.1", r"next = offset \+ pool->size", "next = offset + 2 * pool->size", WASTE),
    KernelMutant("link_to_itself", "v6.1", r"vaddr \+ offset\) = next;", "vaddr + offset) = offset;", LIST),
    KernelMutant(
        "link_behind", "v6.1", r"\(page->vaddr \+ offset\) = next;", "(page->vaddr + offset + 1) = next;", LIST
    ),
    KernelMutant("one_block_more", "v6.1", r"offset < pool->allocation\);", "offset <= pool->allocation);", PLACE),
    KernelMutant("page_found_below", "v6.1", r"if \(dma < page->dma\)", "if (dma > page->dma)", LOOKUP),
    KernelMutant("first_byte_missed", "v6.1", r"if \(dma < page->dma\)", "if (dma <= page->dma)", LOOKUP),
    KernelMutant("one_byte_too_many", "v6.1", r"\(dma - page->dma\) < pool", "(dma - page->dma) <= pool", LOOKUP),
    KernelMutant("found_by_the_end", "v6.1", r"\(dma - page->dma\) < pool->all", "dma < page->dma + pool->all", LOOKUP),
    KernelMutant("size_above_int", "v6.12", r" \|\| size > INT_MAX", "", CREATE),
    KernelMutant("no_room_for_a_block", "v6.12", r"size = sizeof\(struct dma_block\);", "size = 8;", CREATE),
    KernelMutant("boundary_not_clipped", "v6.12", r"boundary = min\(boundary, allocation\);", "", CREATE),
    KernelMutant("boundary_reached", "v6.12", r"offset \+ pool->size > next_b", "offset + pool->size >= next_b", WASTE),
    KernelMutant("boundary_crossed", "v6.12", r"offset \+ pool->size > next_boundary", "offset > next_boundary", PLACE),
    KernelMutant("last_block_missing", "v6.12", r"pool->size <= pool->alloc", "pool->size < pool->alloc", WASTE),
    KernelMutant(
        "page_left", "v6.12", r"offset \+ pool->size <= pool->allocation", "offset <= pool->allocation", PLACE
    ),
    KernelMutant("place_not_moved", "v6.12", r"offset = next_boundary;", "", PLACE),
    KernelMutant("boundary_not_moved", "v6.12", r"next_boundary \+= pool->boundary;", "", ENDS),
    KernelMutant(
        "boundary_by_size", "v6.12", r"next_boundary \+= pool->b\w+;", "next_boundary += pool->size;", MULTIPLE
    ),
    KernelMutant("dma_of_the_page", "v6.12", r"block->dma = page->dma \+ offset", "block->dma = page->dma", LIST),
    KernelMutant("link_not_cleared", "v6.12", r"block->next_block = NULL;", "", LIST),
    KernelMutant("link_to_the_first", "v6.12", r"last->next_block = block;", "last->next_block = first;", LIST),
    KernelMutant("another_first", "v6.12", r"if \(last\)", "if (last != first)", PLACE),
    KernelMutant("written_again", "v6.12", r"last = block;", "last = block; first->dma = 0;", LIST),
    KernelMutant("last_kept", "v6.12", r"last = block;", "last = first;", LIST),
    KernelMutant("gap", "v6.12", r"offset \+= pool->size;", "offset += pool->size + 1;", WASTE),
    KernelMutant("overlap", "v6.12", r"offset \+= pool->size;", "offset += pool->size / 2;", PLACE),
    KernelMutant("counted_twice", "v6.12", r"pool->nr_blocks\+\+;", "pool->nr_blocks += 2;", TOTAL),
    KernelMutant(
        "other_pages_lost", "v6.12", r"last->next_block = pool->next_block;", "last->next_block = NULL;", LIST
    ),
    KernelMutant("stack_of_the_last", "v6.12", r"pool->next_block = first;", "pool->next_block = last;", LIST),
    KernelMutant("row_of_active", "v6.12", r"pool->nr_blocks, pool->size", "pool->nr_active, pool->size", TOTAL),
    KernelMutant("one_byte_too_many", "v6.12", r"\(dma - page->dma\) < pool", "(dma - page->dma) <= pool", LOOKUP),
]
