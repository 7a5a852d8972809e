"""A million operations of well-behaved drivers on a kernel's pools, natively, in one call (`make volume`).

Which block each allocation gave is checked afterwards, against the claims that need no look at the bytes. What breaks is kept
as a trace of the operations up to there, for a replay beside the simple pool.
"""

import random
import time
from dataclasses import dataclass

from hunt.revisions import KernelFile
from kernel.build import Source, Variant
from kernel.pool import ALLOC, FREE, OPERATION, KernelPool
from kernel.worker import KernelFault
from model import claims
from model.checks import claim_broken_by
from model.claims import Claim
from model.geometry import Refusal, block_offsets, create
from model.memory import Memory
from model.promises import Promises
from model.revision import KERNEL, LockingError
from model.trace import Alloc, Create, Free, Step, Trace
from report.runs import keep
from report.verdicts import replaying

OPERATIONS = 1_000_000
MOST_LIVE = 2000
"""Blocks in use at once."""

FULL = 70_000
"""Blocks in use at once of one more pool: more than 16 bits count."""

POOLS = (Create(128), Create(36, 4), Create(100, 4, 512), Create(24, 8, 4096), Create(3000), Create(5000, 64))


@dataclass(frozen=True)
class Run:
    """What drivers do: each operation, and the slot of its block; every allocation has a slot of its own."""

    operations: list[tuple[int, int]]
    slots: int
    peak: int  # blocks in use

    def packed(self) -> bytes:
        return b"".join(OPERATION.pack(what, slot, 0) for what, slot in self.operations)

    def trace(self, made: Create, claim: Claim, until: int) -> Trace:
        """The operations up to the one that breaks a claim."""
        steps: list[Step] = [made]
        for what, slot in self.operations[: until + 1]:
            steps.append(Alloc(f"b{slot}") if what == ALLOC else Free(f"b{slot}"))
        return Trace(tuple(steps), claim=claim.name)


@dataclass(frozen=True)
class Broken:
    """A claim, and the operation that broke it, as far as that is known."""

    claim: Claim
    operation: int
    told: str


def drawn(number: int, seed: int) -> Run:
    """Phases of mostly allocating and mostly freeing, the oldest, the newest or any block."""
    dice = random.Random(seed)
    live: list[int] = []
    operations: list[tuple[int, int]] = []
    slots = peak = 0
    while len(operations) < number:
        share, which = dice.choice((0.2, 0.5, 0.8)), dice.choice((0, -1, None))
        for _ in range(dice.randrange(1, MOST_LIVE)):
            if len(live) < MOST_LIVE and (not live or dice.random() < share):
                live.append(slots)
                operations.append((ALLOC, slots))
                slots += 1
                peak = max(peak, len(live))
            else:
                operations.append((FREE, live.pop(dice.randrange(len(live)) if which is None else which)))
    return Run(operations[:number], slots, peak)


def run(kernel: KernelFile, seed: int, number: int) -> bool:
    """So many operations on each of `POOLS`, and then many blocks in use at once; whether no claim broke."""
    source, promises, sound = kernel.source, kernel.revision().promises, True
    print(source)
    operations = drawn(number, seed)
    full = Run([(ALLOC, slot) for slot in range(FULL)], FULL, FULL)
    for made, run in [*((made, operations) for made in POOLS), (Create(16), full)]:
        seconds, broken = held(source, made, promises, run)
        rate = f"{len(run.operations) / seconds:>14,.0f} operations a second"
        rate += f", to {FULL:,} blocks in use" if run is full else ""
        print(f"size={made.size:<5} align={made.align:<3} boundary={made.boundary:<5} {rate}", flush=True)
        if broken is not None:
            sound = False
            print(f"\n{broken.claim.name} is BROKEN: {broken.claim.sentence}\n  {broken.told}")
            if run is full:  # whose trace would take hours beside the oracle
                print(f"  run it again: make volume {kernel.as_make_takes_it()}\n")
                continue
            trace = run.trace(made, broken.claim, broken.operation)
            file = keep(trace, f"volume-{broken.claim.name}-{made.size}-{source.label()}")
            print(f"  replay it: {replaying(file, KERNEL, kernel)} SHRINK=1\n")
    print(source)
    return sound


def held(source: Source, made: Create, promises: Promises, run: Run) -> tuple[float, Broken | None]:
    """Run the operations on a pool; returns the seconds that they took, and the first claim that broke."""
    geometry = create(made.size, made.align, made.boundary, 4096, promises.smallest_block)
    assert not isinstance(geometry, Refusal)
    offsets = block_offsets(geometry, promises.lays_up_to_the_boundary)
    device = Memory()
    pages = [device.next_free_place(geometry.allocation) for _ in range(run.peak + 1)]
    operations, last = run.packed(), len(run.operations) - 1
    pool = KernelPool.create(source, Variant(), made.name, Memory(), made.size, made.align, made.boundary)
    if pool is None:
        return 1, Broken(claims.create_admits_what_is_promised, -1, "there is no pool")
    started = time.perf_counter()
    try:
        done = pool.batch(operations, run.slots, pages)
        seconds = time.perf_counter() - started
        row = pool.poolinfo()
    except (TimeoutError, LockingError, KernelFault) as fault:
        return time.perf_counter() - started, Broken(claim_broken_by(fault), last, str(fault))
    live: dict[int, int] = {}  # the slots of the blocks in use, by virtual address
    gives = set(offsets)
    for number, (what, slot) in enumerate(run.operations):
        vaddr, dma = done.blocks[2 * slot], done.blocks[2 * slot + 1]
        if what == FREE:
            live.pop(vaddr, None)
            continue
        page, start = divmod(vaddr - pool.memory.base, 2 * geometry.allocation)
        told = f"operation {number} gives the block at offset {start} of page {page}, at DMA address {dma:#x}"
        if vaddr == 0:
            return seconds, Broken(claims.alloc_fails_only_without_memory, number, f"operation {number} gives none")
        if vaddr in live:
            return seconds, Broken(claims.blocks_are_disjoint, number, f"{told}, which block {live[vaddr]} is")
        if start not in gives or page >= len(pages) or dma != pages[page] + start:
            return seconds, Broken(claims.allocated_block_was_free, number, told)
        live[vaddr] = slot
    in_use, total, _, number_of_pages = map(int, row.rsplit(maxsplit=4)[-4:])
    counted = len(offsets) if promises.counts_what_is_laid else geometry.allocation // geometry.size
    for claim, holds in (
        (claims.in_use_counts_the_live_blocks, claims.in_use_counts_the_live_blocks(in_use, len(live))),
        (claims.total_counts_the_blocks, claims.total_counts_the_blocks(total, number_of_pages, counted)),
        (
            claims.pages_are_bounded_by_the_demand,
            claims.pages_are_bounded_by_the_demand(number_of_pages, run.peak, 1, len(offsets)),
        ),
    ):
        if not holds:
            return seconds, Broken(claim, last, f"the row: {row}, with {len(live)} blocks in use, {run.peak} at most")
    return seconds, None
