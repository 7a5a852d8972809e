"""What people read of a refutation about a kernel's own code, which is run natively at once."""

from collections.abc import Callable
from dataclasses import astuple, replace
from functools import partial
from typing import Any

from impl.history import next_block
from impl.layout import Geometry
from impl.layout import laid_blocks as python_layout
from kernel.pool import revision_of
from model import geometry as promise
from model.checks import BrokenClaim
from model.claims import Claim
from model.geometry import LaidPage
from model.lockstep import replay as run_beside_the_oracle
from model.promises import SERIES, V6_1
from model.revision import KERNEL
from model.trace import Alloc, Create, Trace
from proofs import admission
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Counterexample, Obligation, from_this_state
from proofs.engine.path import Theory
from proofs.layout import LARGEST_DRAWN, PAGE_SIZE, TRIED, first_ones
from proofs.subjects.c_pool import Code, Layout, created, geometry_of, laid_blocks, total_in_the_row


def explain_state(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    del code, claim
    return from_this_state("the page that the address is inside")(inputs)


def explain_arguments(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """The driver's arguments, the geometry that the pool keeps, and the blocks of its first page, as far as people read."""

    def keep(*given: Any) -> Geometry | None:
        return geometry_of(created(code, *given))

    told = admission.explain_kept(inputs, keep, code.smallest)
    assert told.trace is not None
    kept = keep(inputs["size"], inputs["align"], inputs["boundary"], inputs["page_size"])
    actual, steps, page = told.actual, told.trace.steps, None
    if kept is not None:
        laid, endless = laid_blocks(code, kept, 3)
        page = LaidPage(promise.Geometry(*astuple(kept)), tuple(laid))
        actual += f", whose blocks lie at {where(laid)}{endless}"
        steps += (Alloc("block 1"), Alloc("block 2"))
    trace = replace(told.trace, steps=steps, claim=claim.name)
    return with_the_compiled(code, Counterexample(told.expected, actual, trace, page))


def explain_page(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """A page on plain integers; of other numbers, if those of the proof show nothing wrong. Blocks that v6.1 is known to waste
    show no other claim wrong.

    Raises NotFollowed if no page that was tried shows anything wrong: then the invariant does not fit the loop.
    """
    told: Counterexample | None = None
    tried = [(inputs["size"], inputs["boundary"], inputs["allocation"])]
    tried += [(size, min(boundary, PAGE_SIZE), PAGE_SIZE) for size, boundary in TRIED]
    for size, boundary, allocation in tried:
        geometry = promise.Geometry(size, boundary, allocation)
        if allocation > LARGEST_DRAWN or not 0 < size <= boundary <= allocation or size < code.smallest:
            continue
        promised = promise.block_offsets(geometry)
        if code.promises is V6_1 and claim.name != "no_room_is_wasted":
            promised = [offset for offset, _ in python_layout(Geometry(*astuple(geometry)), next_block)]
        laid, trouble = laid_blocks(code, geometry, len(promised) + 2)
        if [offset for offset, _ in laid] == promised and all(dma in (None, at) for at, dma in laid) and not trouble:
            continue
        of_page = f"a page of {allocation} bytes, blocks of {size}, boundary {boundary}"
        expected = f"{of_page}: {len(promised)} blocks, at offsets {first_ones(promised)}"
        actual, page = f"{len(laid)} blocks are laid, at {where(laid)}{trouble}", LaidPage(geometry, tuple(laid))
        wanted = (size, 1, boundary, PAGE_SIZE)
        if promise.create(*wanted, code.smallest) == geometry:
            blocks = min(len(laid), len(promised)) + 1
            steps = (Create(*wanted[:3]), *(Alloc(f"block {n + 1}") for n in range(blocks)))
            trace = Trace(steps, claim=claim.name)
            if told is None:
                return with_the_compiled(code, Counterexample(expected, actual, trace, page))
            both = f"{told.actual}; in {of_page}: {actual}"
            return with_the_compiled(code, replace(told, actual=both, trace=trace))
        told = told or Counterexample(expected, actual, page=page)
    if told is None:
        why = "this step does not hold of the code, but no page was found that shows anything wrong"
        raise code.not_followed(why, "pool_initialise_page")
    return told


def explain_total(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    geometry = Geometry(inputs["size"], inputs["boundary"], inputs["allocation"])
    total = total_in_the_row(code, Layout(code, geometry, 0).pool)
    fit = promise.block_offsets(promise.Geometry(*astuple(geometry)))
    expected = f"{len(fit)} blocks fit, at {first_ones(fit)}"
    steps = (Create(geometry.size, 1, geometry.boundary), Alloc("a"))
    trace = Trace(steps, claim=claim.name)
    return with_the_compiled(code, Counterexample(expected, f"{total} blocks are counted", trace))


def where(laid: list[tuple[int, int | None]]) -> str:
    """The offsets of blocks, and of the first one with the DMA address of another place, which."""
    wrong = [(offset, dma) for offset, dma in laid if dma not in (None, offset)]
    said = first_ones([offset for offset, _ in laid])
    return said + "".join(f"; the block at {offset} has the DMA address of offset {dma}" for offset, dma in wrong[:1])


def with_the_compiled(code: Code, found: Counterexample) -> Counterexample:
    """The counterexample, with what the natively compiled file does of its trace."""
    trace = found.trace
    assert trace is not None
    try:
        run_beside_the_oracle(trace, revision_of(code.source, SERIES if code.promises is V6_1 else None))
        natively = "natively, this breaks no claim yet"
    except BrokenClaim as broken:
        agrees = "the same" if broken.claim.name == trace.claim else "first"
        natively = f"natively, this breaks {agrees}: {broken.claim.name} ({broken.trace.last_step().happened})"
    except Exception as trouble:  # the code may be as wrong as can be
        natively = f"not run natively: {type(trouble).__name__}: {trouble}"
    return replace(found, actual=f"{found.actual}; {natively}")


Explanation = Callable[[Code, Claim, dict[str, Any]], Counterexample]


def make(
    code: Code, explain: Explanation, expected: Verdict = Verdict.PROVED, case: str = ""
) -> Callable[[Claim, Any], Obligation]:
    """Obligations that are explained alike."""

    def made(claim: Claim, body: Any) -> Obligation:
        told = partial(explain, code, claim)
        return Obligation(claim, KERNEL, Theory.U64, case, expected, body, told, __name__)

    return made
