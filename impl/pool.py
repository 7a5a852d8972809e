"""The DMA pool of the 2022 patch series, revision `series`: `dma_pool_create`, `_alloc`, `_free`, `_destroy`, `pools`.

Ten patches, "mpt3sas and dmapool scalability", mailed to linux-mm on 31 May 2022; a docstring that names a patch means one of
them, and what it leaves alone is mm/dmapool.c of v6.1.

Addresses are plain integers. The bytes of a page belong to the environment; the links of the free list live inside the
free blocks, four bytes each, as in the kernel.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from impl import layout
from impl.layout import Geometry
from impl.list_head import ListHead, list_add, list_del_init, list_empty
from impl.lock import Lock
from impl.rbtree import Node, PageTree
from impl.words import unsigned_int

POOL_POISON_FREED = 0xA7
POOL_POISON_ALLOCATED = 0xA9
ALREADY_FREE, CORRUPTED = "already free", "freelist corrupted"
FREE_LINK = struct.Struct("<I")  # C writes an int and reads it back into an unsigned int


class Mapping(Protocol):
    """What dma_alloc_coherent gives: the same bytes under a virtual and a DMA address."""

    @property
    def vaddr(self) -> int: ...
    @property
    def dma(self) -> int: ...
    @property
    def data(self) -> memoryview: ...


class CoherentMemory(Protocol):
    """The device's `dma_alloc_coherent` and `dma_free_coherent`, and the memory behind them, by its virtual addresses."""

    def alloc_coherent(self, nbytes: int, flags: str) -> Mapping | None: ...
    def free_coherent(self, nbytes: int, vaddr: int, dma: int) -> None: ...
    def block(self, vaddr: int, nbytes: int) -> memoryview: ...


@dataclass(frozen=True, slots=True)
class Options:
    """How the kernel was configured, and its boot options."""

    page_size: int = 4096  # bytes
    debug: bool = False  # CONFIG_SLUB_DEBUG_ON
    init_on_alloc: bool = False
    init_on_free: bool = False


AS_SHIPPED = Options()


class StrayBlockError(Exception):
    """What a free block's link leads to is taken for a block, although it starts in no page."""

    claim = "block_starts_in_a_page"


class Page(Node):
    """`struct dma_page`: a node of the tree of pages, with a link for the list of pages with room."""

    __slots__ = ("avail_page_link", "data", "in_use", "offset", "vaddr")

    def __init__(self, mapping: Mapping) -> None:
        super().__init__(mapping.dma)
        self.avail_page_link = ListHead(self)
        self.vaddr = mapping.vaddr
        self.data = mapping.data
        self.in_use = 0  # blocks
        self.offset = 0  # of the first free block; at least `allocation` if there is none

    def bytes_at(self, offset: int, nbytes: int) -> memoryview:
        """Raises ValueError for bytes that are not in the page."""
        if not 0 <= offset <= len(self.data) - nbytes:
            raise ValueError(f"{nbytes} bytes at offset {offset} are not in their page of {len(self.data)} bytes")
        return self.data[offset : offset + nbytes]

    def link(self, offset: int) -> int:
        """`*(int *)(page->vaddr + offset)`: what the free block at `offset` links to.

        Raises StrayBlockError if none can be there.
        """
        if not 0 <= offset < len(self.data):
            raise StrayBlockError(f"the free list leads to offset {offset} of a page of {len(self.data)} bytes")
        following: int = FREE_LINK.unpack(self.bytes_at(offset, FREE_LINK.size))[0]
        return following

    def set_link(self, offset: int, following: int) -> None:
        FREE_LINK.pack_into(self.bytes_at(offset, FREE_LINK.size), 0, following)

    def fill(self, offset: int, nbytes: int, byte: int) -> None:
        self.bytes_at(offset, nbytes)[:] = bytes([byte]) * nbytes

    def is_filled(self, offset: int, nbytes: int, byte: int) -> bool:
        return bytes(self.data[offset : offset + nbytes]).count(byte) == nbytes


