"""The claims: what a DMA pool promises, each stated once.

A claim is a predicate with a sentence and a source. Its name is its identifier everywhere: in proofs, in the state
machine, in traces and reports. The predicates take plain numbers (bytes, unless a name says otherwise), and the prover
calls the same predicates with symbolic ones; hence `a - b >= c` where `a >= b + c` could wrap around.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from model.geometry import INT_MAX, SMALLEST_BLOCK, Geometry, Refusal, crosses


@dataclass(frozen=True)
class Claim:
    """A promise: `holds` is its predicate, called by calling the claim."""

    name: str
    sentence: str
    source: str
    holds: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.holds(*args, **kwargs)


CLAIMS: dict[str, Claim] = {}


def claim(sentence: str, source: str) -> Callable[[Callable[..., Any]], Claim]:
    """Make a predicate a claim, under the predicate's name."""

    def register(holds: Callable[..., Any]) -> Claim:
        made = Claim(holds.__name__, sentence, source, holds)
        CLAIMS[made.name] = made
        return made

    return register


# What dma_pool_create lets in.


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


# How a page is laid out.


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


@claim("No room for one more block is wasted.", "pool_initialise_page; patch 03")
def no_room_is_wasted(gap: tuple[int, int], start: int, size: int, boundary: int) -> bool:
    """`gap` is a range without a block in use, `start` a place in it: a block there would stick out or cross."""
    low, high = gap
    return not (low <= start and start + size <= high and not crosses(start, size, boundary))


@claim("The total in the pools file counts the blocks that there are.", "pools_show; patch 04")
def total_counts_the_blocks(total: int, pages: int, blocks_per_page: int) -> bool:
    return bool(total == pages * blocks_per_page)


# How a page is found.


@claim("The lookup finds a page exactly if the address is inside it.", "pool_find_page; patch 10")
def lookup_finds_the_page_of_an_address(page: int, allocation: int, address: int, found: bool) -> bool:
    inside = bool(page <= address and address - page < allocation)
    return found == inside


@claim("Inserting a page keeps the pages in the order of their addresses.", "pool_insert_page; patch 10")
def insertion_keeps_pages_in_order(lower: int, higher: int) -> bool:
    return bool(lower < higher)


@claim("No two pages overlap; one that would is refused.", "pool_insert_page; patch 10")
def insertion_keeps_pages_disjoint(lower: int, higher: int, allocation: int) -> bool:
    return bool(lower <= higher and higher - lower >= allocation)


@claim("The tree of pages is a red-black tree, hence no deeper than 2 log2(pages + 1).", "rb_insert_color; patch 10")
def tree_is_balanced(
    loose: Collection[int], root_is_red: bool, red_above_red: Collection[int], black_heights: Collection[int]
) -> bool:
    """`loose`: nodes whose parent link is wrong; `red_above_red`: red nodes under a red one; `black_heights`: the number
    of black nodes above each empty place."""
    return not loose and not root_is_red and not red_above_red and len(set(black_heights)) <= 1


# What the pool does.


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


@claim("Destroying a pool gives back every page without blocks in use, and no other.", "dma_pool_destroy; patch 08")
def destroy_leaks_exactly_the_busy_pages(left: Collection[int], busy: Collection[int]) -> bool:
    return sorted(left) == sorted(busy)


@claim("The pools file and the messages say what the kernel says.", "pools_show, dev_err")
def reports_are_the_kernels(reported: Collection[str], expected: Collection[str]) -> bool:
    return sorted(reported) == sorted(expected)


@claim("Every operation comes to an end.", "mm/dmapool.c; patch 05")
def operations_end(hang: str) -> bool:
    return not hang


@claim("The pool touches no memory but its pages', and its code does not fail.", "mm/dmapool.c")
def pool_stays_in_its_memory(fault: str) -> bool:
    return not fault
