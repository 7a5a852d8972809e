"""What the machine does to a pool: what drivers and devices do, and what they should not do."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from model.checks import DriversBlock
from model.trace import FLAGS, Alloc, Destroy, Free, OtherPool, PoolInfo, Step, Write

if TYPE_CHECKING:
    from hunt.machine import PoolMachine


class Operation(NamedTuple):
    """Something that is done to a pool. `step` is None where it can't be done now; `device` what the device does if an
    allocation asks for a page; one of the weights is drawn for each pool."""

    name: str
    weights: tuple[int, ...]
    step: Callable[["PoolMachine", int], Any]
    device: str = "serves"

    def __repr__(self) -> str:
        return self.name


def alloc(machine: "PoolMachine", choice: int) -> Step:
    """By callers of each kind, in turn."""
    return Alloc(machine.name(), zero=choice % 4 == 1, flags=FLAGS[machine.named % len(FLAGS)])


def free(machine: "PoolMachine", choice: int) -> Step | None:
    live = [name for name in machine.lockstep.live() if not machine.lockstep.blocks[name].of_other_pool]
    return Free(machine.one_of(live, choice)) if live else None


def a_block(
    machine: "PoolMachine", choice: int, suitable: Callable[[DriversBlock], bool] = lambda _: True
) -> str | None:
    """A block of this pool that is suitable: in use, or freed."""
    names = [name for name, block in machine.lockstep.blocks.items() if not block.of_other_pool and suitable(block)]
    return machine.one_of(names, choice) if names else None


def a_free_block(machine: "PoolMachine", choice: int) -> str | None:
    """One that was freed, and that no driver has been given since."""
    return a_block(machine, choice, lambda block: not block.content and block.vaddr not in machine.lockstep.in_use)


def free_again(machine: "PoolMachine", choice: int) -> Step | None:
    """With its own DMA address, or with one about an edge of its page."""
    name = a_free_block(machine, choice)
    if name is None or choice < OTHER_ADDRESS:
        return machine.wrong(Free(name)) if name else None
    return free_at(machine, name, edges_of_page(machine, name)[choice // 16 % 8 % 5])


OTHER_ADDRESS = 128
"""Choices from here on free a free block with another DMA address: each 16 of them with another one."""


def free_a_foreign_address(machine: "PoolMachine", choice: int) -> Step | None:
    """Far away, about an edge of the page, or 0."""
    name = a_block(machine, choice)
    if name is None:
        return None
    return free_at(machine, name, (1 << 62, *edges_of_page(machine, name), 0)[choice // 4 % 7])


def edges_of_page(machine: "PoolMachine", name: str) -> tuple[int, ...]:
    """DMA addresses: the first byte behind a block's page, the last one before it, the first unused byte at the page's end,
    or the page's end if there is none, the last byte of the page, and the first one."""
    dma, oracle = machine.lockstep.blocks[name].dma, machine.lockstep.oracle
    page = oracle.page_of(dma)
    start = dma if page is None else page.mapping.dma
    end, unused = start + oracle.geometry.allocation, start + oracle.offsets[-1] + oracle.geometry.size
    return end, start - 1, unused, end - 1, start


def free_at(machine: "PoolMachine", name: str, dma: int) -> Step | None:
    """A free of a block with another DMA address."""
    plus = dma - machine.lockstep.blocks[name].dma
    return machine.wrong(Free(name, dma_plus=plus)) if 0 <= dma < 2**64 else None


