"""Many operations on a kernel's pools, in native loops of one call each: the cover letter's driver, and `make volume`.

`make volume` runs what well-behaved drivers do. Which block each allocation gave is checked afterwards, against the claims
that need no look at the bytes. What breaks is kept as a trace of the operations up to there, for a replay beside the oracle.
"""

import random
import time
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

from hunt.revisions import KernelFile
from kernel.build import Source, Variant
from kernel.pool import Batch, KernelPool
from kernel.protocol import ALLOC, FREE, OPERATION
from kernel.worker import KernelFault
from model import claims
from model.checks import claim_broken_by
from model.claims import Claim
from model.geometry import Refusal, block_offsets, create
from model.memory import Memory, apart
from model.promises import numbers_in
from model.revision import KERNEL, RuleError
from model.trace import Alloc, Create, Free, Trace
from report.runs import keep
from report.verdicts import replaying

SIZE, ALIGN = 128, 16  # bytes, of the cover letter's driver
FEWEST_PER_PAGE = 31  # v6.1 lays no more

OPERATIONS = 1_000_000
MOST_LIVE = 2000
"""Blocks in use at once."""
FULL = 70_000
"""Blocks in use at once of one more pool: more than 16 bits count."""
POOLS = (Create(128), Create(36, 4), Create(100, 4, 512), Create(24, 8, 4096), Create(3000), Create(5000, 64))

Operation = tuple[int, int]
"""ALLOC or FREE, and which block: each allocation has a number of its own."""


class Violation(NamedTuple):
    """A claim, the number of the operation that broke it as far as that is known, and how."""

    claim: Claim
    operation: int
    description: str


def packed(operations: Iterable[Operation]) -> bytes:
    """What `KernelPool.batch` takes."""
    return b"".join(OPERATION.pack(what, block, 0) for what, block in operations)


def pages(number: int, nbytes: int) -> list[int]:
    """The DMA addresses of pages that a device gives."""
    device = Memory()
    return [device.next_free_place(nbytes) for _ in range(number)]


def in_c(kernel: Source, blocks: int) -> dict[str, float]:
    """The seconds of a kernel's own code for the same, and of the shim that it runs in; not of the device or a destruction."""
    allocs, frees = batches(kernel, blocks, Variant(bare=True))
    return {"alloc": allocs.nanoseconds / 1e9, "free": frees.nanoseconds / 1e9}


def work_in_c(kernel: Source, blocks: int) -> int:
    """The basic blocks that it runs for that."""
    return sum(batch.basic_blocks for batch in batches(kernel, blocks, Variant()))


