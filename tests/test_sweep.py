"""The sweep finds every pool that differs from the model, and leaves the verdict to the lockstep."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hunt import sweep as module
from hunt.revisions import REVISIONS
from hunt.sweep import pools, sweep
from kernel.pool import revision_of
from model import claims
from model.memory import Memory
from model.promises import V6_1
from tests.kernels import changed, fetched

PAGES = (64,)
"""Bytes of a page of the kernel: enough for gaps before each boundary."""


@pytest.mark.parametrize("name", ["series", "v6.1-as-it-is", "v6.12"])
def test_nothing_differs_in_python(name: str) -> None:
    done = sweep(REVISIONS[name], page_sizes=PAGES)
    assert done.broken is None
    assert done.pools == len(list(pools(64, REVISIONS[name].promises.clips_the_boundary, aligned=False)))
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
