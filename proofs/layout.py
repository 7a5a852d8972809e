"""Layout: the blocks that pool_initialise_page lays in a page, for every geometry that admission lets through.

By induction over the turns of the loop. The invariant is two claims, `next_boundary_is_a_multiple` and
`layout_stays_between_boundaries`; each is shown of the first block, and of the next block wherever it holds of some block.
The other claims follow from it at an arbitrary block. Premises with products come after the code has run, because the
solver then has fewer branches to weigh with them in hand.
"""

from collections.abc import Iterable
from dataclasses import asdict, astuple, replace
from itertools import islice
from typing import Any

from impl import history, layout
from impl.layout import Cursor, Geometry
from model import claims
from model import geometry as promise
from model.trace import Alloc, Create, Trace
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Counterexample, Obligations
from proofs.engine.path import Theory

obligation = Obligations(__name__)

WIDTHS = (Theory.INTEGERS, Theory.U32)
PAGE_SIZE = 4096
LARGEST_DRAWN = 2**20  # bytes of a page that is laid out for people to see
TRIED = ((2048, 4096), (1000, 4096), (1000, 2048), (24, 64), (4, 8))  # sizes and boundaries


def any_geometry(path: Any) -> Geometry:
    """Any geometry."""
    return Geometry(path.number("size"), path.number("boundary"), path.number("allocation"))


def any_admitted_geometry(path: Any) -> Geometry:
    """Any geometry whose blocks are not empty: ordered, in ℤ; of the size that an int has, among machine words."""
    geometry = any_geometry(path)
    if path.theory is Theory.INTEGERS:
        path.assume_claim(claims.admitted_geometry_is_ordered, geometry)
    else:
        path.assume_claim(claims.admitted_geometry_fits_an_int, geometry)
    return geometry


def any_ordered_geometry(path: Any) -> Geometry:
    """Any geometry with all that admission promises of its sizes."""
    geometry = any_admitted_geometry(path)
    if path.theory is not Theory.INTEGERS:
        path.assume_claim(claims.admitted_geometry_is_ordered, geometry)
    return geometry


def any_block(path: Any, geometry: Geometry) -> Cursor:
    """The loop at any block of the page."""
    block = any_cursor(path)
    path.assume_claim(claims.layout_stays_between_boundaries, block.offset, block.next_boundary, geometry)
    return block


def any_cursor(path: Any) -> Cursor:
    """The loop anywhere."""
    return Cursor(path.number("offset"), path.number("next_boundary"))


def explain_series(inputs: dict[str, Any]) -> Counterexample:
    return explain(inputs, layout)


def explain_original(inputs: dict[str, Any]) -> Counterexample:
    return explain(inputs, history)


def explain_admitted_by_original(inputs: dict[str, Any]) -> Counterexample:
    """From the driver's arguments on."""
    geometry = history.admit(*(inputs[name] for name in ("size", "align", "boundary", "page_size")))
    assert geometry is not None
    return explain(asdict(geometry), history)


def explain(inputs: dict[str, Any], revision: Any) -> Counterexample:
    """Where the blocks lie that should lie elsewhere; on a page of other numbers, if those of the proof show nothing wrong."""
    geometry = Geometry(inputs["size"], inputs["boundary"], inputs["allocation"])
    if told := laid_out(geometry, revision):
        return told
    fails = "a step of the proof fails in this state, which may be unreachable"
    for size, boundary in TRIED:
        if told := laid_out(Geometry(size, boundary, PAGE_SIZE), revision):
            where = f"a page of {PAGE_SIZE} bytes with blocks of {size} and boundary {boundary}"
            return replace(told, actual=f"{fails}, but {where} shows it, too: {told.actual}")
    return Counterexample("the claim holds", f"{fails}; no page is known that shows it")


def first_ones(offsets: list[int]) -> str:
    """Where blocks lie, as far as people want to read it."""
    return ", ".join(map(str, offsets[:8])) + " …" * (len(offsets) > 8)


