"""Runs of a kernel's own file beside the oracle, natively: the counterexamples of proofs about its operations.

A step from any state may go wrong where no run gets: a refutation of C counts only if a run breaks something as well.
"""

import random
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import chain, cycle, product
from typing import Any

from kernel.compiler import BuildError
from kernel.ir import NotFollowed
from kernel.promises import revision_of
from kernel.worker import KernelFault
from model import claims
from model import geometry as promise
from model.checks import BrokenClaim
from model.claims import Claim
from model.lockstep import replay
from model.promises import SERIES
from model.revision import LARGEST_PAGE
from model.trace import (
    FLAGS,
    LONG_NAME,
    TWO_BLOCKS,
    Alloc,
    Create,
    Destroy,
    Free,
    Kernel,
    PageChoice,
    PoolInfo,
    Step,
    Together,
    Trace,
    TraceError,
    Write,
)
from proofs.engine.obligation import Counterexample
from proofs.subjects.c_pool import Code
from proofs.subjects.stack import SMALLEST_BLOCK
from proofs.subjects.subject import PAGE_SIZE

SIZES = (1000, 4096, 2048, 16, 1024, 64, 300, 4)
STEPS = 24


def runs() -> Iterator[Trace]:
    """Pools of a few blocks a page, and of many, in every build: blocks are allocated and freed in any order, twice in debug
    builds, written to while they are free, with other callers while a page is allocated, and on a device that fails."""
    for seed, size in zip(range(48), cycle(SIZES)):
        chance = random.Random(seed)
        debug, zeroes = seed % 2 == 1, seed % 3
        kernel = Kernel(debug=debug, init_on_alloc=zeroes == 1, init_on_free=zeroes == 2)
        live, freed, number = list[str](), list[str](), 0
        steps: list[Step] = [Create(size)]
        for _ in range(STEPS):
            kind = chance.choice(["alloc"] * 4 + ["free"] * 3 + ["other"])
            if kind == "free" and live:
                freed.append(live.pop(chance.randrange(len(live))))
                steps.append(Free(freed[-1]))
            elif kind == "other" and freed and debug and not kernel.init_on_free:  # with which v6.1 zeroes a free block
                again = chance.choice(freed)
                steps.append(Write(again, 16, "00112233") if size > 16 and chance.random() < 0.3 else Free(again))
            else:
                number += 1
                page = page_of(chance, number)
                flags = FLAGS[number % len(FLAGS)]
                steps.append(Alloc(f"block {number}", zero=chance.random() < 0.3, flags=flags, page=page))
                if page is None or page.dma is not None:
                    live.append(f"block {number}")
        yield Trace((*steps, PoolInfo(), Destroy()), kernel)
    elsewhere = Free("block 1", dma_plus=2**40)  # in no page
    yield Trace(
        (Create(64, name=LONG_NAME), Alloc("block 1"), elsewhere, PoolInfo(), Free("block 1"), Destroy()),
        Kernel(debug=True),
    )


def page_of(chance: random.Random, number: int) -> PageChoice | None:
    """What the device does if it is asked: fails, or gives a page while another caller allocates, or as it likes."""
    what = chance.random()
    if what < 0.1:
        return PageChoice(None)
    return PageChoice(2**32 + number * 2**20, (Alloc(f"other {number}"),)) if what < 0.3 else None


