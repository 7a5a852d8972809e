"""Argument check and layout of a page: `dma_pool_create` and `pool_initialise_page`.

A page of `allocation` bytes, with three blocks of `size` bytes below each `boundary`. The cursor is at block 3, the first
one above the gap, where no block has room below `next_boundary`:

    0         size                boundary  offset              next_boundary        allocation
    |---------|---------|---------|....|    |---------|---------|---------|....|    ...|
    | block 0 | block 1 | block 2 |gap |    | block 3 | block 4 | block 5 |gap |

A free block's first bytes hold the offset of the next free block; the last one's offset is not inside the page.

Every function here is small and free of side effects, because the prover calls it with symbolic numbers. All quantities
are bytes, except where a name says blocks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from impl.words import INT_MAX, size_t, unsigned_int


@dataclass(frozen=True, slots=True)
class Geometry:
    """What `dma_pool_create` makes of its arguments."""

    size: int  # of a block
    boundary: int  # that no block crosses
    allocation: int  # of a page: what is asked of dma_alloc_coherent at a time


class Cursor(NamedTuple):
    """Where the loop of `pool_initialise_page` stands: at a block, below a boundary."""

    offset: int
    next_boundary: int


def admit(
    size: int,
    align: int,
    boundary: int,
    page_size: int,
    *,
    smallest_block: int = 4,
    largest_size: int | None = INT_MAX,
    clips_boundary: bool = True,
) -> Geometry | None:
    """The argument check of `dma_pool_create`: a geometry, or None where it returns NULL.

    As patch 02 has it ("cleanup integer types", mail of 31 May 2022). v6.1 has no `largest_size`, and clips no boundary;
    v6.12 has a larger `smallest_block`. The check is done in `size_t`, but from patch 02 on the pool
    keeps its geometry in `unsigned int`. Rounding up to a large `align` can leave it: see `admitted_geometry_fits_an_int`.
    """
    if align == 0:
        align = 1
    elif align & (align - 1):
        return None

    if size == 0 or (largest_size is not None and size > largest_size):
        return None
    if size < smallest_block:
        size = smallest_block  # a free block holds the link to the next one

    size = align_up(size, align)
    allocation = max(size, page_size)

    if boundary == 0:
        boundary = allocation
    elif boundary < size or boundary & (boundary - 1):
        return None
    if clips_boundary:
        boundary = min(boundary, allocation)

    return Geometry(size, boundary, allocation)


def align_up(size: int, align: int) -> int:
    """The kernel's `ALIGN`: `size` rounded up to a power of two."""
    return size_t(size + (align - 1)) & ~(align - 1)


def kept(geometry: Geometry) -> Geometry:
    """The geometry as `struct dma_pool` keeps it, in `unsigned int` (patch 02)."""
    return Geometry(unsigned_int(geometry.size), unsigned_int(geometry.boundary), unsigned_int(geometry.allocation))


def blks_per_alloc(geometry: Geometry) -> int:
    """How many blocks fit into an allocation without crossing a boundary (patch 04)."""
    size, boundary, allocation = geometry.size, geometry.boundary, geometry.allocation
    return unsigned_int(size_t((allocation // boundary) * (boundary // size)) + (allocation % boundary) // size)


def first_block(geometry: Geometry) -> Cursor:
    """Where `pool_initialise_page` starts."""
    return Cursor(0, unsigned_int(geometry.boundary))


def next_block(geometry: Geometry, cursor: Cursor) -> Cursor:
    """One turn of the loop in `pool_initialise_page` (patch 03): where the block after `cursor` goes.

    Its offset is what the block at `cursor` links to, whether or not the page has room for it: see `goes_on`.
    """
    offset = unsigned_int(cursor.offset + geometry.size)
    next_boundary = cursor.next_boundary
    if unsigned_int(offset + geometry.size) > next_boundary:
        offset = next_boundary
        next_boundary = unsigned_int(next_boundary + geometry.boundary)
    return Cursor(offset, next_boundary)


def goes_on(geometry: Geometry, cursor: Cursor) -> bool:
    """The condition of that loop: whether there is a block at `cursor`."""
    return cursor.offset < geometry.allocation


def laid_blocks(
    geometry: Geometry, turn: Callable[[Geometry, Cursor], Cursor] = next_block, start: Cursor | None = None
) -> Iterator[tuple[int, int]]:
    """The offset of every block in a page, in the order in which they are first handed out, and what it links to; from
    `start` on, or from the first one.

    Raises TimeoutError where the kernel would lay the same block for ever.
    """
    cursor = start or first_block(geometry)
    while True:
        following = turn(geometry, cursor)
        yield cursor.offset, following.offset
        if not goes_on(geometry, following):
            return
        if following == cursor:
            raise TimeoutError(f"pool_initialise_page never ends: the block at offset {cursor.offset} follows itself")
        cursor = following
