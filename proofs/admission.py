"""Admission: what the argument check of dma_pool_create lets in can be laid out, for all 64-bit arguments."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from model import claims
from model import geometry as promise
from model.claims import Claim
from model.geometry import INT_MAX, Refusal, number
from model.promises import V6_1
from model.trace import Alloc, Create, Kernel, Trace
from proofs.counterexamples import explain_page, page_of
from proofs.engine.obligation import Counterexample, Obligations
from proofs.engine.path import Body, Theory
from proofs.subjects.subject import IN_PYTHON, PAGE_SIZE, SERIES_IN_PYTHON, STACK_IN_PYTHON, V6_1_IN_PYTHON, Subject

obligation = Obligations(__name__)

Arguments = tuple[Any, Any, Any, Any]
"""Size, align, boundary and page size, in bytes."""


def explain(subject: Subject, inputs: dict[str, Any]) -> Counterexample:
    """The arguments, what they ask for, and the geometry that the pool keeps."""
    arguments = inputs["size"], inputs["align"], inputs["boundary"], inputs["page_size"]
    promised, kept = promise.create(*arguments, subject.smallest), subject.create(*arguments)
    call = "dma_pool_create(size={:#x}, align={:#x}, boundary={:#x}), page size {}".format(*arguments)
    if isinstance(promised, Refusal):
        expected = f"{call} returns NULL: {promised.value}"
    else:
        expected = f"{call} makes a pool with {describe(promised)}"
    actual = "dma_pool_create returns NULL" if kept is None else f"dma_pool_create makes a pool with {describe(kept)}"
    # What a driver sees first, whatever the claim.
    claim = None if subject is SERIES_IN_PYTHON else claims.create_admits_what_is_promised.name
    return Counterexample(
        expected, actual, Trace((Create(*arguments[:3]),), Kernel(page_size=arguments[3]), claim=claim)
    )


def describe(geometry: Any) -> str:
    """A geometry, in bytes."""
    return ", ".join(f"{name}={number(getattr(geometry, name))}" for name in ("size", "boundary", "allocation"))


def any_arguments(path: Any) -> Arguments:
    """Any 64-bit arguments of dma_pool_create, on any kernel with pages of 4 KiB to 64 KiB."""
    page_size = path.number("page_size")
    path.assume(
        "the page size is a power of two from 4096 to 65536",
        lambda: page_size >= 4096 and page_size <= 65536 and promise.is_a_power_of_two(page_size),
    )
    return path.number("size"), path.number("align"), path.number("boundary"), page_size


def smallest_align_first(path: Any) -> Arguments:
    """Any arguments, on a kernel with pages of 4 KiB; of a counterexample, the smallest align comes first."""
    page_size, align, size = path.one_of("page_size", PAGE_SIZE), path.number("align"), path.number("size")
    return size, align, path.number("boundary"), page_size


def within_the_contract(path: Any, subject: Subject) -> Arguments:
    """The arguments for which a revision promises what it does.

    Of v6.1, small ones. Of the others all but those whose size leaves int when it is rounded up to align: the largest multiple
    of `align` that is an int is 2^31 - align.
    """
    size, align, boundary, page_size = any_arguments(path)
    if subject.promises is V6_1:
        path.assume("size and align are at most 2^30", lambda: size <= 2**30 and align <= 2**30)
        path.assume("boundary is at most PAGE_SIZE", lambda: boundary <= page_size)
    else:
        path.assume(
            "a size that is an int is still one when it is rounded up to align",
            lambda: size > INT_MAX or size + align <= INT_MAX + 1,
        )
    return size, align, boundary, page_size


def admitted(path: Any, subject: Subject, arguments: Arguments) -> Any:
    """The geometry that the pool keeps of these arguments, on the paths where it admits them."""
    geometry = subject.create(*arguments)
    path.assume("the arguments are admitted", lambda: geometry is not None)
    assert geometry is not None
    return geometry


def admits(subject: Subject, given: Callable[[Any], Arguments]) -> Body:
    def create_admits_what_is_promised(path: Any) -> None:
        arguments = given(path)
        promised = promise.create(*arguments, subject.smallest)
        path.show_claim(claims.create_admits_what_is_promised, promised, subject.create(*arguments))

    return create_admits_what_is_promised


def of_geometry(claim: Claim, subject: Subject, given: Callable[[Any], Arguments]) -> Body:
    def geometry_is_as_promised(path: Any) -> None:
        arguments = given(path)
        geometry = admitted(path, subject, arguments)
        more: tuple[Any, ...] = ()
        if claim is claims.admitted_geometry_fits_an_int:
            more = (subject.smallest,)
        if claim is claims.alignment_divides_size_and_boundary:
            more = (1 if arguments[1] == 0 else arguments[1],)
        path.show_claim(claim, geometry, *more)

    return geometry_is_as_promised


KEPT_BY_ANY_ALIGN = claims.boundary_divides_the_allocation, claims.alignment_divides_size_and_boundary
WRONG_FOR_A_LARGE_ALIGN = (
    claims.create_admits_what_is_promised,
    claims.admitted_geometry_is_ordered,
    claims.admitted_geometry_fits_an_int,
)
"""What does not hold of arguments outside of the contract."""


def of_arguments(claim: Claim, subject: Subject, given: Callable[[Any], Arguments]) -> Body:
    """The body about one of the five claims."""
    if claim is claims.create_admits_what_is_promised:
        return admits(subject, given)
    return of_geometry(claim, subject, given)


for subject in (*IN_PYTHON, V6_1_IN_PYTHON):
    explained, within = partial(explain, subject), partial(within_the_contract, subject=subject)
    for claim in (*WRONG_FOR_A_LARGE_ALIGN, *KEPT_BY_ANY_ALIGN):
        any_align = claim is claims.alignment_divides_size_and_boundary and subject is not V6_1_IN_PYTHON
        body = of_arguments(claim, subject, any_arguments if any_align else within)
        obligation(claim, subject.revision, Theory.U64, explain=explained)(body)

for subject in IN_PYTHON:  # what v6.1 gets wrong shows in its pages, see below
    outside = any_arguments if subject is SERIES_IN_PYTHON else smallest_align_first
    for claim in WRONG_FOR_A_LARGE_ALIGN:
        refute = obligation.refuted(
            claim, subject.revision, Theory.U64, explain=partial(explain, subject), case="any_align"
        )
        refute(of_arguments(claim, subject, outside))


# What a driver sees of it: blocks past the page, since a sum wraps around on v6.12, and a page that never ends.


def explain_overrun(inputs: dict[str, Any]) -> Counterexample:
    """From the driver's arguments to the second block. A page of 2 GiB cannot be run, but its creation can."""
    explained = explain(STACK_IN_PYTHON, inputs)
    kept = STACK_IN_PYTHON.create(inputs["size"], inputs["align"], inputs["boundary"], inputs["page_size"])
    assert kept is not None
    blocks, _ = STACK_IN_PYTHON.place(kept, 2)
    second = number(blocks[1][0])
    outside = f"block 2 lies at {second}, past the page's end, for {second} + {number(kept.size)} wraps around"
    return replace(explained, actual=f"{explained.actual}; {outside}", page=page_of(kept, blocks))


