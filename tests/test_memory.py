"""The device's memory: where it lies, and that nothing else is reached. The oracle and every pool live in it."""

import pytest

from model.memory import DMA_BASE, VADDR_BASE, VMALLOC_BASE, VMALLOC_END, Memory


def test_the_device_gives_ascending_addresses_that_are_naturally_aligned() -> None:
    memory = Memory()
    given = [(nbytes, memory.next_free_place(nbytes) - DMA_BASE) for nbytes in (16, 16, 1, 2, 5, 3, 4, 17, 33, 1)]
    assert given == [(16, 0), (16, 16), (1, 32), (2, 34), (5, 40), (3, 48), (4, 52), (17, 64), (33, 128), (1, 161)]


@pytest.mark.parametrize(("remapped", "start", "end"), [(False, VADDR_BASE, 2**64), (True, VMALLOC_BASE, VMALLOC_END)])
def test_no_overrun_reaches_another_mapping(remapped: bool, start: int, end: int) -> None:
    memory = Memory(remapped=remapped)
    first, second = memory.alloc_coherent(64), memory.alloc_coherent(32)
    assert first is not None
    assert second is not None
    assert (first.vaddr, second.vaddr) == (start, start + 128)
    assert second.vaddr < end
    assert (len(first.data), len(second.data)) == (64, 32)
    assert not any(first.data)
    for vaddr, nbytes in ((start, 65), (start + 63, 2), (start + 64, 1), (start + 127, 2)):
        with pytest.raises(ValueError, match=f"{nbytes} bytes at {vaddr:#x} are not in coherent memory"):
            memory.block(vaddr, nbytes)


def test_an_offset_is_counted_from_the_mapping_below() -> None:
    memory = Memory()
    assert memory.offset(VADDR_BASE + 5) == VADDR_BASE + 5
    first, second = memory.alloc_coherent(64), memory.alloc_coherent(64)
    assert first is not None
    assert second is not None
    assert [memory.offset(first.vaddr + n) for n in (0, 63, 127, 128, 130)] == [0, 63, 127, 0, 2]
    memory.free_coherent(64, second.vaddr, second.dma)
    assert memory.offset(second.vaddr) == 128


def test_the_device_may_fail() -> None:
    memory = Memory(lambda nbytes: None if nbytes > 64 else 0x40)
    assert memory.alloc_coherent(65) is None
    assert not memory.mappings
    mapping = memory.alloc_coherent(64)
    assert mapping is not None
    assert memory.mappings == {mapping.vaddr: mapping}
    assert mapping.dma == 0x40


def test_what_was_taken_back_is_not_reached_any_more() -> None:
    memory = Memory()
    mapping = memory.alloc_coherent(64)
    assert mapping is not None
    with pytest.raises(ValueError, match=f"of 32 bytes at {mapping.vaddr:#x}/{mapping.dma:#x}, which is not a live"):
        memory.free_coherent(32, mapping.vaddr, mapping.dma)
    memory.free_coherent(64, mapping.vaddr, mapping.dma)
    with pytest.raises(ValueError, match="released"):
        mapping.data[0] = 1