def free_the_middle(machine: "PoolMachine", choice: int) -> Step | None:
    name, plus = a_block(machine, choice), 4 * (1 + choice // 16)
    return machine.wrong(Free(name, plus, plus)) if name else None


def free_with_another_vaddr(machine: "PoolMachine", choice: int) -> Step | None:
    one, other = a_block(machine, choice), a_block(machine, choice // 2)
    if one is None or other is None or one == other:
        return machine.wrong(Free(one, vaddr_plus=1)) if one else None
    blocks = machine.lockstep.blocks
    return machine.wrong(Free(one, vaddr_plus=blocks[other].vaddr - blocks[one].vaddr))


def free_a_block_of_another_pool(machine: "PoolMachine", choice: int) -> Step | None:
    blocks = machine.lockstep.blocks
    foreign = [name for name, block in blocks.items() if block.of_other_pool]
    if not foreign:
        machine.outcome = ", which it hands out first"
        return OtherPool(machine.name(), dma=2**48)
    return machine.wrong(Free(machine.one_of(foreign, choice)))


def write(machine: "PoolMachine", block: str, offset: int, data: bytes) -> Step | None:
    """Blocks of a corrupted pool may be anywhere."""
    lockstep = machine.lockstep
    if not lockstep.is_memory(lockstep.blocks[block].vaddr + offset, len(data)):
        return None
    return Write(block, offset, data.hex())


def write_to_a_block_in_use(machine: "PoolMachine", choice: int) -> Step | None:
    name = a_block(machine, choice, lambda block: block.content != b"")
    if name is None:
        return None
    return write(machine, name, choice % len(machine.lockstep.blocks[name].content), bytes([choice]))


def write_behind_the_link(machine: "PoolMachine", choice: int) -> Step | None:
    """To a block that is free; debug builds notice it, others need not care."""
    link, size = machine.revision.promises.smallest_block, machine.lockstep.oracle.geometry.size
    name = a_free_block(machine, choice)
    if name is None or size == link:
        return None
    known = [number for number in machine.numbers if link <= number < size] or [size - 1]
    offset = (link, size - 1, link + choice % (size - link), known[choice // 4 % len(known)])[choice % 4]
    return write(machine, name, offset, bytes([choice]))


def write_to_the_link(machine: "PoolMachine", choice: int) -> Step | None:
    """A link that leads to the block itself, to another one, into the middle of one, or to either side out of the page."""
    name = a_free_block(machine, choice)
    if name is None or not machine.drawn.hostile:
        return None
    lockstep, vaddr = machine.lockstep, machine.lockstep.blocks[name].vaddr
    other = lockstep.blocks[a_block(machine, choice // 8)].vaddr
    page = vaddr - lockstep.memory.offset(vaddr)
    end = page + lockstep.oracle.geometry.allocation
    to = (vaddr, page - 4, vaddr, other, vaddr + 4, end - 2, page - 4)[choice // 3 % 7]
    if machine.revision.promises.smallest_block == 4:  # the link is an offset in the page
        return write(machine, name, 0, ((to - page) % 2**32).to_bytes(4, "little"))
    return write(machine, name, 0, (to % 2**64).to_bytes(8, "little"))


def destroy(machine: "PoolMachine", choice: int) -> Step | None:
    """Now and then, so that most pools grow old before, and by nobody who waits."""
    return Destroy() if choice % 4 == 1 and not machine.under_way else None


OPERATIONS = (
    Operation("alloc", (8, 4, 16), alloc),
    Operation("alloc where the device fails", (0, 1, 6), alloc, "fails"),
    Operation("alloc where a page overlaps", (0, 2, 6), alloc, "overlaps"),
    Operation("free", (8, 4, 16, 0), free),
    Operation("free again", (0, 2, 4), free_again),
    Operation("free of a foreign address", (0, 0, 4), free_a_foreign_address),
    Operation("free in the middle of a block", (0, 0, 4), free_the_middle),
    Operation("free with another virtual address", (0, 0, 4), free_with_another_vaddr),
    Operation("free of a block of another pool", (0, 0, 4), free_a_block_of_another_pool),
    Operation("write to a block in use", (0, 0, 2), write_to_a_block_in_use),
    Operation("write to a free block", (0, 2, 6), write_behind_the_link),
    Operation("write to the link in a free block", (0, 2, 6), write_to_the_link),
    Operation("poolinfo", (0, 1), lambda *_: PoolInfo()),
    Operation("destroy", (0, 1, 2), destroy),
)
