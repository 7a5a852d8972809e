"""From the arguments of `dma_pool_create` to a geometry, and from a geometry to the blocks of a page. All in bytes.

This is the promise, in exact numbers and by brute force; `impl.layout` is the kernel's arithmetic.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

INT_MAX = 2**31 - 1
SMALLEST_BLOCK = 4  # a free block holds the link to the next one, an int


@dataclass(frozen=True)
class Geometry:
    """An accepted pool: block `size`, the `boundary` that no block crosses, and the `allocation` that a page is."""

    size: int
    boundary: int
    allocation: int


@dataclass(frozen=True)
class LaidPage:
    """A page as some code lays it out: of each block, its offset, and how far the DMA address that it is given is from the
    page's, which is None where a block is given its address when it is allocated."""

    geometry: Geometry
    blocks: tuple[tuple[int, int | None], ...]

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """What `dataclasses.asdict` gives, after it was JSON."""
        return cls(Geometry(**document["geometry"]), tuple((offset, dma) for offset, dma in document["blocks"]))


class Refusal(Enum):
    """Why `dma_pool_create` returns NULL."""

    ALIGN_IS_NOT_A_POWER_OF_TWO = "align is not a power of two"
    SIZE_IS_ZERO = "size is 0"
    SIZE_IS_ABOVE_INT_MAX = "size, rounded up to align, is above INT_MAX"
    BOUNDARY_IS_BELOW_SIZE = "boundary is smaller than a block"
    BOUNDARY_IS_NOT_A_POWER_OF_TWO = "boundary is not a power of two"


def create(
    size: int, align: int, boundary: int, page_size: int, smallest_block: int = SMALLEST_BLOCK
) -> Geometry | Refusal:
    """What a pool with these arguments has to be. `align` 0 means 1 and `boundary` 0 means no boundary but the page's."""
    align = 1 if align == 0 else align
    if not is_a_power_of_two(align):
        return Refusal.ALIGN_IS_NOT_A_POWER_OF_TWO
    if size == 0:
        return Refusal.SIZE_IS_ZERO
    size = round_up(max(size, smallest_block), align)
    if size > INT_MAX:
        return Refusal.SIZE_IS_ABOVE_INT_MAX
    allocation = max(size, page_size)
    if boundary == 0:
        return Geometry(size, allocation, allocation)
    if boundary < size:
        return Refusal.BOUNDARY_IS_BELOW_SIZE
    if not is_a_power_of_two(boundary):
        return Refusal.BOUNDARY_IS_NOT_A_POWER_OF_TWO
    return Geometry(size, min(boundary, allocation), allocation)


def block_offsets(geometry: Geometry, up_to_the_boundary: bool = True) -> list[int]:
    """Where the blocks of a page lie: walk the offsets and place a block wherever the rules allow it.

    If not `up_to_the_boundary`, as in v6.1, a block that ends at a boundary has to start at one.
    """
    offsets: list[int] = []
    offset = 0
    while offset + geometry.size <= geometry.allocation:
        left_out = (offset + geometry.size) % geometry.boundary == 0 and offset % geometry.boundary != 0
        if crosses(offset, geometry.size, geometry.boundary) or (left_out and not up_to_the_boundary):
            offset += 1
        else:
            offsets.append(offset)
            offset += geometry.size
    return offsets


def crosses(start: int, size: int, boundary: int) -> bool:
    """Whether [start, start + size) has bytes on both sides of a multiple of `boundary`."""
    return start // boundary != (start + size - 1) // boundary


def number(value: object) -> str:
    """A value as people read it: numbers from 2^16 on in hexadecimal, as addresses and wrapped sums are."""
    return f"{value:#x}" if type(value) is int and abs(value) >= 2**16 else str(value)


def counted(many: int, noun: str, form: str = ",") -> str:
    """So many things as people read them: 1 block, 2,000 blocks; `form` is the number's, "" for one without commas."""
    return f"{many:{form}} {noun}" + "s" * (many != 1)


def is_a_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0


def round_up(number: int, multiple: int) -> int:
    highest = number + multiple - 1
    return highest - highest % multiple
