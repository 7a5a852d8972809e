"""The DMA pool that Linux merged instead of the series, as of v6.12: one stack of free blocks through the whole pool.

Keith Busch's series "dmapool enhancements" as mailed on 26 January 2023, whose patch 11, "dmapool: link blocks across pages",
makes the stack, and "dmapool: push new blocks in ascending order" of 21 February 2023. Every free block holds a `struct
dma_block`: the virtual address of the free block below it, and its own DMA address. A free block is reached by its virtual
address alone, so an alloc or a free looks for no page. A docstring that names a patch means one of that series' twelve.
"""

import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

from impl import layout
from impl.layout import Cursor, Geometry, first_block
from impl.pool import POOL_POISON_ALLOCATED, POOL_POISON_FREED, DmaPool, Mapping
from impl.words import size_t, unsigned_int

DMA_BLOCK = struct.Struct("<QQ")  # struct dma_block: the block below, and this block's DMA address
NULL = 0


admit = partial(layout.admit, smallest_block=DMA_BLOCK.size)
"""The argument check of `dma_pool_create` (patches 04 and 11): the series', for larger blocks."""


def goes_on(geometry: Geometry, cursor: Cursor) -> bool:
    """The condition of the loop in `pool_initialise_page` (patch 11). The sum is an `unsigned int`, and can wrap around."""
    return unsigned_int(cursor.offset + geometry.size) <= geometry.allocation


def skips(geometry: Geometry, cursor: Cursor) -> bool:
    """Whether a turn of that loop lays no block, because it would cross a boundary."""
    return unsigned_int(cursor.offset + geometry.size) > cursor.next_boundary


def turn(geometry: Geometry, cursor: Cursor) -> Cursor:
    """One turn of that loop: on to the next boundary, or past the block that is laid at `cursor`."""
    if skips(geometry, cursor):
        return Cursor(cursor.next_boundary, unsigned_int(cursor.next_boundary + geometry.boundary))
    return Cursor(unsigned_int(cursor.offset + geometry.size), cursor.next_boundary)


def laid_offsets(geometry: Geometry) -> Iterator[int]:
    """The offset of every block in a page, in the order in which they are first handed out.

    Raises TimeoutError where a turn does not move on: with what `admit` lets in, the kernel then lays the same blocks for
    ever.
    """
    cursor = first_block(geometry)
    while goes_on(geometry, cursor):
        if not skips(geometry, cursor):
            yield cursor.offset
        following = turn(geometry, cursor)
        if following <= cursor:
            raise TimeoutError(f"pool_initialise_page never ends: offset {following.offset} follows {cursor.offset}")
        cursor = following


