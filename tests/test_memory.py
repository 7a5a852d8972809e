"""The device's memory: where it lies, and that nothing else is reached. The oracle and every pool live in it."""

import pytest

from model.memory import DMA_BASE, VADDR_BASE, VMALLOC_BASE, VMALLOC_END, Mapping, Memory


def given(memory: Memory, *sizes: int) -> list[Mapping]:
    mappings = [memory.alloc_coherent(size) for size in sizes]
    assert None not in mappings
    return [mapping for mapping in mappings if mapping is not None]


def test_the_device_gives_ascending_addresses_that_are_naturally_aligned() -> None:
    memory = Memory()
    places = [(nbytes, memory.next_free_place(nbytes) - DMA_BASE) for nbytes in (16, 16, 1, 2, 5, 3, 4, 17, 33, 1)]
    assert places == [(16, 0), (16, 16), (1, 32), (2, 34), (5, 40), (3, 48), (4, 52), (17, 64), (33, 128), (1, 161)]


@pytest.mark.parametrize(("remapped", "start", "end"), [(False, VADDR_BASE, 2**64), (True, VMALLOC_BASE, VMALLOC_END)])
def test_no_overrun_reaches_another_mapping(remapped: bool, start: int, end: int) -> None:
    memory = Memory(remapped=remapped)
    first, second = given(memory, 64, 32)
    assert (first.vaddr, second.vaddr) == (start, start + 128)
    assert second.vaddr < end
    assert (len(first.data), len(second.data)) == (64, 32)
    assert not any(first.data)
    memory.block(second.vaddr + 31, 1)[:] = b"x"
    assert bytes(second.data)[-1:] == b"x"
    beyond = ((start - 1, 1), (start, 65), (start + 63, 2), (start + 64, 1), (start + 127, 2), (start + 160, 1))
    for vaddr, nbytes in beyond:
        with pytest.raises(ValueError, match=f"{nbytes} bytes at {vaddr:#x} are not in coherent memory"):
            memory.block(vaddr, nbytes)


def test_an_offset_is_counted_from_the_mapping_below() -> None:
    memory = Memory()
    assert memory.offset(VADDR_BASE + 5) == VADDR_BASE + 5
    first, second = given(memory, 64, 64)
    assert [memory.offset(first.vaddr + n) for n in (0, 63, 127, 128, 130)] == [0, 63, 127, 0, 2]
    memory.free_coherent(64, second.vaddr, second.dma)
    assert memory.offset(second.vaddr) == 128


def test_the_device_may_fail() -> None:
    memory = Memory(lambda nbytes: None if nbytes > 64 else 0x40)
    assert memory.alloc_coherent(65) is None
    assert not memory.mappings
    (mapping,) = given(memory, 64)
    assert memory.mappings == {mapping.vaddr: mapping}
    assert mapping.dma == 0x40


def test_the_device_takes_back_only_what_it_gave_and_that_is_not_reached_any_more() -> None:
    memory = Memory()
    mapping, other = given(memory, 64, 64)
    wrong = [(32, mapping.vaddr, mapping.dma), (64, mapping.vaddr + 1, mapping.dma), (64, mapping.vaddr, 0)]
    for nbytes, vaddr, dma in wrong:
        with pytest.raises(ValueError, match=f"of {nbytes} bytes at {vaddr:#x}/{dma:#x}, which is not a live mapping"):
            memory.free_coherent(nbytes, vaddr, dma)
    memory.free_coherent(64, mapping.vaddr, mapping.dma)
    with pytest.raises(ValueError, match="not a live mapping"):
        memory.free_coherent(64, mapping.vaddr, mapping.dma)
    with pytest.raises(ValueError, match="released"):
        mapping.data[0] = 1
    with pytest.raises(ValueError, match="not in coherent memory"):
        memory.block(mapping.vaddr, 1)
    assert len(memory.block(other.vaddr, 64)) == 64
