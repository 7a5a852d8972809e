"""v4 of 2018: right where coherent memory is in the linear map, lost where it is remapped."""

import pytest

from hunt.revisions import TARGETS
from impl.struct_page import MEMORY, PAGE_OFFSET, StructPagePool
from model.lockstep import BrokenClaim, replay
from model.memory import DMA_BASE, VADDR_BASE, VMALLOC_BASE, Memory
from model.trace import Alloc, Create, Destroy, Free, Kernel, PageChoice, Step, Trace


def test_the_memory_begins_where_the_linear_map_does() -> None:
    assert VADDR_BASE == PAGE_OFFSET
    assert VMALLOC_BASE - PAGE_OFFSET >= MEMORY


@pytest.mark.parametrize(("size", "page_size"), [(64, 4096), (5000, 4096), (100, 65536), (24, 16)])
def test_pages_are_found_in_the_linear_map(size: int, page_size: int) -> None:
    """The newest page is the lowest for the device, so that a lookup by DMA address would go another way."""
    names = [f"b{number}" for number in range(9)]
    steps: list[Step] = [Create(size)]
    steps += [Alloc(name, page=PageChoice((64 - n) << 17)) for n, name in enumerate(names)]
    steps += [Free(name) for name in names[::2]]
    trace = Trace((*steps, Destroy()), Kernel(page_size=page_size, debug=True))
    for revision in ("series", "v4"):
        assert "leaked" in replay(trace, TARGETS[revision]).steps[-1].happened


def test_remapped_memory_leads_out_of_the_memory_map() -> None:
    trace = Trace((Create(64), Alloc("a"), Free("a"), Destroy()), Kernel(remapped=True))
    for revision in ("model", "series", "v6.1", "v6.12"):
        assert replay(trace, TARGETS[revision]).steps[-1].happened == "pages leaked: 0"
    with pytest.raises(BrokenClaim, match="virt_to_page") as broken:
        replay(trace, TARGETS["v4"])
    assert broken.value.claim.name == "pool_stays_in_its_memory"


def test_a_free_of_what_the_pool_never_had_is_reported() -> None:
    pool = StructPagePool.create("pool", Memory(), 64, 1, 0)
    assert pool is not None
    pool.free(PAGE_OFFSET + 4096, 0)
    assert pool.log[0].endswith("(bad dma)")
    with pytest.raises(IndexError):
        pool.free(PAGE_OFFSET - 1, 0)
    assert StructPagePool.create("pool", Memory(), 0, 1, 0) is None


def test_the_memory_map_ends_with_the_memory() -> None:
    pool = StructPagePool.create("pool", Memory(), 64, 1, 0)
    assert pool is not None
    assert pool._entry(PAGE_OFFSET + MEMORY - 1) == MEMORY // 4096 - 1
    with pytest.raises(IndexError):
        pool._entry(PAGE_OFFSET + MEMORY)


@pytest.mark.parametrize(("size", "frames"), [(4095, {0}), (4096, {0}), (4097, {0, 1}), (8192, {0, 1})])
def test_a_page_is_entered_for_each_frame_that_it_reaches(size: int, frames: set[int]) -> None:
    pool = StructPagePool.create("pool", Memory(), size, 1, 0)
    assert pool is not None
    assert pool.alloc() == (VADDR_BASE, DMA_BASE)
    assert set(pool.mem_map) == frames


def test_a_page_that_overlaps_another_is_refused() -> None:
    pool = StructPagePool.create("pool", Memory(lambda _: 0x1000), 4096, 1, 0)
    assert pool is not None
    assert pool.alloc() == (VADDR_BASE, 0x1000)
    assert pool.alloc() is None
    assert set(pool.mem_map) == {0}
