"""The claims: what a DMA pool promises, each stated once.

A claim is a predicate with a sentence and a source. Its name is its identifier everywhere: in proofs, in the state
machine, in traces and reports. The predicates take plain numbers (bytes, unless a name says otherwise), and the prover
calls the same predicates with symbolic ones; hence `a - b >= c` where `a >= b + c` could wrap around.
"""

from collections.abc import Collection, Sequence
from typing import Any

from model.claim import CLAIMS as CLAIMS
from model.claim import Claim as Claim
from model.claim import claims_about
from model.geometry import INT_MAX, SMALLEST_BLOCK, Geometry, Refusal, crosses

claim = claims_about("arguments of dma_pool_create")


@claim(
    "A pool is created exactly for the arguments that can be served, with the geometry they ask for.", "dma_pool_create"
)
def create_admits_what_is_promised(promised: Geometry | Refusal, admitted: Any) -> bool:
    if isinstance(promised, Refusal) or admitted is None:
        return isinstance(promised, Refusal) and admitted is None
    return bool(
        admitted.size == promised.size
        and admitted.boundary == promised.boundary
        and admitted.allocation == promised.allocation
    )


@claim(
    "In an admitted geometry, size <= boundary <= allocation, and a block is not empty.", "dma_pool_create; patch 02"
)
def admitted_geometry_is_ordered(geometry: Any) -> bool:
    return bool(geometry.size > 0 and geometry.size <= geometry.boundary and geometry.boundary <= geometry.allocation)


@claim("The boundary of an admitted geometry divides its allocation.", "dma_pool_create; patch 02")
def boundary_divides_the_allocation(geometry: Any) -> bool:
    return bool(geometry.allocation % geometry.boundary == 0)


@claim("The alignment of an admitted geometry divides its size and its boundary.", "dma_pool_create; patch 02")
def alignment_divides_size_and_boundary(geometry: Any, align: int) -> bool:
    return bool(geometry.size % align == 0 and geometry.boundary % align == 0)


@claim(
    "An admitted geometry fits an int: a block holds a link, and no page is above INT_MAX.", "dma_pool_create; patch 02"
)
def admitted_geometry_fits_an_int(geometry: Any, smallest_block: int = SMALLEST_BLOCK) -> bool:
    return bool(geometry.size >= smallest_block and geometry.allocation <= INT_MAX)


claim = claims_about("layout of a page")


@claim("While a page is laid out, the next boundary is a multiple of the boundary.", "pool_initialise_page; patch 03")
def next_boundary_is_a_multiple(next_boundary: int, boundary: int) -> bool:
    return bool(next_boundary % boundary == 0)


@claim(
    "While a page is laid out, the block lies between the boundary before and the next one, which the page holds.",
    "pool_initialise_page; patch 03",
)
def layout_stays_between_boundaries(offset: int, next_boundary: int, geometry: Any) -> bool:
    return bool(
        next_boundary - geometry.boundary <= offset
        and offset + geometry.size <= next_boundary
        and next_boundary <= geometry.allocation
    )


@claim("Every block lies inside its page.", "pool_initialise_page; patch 03")
def block_lies_inside_its_page(start: int, size: int, allocation: int) -> bool:
    return bool(start + size <= allocation)


@claim(
    "Whatever was written to the free blocks, a block that is handed out starts inside a page of the pool.",
    "dma_pool_alloc",
)
def block_starts_in_a_page(start: int, pages: Collection[int], allocation: int) -> bool:
    """`start` and `pages`: the virtual addresses of the block and of the pool's pages."""
    return any(page <= start and start - page < allocation for page in pages)


@claim("No block crosses a boundary.", "pool_initialise_page; patch 03")
def no_block_crosses_a_boundary(start: int, size: int, boundary: int) -> bool:
    return not crosses(start, size, boundary)


@claim("No two blocks overlap.", "pool_initialise_page; patch 03")
def blocks_are_disjoint(one: int, other: int, size: int) -> bool:
    return bool(one + size <= other or other + size <= one)


@claim("Every block is aligned.", "pool_initialise_page; dma_pool_create")
def blocks_are_aligned(start: int, align: int) -> bool:
    return bool(start % align == 0)


@claim("Every offset fits the int that links the free blocks.", "pool_initialise_page; patch 02")
def offsets_fit_the_int_link(offset: int) -> bool:
    return bool(offset <= INT_MAX)


@claim("Laying a page out ends: each block starts after the one before.", "pool_initialise_page; patch 02")
def layout_ends(offset: int, following: int) -> bool:
    return bool(offset < following)


@claim(
    "The blocks of a page are handed out for the first time in the order of their addresses.",
    "pool_initialise_page; “dmapool: push new blocks in ascending order”, 2023",
    "chipidea (USB device mode failed without it), megasas (an emulated powernv did not boot from it)",
)
def fresh_blocks_ascend(start: int, before: int) -> bool:
    """`start` and `before`: offsets in a page; `before` is that of the block that was the latest to be handed out for the first
    time."""
    return start > before