def runs_with_pages(overlaps: bool = False) -> Iterator[Trace]:
    """Pools of one or two blocks in each page, which the device gives in many orders; blocks are freed in others, and with
    wrong addresses in debug builds; the pool is destroyed with blocks in use.

    The device may give a page that `overlaps` another one, which the series refuses.
    """
    for seed in range(24):
        chance, debug, in_a_page = random.Random(seed), seed % 2 == 1, 1 + seed // 2 % 2
        pages = chance.sample([*range(1, 40), 2**52 - 1], 1 + seed)
        steps: list[Step] = [Create(PAGE_SIZE // in_a_page - 4)]  # v6.1 wastes a block that ends with its page
        blocks = []
        for page in pages:
            blocks += [f"block {number} of page {page}" for number in range(in_a_page)]
            steps.append(Alloc(blocks[-in_a_page], page=PageChoice(page * PAGE_SIZE)))
            steps += [Alloc(block) for block in blocks[1 - in_a_page :][: in_a_page - 1]]
        ends = [(page, to) for page in pages[:-1] for to in (-1, 1) if page + to not in pages and page < 40]
        if debug and ends:
            page, to = chance.choice(ends)
            steps.append(Free(f"block 0 of page {page}", dma_plus=to * PAGE_SIZE))
        steps += [Free(block) for block in chance.sample(blocks, len(blocks) * (seed % 3) // 2)]
        if overlaps:
            steps.append(Alloc("in the place of another", page=PageChoice(pages[0] * PAGE_SIZE, forced=True)))
        yield Trace((*steps, PoolInfo(), Destroy()), Kernel(debug=debug))


def runs_of_whole_pages() -> Iterator[Trace]:
    """Every block of a page, and one more, with boundaries and without: a page or a boundary ends with a block, or not; and
    many pages."""
    pools = [
        (size, boundary, PAGE_SIZE)
        for size in (16, 24, 64, 100, 1000, 1024, 1400, 2049, 4096, 6000)
        for boundary in (0, *(1 << power for power in range(6, 14) if size <= 1 << power <= max(size, PAGE_SIZE)))
    ]
    for size, boundary, page_size in (*pools, *((size, 0, 4 * PAGE_SIZE) for size in range(512, 8192, 512))):
        made = promise.create(size, 1, boundary, page_size, SMALLEST_BLOCK)
        assert isinstance(made, promise.Geometry)
        blocks = [f"block {n}" for n in range(len(promise.block_offsets(made)) + 1)]
        steps = (Create(size, 1, boundary), *map(Alloc, blocks), PoolInfo(), *map(Free, blocks), Destroy())
        yield Trace(steps, Kernel(page_size))
    yield Trace((Create(PAGE_SIZE), *(Alloc(f"block {n}") for n in range(260)), PoolInfo()))


def runs_of_misuse() -> Iterator[Trace]:
    """Debug builds, in which a block is freed again, below so many free blocks, or with another address of its page; or is
    written to while it is free, in its last byte."""
    for above in (1, 2, 50, 256, 4096):
        blocks = [f"block {n}" for n in range(above + 1)]
        yield Trace(
            (Create(SMALLEST_BLOCK), *map(Alloc, blocks), *map(Free, blocks), Free(blocks[0])), Kernel(debug=True)
        )
    for size in (64, 1000, 4000):
        for plus in (1, size - 1, PAGE_SIZE - 1):
            again = Free("block"), Free("block", dma_plus=plus)
            yield Trace((Create(size), Alloc("block"), *again, PoolInfo()), Kernel(debug=True))
        written = Write("block", size - 1, "00")
        yield Trace((Create(size), Alloc("block"), Free("block"), written, Alloc("it again")), Kernel(debug=True))


def runs_of_callers() -> Iterator[Trace]:
    """Two callers, of which one comes after the other: what both touch is a race if no lock guards it."""
    at_a_pool, at_its_own = (Alloc("a"), Free("x"), PoolInfo()), (Create(64), PoolInfo(), Destroy())
    pairs = (at_a_pool, (Alloc("b"), Free("b"))), (at_its_own, at_its_own), ((Alloc("a"),), (Create(64),))
    for callers in pairs:
        yield Trace((Create(32), Alloc("x"), Together(callers)), Kernel(page_size=64))


def runs_of(inputs: dict[str, Any]) -> Iterator[Trace]:
    """Pools of the geometry that a proof's counterexample has, if a pool of it can be there."""
    size, boundary = inputs.get("size", 0), inputs.get("boundary", 0)
    for debug, zeroes in product((False, True), (False, True)) if 0 < size <= LARGEST_PAGE else ():
        kernel = Kernel(debug=debug, init_on_alloc=zeroes, init_on_free=zeroes)
        yield Trace((Create(size, 1, boundary if boundary & (boundary - 1) == 0 else 0), *TWO_BLOCKS), kernel)


class Broken:
    """What the runs of a file break natively: of each claim the first run that was seen. They are made once, as far as anybody
    asks."""

    def __init__(self, code: Code) -> None:
        self.revision, self.found = revision_of(code.source), dict[str, Counterexample]()
        overlaps, self.stacks = code.promises is SERIES, code.stacks
        self.ahead = chain(
            runs(), runs_of_whole_pages(), runs_with_pages(overlaps), runs_of_misuse(), runs_of_callers()
        )

    def run(self, traces: Iterable[Trace] | None = None) -> Iterator[Counterexample]:
        """Go on, from one that breaks a claim to the next; or with other traces."""
        for trace in self.ahead if traces is None else traces:
            try:
                replay(trace, self.revision)
            except BrokenClaim as broken:
                what = f"replayed in the compiled file, it breaks {broken.claim.name}: {broken.happened}"
                explained = Counterexample(broken.expected, what, broken.trace)
                for claim in claims_of(broken, self.stacks):
                    self.found.setdefault(claim, explained)
                yield explained
            except (TraceError, KernelFault, TimeoutError, ValueError, OSError):  # what the file cannot run
                continue
            except BuildError:  # it can be compiled for a proof, and not be linked
                return

    def of(self, claim: Claim) -> Counterexample | None:
        """A run that breaks this claim."""
        return self.found.get(claim.name) or next((one for one in self.run() if claim.name in self.found), None)

    def any(self) -> Counterexample | None:
        """A run that breaks some claim."""
        return next(iter(self.found.values()), None) or next(self.run(), None)


broken = cache(Broken)


def claims_of(seen: BrokenClaim, stacks: bool) -> set[str]:
    """What a run has broken: the claim that the oracle names; the lookup, if a free with an address of no block is not reported
    as it should be; and if a pool that `stacks` its free blocks has counted them rightly so far, and asks for a page all the
    same, some free block is in no list."""
    step, found = seen.trace.last_step(), {seen.claim.name}
    if seen.claim is claims.no_room_is_wasted and isinstance(step, Alloc) and stacks:
        found.add(claims.free_list_holds_the_free_blocks.name)
    if isinstance(step, Free) and seen.trace.kernel.debug and step.dma_plus:
        found.add(claims.lookup_finds_the_page_of_an_address.name)
    return found


def search(code: Code, claim: Claim, why: str) -> Counterexample | None:
    """A run that breaks a claim whose proof cannot follow the code; None if there is none."""
    found = broken(code).of(claim)
    return found and replace(found, actual=f"{found.actual}; the prover cannot follow the code: {why}")


def explain_natively(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """A run that breaks this claim, since the state that a proof's inputs are may be out of reach; or else another claim, for
    what is broken inside of a pool may show as another one in what a driver sees of it.

    Raises NotFollowed if no run breaks any: then the induction does not fit the code.
    """
    if found := broken(code).of(claim):
        return found
    deque(broken(code).run(runs_of(inputs)), maxlen=0)
    if found := broken(code).of(claim):
        return found
    if found := broken(code).any():
        return replace(found, actual=f"a step breaks this inside of the pool; what a run shows of it: {found.actual}")
    raise NotFollowed("this step does not hold of the code, but no run was found that shows anything wrong")


def explain_count(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """A count of fewer bits than an address wraps around after more operations than a run can take. Raises NotFollowed."""
    fields = code.struct("dma_pool").fields.values()
    narrow = [f"{one.name} has {one.width} bits" for one in fields if one.name.startswith("nr_") and one.width < 64]
    return Counterexample(claim.sentence, ", ".join(narrow)) if narrow else explain_natively(code, claim, inputs)
