"""What people read of a refutation about a kernel's own code, which is run natively at once."""

from collections.abc import Iterator
from dataclasses import astuple, replace
from typing import Any

from impl.layout import Geometry
from kernel.ir import NotFollowed
from kernel.promises import revision_of
from kernel.rbtree import broken_by
from kernel.worker import KernelFault
from model import claims
from model import geometry as promise
from model.checks import BrokenClaim
from model.claims import Claim
from model.lockstep import replay as run_beside_the_oracle
from model.promises import SERIES, V6_1, Promises
from model.revision import LARGEST_PAGE
from model.trace import Alloc, Create, Kernel, Trace, TraceError
from proofs import admission, tree
from proofs.counterexamples import as_promised, described, first_ones, offsets_of, page_of, trace_of, wrong_pages
from proofs.engine.obligation import Counterexample
from proofs.subjects.c_loop import LoopInC, subject_of
from proofs.subjects.c_pool import Code
from proofs.subjects.subject import V6_1_IN_PYTHON


def explain_overlap(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """Two pages that overlap. Raises NotFollowed if natively they break nothing."""
    explained = tree.explain_insertion(inputs)
    assert explained.trace is not None
    found = replayed(code, replace(explained, trace=replace(explained.trace, claim=claim.name)), SERIES)
    if found is None or found.trace is None or found.trace.claim != claim.name:
        raise code.not_followed("pages that overlap break nothing in the compiled file", "pool_insert_page")
    return found


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
    """The driver's arguments, the geometry that the pool keeps, and the blocks of its first page, as far as people read; of
    another size or boundary, where that shows more.

    Raises NotFollowed if the compiled file breaks nothing.
    """
    subject = subject_of(code)
    others: tuple[dict[str, int], ...] = ({}, {"size": inputs["page_size"] // 2 + 1}, {"boundary": 2**32})
    for other in others:
        given = {**inputs, **other}
        size = given["size"]
        explained = admission.explain(subject, given)
        assert explained.trace is not None
        kept = subject.create(size, given["align"], given["boundary"], given["page_size"])
        actual, steps, page = explained.actual, explained.trace.steps, None
        if kept is not None:
            placed, trouble = subject.place(kept, 3)
            more = " …" * (len(placed) == 3) + "; then " * bool(trouble) + trouble
            actual += f", whose blocks lie at {offsets_of(placed)}{more}"
            page = page_of(kept, placed)
            steps += (Alloc("block 1"), Alloc("block 2"))
        trace = replace(explained.trace, steps=steps, claim=claim.name)
        if found := replayed(code, replace(explained, actual=actual, trace=trace, page=page), SERIES):
            return found
    raise code.not_followed(
        "the pool that is made is not as it should be, but no run of it shows that", "dma_pool_create"
    )


def explain_page(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """A page that a driver can have, on which the compiled file breaks a claim: of the proof's own numbers, if those show it.
    Blocks that v6.1 is known to waste show no other claim wrong.

    Raises NotFollowed if no page that was tried shows anything wrong: then the step is not inductive.
    """
    subject = subject_of(code)
    geometry = Geometry(inputs["size"], inputs["boundary"], inputs["allocation"])
    wastes = code.promises is V6_1 and claim is not claims.no_room_is_wasted
    promises = V6_1 if wastes else SERIES
    for one in wrong_pages(geometry, subject.place, subject.smallest, as_v6_1 if wastes else as_promised):
        if one.trace is not None:
            trace = replace(one.trace, claim=claim.name)
            if found := replayed(code, replace(one, trace=trace), promises):
                return found
    for expected, run in runs_at_edges(geometry, subject.smallest):
        if found := replayed(code, Counterexample(expected, "", replace(run, claim=claim.name)), promises):
            return found
    why = "this step is not inductive: no pool that was tried breaks anything in the compiled file"
    raise code.not_followed(why, "pool_initialise_page")


def runs_at_edges(geometry: Geometry, smallest: int) -> Iterator[tuple[str, Trace]]:
    """Pools of one page: with the blocks of the proof, on pages of every size; and those of which a block ends some bytes
    before or behind a boundary or the page's end."""
    sizes = [4096 << n for n in range(5)]
    pools = [(geometry.size, boundary, size) for size in sizes for boundary in (geometry.boundary, 0)]
    for bound in (1 << n for n in range(5, 17)):
        ends = [(bound + near, blocks) for near in (-2, -1, 0, 1, 2) for blocks in range(2, 64)]
        pools += [(end // blocks, bound, max(bound, 4096)) for end, blocks in ends if end % blocks == 0]
    pools += [(smallest, 0, 65536)]
    for size, boundary, page_size in dict.fromkeys(pools):
        made = promise.create(size, 1, boundary, page_size, smallest)
        if isinstance(made, promise.Geometry) and size >= smallest and made.allocation <= LARGEST_PAGE:
            offsets = promise.block_offsets(made)
            expected = f"{described(Geometry(*astuple(made)))}: {len(offsets)} blocks, the last at offset {offsets[-1]}"
            blocks = [Alloc(f"block {n}") for n in range(1, len(offsets) + 1)]
            yield expected, Trace((Create(size, 1, boundary), *blocks), Kernel(page_size))


def as_v6_1(geometry: Geometry) -> list[int]:
    return [offset for offset, _ in V6_1_IN_PYTHON.place(geometry, geometry.allocation)[0]]


def explain_total(code: Code, claim: Claim, inputs: dict[str, Any]) -> Counterexample:
    """A page whose blocks are counted wrong. Raises NotFollowed if the compiled file breaks nothing."""
    geometry = Geometry(inputs["size"], inputs["boundary"], inputs["allocation"])
    fit = promise.block_offsets(promise.Geometry(*astuple(geometry)))
    trace = trace_of(geometry, 1, subject_of(code).smallest)
    if trace is not None:
        expected = f"{described(geometry)}: {len(fit)} blocks fit, at {first_ones(fit)}"
        actual = f"{LoopInC(code, geometry, 0).total()} blocks are counted"
        if found := replayed(code, Counterexample(expected, actual, replace(trace, claim=claim.name)), SERIES):
            return found
    raise code.not_followed(
        "the total is not what is expected, but no run of the compiled file shows that", "pools_show"
    )


def confirmed(code: Code, explained: Counterexample) -> Counterexample:
    """A counterexample that breaks a claim in the compiled file, if it has a run. Raises NotFollowed if that breaks none."""
    if explained.trace is None:
        return explained
    found = replayed(code, explained, SERIES)
    if found is None:
        raise NotFollowed(
            f"this goes otherwise than it should, but no run of the compiled file shows it: {explained.actual}"
        )
    return found


def replayed(code: Code, explained: Counterexample, of_v6_1: Promises) -> Counterexample | None:
    """A counterexample with what the compiled file does of its trace; None if that breaks no claim. A file like v6.1 is held to
    these promises: to those of the series, where its known defects are to be shown."""
    trace = explained.trace
    assert trace is not None
    try:
        run_beside_the_oracle(trace, revision_of(code.source, of_v6_1 if code.promises is V6_1 else None))
    except BrokenClaim as broken:
        last = broken.trace.last_step()
        same = broken.claim.name == trace.claim
        what = (
            f"replayed in the compiled file, it breaks {'this claim' if same else broken.claim.name}: {last.happened}"
        )
        return replace(
            explained,
            expected=explained.expected or last.expected,
            actual=f"{explained.actual}; {what}" if explained.actual else what,
            trace=trace if same else replace(trace, claim=broken.claim.name),
        )
    except (TraceError, KernelFault, TimeoutError, ValueError, OSError):  # a run that the compiled file cannot make
        return None
    return None
