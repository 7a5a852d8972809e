"""Contracts in the form of PEP 316, which CrossHair reads; each has the name of the function of `impl` that it calls.

`pre:` says for which inputs, in bytes; each `post:` is a claim about what is returned, `_`. All have to be CONFIRMED but those
of `v6_1_…`, which the series mended, and which have to be REFUTED.
"""
# crosshair: max_iterations=5000

from bisect import bisect_right
from itertools import accumulate, permutations
from typing import Any

import crosshair  # noqa: F401 (which reads this file)

from impl import layout, v6_1
from impl.layout import Cursor, Geometry, goes_on  # noqa: F401 (for the contracts)
from impl.rbtree import Node, PageTree
from model import claims, geometry  # noqa: F401 (for the contracts)
from model.claims import boundary_divides_the_allocation  # noqa: F401 (for the contracts)
from proofs.subjects.subject import SERIES_IN_PYTHON

POWERS = [1 << shift for shift in range(64)]


def known(number: int, values: range | list[int]) -> int:
    """The largest of `values`, which ascend, that is at most `number`, as a plain integer: a path of its own for each.

    Where numbers are multiplied, divided or masked, that is quicker than to leave them to the solver.
    """
    return values[bisect_right(values, number) - 1]


def admit(size: int, align: int, boundary: int) -> tuple[Any, Any]:
    """Pages of 8 bytes; refusals too.
    pre: 0 <= size <= 9 and 0 <= align <= 4 and 0 <= boundary <= 16
    post: claims.create_admits_what_is_promised(*_)
    """
    arguments = known(size, range(10)), known(align, range(5)), known(boundary, range(17)), 8
    return geometry.create(*arguments), SERIES_IN_PYTHON.create(*arguments)


def next_block(page: Geometry, cursor: Cursor, start: int) -> Cursor:  # noqa: ARG001 (for the contract)
    """From any block of a page with boundaries up to 64 KiB, or none; `start` is a place for one more block.
    pre: page.boundary == page.allocation or page.boundary == known(page.boundary, POWERS[:17])
    pre: claims.admitted_geometry_is_ordered(page) and page.allocation <= geometry.INT_MAX and cursor.offset >= 0
    pre: claims.next_boundary_is_a_multiple(cursor.next_boundary, page.boundary)
    pre: claims.layout_stays_between_boundaries(*cursor, page)
    post: claims.layout_ends(cursor.offset, _.offset)
    post: claims.offsets_fit_the_int_link(_.offset)
    post: claims.no_room_is_wasted((cursor.offset + page.size, min(_.offset, page.allocation)), start, page.size, page.boundary)
    post: implies(goes_on(page, _), claims.next_boundary_is_a_multiple(_.next_boundary, page.boundary))
    post: implies(goes_on(page, _), claims.no_block_crosses_a_boundary(_.offset, page.size, page.boundary))
    post: implies(boundary_divides_the_allocation(page) and goes_on(page, _), claims.layout_stays_between_boundaries(*_, page))
    """
    return layout.next_block(page, cursor)


def blks_per_alloc(page: Geometry) -> tuple[int, int, int]:
    """Pages of at most 40 bytes, against a walk over the blocks.
    pre: claims.admitted_geometry_is_ordered(page) and page.allocation <= 40
    pre: known(page.allocation, range(41)) % known(page.boundary, range(41)) == 0
    post: claims.total_counts_the_blocks(*_)
    """
    page = Geometry(*(known(number, range(41)) for number in (page.size, page.boundary, page.allocation)))
    return layout.blks_per_alloc(page), 1, len(list(layout.laid_blocks(page)))


# In which order pages are inserted, which are numbered by their addresses.
ORDERS = [order for pages in range(5) for order in permutations(range(pages))]


def find(order: int, allocation: int, address: int, gaps: tuple[int, int, int, int]) -> tuple[Any, list[Node]]:
    """Trees of at most 4 pages, with `gaps` of so many bytes below each; addresses of any size.
    pre: 0 <= order < len(ORDERS) and allocation >= 4096 and address >= 0 and all(gap >= 0 for gap in gaps)
    post: all(claims.lookup_finds_the_page_of_an_address(page.dma, allocation, address, _[0] is page) for page in _[1])
    """
    numbers = ORDERS[known(order, range(len(ORDERS)))]
    pages = [Node(dma) for dma in accumulate(gaps[: len(numbers)], lambda below, gap: below + allocation + gap)]
    tree: PageTree[Node] = PageTree(allocation)
    for number in numbers:
        tree.insert(pages[number])
    return tree.find(address), pages


def v6_1_blks_per_alloc(page: Geometry) -> tuple[int, int, int]:
    """Kernel pages, any boundary; against the series' count.
    pre: 4 <= page.size <= page.boundary == known(page.boundary, POWERS[:13]) and page.allocation == 4096
    post: claims.total_counts_the_blocks(*_)
    """
    return v6_1.blks_per_alloc(page), 1, layout.blks_per_alloc(page)


def v6_1_next_block(page: Geometry, block: int, start: int) -> Cursor:  # noqa: ARG001 (for the contract)
    """Kernel pages, any boundary, which v6.1 does not clip: from block number `block` below the first one.
    pre: page.allocation == 4096 and page.boundary == known(page.boundary, POWERS) and block >= 0
    pre: 4 <= page.size and (block + 1) * page.size <= min(page.boundary, 4096)
    post: implies(goes_on(page, _), claims.block_lies_inside_its_page(_.offset, page.size, 4096))
    post: implies(goes_on(page, _), claims.layout_ends(block * page.size, _.offset))
    post: page.boundary > 4096 or claims.no_room_is_wasted(((block + 1) * page.size, _.offset), start, page.size, page.boundary)
    """
    return v6_1.next_block(page, Cursor(block * page.size, layout.first_block(page).next_boundary))
