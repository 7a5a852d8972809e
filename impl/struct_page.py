"""What the fourth version of the series, of 2018, was reverted for: a pool that finds its pages by `virt_to_page`.

The pool's data lived in the kernel's `struct page`, of which there is one for each frame of memory, in one array. From a
virtual address to its entry is a subtraction and a division, which is right in the linear map, and nowhere else.
"""

from typing import Any, Self

from impl.pool import CoherentMemory, Page, Pool
from impl.words import size_t

PAGE_OFFSET = 0xFFFF_8880_0000_0000
"""Where the linear map begins: physical address 0, as x86-64 maps it."""
MEMORY = 2**36
"""Bytes of memory that the machine has: 64 GiB. There is no `struct page` above."""


def page_frame(vaddr: int, page_size: int) -> int:
    """`virt_to_page`, as an index into the array of every `struct page`."""
    return size_t(vaddr - PAGE_OFFSET) // page_size


class StructPagePool(Pool):
    """Revision `v4`: a page is found from a block's virtual address.

    The rest is the series': the mails of 2018 were not at hand.
    """

    revision = "v4"
    page_size: int

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.mem_map: dict[int, Page] = {}  # by page frame; the array, where this pool has written to it

    @classmethod
    def create(
        cls,
        name: str,
        memory: CoherentMemory,
        size: int,
        align: int,
        boundary: int,
        *,
        page_size: int = 4096,
        **options: Any,
    ) -> Self | None:
        pool = super().create(name, memory, size, align, boundary, page_size=page_size, **options)
        if pool is not None:
            pool.page_size = page_size
        return pool

    def _add_page(self, page: Page) -> bool:
        if not super()._add_page(page):
            return False
        last = page.vaddr + self.geometry.allocation - 1
        for frame in range(self._entry(page.vaddr), self._entry(last) + 1):
            self.mem_map[frame] = page
        return True

    def _find_page(self, vaddr: int, dma: int) -> Page | None:  # noqa: ARG002
        return self.mem_map.get(self._entry(vaddr))

    def _entry(self, vaddr: int) -> int:
        """The frame whose `struct page` an address leads to. Raises IndexError where there is none: a wild pointer in C."""
        frame = page_frame(vaddr, self.page_size)
        if frame >= MEMORY // self.page_size:
            raise IndexError(f"virt_to_page({vaddr:#x}) is entry {frame:#x} of {MEMORY // self.page_size:#x}")
        return frame
