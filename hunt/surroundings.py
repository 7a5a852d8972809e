"""What is drawn once for a pool: its arguments, the kernel, the device's memory, and how often who does what."""

from dataclasses import dataclass

from hypothesis import strategies as st

from hunt.operations import OPERATIONS, Operation, write_to_the_link
from model.promises import Promises
from model.trace import LONG_NAME, Create, Kernel


@dataclass(frozen=True)
class Surroundings:
    """What is drawn once for a pool: the kernel, the arguments, where the device's pages lie, and who does what how often."""

    kernel: Kernel
    arguments: Create
    where: str  # the device's memory lies
    edge: int  # the DMA address where the device's memory begins, or ends if addresses descend
    stride: int  # from page to page, in pages: 1 for neighbours; negative where addresses descend
    scattered: bool  # the pages come in any order
    tidy: bool  # drivers free every block in the end
    hostile: str  # misuse that no pool promises to notice: none, "writes", or "anything"
    operations: tuple[Operation, ...]  # as often as their weight


EDGES = {
    "at the bottom of the address space": (0, 1),
    "neighbours": (0x1_0000_0000, 1),
    "with gaps": (0x1_0000_0000, 3),
    "descending": (2**40, -2),
    "below 4 GiB": (2**32, -1),
    "at the top of the address space": (2**64, -1),
    "up to the top of the address space": (2**64 - 2**24, 1),
}
"""Where a device's memory may lie: its edge and stride."""


FAR_BOUNDARIES = tuple(1 << bit for bit in (12, 16, 20, 31, 32, 63))
"""Boundaries that pages of any size are clipped to, if the pool clips them."""


@st.composite
def surroundings(draw: st.DrawFn, promises: Promises, numbers: tuple[int, ...] = ()) -> Surroundings:
    """Of a pool with these promises; `numbers` are those of the code under test, ascending, from 1 on."""
    # First, since what is drawn late varies less. One kind alone leaves the pool sound until then.
    hostile = draw(st.sampled_from(["", "", "writes", "anything"]))
    # Pages this small fill and empty within a few steps; the kernels' own are among them.
    page_size = draw(st.sampled_from([64, 16, 32, 128, 256, 4096, 16384, 65536]))
    per_page = draw(st.sampled_from([2, 1, 3, 4, 5, 8, 16, 40]))
    largest = page_size * 5 // 4
    # So many blocks end at a boundary or at the page's end, or a little before or behind it.
    edges = st.tuples(st.sampled_from([1, 2, 4]), st.integers(-2, 2))
    at_an_edge = edges.map(lambda edge: max(1, (page_size // edge[0] + edge[1]) // per_page))
    known = [number for number in numbers if number <= largest]
    size = draw(
        st.one_of(
            st.just(page_size // per_page),
            st.integers(page_size // 9, largest),
            at_an_edge,
            *([st.sampled_from(known)] if known else []),
        )
    )
    align = draw(st.sampled_from([1, 0, 2, 4, 8, 16, 64]))
    near = 1 << (size * 5 // 4 - 1).bit_length()
    boundary = draw(st.sampled_from([0, near, 2 * near, 4 * near, *FAR_BOUNDARIES]))
    if draw(st.integers(0, 15)) == 15:  # mostly arguments that are refused
        size, align = draw(st.integers(0, page_size)), draw(st.integers(0, 2 * page_size))
        boundary = draw(st.integers(0, 2 * page_size))
    if not promises.clips_the_boundary:
        boundary = min(boundary, page_size)
    name = draw(st.sampled_from(["pool", "", LONG_NAME]))
    where = draw(st.sampled_from(list(EDGES)))
    debug, init_on_alloc, init_on_free = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    with_options = draw(st.sampled_from([None, None, not debug])) if promises.boot_options else None
    weights = draw(st.tuples(*(st.sampled_from(operation.weights) for operation in OPERATIONS)))
    return Surroundings(
        Kernel(page_size, debug, init_on_alloc, init_on_free, with_options=with_options),
        Create(size, align, boundary, name),
        where,
        *EDGES[where],
        scattered=draw(st.booleans()),
        tidy=draw(st.booleans()),
        hostile=hostile,
        operations=tuple(
            operation
            for operation, weight in zip(OPERATIONS, weights, strict=True)
            for _ in range(max(weight, 8) if hostile == "writes" and operation.step is write_to_the_link else weight)
        ),
    )