class V6_12Pool(DmaPool):
    """A pool of blocks of coherent memory, revision `v6.12`. Make one with `V6_12Pool.create`."""

    revision = "v6.12"
    admit = staticmethod(admit)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.page_list: list[Mapping] = []  # the newest first
        self.next_block = NULL  # the top of the stack: a virtual address
        self.nr_blocks = 0
        self.nr_active = 0  # blocks in use
        self.nr_pages = 0

    def alloc(self, zero: bool = False, flags: str = "GFP_KERNEL") -> tuple[int, int] | None:
        """`dma_pool_alloc` (patches 05, 07 and 11): (virtual address, DMA address) of a free block, or None."""
        with self.lock:
            block = self._pop()
            if block == NULL:
                self.lock.drop()
                page = self._alloc_page(flags)
                self.lock.take()
                if page is None:
                    return None
                self._initialise_page(page)
                block = self._pop()

        _, dma = self._read_block(block)
        want_zero = zero or self.init_on_alloc
        if self.debug:
            self._check_block(block)
            if not want_zero:
                self._fill(block, POOL_POISON_ALLOCATED)
        if want_zero:
            self._fill(block, 0)
        return block, dma

    def free(self, vaddr: int, dma: int) -> None:
        """`dma_pool_free` (patches 10 and 11): take back the block at these two addresses; only debug builds look at them."""
        with self.lock:
            if self.debug:
                if self._block_err(vaddr, dma):
                    return
                self._fill(vaddr, POOL_POISON_FREED)
            elif self.init_on_free:
                self._fill(vaddr, 0)
            self._push(vaddr, dma)
            self.nr_active = size_t(self.nr_active - 1)

    def destroy(self) -> None:
        """`dma_pool_destroy` (patch 11): give back every page; if any block is in use, report it and leak all pages."""
        if self.nr_active:
            self._error(f"dma_pool_destroy {self.name} busy")
        else:
            for page in self.page_list:
                self.memory.free_coherent(self.geometry.allocation, page.vaddr, page.dma)
        del self.page_list, self.next_block  # with the pool; who calls it later reads freed memory

    def poolinfo(self) -> str:
        """`pools_show` (patch 11), a pool's row in the file `pools`: name, blocks in use, blocks, size in bytes, pages."""
        return f"{self.name:<16} {self.nr_active:4} {self.nr_blocks:4} {self.geometry.size:4} {self.nr_pages:2}"

    def _pop(self) -> int:
        """`pool_block_pop` (patch 11): the topmost free block, which counts as in use from now on; or NULL."""
        block = self.next_block
        if block != NULL:
            self.next_block, _ = self._read_block(block)
            self.nr_active = size_t(self.nr_active + 1)
        return block

    def _push(self, block: int, dma: int) -> None:
        """`pool_block_push` (patch 11): put a block on top of the stack. Its DMA address is what the driver says it is."""
        self._write_block(block, self.next_block, dma)
        self.next_block = block

    def _alloc_page(self, flags: str) -> Mapping | None:
        """`pool_alloc_page` (patch 08). It may sleep, so the lock is dropped: other calls run inside alloc_coherent."""
        self.lock.might_sleep()
        return self.memory.alloc_coherent(self.geometry.allocation, flags)

    def _initialise_page(self, page: Mapping) -> None:
        """`pool_initialise_page` (mail of 21 February 2023): put a page's blocks on top of the stack, the first one topmost.

        Patch 11 had the last one topmost, which broke drivers. A block is written once the block below it is known; the
        kernel writes it before, and its link once more.
        """
        self.lock.needed()
        if self.debug:
            page.data[:] = bytes([POOL_POISON_FREED]) * self.geometry.allocation
        first = last = NULL
        for offset in self._laid_offsets():
            block = page.vaddr + offset
            if last == NULL:
                first = block
            else:
                self._write_block(last, block, page.dma + (last - page.vaddr))
            last = block
            self.nr_blocks += 1
        self._write_block(last, self.next_block, page.dma + (last - page.vaddr))
        self.next_block = first
        self.page_list.insert(0, page)
        self.nr_pages += 1

    def _block_err(self, vaddr: int, dma: int) -> bool:
        """`pool_block_err` in debug builds (patch 11): report a DMA address of no page, and a block that is free already.

        Whether the two addresses name the same block, it does not look.
        """
        if self._find_page(dma) is None:
            self._error(f"pool_block_err {self.name}, {vaddr:016x}/{dma:#018x} (bad dma)")
            return True
        if self._is_free(vaddr):
            self._error(f"pool_block_err {self.name}, dma {dma:#018x} already free")
            return True
        return False

    def _find_page(self, dma: int) -> Mapping | None:
        """`pool_find_page`, in debug builds only: v6.1's scan."""
        for page in self.page_list:
            if dma >= page.dma and dma - page.dma < self.geometry.allocation:
                return page
        return None

    def _is_free(self, vaddr: int) -> bool:
        """The loop of `pool_block_err`: whether a block is on the stack. Raises TimeoutError if the stack has no end."""
        block = self.next_block
        followed = 0
        while block != NULL:
            if block == vaddr:
                return True
            if followed == self.nr_blocks:
                raise TimeoutError(f"pool_block_err never ends: {followed} links do not lead to the stack's end")
            block, _ = self._read_block(block)
            followed += 1
        return False

    def _check_block(self, block: int) -> None:
        """`pool_check_block` in debug builds (patches 06 and 11): report a block that was written to while it was free."""
        unlinked = bytes(self.memory.block(block, self.geometry.size)[DMA_BLOCK.size :])
        if unlinked.count(POOL_POISON_FREED) != len(unlinked):
            self._error(f"pool_check_block {self.name}, {block:016x} (corrupted)")

    # How memory is read and written: by virtual address. The prover puts a symbolic memory here.

    def _laid_offsets(self) -> Iterator[int]:
        return laid_offsets(self.geometry)

    def _read_block(self, block: int) -> tuple[int, int]:
        """`block->next_block` and `block->dma`: the block below, and the DMA address, of a free block."""
        below, dma = DMA_BLOCK.unpack(self.memory.block(block, DMA_BLOCK.size))
        return below, dma

    def _write_block(self, block: int, below: int, dma: int) -> None:
        DMA_BLOCK.pack_into(self.memory.block(block, DMA_BLOCK.size), 0, below, dma)

    def _fill(self, block: int, byte: int) -> None:
        self.memory.block(block, self.geometry.size)[:] = bytes([byte]) * self.geometry.size