def batches(kernel: Source, blocks: int, variant: Variant) -> tuple[Batch, Batch]:
    """All allocs, and all frees."""
    pool = KernelPool.create(kernel, variant, "chain", Memory(), SIZE, ALIGN, 0)
    assert pool is not None, "the arguments are admitted"
    device = pages(-(-blocks // FEWEST_PER_PAGE), 4096)
    allocs = pool.batch(packed((ALLOC, block) for block in range(blocks)), blocks, device)
    assert not allocs.failed, "the device has memory"
    return allocs, pool.batch(packed((FREE, block) for block in range(blocks)), blocks, [], allocs.blocks)


def drawn(number: int, seed: int) -> list[Operation]:
    """Phases of mostly allocating and mostly freeing, the oldest, the newest or any block."""
    dice = random.Random(seed)
    live: list[int] = []
    operations: list[Operation] = []
    allocated = 0
    while len(operations) < number:
        share, which = dice.choice((0.2, 0.5, 0.8)), dice.choice((0, -1, None))
        for _ in range(dice.randrange(1, MOST_LIVE)):
            if len(live) < MOST_LIVE and (not live or dice.random() < share):
                live.append(allocated)
                operations.append((ALLOC, allocated))
                allocated += 1
            else:
                operations.append((FREE, live.pop(dice.randrange(len(live)) if which is None else which)))
    return operations[:number]


def run(kernel: KernelFile, seed: int, number: int) -> bool:
    """Run so many operations on each pool, print how fast they were and what broke; returns whether nothing did."""
    mixed, full = drawn(number, seed), [(ALLOC, block) for block in range(FULL)]
    holds = True
    print(kernel.source)
    for wanted, operations in [*((wanted, mixed) for wanted in POOLS), (Create(16), full)]:
        seconds, violation = check(kernel, wanted, operations)
        rate = f"{len(operations) / seconds:>14,.0f} operations a second"
        rate += f", to {FULL:,} blocks in use" if operations is full else ""
        print(f"size={wanted.size:<5} align={wanted.align:<3} boundary={wanted.boundary:<5} {rate}", flush=True)
        if violation is None:
            continue
        holds = False
        claim = violation.claim
        print(f"\n{claim.name} is BROKEN: {claim.sentence}\n  {violation.description}")
        if operations is full:  # whose trace would take hours beside the oracle
            print(f"  run it again: make volume {kernel.as_make_takes_it()}\n")
            continue
        steps = [
            Alloc(f"b{n}") if what == ALLOC else Free(f"b{n}") for what, n in operations[: violation.operation + 1]
        ]
        name = f"volume-{claim.name}-{wanted.size}-{kernel.source.label()}"
        file = keep(Trace((wanted, *steps), claim=claim.name), name)
        print(f"  replay it: {replaying(file, KERNEL, kernel)} SHRINK=1\n")
    print(kernel.source)
    return holds


def check(kernel: KernelFile, wanted: Create, operations: list[Operation]) -> tuple[float, Violation | None]:
    """Run the operations on a pool; returns the seconds that they took, and the first claim that they broke."""
    promises = kernel.revision().promises
    geometry = create(wanted.size, wanted.align, wanted.boundary, 4096, promises.smallest_block)
    assert not isinstance(geometry, Refusal)
    offsets = block_offsets(geometry, promises.lays_up_to_the_boundary)
    most = max(accumulate(1 if what == ALLOC else -1 for what, _ in operations))
    device, last = pages(most + 1, geometry.allocation), len(operations) - 1
    pool = KernelPool.create(
        kernel.source, Variant(), wanted.name, Memory(), wanted.size, wanted.align, wanted.boundary
    )
    if pool is None:
        return 1, Violation(claims.create_admits_what_is_promised, -1, "there is no pool")
    started = time.perf_counter()
    try:
        done = pool.batch(packed(operations), sum(what == ALLOC for what, _ in operations), device)
        seconds = time.perf_counter() - started
        row = pool.poolinfo()
    except (TimeoutError, RuleError, KernelFault) as fault:
        return time.perf_counter() - started, Violation(claim_broken_by(fault), last, str(fault))
    live: dict[int, int] = {}  # the blocks in use, by virtual address
    gives = set(offsets)
    for number, (what, block) in enumerate(operations):
        vaddr, dma = done.blocks[2 * block], done.blocks[2 * block + 1]
        if what == FREE:
            live.pop(vaddr, None)
            continue
        page, start = divmod(vaddr - pool.memory.base, apart(geometry.allocation))
        given = f"operation {number} gives the block at offset {start} of page {page}, at DMA address {dma:#x}"
        if vaddr == 0:
            return seconds, Violation(claims.alloc_fails_only_without_memory, number, f"operation {number} gives none")
        if vaddr in live:
            return seconds, Violation(claims.blocks_are_disjoint, number, f"{given}, which block {live[vaddr]} is")
        if start not in gives or page >= len(device):
            return seconds, Violation(claims.allocated_block_was_free, number, given)
        if dma != device[page] + start:
            return seconds, Violation(claims.handle_is_the_blocks_address, number, given)
        live[vaddr] = block
    numbers = numbers_in(row)
    assert numbers is not None
    counted = len(offsets) if promises.counts_what_is_laid else geometry.allocation // geometry.size
    for claim, *arguments in (
        (claims.in_use_counts_the_live_blocks, numbers.in_use, len(live)),
        (claims.total_counts_the_blocks, numbers.total, numbers.pages, counted),
        (claims.pages_are_bounded_by_the_demand, numbers.pages, most, 1, len(offsets)),
    ):
        if not claim(*arguments):
            return seconds, Violation(claim, last, f"the row: {row}, with {len(live)} blocks in use, {most} at most")
    return seconds, None
