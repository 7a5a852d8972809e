"""The layout of every geometry of a 4096-byte page, by enumeration: a check that needs no solver."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impl import layout, v6_1, v6_12
from model import claims
from model import geometry as promise

PAGE_SIZE = 4096


@pytest.mark.parametrize("code", [layout, v6_12], ids=["series", "v6.12"])
def test_every_legal_page_is_laid_out_and_counted_as_promised(code: Any) -> None:
    """Of all sizes and boundaries that dma_pool_create admits, without alignment."""
    smallest = 4 if code is layout else 16
    boundaries = [0, *(1 << n for n in range(2, 13))]
    made = {
        promise.create(size, 1, boundary, PAGE_SIZE, smallest)
        for size in range(smallest, PAGE_SIZE + 1)
        for boundary in boundaries
    }
    geometries = [geometry for geometry in made if isinstance(geometry, promise.Geometry)]
    assert len(geometries) == (8155 if code is layout else 8041)
    for promised in geometries:
        kept = layout.Geometry(promised.size, promised.boundary, promised.allocation)
        laid = list(v6_12.laid_offsets(kept) if code is v6_12 else dict(layout.laid_blocks(kept)))
        assert laid == promise.block_offsets(promised)
        assert len(laid) == layout.blks_per_alloc(kept)


@given(st.integers(4, 300), st.sampled_from([4, 64, 256, 512, 4096]), st.integers(0, 12))
def test_the_series_lays_blocks_where_the_promise_does(size: int, page_size: int, log_boundary: int) -> None:
    promised = promise.create(size, 1, 1 << log_boundary, page_size)
    admitted = layout.admit(size, 1, 1 << log_boundary, page_size)
    assert claims.create_admits_what_is_promised(promised, admitted)
    if isinstance(promised, promise.Geometry):
        assert admitted is not None
        assert [offset for offset, _ in layout.laid_blocks(admitted)] == promise.block_offsets(promised)


def test_the_promise_holds_every_claim_about_a_layout() -> None:
    """The oracle's own layout, by brute force, against the predicates that the proofs use."""
    for geometry in (promise.Geometry(5, 16, 64), promise.Geometry(7, 64, 64), promise.Geometry(100, 100, 100)):
        offsets = promise.block_offsets(geometry)
        size, boundary, allocation = geometry.size, geometry.boundary, geometry.allocation
        for number, start in enumerate(offsets):
            assert claims.block_lies_inside_its_page(start, size, allocation)
            assert claims.no_block_crosses_a_boundary(start, size, boundary)
            assert all(claims.blocks_are_disjoint(start, other, size) for other in offsets[:number])
        edges = [*offsets, allocation]
        for start, following in zip(offsets, edges[1:], strict=True):
            gap = (start + size, following)
            assert all(claims.no_room_is_wasted(gap, place, size, boundary) for place in range(*gap))


@pytest.mark.parametrize(
    ("admit", "smallest_block"),
    [(layout.admit, 4), (v6_1.admit, 4), (v6_12.admit, 16)],
    ids=["series", "v6.1", "v6.12"],
)
def test_the_argument_check_admits_what_is_promised(admit: Any, smallest_block: int) -> None:
    """All small arguments, on either side of each bound of a page of 16 bytes."""
    for size, align, boundary in product(range(20), range(18), range(34)):
        promised, admitted = promise.create(size, align, boundary, 16, smallest_block), admit(size, align, boundary, 16)
        if isinstance(promised, promise.Geometry) and admit is v6_1.admit:  # it clips no boundary
            promised = replace(promised, boundary=boundary or promised.allocation)
        assert claims.create_admits_what_is_promised(promised, admitted), (size, align, boundary)


def test_a_size_up_to_int_max_is_admitted() -> None:
    largest = 2**31 - 1
    assert promise.create(largest, 1, 0, 4096) == promise.Geometry(largest, largest, largest)
    assert promise.create(largest + 1, 1, 0, 4096) is promise.Refusal.SIZE_IS_ABOVE_INT_MAX
    for admit in (layout.admit, v6_12.admit):
        assert admit(largest, 1, 0, 4096) == layout.Geometry(largest, largest, largest)
        assert admit(largest + 1, 1, 0, 4096) is None
    assert v6_1.admit(largest + 1, 1, 0, 4096) == layout.Geometry(largest + 1, largest + 1, largest + 1)
