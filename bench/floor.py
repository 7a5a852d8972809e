"""What the pools in Python cost beside the floor: a list that blocks are popped from and pushed to, and a look-up at each free.

The floor is what no pool in Python does without; the rest is what links inside of blocks, the tree, the lock and the count of
blocks in use cost. Rounds alternate; a ratio is the median of the rounds' ratios.
"""

from typing import Any

from bench.headline import POOLS, alloc_and_free, ratio
from bench.native import ALIGN, SIZE
from bench.part import Part, Wanted, timed
from model.memory import Memory

PAGE = 4096  # bytes


class FloorPool:
    """Blocks are pairs of a virtual and a DMA address: `alloc` pops one off a list, `free` pushes the one that a dict has for
    the DMA address. There is no lock and no report, and nothing is kept inside a block."""

    def __init__(self, _: str, memory: Memory, size: int, *__: int) -> None:
        self.memory, self.size = memory, size
        self.free_blocks: list[tuple[int, int]] = []
        self.blocks: dict[int, tuple[int, int]] = {}  # by DMA address

    def alloc(self) -> tuple[int, int]:
        if not self.free_blocks:
            self._add_page()
        return self.free_blocks.pop()

    def free(self, vaddr: int, dma: int) -> None:  # noqa: ARG002
        self.free_blocks.append(self.blocks[dma])

    def _add_page(self) -> None:
        page: Any = self.memory.alloc_coherent(PAGE)
        for offset in range(PAGE - self.size, -1, -self.size):
            self.free_blocks.append((page.vaddr + offset, page.dma + offset))
            self.blocks[page.dma + offset] = self.free_blocks[-1]


BESIDE: dict[str, Any] = {"floor": FloorPool, "series": POOLS["series"].create, "v6.12": POOLS["v6.12"].create}


def run(wanted: Wanted) -> Part:
    blocks, rounds = (3_000, 1) if wanted.quick else (100_000, 9)
    seconds = timed(f"floor, {blocks:,} blocks", {name: (twice, name, blocks) for name in BESIDE}, rounds)
    table = [f"{blocks:,} allocs and frees in Python, as times the floor's; medians of {rounds}.", ""]
    table += [f"{'':<20}" + "".join(f"{name:>12}" for name in BESIDE)]
    for part, floor in seconds["floor"].items():
        table.append(f"{part:<20}" + "".join(f"{ratio(seconds[name][part], floor):>12.1f}" for name in BESIDE))
    return Part("floor", table, seconds)


def twice(name: str, blocks: int) -> dict[str, float]:
    """Seconds of a first round, which asks for pages, and of a second one, which asks for none."""
    pool, seconds = BESIDE[name]("chain", Memory(), SIZE, ALIGN, 0), dict[str, float]()
    for part in ("first use", "used again"):
        taken = alloc_and_free(pool, blocks)
        seconds |= {f"{part}, {what}": time for what, time in taken.items()} | {part: sum(taken.values())}
    return seconds