def laid_out(geometry: Geometry, revision: Any) -> Counterexample | None:
    """Lay the page out on plain integers, and compare it with where the blocks should lie; None if they do lie there, or if the
    page is none that is laid out for people to see."""
    size, allocation = geometry.size, geometry.allocation
    if not 0 < size <= min(geometry.boundary, allocation) <= allocation <= LARGEST_DRAWN:
        return None
    where = f"a page of {allocation} bytes, blocks of {size}, boundary {promise.number(geometry.boundary)}"
    promised = promise.block_offsets(promise.Geometry(size, min(geometry.boundary, allocation), allocation))
    laid: list[int] = []
    endless = ""
    try:
        for offset, _ in islice(layout.laid_blocks(geometry, revision.next_block), len(promised) + 2):
            laid.append(offset)
    except TimeoutError as hang:
        endless = str(hang)
    expected = f"{where}: {len(promised)} blocks, the last at offset {promised[-1]}"
    number, odd = next(
        ((n, offset) for n, offset in enumerate(laid, 1) if n > len(promised) or offset != promised[n - 1]), (0, 0)
    )
    if endless:
        actual, blocks = endless, 1
    elif number and odd + size > allocation:
        past = odd + size - allocation
        actual = f"block {number} starts at offset {odd} and ends at {odd + size}, {past} bytes past the page's end"
        blocks = number
    elif number:
        actual, blocks = f"block {number} starts at offset {odd}, not at {promised[number - 1]}", len(laid) + 1
    elif len(laid) < len(promised):
        missing = promised[len(laid)]
        actual = f"blocks that are laid: {len(laid)}; there is none at offset {missing}, where one would fit"
        blocks = len(laid) + 1
    else:
        return None
    arguments = (size, 1, geometry.boundary, PAGE_SIZE)
    if isinstance(promise.create(*arguments), promise.Refusal) or allocation != max(size, PAGE_SIZE):
        return Counterexample(expected, actual, page=page_of(geometry, laid))
    steps = (Create(*arguments[:3]), *(Alloc(f"block {n}") for n in range(1, blocks + 1)))
    return Counterexample(expected, actual, Trace(steps), page_of(geometry, laid))


def page_of(geometry: Geometry, laid: Iterable[int]) -> promise.LaidPage:
    """A page whose blocks get their DMA addresses when they are allocated."""
    return promise.LaidPage(promise.Geometry(*astuple(geometry)), tuple((offset, None) for offset in laid))


@obligation(claims.next_boundary_is_a_multiple, "series", *WIDTHS, explain=explain_series)
def next_boundary_is_a_multiple(path: Any) -> None:
    geometry = any_ordered_geometry(path)
    first = layout.first_block(geometry)
    path.show_claim(claims.next_boundary_is_a_multiple, first.next_boundary, geometry.boundary)

    # In ℤ no sum wraps around, wherever the block is.
    block = any_cursor(path) if path.theory is Theory.INTEGERS else any_block(path, geometry)
    following = layout.next_block(geometry, block)
    path.assume_claim(claims.next_boundary_is_a_multiple, block.next_boundary, geometry.boundary)
    path.show_claim(claims.next_boundary_is_a_multiple, following.next_boundary, geometry.boundary)


@obligation(claims.layout_stays_between_boundaries, "series", *WIDTHS, explain=explain_series)
def layout_stays_between_boundaries(path: Any) -> None:
    geometry = any_ordered_geometry(path)
    first = layout.first_block(geometry)
    path.show_claim(claims.layout_stays_between_boundaries, first.offset, first.next_boundary, geometry)

    block = any_block(path, geometry)
    following = layout.next_block(geometry, block)
    path.assume("there is a next block", lambda: layout.goes_on(geometry, following))
    path.assume_claim(claims.boundary_divides_the_allocation, geometry)
    path.assume_claim(claims.next_boundary_is_a_multiple, block.next_boundary, geometry.boundary)
    path.show_claim(claims.layout_stays_between_boundaries, following.offset, following.next_boundary, geometry)


