"""What the 2022 series replaced: the DMA pool of Linux v6.1."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from impl import layout
from impl.layout import Cursor, Geometry, laid_blocks
from impl.pool import ALREADY_FREE, POOL_POISON_ALLOCATED, POOL_POISON_FREED, Page, Pool
from impl.words import size_t, unsigned_int

admit = partial(layout.admit, largest_size=None, clips_boundary=False)
"""v6.1's argument check: the geometry is kept in `size_t`, no size is too large, no boundary is clipped."""


def blks_per_alloc(geometry: Geometry) -> int:
    """`pools_show` of v6.1: how many blocks a page has, to which it knows of no boundary."""
    return geometry.allocation // geometry.size


def next_block(geometry: Geometry, cursor: Cursor) -> Cursor:
    """One turn of the loop in `pool_initialise_page` of v6.1: `unsigned int` variables, a `size_t` geometry, and `>=`.

    Commit e34f44b3517f (2007) brought it; patch 03 of the series has `>`.
    """
    offset = unsigned_int(cursor.offset + geometry.size)
    next_boundary = cursor.next_boundary
    if size_t(offset + geometry.size) >= next_boundary:
        offset = next_boundary
        next_boundary = unsigned_int(next_boundary + geometry.boundary)
    return Cursor(offset, next_boundary)


class V6_1Pool(Pool):
    """Revision `v6.1`: one list of pages, the newest first, scanned on every allocation and every free.

    The rest is the series'. What it does otherwise is named by the patch that replaced it.
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
        """The first loop of `dma_pool_alloc` (before patch 09)."""
        allocation = self.geometry.allocation
        for page in self.page_list:
            if page.offset < allocation:
                return page
        return None

    def _add_page(self, page: Page) -> bool:
        """`list_add` in `dma_pool_alloc` (before patch 10)."""
        self.lock.needed()
        self.page_list.insert(0, page)
        return True

    def _page_is_full(self, page: Page) -> None:
        pass

    def _page_has_room(self, page: Page) -> None:
        pass

    def _walk(self, page: Page, chain: int, free_blks: int, offset: int) -> str:  # noqa: ARG002
        """v6.1 follows a list to its end (before patch 05): in as many steps as bytes, it has ended or runs in a circle."""
        turns = self.geometry.allocation
        while chain != offset and chain < self.geometry.allocation:
            if turns == 0:
                raise TimeoutError(f"dma_pool_free never ends: the free list of {page.vaddr:016x} runs in a circle")
            turns -= 1
            chain = page.link(chain)
        return ALREADY_FREE if chain == offset else ""

    def _find_page(self, vaddr: int, dma: int) -> Page | None:  # noqa: ARG002
        """`pool_find_page` (before patch 10)."""
        for page in self.page_list:
            if dma >= page.dma and dma - page.dma < self.geometry.allocation:
                return page
        return None

    def _pages(self) -> Iterable[Page]:
        return self.page_list

    def _fill_allocated(self, page: Page, offset: int, zero: bool) -> None:
        """The end of `dma_pool_alloc` (before patch 07): a block may be poisoned, and zeroed at once."""
        if self.debug:
            self._report_if_corrupted(page, offset)
            if not zero:
                page.fill(offset, self.geometry.size, POOL_POISON_ALLOCATED)
        if zero or self.init_on_alloc:
            page.fill(offset, self.geometry.size, 0)

    def _fill_freed(self, page: Page, offset: int, vaddr: int, dma: int) -> bool:
        """The middle of `dma_pool_free` (before patch 06): a block is zeroed before the free may be refused."""
        if self.init_on_free:
            page.fill(offset, self.geometry.size, 0)
        if self.debug:
            if self._is_refused(page, offset, vaddr, dma):
                return False
            page.fill(offset, self.geometry.size, POOL_POISON_FREED)
        return True

    def destroy(self) -> None:
        """`dma_pool_destroy` (before patch 08)."""
        for page in tuple(self.page_list):  # list_for_each_entry_safe
            if page.in_use:
                self._error(f"dma_pool_destroy {self.name}, {page.vaddr:016x} busy")
            else:
                self._give_back(page)
            self.page_list.remove(page)
        del self.page_list


class Patch08Pool(V6_1Pool):
    """Revision `patch-08`: v6.1 with the loop of dma_pool_destroy as patch 08 has it."""

    revision = "patch-08"

    def destroy(self) -> None:
        """`dma_pool_destroy` of patch 08."""
        while self.page_list:
            self._free_page(self.page_list[0])
        del self.page_list

    def _free_page(self, page: Page) -> None:
        if page.in_use:
            self._error(f"dma_pool_destroy {self.name}, {page.vaddr:016x} busy")
        else:
            self._give_back(page)
        self.page_list.remove(page)