@claim("No room for one more block is wasted.", "pool_initialise_page; patch 03")
def no_room_is_wasted(gap: tuple[int, int], start: int, size: int, boundary: int) -> bool:
    """`gap` is a range without a block in use, `start` a place in it: a block there would stick out or cross."""
    low, high = gap
    return not (low <= start and start + size <= high and not crosses(start, size, boundary))


@claim("The total in the pools file counts the blocks that there are.", "pools_show; patch 04")
def total_counts_the_blocks(total: int, pages: int, blocks_per_page: int) -> bool:
    return bool(total == pages * blocks_per_page)


claim = claims_about("finding a page; the tree of pages")


@claim("The lookup finds a page exactly if the address is inside it.", "pool_find_page; patch 10")
def lookup_finds_the_page_of_an_address(page: int, allocation: int, address: int, found: bool) -> bool:
    inside = bool(page <= address and address - page < allocation)
    return found == inside


@claim("The virtual address of a block names the page frame that it is in.", "virt_to_page; cover letter, v2 to v4")
def virtual_address_names_the_page(named: int, physical: int, page_size: int) -> bool:
    """`named`: the number of a page frame; `physical`: where the memory is."""
    return bool(named == physical // page_size)


@claim(
    "The tree keeps the pages in the order of their addresses.", "pool_insert_page, rb_insert_color, rb_erase; patch 10"
)
def tree_keeps_pages_in_order(lower: int, higher: int) -> bool:
    return bool(lower < higher)


@claim("No two pages overlap; one that would is refused.", "pool_insert_page; patch 10")
def insertion_keeps_pages_disjoint(lower: int, higher: int, allocation: int) -> bool:
    return bool(lower <= higher and higher - lower >= allocation)


@claim(
    "The tree of pages is a red-black tree: linked both ways, no red node under a red one, equal black heights.",
    "rb_insert_color, rb_erase; patch 10",
)
def tree_is_balanced(
    loose: Sequence[Any], root_is_red: bool, red_above_red: Sequence[Any], black_heights: Sequence[int]
) -> bool:
    """`loose`: nodes whose parent link is wrong; `red_above_red`: red nodes under a red one; `black_heights`: the number
    of black nodes above each empty place."""
    balanced = all(height == black_heights[0] for height in black_heights)
    return not loose and not root_is_red and not red_above_red and balanced


@claim(
    "A subtree with b black nodes on every way down has at least 2^b - 1 pages, and at most 2b levels, one more if its root "
    "is red.",
    "lib/rbtree.c",
)
def subtree_is_full(pages: int, height: int, black_height: int, red: bool) -> bool:
    return bool(pages + 1 >= 2**black_height and height <= 2 * black_height + int(red))


@claim("The tree of pages has at most 2 log2(pages + 1) levels.", "lib/rbtree.c; patch 10")
def tree_height_is_logarithmic(pages: int, height: int) -> bool:
    return bool(2**height <= (pages + 1) * (pages + 1))


@claim("A free compares its address with those of at most 2 log2(pages + 1) pages.", "pool_find_page; patch 10")
def free_compares_few_addresses(pages: int, compared: int) -> bool:
    return bool(2**compared <= (pages + 1) * (pages + 1))


@claim("An allocation from the pages that there are touches at most two of them.", "dma_pool_alloc; patch 09")
def alloc_touches_few_pages(touched: int) -> bool:
    return touched <= 2


@claim("A walk through the tree gives each page once, in the order of their addresses.", "rb_first, rb_next")
def walk_follows_the_order(given: Sequence[Any], in_order: Sequence[Any]) -> bool:
    return list(given) == list(in_order)


@claim(
    "Destroying a pool visits each page once, children before their parent, and reads no page that was freed.",
    "dma_pool_destroy; patch 10",
)
def destroy_reads_no_freed_page(
    visited: Sequence[Any], postorder: Sequence[Any], read_when_freed: Sequence[Any]
) -> bool:
    return list(visited) == list(postorder) and not read_when_freed


claim = claims_about("free blocks, and what is counted")


@claim(
    "A page is in the list of pages with room exactly if it has a free block.",
    "dma_pool_alloc, dma_pool_free; patch 09",
)
def pages_with_room_are_listed(listed: Collection[int], with_room: Collection[int]) -> bool:
    return sorted(listed) == sorted(with_room)


@claim("A page's free list holds each of its free blocks once, and no other.", "dma_pool_alloc, dma_pool_free")
def free_list_holds_the_free_blocks(chain: Collection[int], free: Collection[int]) -> bool:
    return sorted(chain) == sorted(free)


@claim(
    "The list of pages with room is a ring: every link knows both of its neighbours.",
    "list_add, list_del_init; patch 09",
)
def list_is_a_ring(torn: Collection[Any], listed: Sequence[Any], expected: Sequence[Any]) -> bool:
    """`torn`: links whose neighbours don't know them; `listed`: what a walk around the ring meets."""
    return not torn and list(listed) == list(expected)


@claim("Every block of a page is either in use or in its free list.", "dma_pool_alloc, dma_pool_free")
def blocks_are_in_use_or_free(in_use: int, free: int, blocks: int) -> bool:
    return bool(in_use + free == blocks)


@claim("Debug builds refuse to free a block exactly if it is free already.", "dma_pool_free; patch 05")
def double_free_is_refused(refused: bool, was_free: bool) -> bool:
    return refused == was_free


@claim(
    "Debug builds refuse a free into a page whose free list is too long or too short.",
    "dma_pool_free; patch 05",
    "any that may write to a block after its free, or past its end: the walk through a list that has become a circle must end",
)
def free_list_of_wrong_length_is_refused(refused: bool, length: int, in_use: int, blocks: int) -> bool:
    """`length`: of the free list of a page with so many blocks, of which so many are in use. Of a list without an end, any
    number that is too large."""
    return refused == (length + in_use != blocks)


@claim(
    "No count of blocks or of pages wraps around, for as many as an address space of 64 bits has room for.",
    "struct dma_pool, pools_show; patch 02, and “dmapool: link blocks across pages”, 2022",
    "none that is known: mpt3sas has 373,959 blocks in a pool, and 32 bits suffice for four billion",
)
def counters_do_not_wrap(counter: int, before: int, added: int) -> bool:
    return counter >= before and counter - before == added


@claim("A free that a debug build refuses changes nothing.", "dma_pool_free; patch 06")
def refused_free_changes_nothing(changes: Collection[Any]) -> bool:
    return not changes


@claim(
    "However many allocate at once, the pool has no more pages than the peak demand can force: (M - K) // N + K of them, for K "
    "callers at once, N blocks a page, and M blocks, in use or asked for, at the peak.",
    "dma_pool_alloc; patch 09",
)
def pages_are_bounded_by_the_demand(pages: int, demand: int, at_once: int, blocks: int) -> bool:
    """In numbers that suit a solver: pages <= K + (M - K) // N."""
    return bool(pages <= at_once or (pages - at_once) * blocks <= demand - at_once)


@claim(
    "The blocks in use are counted, in each page and in the pools file.", "pools_show; dma_pool_alloc, dma_pool_free"
)
def in_use_counts_the_live_blocks(counted: int, live: int) -> bool:
    return counted == live


@claim(
    "An allocation fails exactly where no block is free and the device gives no page that can be added.",
    "dma_pool_alloc",
)
def alloc_fails_only_without_memory(failed: bool, could_serve: bool) -> bool:
    return failed is not could_serve


@claim("A block that is handed out is one of the pool's free blocks.", "dma_pool_alloc")
def allocated_block_was_free(block: tuple[int, int], free: Collection[tuple[int, int]]) -> bool:
    return block in free


@claim(
    "The DMA address that comes with a block is the one at which the device finds the block.",
    "dma_pool_alloc; struct dma_block",
)
def handle_is_the_blocks_address(handle: int, dma: int) -> bool:
    return handle == dma


claim = claims_about("what is in a block")


@claim("An allocation fills a block at most once.", "dma_pool_alloc; patch 07")
def block_is_filled_once(fills: int) -> bool:
    return fills <= 1


@claim("Patch 07 changes nothing that a driver sees of a block that it is given.", "dma_pool_alloc; patch 07")
def patch_07_keeps_what_the_driver_sees(before: bytes, after: bytes) -> bool:
    return before == after


@claim("Patch 06 changes nothing of a block that is freed properly.", "dma_pool_free; patch 06")
def patch_06_keeps_the_freed_block(before: bytes, after: bytes) -> bool:
    return before == after


@claim(
    "A block that is handed out is zero if that was asked, and 0xa9 in debug builds otherwise.",
    "dma_pool_alloc; patch 07",
)
def allocated_block_is_filled(content: bytes, zero: bool, debug: bool) -> bool:
    return content.count(0) == len(content) if zero else not debug or content.count(0xA9) == len(content)


@claim(
    "A freed block is 0xa7 in debug builds, and zero with init_on_free, except for its link.", "dma_pool_free; patch 06"
)
def freed_block_is_filled(content: bytes, debug: bool, init_on_free: bool, link: int = SMALLEST_BLOCK) -> bool:
    unlinked = content[link:]
    if debug:
        return unlinked.count(0xA7) == len(unlinked)
    return not init_on_free or unlinked.count(0) == len(unlinked)


@claim("The pool leaves a block in use alone.", "dma_pool_alloc, dma_pool_free")
def live_block_is_left_alone(written: bytes, read: bytes) -> bool:
    return written == read


from model.rules import *  # noqa: E402, F403  behind the others, as tables list them
