"""The oracle: a DMA pool that keeps every promise by scanning its pages and blocks, one after the other.

Read it beside the kernel's documentation. Which free block an allocation returns is not promised: `alloc` returns the
lowest, and `add_page` and `take` let the oracle follow the choices of another pool, step by step.
"""

from dataclasses import dataclass, field
from typing import Any, Self

from model import geometry as geometry_of
from model.geometry import Geometry, Refusal
from model.memory import Mapping, Memory
from model.promises import SERIES, Promises

Addresses = tuple[int, int]  # virtual address, DMA address


@dataclass
class Page:
    """One allocation of coherent memory, and the offsets of its blocks in use."""

    mapping: Mapping
    in_use: set[int] = field(default_factory=set)


@dataclass
class Oracle:
    """A pool of blocks of coherent memory; `create` checks the arguments."""

    name: str
    memory: Memory
    geometry: Geometry
    debug: bool = False
    init_on_alloc: bool = False
    init_on_free: bool = False
    promises: Promises = SERIES

    def __post_init__(self) -> None:
        self.debug = self.debug or self.promises.always_debugs
        self.offsets = geometry_of.block_offsets(self.geometry, self.promises.lays_up_to_the_boundary)
        self.laid, self.pages, self.log = frozenset(self.offsets), list[Page](), list[str]()

    @classmethod
    def create(
        cls,
        name: str,
        memory: Memory,
        size: int,
        align: int,
        boundary: int,
        *,
        page_size: int = 4096,
        **options: Any,
    ) -> Self | None:
        """`dma_pool_create`; the options are the last fields of a pool."""
        promises = options.get("promises", SERIES)
        geometry = geometry_of.create(size, align, boundary, page_size, promises.smallest_block)
        return None if isinstance(geometry, Refusal) else cls(name[:31], memory, geometry, **options)

    def free_blocks(self, vaddr: int | None = None) -> list[Addresses]:
        """Every block that may be handed out; or of these the one at a virtual address, if there is one."""
        return [
            (page.mapping.vaddr + offset, page.mapping.dma + offset)
            for page in self.pages
            for offset in (self.offsets if vaddr is None else self.laid & {vaddr - page.mapping.vaddr})
            if offset not in page.in_use
        ]

    def alloc(self, zero: bool = False, flags: str = "GFP_KERNEL") -> Addresses | None:
        """`dma_pool_alloc`. A page is allocated only if no block is free; others may run meanwhile."""
        if not self.free_blocks():
            mapping = self.memory.alloc_coherent(self.geometry.allocation, flags)
            if mapping is None or not self.add_page(mapping):
                return None
        vaddr, dma = min(self.free_blocks())
        self.take(vaddr, dma, zero)
        return vaddr, dma

    def add_page(self, mapping: Mapping) -> bool:
        """Take a page into the pool; one that overlaps another is refused, and the lowest that it overlaps reported."""
        if overlapping := self.overlapping(mapping.dma):
            old, new, nbytes = min(overlapping), mapping.dma, self.geometry.allocation
            self.log.append(f"{self.name}: DMA address overlap: old {old:#018x} new {new:#018x} len {nbytes}")
            return False
        self.pages.append(Page(mapping))
        if self.debug:
            mapping.data[:] = b"\xa7" * self.geometry.allocation
        return True

    def overlapping(self, dma: int) -> list[int]:
        """The first addresses of the pages that a page at `dma` would overlap."""
        return [page.mapping.dma for page in self.pages if abs(page.mapping.dma - dma) < self.geometry.allocation]

    def take(self, vaddr: int, dma: int, zero: bool = False) -> None:
        """Put a free block to use. Debug builds report one that was written to while it was free, but for its link."""
        page, content = self.page_of(dma), bytes(self.memory.block(vaddr, self.geometry.size))
        assert page is not None
        page.in_use.add(vaddr - page.mapping.vaddr)
        if self.debug and content[self.promises.smallest_block :].strip(b"\xa7"):
            self.log.append(f"{self.promises.reports_of_alloc} {self.name}, {vaddr:016x} (corrupted)")
        if zero or self.init_on_alloc or self.debug:
            self._fill(vaddr, 0 if zero or self.init_on_alloc else 0xA9)

    def free(self, vaddr: int, dma: int) -> None:
        """`dma_pool_free`."""
        if complaint := self.complaint(vaddr, dma):
            function = self.promises.reports_of_free if self.page_of(dma) else self.promises.reports_of_foreign_dma
            self.log.append(f"{function} {self.name}, {complaint}")
        elif (page := self.page_of(dma)) is not None and (offset := vaddr - page.mapping.vaddr) in page.in_use:
            page.in_use.remove(offset)
            if self.debug or self.init_on_free:
                self._fill(vaddr, 0xA7 if self.debug else 0)

    def complaint(self, vaddr: int, dma: int) -> str:
        """What is reported of a free of these addresses; "" where nothing is promised to be."""
        page, debug, promises = self.page_of(dma), self.debug, self.promises
        if page is None:
            return f"{vaddr:016x}/{dma:#018x} (bad dma)" if debug or promises.notices_foreign_dma else ""
        if debug and promises.notices_wrong_vaddr and vaddr - page.mapping.vaddr != dma - page.mapping.dma:
            return f"{vaddr:016x} (bad vaddr)/{dma:#018x}"
        return f"dma {dma:#018x} already free" if debug and self.free_blocks(vaddr) else ""

    def destroy(self) -> None:
        """`dma_pool_destroy`. A page with blocks in use is reported and leaked; some revisions leak all of them."""
        if self.promises.leaks_every_page and any(page.in_use for page in self.pages):
            self.log.append(f"dma_pool_destroy {self.name} busy")
            return
        for page in self.pages:
            if page.in_use:
                self.log.append(f"dma_pool_destroy {self.name}, {page.mapping.vaddr:016x} busy")
            else:
                self.memory.free_coherent(self.geometry.allocation, page.mapping.vaddr, page.mapping.dma)

    def poolinfo(self) -> str:
        """The row of the file `pools`: name, blocks in use, blocks, size in bytes, pages."""
        in_use, pages = sum(len(page.in_use) for page in self.pages), len(self.pages)
        return f"{self.name:<16} {in_use:4} {pages * self.counted_per_page():4} {self.geometry.size:4} {pages:2}"

    def counted_per_page(self) -> int:
        """How many blocks the total counts for a page."""
        divided = self.geometry.allocation // self.geometry.size
        return len(self.offsets) if self.promises.counts_what_is_laid else divided

    def page_of(self, dma: int) -> Page | None:
        """The page whose addresses hold `dma`."""
        return next((page for page in self.pages if 0 <= dma - page.mapping.dma < self.geometry.allocation), None)

    def _fill(self, vaddr: int, byte: int) -> None:
        self.memory.block(vaddr, self.geometry.size)[:] = bytes([byte]) * self.geometry.size