@obligation(claims.block_lies_inside_its_page, "series", *WIDTHS, explain=explain_series)
def block_lies_inside_its_page(path: Any) -> None:
    geometry = any_geometry(path)
    block = any_block(path, geometry)
    path.show_claim(claims.block_lies_inside_its_page, block.offset, geometry.size, geometry.allocation)


@obligation(
    claims.block_lies_inside_its_page,
    "v6.1",
    Theory.U64,
    explain=explain_admitted_by_original,
    expected=Verdict.REFUTED,
    case="boundary_above_the_page",
)
def original_lays_a_block_past_the_page(path: Any) -> None:
    geometry = admitted_by_original(path)
    following = history.next_block(geometry, layout.first_block(geometry))
    path.assume("there is a next block", lambda: layout.goes_on(geometry, following))
    path.show_claim(claims.block_lies_inside_its_page, following.offset, geometry.size, geometry.allocation)


def admitted_by_original(path: Any) -> Geometry:
    """What v6.1 makes of a driver's arguments, on the paths where it admits them."""
    size, boundary = path.number("size"), path.number("boundary")
    geometry = history.admit(size, path.one_of("align", 1), boundary, path.one_of("page_size", PAGE_SIZE))
    path.assume("the arguments are admitted", lambda: geometry is not None)
    assert geometry is not None
    return geometry


