"""What the 2022 series replaced: the DMA pool of Linux v6.1, and the pieces of it that the prover refutes."""

import sys
from collections.abc import Iterable
from typing import Any

from impl.layout import Cursor, Geometry, align_up, laid_blocks
from impl.pool import Page, Pool
from impl.words import size_t, unsigned_int


def admit(size: int, align: int, boundary: int, page_size: int) -> Geometry | None:
    """v6.1's argument check: the geometry is kept in `size_t`, no size is too large, no boundary is clipped."""
    if align == 0:
        align = 1
    elif align & (align - 1):
        return None

    if size == 0:
        return None
    if size < 4:
        size = 4

    size = align_up(size, align)
    allocation = max(size, page_size)

    if boundary == 0:
        boundary = allocation
    elif boundary < size or boundary & (boundary - 1):
        return None

    return Geometry(size, boundary, allocation)


def blks_per_alloc(geometry: Geometry) -> int:
    """How many blocks a page has, to `pools_show` of v6.1: it knows of no boundary."""
    return geometry.allocation // geometry.size


def next_block(geometry: Geometry, cursor: Cursor) -> Cursor:
    """One turn of v6.1's loop: `unsigned int` variables, a `size_t` geometry, and `>=` where patch 03 has `>`."""
    offset = unsigned_int(cursor.offset + geometry.size)
    next_boundary = cursor.next_boundary
    if size_t(offset + geometry.size) >= next_boundary:
        offset = next_boundary
        next_boundary = unsigned_int(next_boundary + geometry.boundary)
    return Cursor(offset, next_boundary)


class OriginalPool(Pool):
    """Revision `v6.1`: one list of pages, the newest first, scanned on every allocation and every free.

    The rest is the series'; TRUST.md lists what of it v6.1 does in another way.
    """

    revision = "v6.1"

    admit = staticmethod(admit)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.page_list: list[Page] = []

    def _set_geometry(self, admitted: Geometry) -> None:
        self.geometry = admitted

    def _total_blocks(self, pages: int) -> int:
        return pages * blks_per_alloc(self.geometry)

    def _laid_blocks(self) -> Iterable[tuple[int, int]]:
        return laid_blocks(self.geometry, next_block)

    def _page_with_room(self) -> Page | None:
        allocation = self.geometry.allocation
        for page in self.page_list:
            if page.offset < allocation:
                return page
        return None

    def _add_page(self, page: Page) -> bool:
        self.page_list.insert(0, page)
        return True

    def _page_is_full(self, page: Page) -> None:
        pass

    def _page_has_room(self, page: Page) -> None:
        pass

    def _longest_free_list(self, page: Page) -> int:  # noqa: ARG002
        return sys.maxsize  # v6.1 follows a list that runs in a circle for ever

    def _find_page(self, dma: int) -> Page | None:
        for page in self.page_list:
            if dma >= page.dma and dma - page.dma < self.geometry.allocation:
                return page
        return None

    def _pages(self) -> Iterable[Page]:
        return self.page_list

    def _pages_to_destroy(self) -> Iterable[Page]:
        return self.page_list