class DmaPool:
    """What every revision keeps in `struct dma_pool`, and makes of the arguments of `dma_pool_create`."""

    revision: ClassVar[str]
    admit = staticmethod(layout.admit)

    def __init__(self, name: str, memory: CoherentMemory, admitted: Geometry, options: Options = AS_SHIPPED) -> None:
        self.name = name[:31]  # char name[32]
        self.memory = memory
        self._set_geometry(admitted)
        self.debug = options.debug
        self.init_on_alloc = options.init_on_alloc
        self.init_on_free = options.init_on_free
        self.lock = Lock()
        self.log: list[str] = []

    @classmethod
    def create(
        cls, name: str, memory: CoherentMemory, size: int, align: int, boundary: int, options: Options = AS_SHIPPED
    ) -> Self | None:
        """`dma_pool_create`: a pool of blocks of `size` bytes, aligned to `align`, none across a `boundary`; or None."""
        admitted = cls.admit(size, align, boundary, options.page_size)
        return None if admitted is None else cls(name, memory, admitted, options)

    def _set_geometry(self, admitted: Geometry) -> None:
        self.geometry = layout.kept(admitted)

    def _error(self, message: str) -> None:
        """`dev_err`."""
        self.log.append(message)


class Pool(DmaPool):
    """A pool of blocks of coherent memory. Make one with `Pool.create`."""

    revision = "series"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.page_tree: PageTree[Page] = PageTree(self.geometry.allocation)
        self.avail_page_list = ListHead()

    def alloc(self, zero: bool = False, flags: str = "GFP_KERNEL") -> tuple[int, int] | None:
        """`dma_pool_alloc` (patch 09): (virtual address, DMA address) of a free block, or None.

        The block is zeroed if asked (`__GFP_ZERO`); a page is asked for with the other flags. The lock is dropped meanwhile,
        and others may run.
        """
        with self.lock:
            page = self._page_with_room()
            if page is None:
                self.lock.drop()
                page = self._alloc_page(flags)
                self.lock.take()
                if page is None or not self._add_page(page):
                    return None

            page.in_use += 1
            offset = page.offset
            page.offset = page.link(offset)
            if page.offset >= self.geometry.allocation:
                self._page_is_full(page)

        if self.debug or self.init_on_alloc or zero:
            self._fill_allocated(page, offset, zero)
        return page.vaddr + offset, page.dma + offset

    def free(self, vaddr: int, dma: int) -> None:
        """`dma_pool_free` (patches 06, 09 and 10): take back the block at these two addresses."""
        with self.lock:
            page = self._find_page(vaddr, dma)
            if page is None:
                self._error(f"dma_pool_free {self.name}, {vaddr:016x}/{dma:#018x} (bad dma)")
                return
            offset = unsigned_int(vaddr - page.vaddr)
            if (self.debug or self.init_on_free) and not self._fill_freed(page, offset, vaddr, dma):
                return
            self._page_has_room(page)
            page.in_use = unsigned_int(page.in_use - 1)
            page.set_link(offset, page.offset)
            page.offset = offset

    def destroy(self) -> None:
        """`dma_pool_destroy` (patches 08 and 10): give back every page; one with blocks in use is reported and leaked."""
        for page in self.page_tree.postorder():
            self._free_page(page)
        del self.page_tree  # with the pool; who calls it later reads freed memory

    def poolinfo(self) -> str:
        """`pools_show`, a pool's row in the device's file `pools`: name, blocks in use, blocks, size in bytes, pages."""
        in_use = pages = 0
        with self.lock:
            for page in self._pages():
                in_use += page.in_use
                pages += 1
        return f"{self.name:<16} {in_use:4} {self._total_blocks(pages):4} {self.geometry.size:4} {pages:2}"

    # What the revisions do differently; see impl.v6_1 for v6.1.

    def _set_geometry(self, admitted: Geometry) -> None:
        super()._set_geometry(admitted)
        self.blks_per_alloc = layout.blks_per_alloc(admitted)  # in size_t, before the geometry is narrowed

    def _total_blocks(self, pages: int) -> int:
        """Of `pools_show` (patch 04)."""
        return pages * self.blks_per_alloc

    def _laid_blocks(self) -> Iterable[tuple[int, int]]:
        return layout.laid_blocks(self.geometry)

    def _page_with_room(self) -> Page | None:
        """The first of `pool->avail_page_list` (patch 09)."""
        page: Page | None = self.avail_page_list.next.owner  # an empty ring's head follows itself, and owns nothing
        return page

    def _add_page(self, page: Page) -> bool:
        """`pool_insert_page` and the list of pages with room (patches 09 and 10)."""
        self.lock.needed()
        overlapping = self.page_tree.insert(page)
        if overlapping is not None:
            # The kernel warns and leaks the page rather than crash.
            old, new = overlapping.dma, page.dma
            length = self.geometry.allocation
            self._error(f"{self.name}: DMA address overlap: old {old:#018x} new {new:#018x} len {length}")
            return False
        list_add(page.avail_page_link, self.avail_page_list)
        return True

    def _page_is_full(self, page: Page) -> None:
        list_del_init(page.avail_page_link)

    def _page_has_room(self, page: Page) -> None:
        """A page that was full is listed again, as the first (patch 09)."""
        if list_empty(page.avail_page_link):
            list_add(page.avail_page_link, self.avail_page_list)

    def _find_page(self, vaddr: int, dma: int) -> Page | None:  # noqa: ARG002
        """`pool_find_page` (patch 10)."""
        return self.page_tree.find(dma)

    def _pages(self) -> Iterable[Page]:
        return self.page_tree

    def _fill_allocated(self, page: Page, offset: int, zero: bool) -> None:
        """The end of `dma_pool_alloc` (patch 07): a block that is going to be zeroed is not poisoned before."""
        want_zero = zero or self.init_on_alloc
        if self.debug:
            self._report_if_corrupted(page, offset)
            if not want_zero:
                page.fill(offset, self.geometry.size, POOL_POISON_ALLOCATED)
        if want_zero:
            page.fill(offset, self.geometry.size, 0)

    def _fill_freed(self, page: Page, offset: int, vaddr: int, dma: int) -> bool:
        """Whether the block may be freed; if so, it is filled. Patch 06: debug builds ignore init_on_free."""
        if self.debug:
            if self._is_refused(page, offset, vaddr, dma):
                return False
            page.fill(offset, self.geometry.size, POOL_POISON_FREED)
        elif self.init_on_free:
            page.fill(offset, self.geometry.size, 0)
        return True

    def _walk(self, page: Page, chain: int, free_blks: Any, offset: int) -> str:
        """Debug builds' loop in `dma_pool_free` (patch 05), from any block of a page's free list on, which `free_blks` come
        before: what speaks against freeing the block at `offset`, if anything does. A list has to be as long as the blocks in
        use leave it; one that runs in a circle must not hang the kernel."""
        while chain < self.geometry.allocation:
            if chain == offset:
                return ALREADY_FREE
            free_blks += 1
            if free_blks + page.in_use > self.blks_per_alloc:
                return CORRUPTED
            chain = page.link(chain)
        return CORRUPTED if free_blks + page.in_use != self.blks_per_alloc else ""

    # What they share.

    def _alloc_page(self, flags: str) -> Page | None:
        """`pool_alloc_page` and `pool_initialise_page`: a page whose blocks are linked in the order of their offsets."""
        self.lock.might_sleep()
        mapping = self.memory.alloc_coherent(self.geometry.allocation, flags)
        if mapping is None:
            return None
        page = self._new_page(mapping)
        if self.debug:
            page.fill(0, self.geometry.allocation, POOL_POISON_FREED)
        for offset, link in self._laid_blocks():
            page.set_link(offset, link)
        return page

    def _new_page(self, mapping: Mapping) -> Page:
        return Page(mapping)

    def _free_page(self, page: Page) -> None:
        """`pool_free_page`, while the pool is destroyed (patch 08): a page that is busy is leaked."""
        if page.in_use:
            self._error(f"dma_pool_destroy {self.name}, {page.vaddr:016x} busy")
        else:
            self._give_back(page)
        list_del_init(page.avail_page_link)

    def _give_back(self, page: Page) -> None:
        """What `pool_free_page` does with a page of which no block is in use."""
        if self.debug:
            page.fill(0, self.geometry.allocation, POOL_POISON_FREED)
        self.memory.free_coherent(self.geometry.allocation, page.vaddr, page.dma)

    def _is_refused(self, page: Page, offset: int, vaddr: int, dma: int) -> bool:
        """Debug builds' part of `dma_pool_free`: whether the two addresses don't match, or the free list speaks against it."""
        if dma - page.dma != offset:
            self._error(f"dma_pool_free {self.name}, {vaddr:016x} (bad vaddr)/{dma:#018x}")
            return True
        wrong = self._walk(page, page.offset, 0, offset)
        if wrong:
            where = f"dma {dma:#018x} " if wrong is ALREADY_FREE else ""
            self._error(f"dma_pool_free {self.name}, {where}{wrong}")
        return wrong != ""

    def _report_if_corrupted(self, page: Page, offset: int) -> None:
        """Debug builds' part of `dma_pool_alloc`: report a block that was written to while it was free, behind its link."""
        unlinked = offset + FREE_LINK.size, self.geometry.size - FREE_LINK.size
        if not page.is_filled(*unlinked, POOL_POISON_FREED):
            self._error(f"dma_pool_alloc {self.name}, {page.vaddr + offset:016x} (corrupted)")
