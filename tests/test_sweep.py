"""The sweep, pools at edges and deep runs find the pools that differ from the model, and leave the verdict to the lockstep."""

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hunt import deep
from hunt import sweep as module
from hunt.deep import run_deep
from hunt.edges import run_edges
from hunt.numbers import of_kernel, of_python, why_none, with_neighbours
from hunt.revisions import REVISIONS, python
from hunt.sweep import LARGE_PAGE, offsets_of, pools, sizes, sweep
from impl.pool import Pool as SeriesPool
from kernel.promises import revision_of
from model import claims
from model.geometry import INT_MAX, Geometry, block_offsets
from model.memory import Memory
from model.promises import V6_1
from model.trace import Create
from proofs.ways import pools_at_edges
from tests.kernels import changed, fetched

PAGES = (64,)
"""Bytes of a page of the kernel: enough for gaps before each boundary."""


@pytest.mark.parametrize("name", ["series", "v6.1-as-it-is", "v6.12"])
def test_nothing_differs_in_python(name: str) -> None:
    done = sweep(REVISIONS[name], page_sizes=PAGES)
    assert done.broken is None
    assert done.pools == len(list(pools(64, REVISIONS[name].promises.clips_the_boundary)))
    assert done.blocks > done.pools


@pytest.mark.parametrize("version", ["v6.1", "v6.12"])
def test_nothing_differs_in_a_kernel(version: str) -> None:
    source = fetched(version)
    done = sweep(revision_of(source), source, (256,))
    assert done.broken is None
    assert done.blocks > done.pools > 500


def test_each_size_boundary_and_alignment_is_among_the_pools() -> None:
    given = {(pool.size, pool.align, pool.boundary) for pool in pools(64, clips_the_boundary=True)}
    assert {(20, 1, 0), (20, 8, 32), (20, 1, 128), (20, 16, 8), (17, 64, 64)} <= given
    assert not {(20, 4, 32), (20, 1, 256)} & given  # as with an alignment of 1; as without a boundary


@pytest.mark.parametrize(
    ("before", "after", "claim"),
    [
        (
            "offset + pool->size > next_boundary)",
            "offset + pool->size > next_boundary + 1)",
            "no_block_crosses_a_boundary",
        ),
        (
            "offset + pool->size <= pool->allocation",
            "offset + pool->size < pool->allocation",
            "pool_stays_in_its_memory",
        ),
    ],
)
def test_an_edge_of_the_layout_is_found_in_c(tmp_path: Path, before: str, after: str, claim: str) -> None:
    source = changed("v6.12", tmp_path, before, after)
    done = sweep(revision_of(source), source, (256,))
    assert done.broken is not None
    assert done.broken.claim.name == claim


def test_what_python_gives_is_held_to_the_promises() -> None:
    """The series uses the room up to a boundary, which v6.1 does not."""
    done = sweep(replace(REVISIONS["series"], promises=replace(V6_1, clips_the_boundary=True)), page_sizes=PAGES)
    assert done.broken is not None


def test_a_pool_that_crashes_is_found() -> None:
    create = REVISIONS["series"].create

    def crashes(name: str, memory: Memory, size: int, *arguments: int, **options: Any) -> Any:
        if size == 19:
            raise IndexError("out of the page")
        return create(name, memory, size, *arguments, **options)

    done = sweep(replace(REVISIONS["series"], create=crashes), page_sizes=PAGES)
    assert done.broken is not None
    assert done.broken.claim is claims.pool_stays_in_its_memory


def test_a_pool_that_never_ends_is_found() -> None:
    create = REVISIONS["series"].create

    def hangs(name: str, memory: Memory, size: int, *arguments: int, **options: Any) -> Any:
        while size == 19:
            pass
        return create(name, memory, size, *arguments, **options)

    done = sweep(replace(REVISIONS["series"], create=hangs), page_sizes=PAGES)
    assert done.broken is not None
    assert done.broken.claim is claims.operations_end


def test_a_difference_that_breaks_no_claim_is_a_fault_of_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGES", (1 << 33, 1 << 34))
    module.laid_out.cache_clear()
    monkeypatch.setattr(module, "in_python", lambda _: lambda geometries, _: ([None] * len(geometries), None))
    with pytest.raises(AssertionError, match="beside the oracle no claim is broken"):
        sweep(REVISIONS["series"], page_sizes=PAGES)
    module.laid_out.cache_clear()


