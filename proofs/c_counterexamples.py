"""What people read of a refutation about a kernel's own code, which is run natively at once."""

import random
from collections.abc import Iterator
from dataclasses import astuple, replace
from typing import Any

from impl.layout import Geometry
from kernel.ir import NotFollowed
from kernel.pool import revision_of
from kernel.rbtree import broken_by
from model import claims
from model import geometry as promise
from model.checks import BrokenClaim
from model.claims import Claim
from model.lockstep import replay as run_beside_the_oracle
from model.memory import DMA_BASE
from model.promises import SERIES, V6_1
from model.trace import Alloc, Create, Destroy, Free, Kernel, PageChoice, PoolInfo, Step, Trace
from proofs import admission, tree
from proofs.counterexamples import (
    as_promised,
    described,
    first_ones,
    offsets_of,
    page_of,
    trace_of,
    tried,
    wrong_pages,
)
from proofs.engine.obligation import Counterexample
from proofs.subjects.c_loop import LoopInC, subject_of
from proofs.subjects.c_pool import Code
from proofs.subjects.subject import PAGE_SIZE, PLACED_BY_V6_1


def explain_pages(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """A run of pools with many pages that breaks something natively: the state that the inputs are may be out of reach.

    Raises NotFollowed if none of those that were tried does: then the induction does not fit the code.
    """
    del inputs
    revision = revision_of(code.source)
    for trace in runs_with_pages(overlaps=code.promises is SERIES):
        try:
            run_beside_the_oracle(trace, revision)
        except BrokenClaim as broken:
            return Counterexample(
                claim.sentence,
                f"natively, this breaks {broken.claim.name} ({broken.trace.last_step().happened})",
                broken.trace,
            )
    raise NotFollowed("this step does not hold of the code, but no run was found that shows anything wrong")


def explain_overlap(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """Two pages that overlap. Raises NotFollowed if natively they break nothing."""
    explained = tree.explain_insertion(inputs)
    assert explained.trace is not None
    found = with_the_compiled(code, replace(explained, trace=replace(explained.trace, claim=claim.name)))
    if claim.name not in found.actual:
        raise code.not_followed(found.actual, "pool_insert_page")
    return found


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


def explain_rbtree(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """Random insertions and removals that break something natively.

    Raises NotFollowed if none does: then the step is not one that the code ever takes, or not one that does harm.
    """
    del inputs
    file, folder = code.source.rbtree(), code.source.tree
    assert file is not None
    assert folder is not None
    broken = broken_by(file, folder)
    if not broken:
        raise NotFollowed(
            "this step does not hold of the code, but 4,000 operations on random trees show nothing wrong"
        )
    return Counterexample(claim.sentence, f"natively, random insertions and removals break {broken}")


def explain_arguments(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """The driver's arguments, the geometry that the pool keeps, and the blocks of its first page, as far as people read."""
    subject = subject_of(code)
    explained = admission.explain(subject, inputs)
    assert explained.trace is not None
    kept = subject.create(inputs["size"], inputs["align"], inputs["boundary"], inputs["page_size"])
    actual, steps, page = explained.actual, explained.trace.steps, None
    if kept is not None:
        placed, trouble = subject.place(kept, 3)
        actual += (
            f", whose blocks lie at {offsets_of(placed)}{' …' * (len(placed) == 3)}{'; then ' * bool(trouble)}{trouble}"
        )
        page = page_of(kept, placed)
        steps += (Alloc("block 1"), Alloc("block 2"))
    trace = replace(explained.trace, steps=steps, claim=claim.name)
    return with_the_compiled(code, replace(explained, actual=actual, trace=trace, page=page))


def explain_page(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """A page on plain integers; of other numbers, if no driver can have those of the proof, or if they show nothing wrong.
    Blocks that v6.1 is known to waste show no other claim wrong.

    Raises NotFollowed if no page that was tried shows anything wrong: then the invariant does not fit the loop.
    """
    subject = subject_of(code)
    geometry = Geometry(inputs["size"], inputs["boundary"], inputs["allocation"])
    wastes = code.promises is V6_1 and claim is not claims.no_room_is_wasted
    found = list(wrong_pages(geometry, subject.place, subject.smallest, as_v6_1 if wastes else as_promised))
    if not found:
        why = "this step does not hold of the code, but no page was found that shows anything wrong"
        raise code.not_followed(why, "pool_initialise_page")
    best = next((one for one in found if one.trace is not None), found[0])
    if best.trace is None:
        return best
    return with_the_compiled(code, replace(best, trace=replace(best.trace, claim=claim.name)))


def as_v6_1(geometry: Geometry) -> list[int]:
    return [offset for offset, _ in PLACED_BY_V6_1(geometry, geometry.allocation)[0]]


def explain_total(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    geometry = Geometry(inputs["size"], inputs["boundary"], inputs["allocation"])
    fit = promise.block_offsets(promise.Geometry(*astuple(geometry)))
    expected = f"{len(fit)} blocks fit, at {first_ones(fit)}"
    trace = trace_of(geometry, 1, subject_of(code).smallest)
    actual = f"{LoopInC(code, geometry, 0).total()} blocks are counted"
    return with_the_compiled(code, Counterexample(expected, actual, trace and replace(trace, claim=claim.name)))


def explain_count(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """A page whose blocks lie wrong; or, of a file that counts while it lays, one whose blocks are counted wrong.

    Raises NotFollowed if no page that was tried shows either.
    """
    smallest = subject_of(code).smallest
    try:
        return explain_page(code, claim, inputs)
    except NotFollowed:
        for geometry in tried(smallest) if code.stacks else ():
            page = LoopInC(code, geometry, DMA_BASE)
            page.run()
            fit, total = as_promised(geometry), page.total()
            if total != len(fit):
                expected = f"{described(geometry)}: {len(fit)} blocks fit, at {first_ones(fit)}"
                trace = trace_of(geometry, 1, smallest)
                actual = f"{total} blocks are counted"
                return with_the_compiled(
                    code, Counterexample(expected, actual, trace and replace(trace, claim=claim.name))
                )
        raise


def with_the_compiled(code: Code, explained: Counterexample) -> Counterexample:
    """The counterexample, with what the natively compiled file does of its trace."""
    trace = explained.trace
    if trace is None:
        return explained
    try:
        run_beside_the_oracle(trace, revision_of(code.source, SERIES if code.promises is V6_1 else None))
        natively = "natively, this breaks no claim yet"
    except BrokenClaim as broken:
        agrees = "the same" if broken.claim.name == trace.claim else "first"
        natively = f"natively, this breaks {agrees}: {broken.claim.name} ({broken.trace.last_step().happened})"
    except Exception as trouble:  # the code may fail in any way
        natively = f"not run natively: {type(trouble).__name__}: {trouble}"
    return replace(explained, actual=f"{explained.actual}; {natively}")
