"""What people read of a refutation about a page's layout: the page, laid out on plain integers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple

from impl.layout import Geometry
from model import geometry as promise
from model.geometry import counted
from model.trace import Alloc, Create, Trace
from proofs.engine.obligation import Counterexample
from proofs.subjects.subject import PAGE_SIZE, Blocks, Place

LARGEST_DRAWN = 2**20
"""Bytes of a page that is laid out for people to see."""

TRIED = ((2048, 4096), (1000, 4096), (1000, 2048), (24, 64), (4, 8))
"""Sizes and boundaries of pages that are tried where those of the proof show nothing wrong."""


def first_ones(offsets: list[int]) -> str:
    """Where blocks lie, as far as people want to read it."""
    return ", ".join(map(str, offsets[:8])) + " …" * (len(offsets) > 8)


def offsets_of(blocks: Blocks) -> str:
    """Their offsets; and of the first one with the DMA address of another place, which."""
    wrong = [
        f"; the block at {offset} has the DMA address of offset {dma}"
        for offset, dma in blocks
        if dma not in (None, offset)
    ]
    return "".join([first_ones([offset for offset, _ in blocks]), *wrong[:1]])


def described(geometry: Geometry) -> str:
    boundary = promise.number(geometry.boundary)
    return f"a page of {geometry.allocation} bytes, blocks of {geometry.size}, boundary {boundary}"


def page_of(geometry: Geometry, blocks: Blocks) -> promise.LaidPage:
    """A page as the code lays it out. A block without a DMA address gets it when it is allocated."""
    return promise.LaidPage(promise.Geometry(*astuple(geometry)), tuple(blocks))


def trace_of(geometry: Geometry, blocks: int, smallest: int) -> Trace | None:
    """Allocate so many blocks of a page, if a driver can have it."""
    arguments = (geometry.size, 1, geometry.boundary, PAGE_SIZE)
    clipped = promise.Geometry(geometry.size, min(geometry.boundary, geometry.allocation), geometry.allocation)
    if promise.create(*arguments, smallest) != clipped:
        return None
    return Trace((Create(*arguments[:3]), *(Alloc(f"block {n}") for n in range(1, blocks + 1))))


def as_promised(geometry: Geometry) -> list[int]:
    """Where the blocks of a page should lie."""
    size, allocation = geometry.size, geometry.allocation
    return promise.block_offsets(promise.Geometry(size, min(geometry.boundary, allocation), allocation))


Expected = Callable[[Geometry], list[int]]
"""Where the blocks of a page should lie, as far as a claim is concerned."""


def wrong_page(
    geometry: Geometry, place: Place, smallest: int, expect: Expected = as_promised
) -> Counterexample | None:
    """Lay a page out, and compare it with where its blocks should lie; None if they do lie there, or if the page is none that
    is laid out for people to see. `smallest` are the bytes that a free block needs."""
    size, allocation = geometry.size, geometry.allocation
    if not 0 < size <= min(geometry.boundary, allocation) <= allocation <= LARGEST_DRAWN:
        return None
    promised = expect(geometry)
    found, trouble = place(geometry, len(promised) + 2)
    placed = [offset for offset, _ in found]
    elsewhere = [offset for offset, dma in found if dma not in (None, offset)]
    number, odd = next(
        ((n, offset) for n, offset in enumerate(placed, 1) if n > len(promised) or offset != promised[n - 1]), (0, 0)
    )
    blocks = len(placed) + 1
    if trouble:
        actual, blocks = trouble, 1
    elif number and odd + size > allocation:
        beyond = odd + size - allocation
        actual = f"block {number} starts at offset {odd} and ends at {odd + size}, {beyond} bytes past the page's end"
        blocks = number
    elif number > len(promised):
        actual = f"block {number} starts at offset {odd}, where none should be"
    elif number:
        actual = f"block {number} starts at offset {odd}, not at {promised[number - 1]}"
    elif len(placed) < len(promised):
        missing = promised[len(placed)]
        actual = f"blocks that are placed: {len(placed)}; there is none at offset {missing}, where one would fit"
    elif elsewhere:
        actual, blocks = f"blocks that are placed: {len(found)}, at {offsets_of(found)}", placed.index(elsewhere[0]) + 1
    else:
        return None
    expected = f"{described(geometry)}: {counted(len(promised), 'block', '')}, the last at offset {promised[-1]}"
    return Counterexample(expected, actual, trace_of(geometry, blocks, smallest), page_of(geometry, found))


def tried(smallest: int) -> Iterator[Geometry]:
    """Pages that are tried, as drivers can have them: no block is smaller than `smallest`, nor above its boundary."""
    return (Geometry(size, boundary, PAGE_SIZE) for size, boundary in TRIED if size >= smallest)


def wrong_pages(
    geometry: Geometry, place: Place, smallest: int, expect: Expected = as_promised
) -> Iterable[Counterexample]:
    """This page, if it shows anything wrong; and pages of other numbers that do, which a driver can have."""
    if found := wrong_page(geometry, place, smallest, expect):
        yield found
    for other in tried(smallest):
        if found := wrong_page(other, place, smallest, expect):
            yield found


def explain_page(geometry: Geometry, place: Place, smallest: int) -> Counterexample:
    """Where the blocks lie that should lie elsewhere."""
    nothing = "a step of the proof fails in this state, which may be unreachable; no page is known that shows it"
    return next(iter(wrong_pages(geometry, place, smallest)), Counterexample("the claim holds", nothing))
