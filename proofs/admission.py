"""Admission: what the argument check of dma_pool_create lets in can be laid out, for all 64-bit arguments."""

from collections.abc import Callable
from typing import Any

from impl import layout
from model import claims
from model import geometry as promise
from model.geometry import INT_MAX, SMALLEST_BLOCK, Refusal, number
from model.trace import Create, Kernel, Trace
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Counterexample, Obligations
from proofs.engine.path import Theory

obligation = Obligations(__name__)

Admit = Callable[[Any, Any, Any, Any], layout.Geometry | None]
"""The argument check of a revision: from size, align, boundary and page size, in bytes."""


def explain(inputs: dict[str, Any], admit: Admit = layout.admit, smallest: int = SMALLEST_BLOCK) -> Counterexample:
    """The arguments, what they ask for, and the geometry that the pool keeps."""

    def keep(size: int, align: int, boundary: int, page_size: int) -> Any:
        return kept_geometry(size, align, boundary, page_size, admit)

    return explain_kept(inputs, keep, smallest)


def explain_kept(inputs: dict[str, Any], keep: Admit, smallest: int) -> Counterexample:
    """The same, where `keep` is all of dma_pool_create."""
    arguments = inputs["size"], inputs["align"], inputs["boundary"], inputs["page_size"]
    promised, kept = promise.create(*arguments, smallest), keep(*arguments)
    call = "dma_pool_create(size={:#x}, align={:#x}, boundary={:#x}), page size {}".format(*arguments)
    if isinstance(promised, Refusal):
        expected = f"{call} returns NULL: {promised.value}"
    else:
        expected = f"{call} makes a pool with {describe(promised)}"
    actual = "dma_pool_create returns NULL" if kept is None else f"dma_pool_create makes a pool with {describe(kept)}"
    steps = (Create(*arguments[:3]),)
    return Counterexample(expected, actual, Trace(steps, Kernel(page_size=arguments[3])))


def describe(geometry: Any) -> str:
    """A geometry, in bytes."""
    return ", ".join(f"{name}={number(getattr(geometry, name))}" for name in ("size", "boundary", "allocation"))


def arguments(path: Any) -> tuple[Any, Any, Any, Any]:
    """Any 64-bit arguments of dma_pool_create, on any kernel with pages of 4 KiB to 64 KiB."""
    page_size = path.number("page_size")
    path.assume(
        "the page size is a power of two from 4096 to 65536",
        lambda: page_size >= 4096 and page_size <= 65536 and promise.is_a_power_of_two(page_size),
    )
    return path.number("size"), path.number("align"), path.number("boundary"), page_size


def arguments_that_round_up_to_an_int(path: Any) -> tuple[Any, Any, Any, Any]:
    """Any arguments, but for those whose size leaves int when it is rounded up to align.

    The largest multiple of `align` that is an int is 2^31 - align.
    """
    size, align, boundary, page_size = arguments(path)
    path.assume(
        "a size that is an int is still one when it is rounded up to align",
        lambda: size > INT_MAX or size + align <= INT_MAX + 1,
    )
    return size, align, boundary, page_size


def kept_geometry(
    size: Any, align: Any, boundary: Any, page_size: Any, admit: Admit = layout.admit
) -> layout.Geometry | None:
    """The geometry that the pool keeps of these arguments; None where it refuses them."""
    geometry = admit(size, align, boundary, page_size)
    return None if geometry is None else layout.kept(geometry)


def admitted(
    path: Any, size: Any, align: Any, boundary: Any, page_size: Any, admit: Admit = layout.admit
) -> layout.Geometry:
    """The geometry that the pool keeps of these arguments, on the paths where it admits them."""
    geometry = kept_geometry(size, align, boundary, page_size, admit)
    path.assume("the arguments are admitted", lambda: geometry is not None)
    assert geometry is not None
    return geometry


@obligation(claims.create_admits_what_is_promised, "series", Theory.U64, explain=explain)
def create_admits_what_is_promised(path: Any) -> None:
    given = arguments_that_round_up_to_an_int(path)
    kept = kept_geometry(*given)
    path.show_claim(claims.create_admits_what_is_promised, promise.create(*given), kept)


@obligation(
    claims.create_admits_what_is_promised,
    "series",
    Theory.U64,
    explain=explain,
    expected=Verdict.REFUTED,
    case="any_align",
)
def create_admits_an_align_that_it_should_refuse(path: Any) -> None:
    given = arguments(path)
    kept = kept_geometry(*given)
    path.show_claim(claims.create_admits_what_is_promised, promise.create(*given), kept)


@obligation(claims.admitted_geometry_is_ordered, "series", Theory.U64, explain=explain)
def admitted_geometry_is_ordered(path: Any) -> None:
    path.show_claim(claims.admitted_geometry_is_ordered, admitted(path, *arguments_that_round_up_to_an_int(path)))


@obligation(
    claims.admitted_geometry_is_ordered,
    "series",
    Theory.U64,
    explain=explain,
    expected=Verdict.REFUTED,
    case="any_align",
)
def size_becomes_0_in_unsigned_int(path: Any) -> None:
    path.show_claim(claims.admitted_geometry_is_ordered, admitted(path, *arguments(path)))


@obligation(claims.admitted_geometry_fits_an_int, "series", Theory.U64, explain=explain)
def admitted_geometry_fits_an_int(path: Any) -> None:
    path.show_claim(claims.admitted_geometry_fits_an_int, admitted(path, *arguments_that_round_up_to_an_int(path)))


@obligation(
    claims.admitted_geometry_fits_an_int,
    "series",
    Theory.U64,
    explain=explain,
    expected=Verdict.REFUTED,
    case="any_align",
)
def size_leaves_int(path: Any) -> None:
    path.show_claim(claims.admitted_geometry_fits_an_int, admitted(path, *arguments(path)))


@obligation(claims.boundary_divides_the_allocation, "series", Theory.U64, explain=explain)
def boundary_divides_the_allocation(path: Any) -> None:
    path.show_claim(claims.boundary_divides_the_allocation, admitted(path, *arguments_that_round_up_to_an_int(path)))


@obligation(claims.alignment_divides_size_and_boundary, "series", Theory.U64, explain=explain)
def alignment_divides_size_and_boundary(path: Any) -> None:
    size, align, boundary, page_size = arguments(path)
    geometry = admitted(path, size, align, boundary, page_size)
    path.show_claim(claims.alignment_divides_size_and_boundary, geometry, 1 if align == 0 else align)
