"""The environment of a pool: a device's coherent memory, the same bytes under a virtual and a DMA address."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass

VADDR_BASE = 0xFFFF_8880_0000_0000  # of the linear map, and of remapped memory: where x86-64 has them
VMALLOC_BASE, VMALLOC_END = 0xFFFF_C900_0000_0000, 0xFFFF_E900_0000_0000
DMA_BASE = 0x1_0000_0000


def apart(nbytes: int) -> int:
    """Bytes from the start of a mapping to that of the next one, so that no overrun reaches it unnoticed: a multiple of 8,
    since KASAN tells bytes apart in eights."""
    return -(-2 * nbytes // 8) * 8


@dataclass(frozen=True)
class Mapping:
    """What `dma_alloc_coherent` gives. `data` has a fixed length: an access outside it raises."""

    vaddr: int
    dma: int
    data: memoryview


class Memory:
    """Gives and takes back coherent memory, at DMA addresses that are chosen from outside.

    `place(nbytes)` returns the DMA address of each allocation, or None for a failure. The kernel drops the pool's
    lock around this call, so `place` may run other operations on the pool. Memory that is not coherent by itself is
    `remapped`: its virtual addresses are not in the linear map. A pool that runs elsewhere provides the `bytes_at` a virtual
    address itself, so that it shares them.
    """

    def __init__(self, place: Callable[[int], int | None] | None = None, remapped: bool = False) -> None:
        self.place = place or self.next_free_place
        self.mappings: dict[int, Mapping] = {}  # by virtual address; given out and not taken back
        self._starts: list[int] = []  # the virtual addresses, ascending
        self.flags = ""  # that the latest page was asked for with
        self.bytes_at: Callable[[int, int], memoryview] = lambda _, nbytes: memoryview(bytearray(nbytes))
        self.base = self._next_vaddr = VMALLOC_BASE if remapped else VADDR_BASE  # no virtual address is below
        self._next_dma = DMA_BASE

    def next_free_place(self, nbytes: int) -> int:
        """Ascending DMA addresses, aligned as the API promises: to the next power of two."""
        alignment = 1 << max(nbytes - 1, 0).bit_length()
        dma = -(-self._next_dma // alignment) * alignment
        self._next_dma = dma + nbytes
        return dma

    def alloc_coherent(self, nbytes: int, flags: str = "") -> Mapping | None:
        """`dma_alloc_coherent`: a mapping of `nbytes` zeroed bytes, or None. `place` may look at the `flags`."""
        self.flags = flags
        dma = self.place(nbytes)
        if dma is None:
            return None
        mapping = Mapping(self._next_vaddr, dma, self.bytes_at(self._next_vaddr, nbytes))
        self._next_vaddr += apart(nbytes)
        self.add(mapping)
        return mapping

    def add(self, mapping: Mapping) -> None:
        """Count a mapping that exists already, such as one in another process, as live until it is freed."""
        self.mappings[mapping.vaddr] = mapping
        insort(self._starts, mapping.vaddr)

    def free_coherent(self, nbytes: int, vaddr: int, dma: int) -> None:
        """`dma_free_coherent`. Raises ValueError unless exactly this was given out and not taken back."""
        mapping = self.mappings.get(vaddr)
        if mapping is None or mapping.dma != dma or len(mapping.data) != nbytes:
            raise ValueError(f"dma_free_coherent of {nbytes} bytes at {vaddr:#x}/{dma:#x}, which is not a live mapping")
        mapping.data.release()  # who reads or writes it from now on fails
        del self.mappings[vaddr]
        del self._starts[bisect_left(self._starts, vaddr)]

    def offset(self, vaddr: int) -> int:
        """How far a virtual address is from the start of the mapping below it."""
        below = bisect_right(self._starts, vaddr)
        return vaddr - self._starts[below - 1] if below else vaddr

    def block(self, vaddr: int, nbytes: int) -> memoryview:
        """The bytes at a virtual address. Raises ValueError if they do not lie in one live mapping."""
        below = bisect_right(self._starts, vaddr)
        if below:
            mapping = self.mappings[self._starts[below - 1]]
            offset = vaddr - mapping.vaddr
            if offset + nbytes <= len(mapping.data):
                return mapping.data[offset : offset + nbytes]
        raise ValueError(f"{nbytes} bytes at {vaddr:#x} are not in coherent memory")