def test_where_blocks_lie_repeats_from_boundary_to_boundary() -> None:
    """So that the model need not walk through every byte of a large page."""
    for size, boundary, up_to_the_boundary in product(range(1, 40), (16, 32, 64, 128), (False, True)):
        for allocation in (64, 100, 128) if size <= boundary else ():
            geometry = Geometry(size, boundary, allocation)
            assert offsets_of(geometry, up_to_the_boundary) == block_offsets(geometry, up_to_the_boundary)


def test_on_large_pages_no_size_of_a_small_page_is_left_out() -> None:
    assert {*range(1, 4353), 32767, 32768, 43520, 65536} <= set(sizes(LARGE_PAGE))
    assert {9998, 10002} <= set(sizes(LARGE_PAGE, frozenset({10000}))) - set(sizes(LARGE_PAGE))


def test_the_numbers_of_the_code_are_found(tmp_path: Path) -> None:
    assert {4, 32, INT_MAX, 2**32} <= of_python()
    assert with_neighbours({1, 40}, most=40) == (1, 2, 39, 40)
    before, after = "while (block) {", "int n = 0; while (block && n++ < 12345 - 40) {"
    source = changed("v6.12", tmp_path, before, after)
    assert of_kernel(source) == of_kernel(fetched("v6.12")) | {12305}
    assert why_none(source) == ""


def test_a_hunt_without_numbers_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    source = changed("v6.12", tmp_path, "while (block) {", "while (block != NULL) {")
    assert of_kernel(source) == frozenset()
    assert "'llvmlite' is missing" in why_none(source)


def test_a_size_that_a_product_decides_on_is_found(tmp_path: Path) -> None:
    before = "\tboundary = min(boundary, allocation);\n"
    after = f"{before}\tif (size * 3 + align == 60004)\n\t\tallocation = size - 1;\n"
    source = changed("v6.12", tmp_path, before, after)
    pools = pools_at_edges(source)
    assert Create(20001) in pools
    assert not {20001} & of_kernel(source)
    _, broken = run_edges(revision_of(source), more=pools)
    assert broken is not None
    assert broken.trace.steps[0].size == 20001  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["oracle", "series", "v6.1-as-it-is", "v6.12"])
def test_at_the_edges_nothing_is_broken(name: str) -> None:
    created, broken = run_edges(REVISIONS[name])
    assert broken is None
    assert created > 100


def test_a_size_at_the_edge_of_an_int_is_created() -> None:
    def create(name: str, memory: Memory, size: int, *arguments: int, **options: Any) -> Any:
        return None if size == INT_MAX else REVISIONS["series"].create(name, memory, size, *arguments, **options)

    _, broken = run_edges(replace(REVISIONS["series"], create=create))
    assert broken is not None
    assert broken.claim is claims.create_admits_what_is_promised
    assert broken.trace.steps[0].size == INT_MAX  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["series", "v6.1-as-it-is", "v6.12"])
def test_a_deep_run_breaks_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "DEPTHS", (9, 65))
    assert run_deep(REVISIONS[name]) == ((2 * len(deep.GEOMETRIES) - 1) * (9 + 65), None)


@pytest.mark.parametrize("version", ["v5.10", "v6.1", "v6.12"])
def test_a_deep_run_breaks_nothing_in_a_kernel(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "DEPTHS", (9, 257))
    source = fetched(version)
    assert run_deep(revision_of(source), native=True) == (2 * len(deep.GEOMETRIES) * (9 + 257), None)


def test_of_deep_runs_one_with_the_fewest_blocks_is_shown() -> None:
    class Miscounts(SeriesPool):
        def poolinfo(self) -> str:
            row = super().poolinfo()
            in_use = row.split()[1]
            return row.replace(f" {in_use} ", f" {min(70, int(in_use))} ", 1)

    _, broken = run_deep(python(Miscounts))
    assert broken is not None
    assert broken.claim is claims.in_use_counts_the_live_blocks
    # 65 blocks have pages with room for 72; when all are free, 71 of these are given.
    assert sum(type(step).__name__ == "Alloc" for step in broken.trace.steps) == 65 + 71
