"""Two older ways to look a page up, which the prover refutes."""

from collections.abc import Callable

from impl.rbtree import LEFT, RIGHT, N, PageTree
from impl.words import size_t


class TreeByEndAddress(PageTree[N]):
    """A tree with the comparison of `pool_find_page` until Linux 4.3 (2015), which wraps at the top of the address space."""

    def __init__(self, allocation: int, dma_addr_t: Callable[[int], int] = size_t) -> None:
        super().__init__(allocation)
        self.dma_addr_t = dma_addr_t

    def find(self, dma: int) -> N | None:
        node = self.root
        while node is not None:
            if dma < node.dma:
                node = node.child[LEFT]
            elif dma >= self.dma_addr_t(node.dma + self.allocation):
                node = node.child[RIGHT]
            else:
                return node
        return None


PAGE_OFFSET = 0xFFFF_8880_0000_0000
"""Where the linear map begins: physical address 0, as x86-64 maps it."""
MEMORY = 2**36
"""Bytes of memory that the machine has: 64 GiB. There is no `struct page` above."""


def page_frame(vaddr: int, page_size: int) -> int:
    """`virt_to_page`, as an index into the array of every `struct page`: right in the linear map, and nowhere else.

    The fourth version of the series, of 2018, looked pages up so, and was reverted (cover letter of 31 May 2022).
    """
    return size_t(vaddr - PAGE_OFFSET) // page_size
