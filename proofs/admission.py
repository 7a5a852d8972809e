"""Admission: what the argument check of dma_pool_create lets in can be laid out, for all 64-bit arguments."""

from typing import Any

from impl import layout
from model import claims
from model import geometry as promise
from model.geometry import INT_MAX, Refusal
from model.trace import Create, Kernel, Trace
from proofs.explore import Theory, Verdict
from proofs.obligation import Counterexample, obligation


def explain(inputs: dict[str, Any]) -> Counterexample:
    """The arguments, what they ask for, and the geometry that the pool keeps."""
    arguments = inputs["size"], inputs["align"], inputs["boundary"], inputs["page_size"]
    promised, admitted = promise.create(*arguments), layout.admit(*arguments)
    call = "dma_pool_create(size={:#x}, align={:#x}, boundary={:#x}), page size {}".format(*arguments)
    if isinstance(promised, Refusal):
        expected = f"{call} returns NULL: {promised.value}"
    else:
        expected = f"{call} makes a pool with {describe(promised)}"
    actual = "it returns NULL" if admitted is None else f"it makes a pool with {describe(layout.kept(admitted))}"
    steps = (Create(*arguments[:3]),)
    return Counterexample(expected, actual, Trace(steps, Kernel(page_size=arguments[3])))


def describe(geometry: Any) -> str:
    """A geometry, in bytes."""
    return f"size={geometry.size}, boundary={geometry.boundary}, allocation={geometry.allocation}"


def arguments(path: Any) -> tuple[Any, Any, Any, Any]:
    """Any 64-bit arguments of dma_pool_create, on any kernel with pages of 4 KiB to 64 KiB."""
    page_size = path.number("page_size")
    path.assume(
        "the page size is a power of two from 4096 to 65536",
        lambda: page_size >= 4096 and page_size <= 65536 and promise.is_a_power_of_two(page_size),
    )
    return path.number("size"), path.number("align"), path.number("boundary"), page_size


def assume_rounding_up_stays_an_int(path: Any, size: Any, align: Any) -> None:
    """The largest multiple of `align` that is an int is 2^31 - align; from it on, rounding up leaves int."""
    path.assume(
        "a size that is an int is still one when it is rounded up to align",
        lambda: size > INT_MAX or size + align <= INT_MAX + 1,
    )


def admitted(path: Any, size: Any, align: Any, boundary: Any, page_size: Any) -> layout.Geometry:
    """The geometry that the pool keeps of these arguments, on the paths where it admits them."""
    geometry = layout.admit(size, align, boundary, page_size)
    path.assume("the arguments are admitted", lambda: geometry is not None)
    assert geometry is not None
    return layout.kept(geometry)


@obligation(claims.create_admits_what_is_promised, "series", Theory.U64, explain=explain)
def create_admits_what_is_promised(path: Any) -> None:
    size, align, boundary, page_size = arguments(path)
    assume_rounding_up_stays_an_int(path, size, align)
    geometry = layout.admit(size, align, boundary, page_size)
    kept = None if geometry is None else layout.kept(geometry)
    promised = promise.create(size, align, boundary, page_size)
    path.show_claim(claims.create_admits_what_is_promised, promised, kept)


@obligation(
    claims.create_admits_what_is_promised,
    "series",
    Theory.U64,
    explain=explain,
    expected=Verdict.REFUTED,
    case="any_align",
)
def create_admits_an_align_that_it_should_refuse(path: Any) -> None:
    size, align, boundary, page_size = arguments(path)
    geometry = layout.admit(size, align, boundary, page_size)
    path.show_claim(claims.create_admits_what_is_promised, promise.create(size, align, boundary, page_size), geometry)


@obligation(claims.admitted_geometry_is_ordered, "series", Theory.U64, explain=explain)
def admitted_geometry_is_ordered(path: Any) -> None:
    size, align, boundary, page_size = arguments(path)
    assume_rounding_up_stays_an_int(path, size, align)
    path.show_claim(claims.admitted_geometry_is_ordered, admitted(path, size, align, boundary, page_size))


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
    size, align, boundary, page_size = arguments(path)
    assume_rounding_up_stays_an_int(path, size, align)
    path.show_claim(claims.admitted_geometry_fits_an_int, admitted(path, size, align, boundary, page_size))


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
    size, align, boundary, page_size = arguments(path)
    assume_rounding_up_stays_an_int(path, size, align)
    path.show_claim(claims.boundary_divides_the_allocation, admitted(path, size, align, boundary, page_size))


@obligation(claims.alignment_divides_size_and_boundary, "series", Theory.U64, explain=explain)
def alignment_divides_size_and_boundary(path: Any) -> None:
    size, align, boundary, page_size = arguments(path)
    assume_rounding_up_stays_an_int(path, size, align)
    geometry = admitted(path, size, align, boundary, page_size)
    path.show_claim(claims.alignment_divides_size_and_boundary, geometry, 1 if align == 0 else align)
