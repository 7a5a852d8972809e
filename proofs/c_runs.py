"""Runs of a kernel's own file beside the oracle, natively: the counterexamples of proofs about its operations.

A step from any state may go wrong where no run gets: a refutation of C counts only if a run breaks something as well.
"""

import random
from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import Any

from kernel.ir import NotFollowed
from kernel.promises import revision_of
from model.checks import BrokenClaim
from model.claims import Claim
from model.lockstep import replay
from model.trace import FLAGS, Alloc, Create, Destroy, Free, Kernel, PageChoice, PoolInfo, Step, Trace, Write
from proofs.engine.obligation import Counterexample
from proofs.subjects.c_pool import Code

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
    yield Trace((Create(64), Alloc("block 1"), elsewhere, PoolInfo(), Free("block 1"), Destroy()), Kernel(debug=True))


def page_of(chance: random.Random, number: int) -> PageChoice | None:
    """What the device does if it is asked: fails, or gives a page while another caller allocates, or as it likes."""
    what = chance.random()
    if what < 0.1:
        return PageChoice(None)
    return PageChoice(2**32 + number * 2**20, (Alloc(f"other {number}"),)) if what < 0.3 else None


def first_broken(code: Code, claim: Claim, traces: Iterable[Trace]) -> Counterexample:
    """The first of these runs that breaks something natively: the state that a proof's inputs are may be out of reach.

    Raises NotFollowed if none does: then the induction does not fit the code.
    """
    revision = revision_of(code.source)
    for trace in traces:
        try:
            replay(trace, revision)
        except BrokenClaim as broken:
            what = f"replayed in the compiled file, it breaks {broken.claim.name}: {broken.trace.last_step().happened}"
            return Counterexample(claim.sentence, what, broken.trace)
    raise NotFollowed("this step does not hold of the code, but no run was found that shows anything wrong")


def explain_operation(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """A run of a few operations. Raises NotFollowed."""
    del inputs
    try:
        return first_broken(code, claim, runs())
    except NotFollowed as lost:
        raise lost.at(code.module.place_of("dma_pool_alloc")) from lost


def explain_count(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """A count of fewer bits than an address wraps around after more operations than a run can take. Raises NotFollowed."""
    fields = code.struct("dma_pool").fields.values()
    narrow = [f"{one.name} has {one.width} bits" for one in fields if one.name.startswith("nr_") and one.width < 64]
    return Counterexample(claim.sentence, ", ".join(narrow)) if narrow else explain_operation(code, claim, inputs)