@obligation(claims.no_block_crosses_a_boundary, "series", *WIDTHS, explain=explain_series)
def no_block_crosses_a_boundary(path: Any) -> None:
    geometry = any_admitted_geometry(path)
    block = any_block(path, geometry)
    path.assume_claim(claims.next_boundary_is_a_multiple, block.next_boundary, geometry.boundary)
    above = block.next_boundary // geometry.boundary
    path.show("there is a boundary above", lambda: above >= 1)
    path.show("the block starts below it", lambda: block.offset // geometry.boundary == above - 1)
    last_byte = block.offset + geometry.size - 1
    path.show("the block ends below it", lambda: last_byte // geometry.boundary == above - 1)
    path.show_claim(claims.no_block_crosses_a_boundary, block.offset, geometry.size, geometry.boundary)


@obligation(claims.blocks_are_disjoint, "series", *WIDTHS, explain=explain_series)
def blocks_are_disjoint(path: Any) -> None:
    geometry = any_geometry(path)
    block = any_block(path, geometry)
    earlier = path.number("earlier")
    path.assume(
        "the earlier block is this one, or ends where this one starts or before",
        lambda: earlier == block.offset or earlier + geometry.size <= block.offset,
    )
    following = layout.next_block(geometry, block)
    path.show("the earlier block ends before the next one", lambda: earlier + geometry.size <= following.offset)
    path.show_claim(claims.blocks_are_disjoint, earlier, following.offset, geometry.size)


@obligation(claims.blocks_are_aligned, "series", *WIDTHS, explain=explain_series)
def blocks_are_aligned(path: Any) -> None:
    if path.theory is Theory.INTEGERS:
        geometry, block = any_geometry(path), any_cursor(path)
    else:
        geometry = any_ordered_geometry(path)
        block = any_block(path, geometry)
    following = layout.next_block(geometry, block)
    first = layout.first_block(geometry)
    align = path.number("align")
    path.assume("there is an alignment", lambda: align >= 1)
    path.assume_claim(claims.alignment_divides_size_and_boundary, geometry, align)
    path.show_claim(claims.blocks_are_aligned, first.offset, align)
    path.show("the first boundary is aligned", lambda: first.next_boundary % align == 0)

    path.assume("this block is aligned", lambda: claims.blocks_are_aligned(block.offset, align))
    path.assume("its boundary is aligned", lambda: block.next_boundary % align == 0)
    path.show_claim(claims.blocks_are_aligned, following.offset, align)
    path.show("the next boundary is aligned", lambda: following.next_boundary % align == 0)


@obligation(claims.offsets_fit_the_int_link, "series", Theory.U32, explain=explain_series)
def offsets_fit_the_int_link(path: Any) -> None:
    geometry = any_admitted_geometry(path)
    following = layout.next_block(geometry, any_block(path, geometry))
    path.show_claim(claims.offsets_fit_the_int_link, following.offset)


@obligation(claims.layout_ends, "series", *WIDTHS, explain=explain_series)
def layout_ends(path: Any) -> None:
    geometry = any_admitted_geometry(path)
    block = any_block(path, geometry)
    following = layout.next_block(geometry, block)
    path.show_claim(claims.layout_ends, block.offset, following.offset)


@obligation(
    claims.layout_ends,
    "v6.1",
    Theory.U64,
    explain=explain_admitted_by_original,
    expected=Verdict.REFUTED,
    case="boundary_above_32_bits",
)
def original_never_ends(path: Any) -> None:
    geometry = admitted_by_original(path)
    first = layout.first_block(geometry)
    following = history.next_block(geometry, first)
    path.assume("there is a next block", lambda: layout.goes_on(geometry, following))
    path.show_claim(claims.layout_ends, first.offset, following.offset)


@obligation(claims.no_room_is_wasted, "series", *WIDTHS, explain=explain_series)
def no_room_is_wasted(path: Any) -> None:
    geometry = any_admitted_geometry(path)
    before_the_first = 0, layout.first_block(geometry).offset
    anywhere = path.number("start")
    path.show_claim(claims.no_room_is_wasted, before_the_first, anywhere, geometry.size, geometry.boundary)

    block = any_cursor(path)
    following = layout.next_block(geometry, block)
    gap = block.offset + geometry.size, min(following.offset, geometry.allocation)
    path.show_claim(claims.no_room_is_wasted, gap, anywhere, geometry.size, geometry.boundary)


@obligation(
    claims.no_room_is_wasted,
    "v6.1",
    Theory.INTEGERS,
    explain=explain_original,
    expected=Verdict.REFUTED,
    case="any_page",
)
@obligation(
    claims.no_room_is_wasted, "v6.1", Theory.U64, explain=explain_original, expected=Verdict.REFUTED, case="kernel_page"
)
def original_wastes_a_block(path: Any) -> None:
    size, boundary = path.number("size"), path.number("boundary")
    if path.theory is Theory.INTEGERS:
        geometry = Geometry(size, boundary, path.number("allocation"))
    else:
        geometry = Geometry(size, boundary, path.one_of("allocation", PAGE_SIZE))
        path.assume("a free block holds a link", lambda: size >= promise.SMALLEST_BLOCK)
    path.assume_claim(claims.admitted_geometry_is_ordered, geometry)
    path.assume_claim(claims.boundary_divides_the_allocation, geometry)
    first = layout.first_block(geometry)
    following = history.next_block(geometry, first)
    gap = first.offset + size, min(following.offset, geometry.allocation)
    path.show_claim(claims.no_room_is_wasted, gap, path.number("start"), size, boundary)


@obligation(
    claims.no_room_is_wasted, "v6.1", Theory.U64, explain=explain_original, expected=Verdict.REFUTED, case="size_128"
)
def original_lays_31_of_32_blocks_of_128_bytes(path: Any) -> None:
    size, allocation = path.one_of("size", 128), path.one_of("allocation", PAGE_SIZE)
    geometry = Geometry(size, path.one_of("boundary", PAGE_SIZE), allocation)
    block = Cursor(path.number("offset"), layout.first_block(geometry).next_boundary)
    path.assume(
        "the page's only boundary is its end, and this block lies before it",
        lambda: block.offset % size == 0 and block.offset + size <= allocation,
    )
    following = history.next_block(geometry, block)
    gap = block.offset + size, min(following.offset, allocation)
    path.show_claim(claims.no_room_is_wasted, gap, path.number("start"), size, geometry.boundary)
