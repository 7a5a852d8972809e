"""The cover letter's driver: allocate n blocks of 128 bytes, free them in the same order, destroy the pool."""

import time
from typing import Any

from impl.block_stack import BlockStackPool
from impl.history import OriginalPool
from impl.pool import Pool
from kernel.build import Source, Variant
from kernel.pool import ALLOC, FREE, OPERATION, Batch, KernelPool
from model.memory import Memory

BLOCKS = 373_959
SIZE, ALIGN = 128, 16  # bytes
FEWEST_PER_PAGE = 31  # v6.1 lays no more

POOLS: dict[str, Any] = {
    "v6.1": OriginalPool,
    "series": Pool,
    "v6.12": BlockStackPool,
}


def in_python(name: str, blocks: int) -> dict[str, float]:
    """Seconds of the allocs, and of the frees with the destruction."""
    pool = POOLS[name].create("chain", Memory(), SIZE, ALIGN, 0)
    seconds = alloc_and_free(pool, blocks)
    started = time.perf_counter()
    pool.destroy()
    return {**seconds, "free": seconds["free"] + time.perf_counter() - started}


def alloc_and_free(pool: Any, blocks: int) -> dict[str, float]:
    started = time.perf_counter()
    given = [pool.alloc() for _ in range(blocks)]
    allocated = time.perf_counter()
    for vaddr, dma in given:
        pool.free(vaddr, dma)
    return {"alloc": allocated - started, "free": time.perf_counter() - allocated}


def in_c(kernel: Source, blocks: int) -> dict[str, float]:
    """The seconds that a kernel's own code takes for the same, with the shim that it runs in; without the device, and without
    the destruction."""
    allocs, frees = batches(kernel, blocks, Variant(bare=True))
    return {"alloc": allocs.nanoseconds / 1e9, "free": frees.nanoseconds / 1e9}


def work_in_c(kernel: Source, blocks: int) -> int:
    """The basic blocks that it runs for that."""
    return sum(batch.basic_blocks for batch in batches(kernel, blocks, Variant()))


def batches(kernel: Source, blocks: int, variant: Variant) -> tuple[Batch, Batch]:
    """All allocs, and all frees."""
    pool = KernelPool.create(kernel, variant, "chain", Memory(), SIZE, ALIGN, 0)
    assert pool is not None, "the arguments are admitted"
    device = Memory()
    pages = [device.next_free_place(4096) for _ in range(-(-blocks // FEWEST_PER_PAGE))]
    allocs = pool.batch(b"".join(OPERATION.pack(ALLOC, slot, 0) for slot in range(blocks)), blocks, pages)
    assert not allocs.failed, "the device has memory"
    frees = pool.batch(b"".join(OPERATION.pack(FREE, slot, 0) for slot in range(blocks)), blocks, [], allocs.blocks)
    return allocs, frees
