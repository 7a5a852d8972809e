"""Pools in Python to compare with: what a user would write, and the floor that any pool in Python has."""

from bisect import bisect_right, insort

from impl.layout import Geometry, admit, laid_blocks
from model.memory import Memory

Block = tuple[int, int]  # virtual address, DMA address


class BisectPool:
    """A pool as one would write it in Python: free blocks on a list, and pages found by bisecting their addresses.

    It has no free list in the blocks, no debug builds, and no reports.
    """

    def __init__(self, memory: Memory, geometry: Geometry) -> None:
        self.memory = memory
        self.geometry = geometry
        self.free_blocks: list[Block] = []
        self.starts: list[int] = []  # the pages' first DMA addresses, ascending
        self.in_use: dict[int, int] = {}
        self.vaddrs: dict[int, int] = {}

    @classmethod
    def create(cls, name: str, memory: Memory, size: int, align: int, boundary: int) -> "BisectPool":
        del name
        geometry = admit(size, align, boundary, 4096)
        assert geometry is not None, "the arguments are admitted"
        return cls(memory, geometry)

    def alloc(self) -> Block | None:
        if not self.free_blocks and not self._add_page():
            return None
        block = self.free_blocks.pop()
        self.in_use[self._page_of(block[1])] += 1
        return block

    def free(self, vaddr: int, dma: int) -> None:
        self.in_use[self._page_of(dma)] -= 1
        self.free_blocks.append((vaddr, dma))

    def destroy(self) -> None:
        for dma, in_use in self.in_use.items():
            if not in_use:
                self.memory.free_coherent(self.geometry.allocation, self.vaddrs[dma], dma)

    def _page_of(self, dma: int) -> int:
        return self.starts[bisect_right(self.starts, dma) - 1]

    def _add_page(self) -> bool:
        mapping = self.memory.alloc_coherent(self.geometry.allocation)
        if mapping is None:
            return False
        insort(self.starts, mapping.dma)
        self.in_use[mapping.dma], self.vaddrs[mapping.dma] = 0, mapping.vaddr
        offsets = [offset for offset, _ in laid_blocks(self.geometry)]
        self.free_blocks += [(mapping.vaddr + offset, mapping.dma + offset) for offset in reversed(offsets)]
        return True


class FloorPool(BisectPool):
    """What no pool in Python does without: a list that each block is popped from and pushed to, a look-up at each free."""

    def __init__(self, memory: Memory, geometry: Geometry) -> None:
        super().__init__(memory, geometry)
        self.blocks: dict[Block, Block] = {}

    def alloc(self) -> Block | None:
        if not self.free_blocks and not self._add_page():
            return None
        return self.free_blocks.pop()

    def free(self, vaddr: int, dma: int) -> None:
        self.free_blocks.append(self.blocks[vaddr, dma])

    def _add_page(self) -> bool:
        before = len(self.free_blocks)
        added = super()._add_page()
        self.blocks.update((block, block) for block in self.free_blocks[before:])
        return added
