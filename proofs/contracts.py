"""Contracts on the functions of `impl`, in the form that CrossHair reads; `proofs.confirm` has it check them.

A contract has the name of the function that it calls. Its docstring says for which inputs, as `pre:`, and which claims have
to hold of what is returned, `_`, each as a `post:` of its own. Every path of a contract has to be followed to its end, so
that the claims are CONFIRMED for all inputs, but for two kinds: `search_…` has no bound, so only as many paths are SEARCHED
as its comment says; `v6_1_…` calls what the series mended, whose claims have to be REFUTED. Numbers are bytes.
"""
# crosshair: max_iterations=5000

from collections.abc import Sequence
from itertools import permutations
from typing import Any

from impl import history, layout
from impl.layout import Cursor, Geometry
from impl.rbtree import Node, PageTree
from model import claims
from model import geometry as promise
from model.geometry import INT_MAX  # noqa: F401 (for the contracts)
from proofs.subjects.subject import SERIES_IN_PYTHON

POWERS = [1 << shift for shift in range(64)]


def known(number: int, values: Sequence[int]) -> int:
    """The largest of `values`, which ascend, that is at most `number`, as a plain integer: a path of its own for each.

    Where numbers are multiplied, divided or masked, that is quicker than to leave them to the solver.
    """
    while len(values) > 1:
        middle = len(values) // 2
        values = values[:middle] if number < values[middle] else values[middle:]
    return values[0]


def admit(size: int, align: int, boundary: int, page_size: int) -> tuple[Any, Any]:
    """Sizes up to 9, aligns up to 4, boundaries up to 16, pages of 8 bytes; refusals too.
    pre: 0 <= size <= 9 and 0 <= align <= 4 and 0 <= boundary <= 16 and page_size == 8
    post: claims.create_admits_what_is_promised(*_)
    """
    arguments = known(size, range(10)), known(align, range(5)), known(boundary, range(17)), known(page_size, [8])
    return promise.create(*arguments), SERIES_IN_PYTHON.create(*arguments)


def search_admit(size: int, align: int, boundary: int, page_size: int) -> tuple[Any, Any]:
    """Any size that rounds up to an int; aligns, boundaries and pages that are powers of two.
    pre: align == known(align, POWERS[:32]) and boundary == known(boundary, POWERS)
    pre: page_size == known(page_size, POWERS[12:17]) and 0 <= size <= INT_MAX and size + align <= INT_MAX + 1
    post: claims.create_admits_what_is_promised(*_)
    """
    # crosshair: max_iterations=500
    arguments = size, known(align, POWERS), known(boundary, POWERS), known(page_size, POWERS)
    return promise.create(*arguments), SERIES_IN_PYTHON.create(*arguments)


def align_up(size: int, align: int) -> tuple[Any, Any]:
    """Sizes up to 64, aligns up to 32.
    pre: 0 <= size <= 64 and align == known(align, POWERS[:6])
    post: claims.create_admits_what_is_promised(*_)
    """
    size, align = known(size, range(65)), known(align, POWERS)
    return Geometry(promise.round_up(size, align), 0, 0), Geometry(layout.align_up(size, align), 0, 0)


def kept(geometry: Geometry) -> Geometry:
    """Any geometry of ints.
    pre: 0 <= geometry.size <= INT_MAX and 0 <= geometry.boundary <= INT_MAX and 0 <= geometry.allocation <= INT_MAX
    post: claims.create_admits_what_is_promised(geometry, _)
    """
    return layout.kept(geometry)


def next_block(geometry: Geometry, cursor: Cursor, start: int) -> Cursor:  # noqa: ARG001 (for the contract)
    """From any block of any page; `start` is a place for one more block.
    pre: claims.admitted_geometry_is_ordered(geometry) and geometry.allocation <= INT_MAX and cursor.offset >= 0
    pre: claims.next_boundary_is_a_multiple(cursor.next_boundary, geometry.boundary)
    pre: claims.layout_stays_between_boundaries(*cursor, geometry)
    post: claims.layout_ends(cursor.offset, _.offset)
    post: claims.offsets_fit_the_int_link(_.offset)
    post: claims.no_room_is_wasted(gap(geometry, cursor.offset, _), start, geometry.size, geometry.boundary)
    post: implies(layout.goes_on(geometry, _), claims.next_boundary_is_a_multiple(_.next_boundary, geometry.boundary))
    post: implies(layout.goes_on(geometry, _), claims.no_block_crosses_a_boundary(_.offset, geometry.size, geometry.boundary))
    post: implies(divides(geometry) and layout.goes_on(geometry, _), claims.layout_stays_between_boundaries(*_, geometry))
    """
    return layout.next_block(geometry, cursor)