def explain_endless(inputs: dict[str, Any]) -> Counterexample:
    """From the driver's arguments to the first page."""
    explained = explain(STACK_IN_PYTHON, inputs)
    assert explained.trace is not None
    steps = (*explained.trace.steps, Alloc("a"))
    trace = replace(explained.trace, steps=steps, claim=claims.layout_ends.name)
    return replace(explained, actual=f"{explained.actual}; the first block is placed again and again", trace=trace)


def after_one_turn(path: Any, subject: Subject, arguments: Arguments) -> Any:
    """From a driver's arguments to the second turn: the geometry, the page, and where the first two begin."""
    geometry = admitted(path, subject, arguments)
    page = subject.page(path, geometry)
    first = page.first()
    placed, following, _ = page.turn(first)
    path.assume("there is a second turn", lambda: placed is not None and following is not None)
    return geometry, page, first, following


def second_block_sticks_out(subject: Subject, given: Callable[[Any], Arguments]) -> Body:
    def block_lies_inside_its_page(path: Any) -> None:
        geometry, page, _, at = after_one_turn(path, subject, given(path))
        placed = page.turn(at, 0).placed
        path.assume("a second block is placed", lambda: placed is not None)
        path.show_claim(claims.block_lies_inside_its_page, placed, geometry.size, geometry.allocation)

    return block_lies_inside_its_page


def first_block_is_placed_again(subject: Subject, given: Callable[[Any], Arguments]) -> Body:
    def layout_ends(path: Any) -> None:
        _, _, first, at = after_one_turn(path, subject, given(path))
        path.show_claim(claims.layout_ends, first.offset, at.offset)

    return layout_ends


def explain_v6_1(inputs: dict[str, Any]) -> Counterexample:
    """From the driver's arguments to a page."""
    kept = V6_1_IN_PYTHON.create(inputs["size"], inputs["align"], inputs["boundary"], inputs["page_size"])
    assert kept is not None
    return explain_page(kept, V6_1_IN_PYTHON.place, V6_1_IN_PYTHON.smallest)


def any_boundary(path: Any) -> Arguments:
    """Which v6.1 does not clip to the page."""
    size, boundary = path.number("size"), path.number("boundary")
    return size, path.one_of("align", 1), boundary, path.one_of("page_size", PAGE_SIZE)


obligation.refuted(
    claims.block_lies_inside_its_page, "v6.1", Theory.U64, explain=explain_v6_1, case="boundary_above_the_page"
)(second_block_sticks_out(V6_1_IN_PYTHON, any_boundary))
obligation.refuted(claims.layout_ends, "v6.1", Theory.U64, explain=explain_v6_1, case="boundary_above_32_bits")(
    first_block_is_placed_again(V6_1_IN_PYTHON, any_boundary)
)
obligation.refuted(claims.block_lies_inside_its_page, "v6.12", Theory.U64, explain=explain_overrun, case="any_align")(
    second_block_sticks_out(STACK_IN_PYTHON, smallest_align_first)
)
obligation.refuted(claims.layout_ends, "v6.12", Theory.U64, explain=explain_endless, case="any_align")(
    first_block_is_placed_again(STACK_IN_PYTHON, smallest_align_first)
)