def gap(geometry: Geometry, offset: int, following: Cursor) -> tuple[int, int]:
    """The bytes between the block at `offset` and the following one, or the page's end."""
    return offset + geometry.size, min(following.offset, geometry.allocation)


def divides(geometry: Geometry) -> bool:
    return bool(claims.boundary_divides_the_allocation(geometry))


def small(geometry: Geometry, largest: int) -> Geometry:
    """A geometry of at most `largest` bytes, each number known."""
    size, boundary, allocation = geometry.size, geometry.boundary, geometry.allocation
    return Geometry(*(known(number, range(largest + 1)) for number in (size, boundary, allocation)))


def blks_per_alloc(geometry: Geometry) -> tuple[int, int, int]:
    """Pages of at most 40 bytes, against a walk over the blocks.
    pre: claims.admitted_geometry_is_ordered(geometry) and geometry.allocation <= 40
    pre: known(geometry.allocation, range(41)) % known(geometry.boundary, range(41)) == 0
    post: claims.total_counts_the_blocks(*_)
    """
    geometry = small(geometry, 40)
    return layout.blks_per_alloc(geometry), 1, len(list(layout.laid_blocks(geometry)))


def search_blks_per_alloc(geometry: Geometry) -> tuple[int, int, int]:
    """Pages of any size.
    pre: claims.admitted_geometry_is_ordered(geometry) and geometry.allocation <= INT_MAX and divides(geometry)
    post: claims.total_counts_the_blocks(*_)
    """
    # crosshair: max_iterations=24
    return layout.blks_per_alloc(geometry), 1, len(list(layout.laid_blocks(geometry)))


def built(order: Sequence[int], allocation: int, gaps: Sequence[int]) -> tuple[PageTree[Node], list[Node]]:
    """A tree, and its pages, as they were inserted: by number in this `order`. `gaps` are the free bytes below each page."""
    pages: list[Node] = []
    for below in gaps[: len(order)]:
        pages.append(Node(below + (pages[-1].dma + allocation if pages else 0)))
    tree: PageTree[Node] = PageTree(allocation)
    for place in order:
        tree.insert(pages[place])
    return tree, [pages[place] for place in order]


def shape(node: Any) -> Any:
    return node and tuple(map(shape, node.child))


# An order of insertion for each shape that insertions make of up to 7 pages.
ORDERS = list(
    {shape(built(o, 1, [0] * 7)[0].root): o for pages in range(8) for o in permutations(range(pages))}.values()
)


def find(
    order: int, allocation: int, address: int, gaps: tuple[int, int, int, int, int, int, int]
) -> tuple[Any, list[Node]]:
    """Trees of at most 7 pages, each shape; addresses of any size; against a scan.
    pre: 0 <= order < len(ORDERS) and allocation >= 4096 and address >= 0 and all(gap >= 0 for gap in gaps)
    post: all(claims.lookup_finds_the_page_of_an_address(page.dma, allocation, address, _[0] is page) for page in _[1])
    """
    tree, pages = built(ORDERS[known(order, range(len(ORDERS)))], allocation, gaps)
    return tree.find(address), pages


def search_find(allocation: int, address: int, gaps: list[int]) -> tuple[Any, list[Node]]:
    """Any number of pages, in ascending order.
    pre: allocation >= 4096 and address >= 0 and all(gap >= 0 for gap in gaps)
    post: all(claims.lookup_finds_the_page_of_an_address(page.dma, allocation, address, _[0] is page) for page in _[1])
    """
    # crosshair: max_iterations=120
    tree, pages = built(range(len(gaps)), allocation, gaps)
    return tree.find(address), pages


def v6_1_blks_per_alloc(geometry: Geometry) -> tuple[int, int, int]:
    """Kernel pages, any boundary; against the series' count.
    pre: 4 <= geometry.size <= geometry.boundary == known(geometry.boundary, POWERS[:13]) and geometry.allocation == 4096
    post: claims.total_counts_the_blocks(*_)
    """
    return history.blks_per_alloc(geometry), 1, layout.blks_per_alloc(geometry)


def v6_1_next_block(page: Geometry, block: int, start: int) -> Cursor:  # noqa: ARG001 (for the contract)
    """Kernel pages, any boundary, which v6.1 does not clip: from block number `block` below the first one.
    pre: page.allocation == 4096 and page.boundary == known(page.boundary, POWERS) and block >= 0
    pre: 4 <= page.size and (block + 1) * page.size <= min(page.boundary, 4096)
    post: implies(layout.goes_on(page, _), claims.block_lies_inside_its_page(_.offset, page.size, 4096))
    post: implies(layout.goes_on(page, _), claims.layout_ends(block * page.size, _.offset))
    post: page.boundary > 4096 or claims.no_room_is_wasted(gap(page, block * page.size, _), start, page.size, page.boundary)
    """
    return history.next_block(page, Cursor(block * page.size, layout.first_block(page).next_boundary))
