"""The state machine: drives any target beside the oracle, with what drivers and devices do, and should not do.

One rule runs one operation. Which one, dice say, by weights that are drawn for each pool (swarm testing): some drivers only
allocate, some devices fail all the time, some runs are full of misuse. Where an allocation drops the lock to ask for a page,
further dice say what others do meanwhile, who may drop it again. What is not noticed damages a pool (`model.promises`): in
runs that are `hostile`, the machine does that too, and holds the pool to what it keeps all the same.

Every step is held to the claims by `model.lockstep`.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from hypothesis import Phase, event, settings, target
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from hunt import watchdog
from impl.pool import Pool
from impl.rbtree import LEFT, PageTree
from model.lockstep import Block, Lockstep, Revision
from model.pool import Page
from model.trace import Alloc, Create, Destroy, Free, Kernel, OtherPool, PageChoice, PoolInfo, Step, Write

DEEPEST = 4
"""Allocations that wait for a page at once."""

MOST_PAGES = 32
"""Pages of a pool; enough for every rotation."""

Dice = tuple[int, int]
"""Which operation, and which of the things that it could be done to."""

dice = st.tuples(st.integers(0, 255), st.integers(0, 255))


@dataclass
class Tally:
    """What happened in all the runs of a machine: a hunt that misses an event has a hole."""

    steps: int = 0
    events: Counter[str] = field(default_factory=Counter)


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
    hostile: (
        str  # what drivers and devices also do that nobody promises to notice: nothing, a kind of it, or "anything"
    )
    operations: tuple["Operation", ...]  # as often as their weight


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


@st.composite
def surroundings(draw: st.DrawFn, clips_the_boundary: bool) -> Surroundings:
    # First, since what is drawn late varies less. One kind alone leaves the pool sound until then.
    hostile = draw(st.sampled_from(["", "", "writes", "anything"]))
    # Pages this small fill and empty within a few steps; the kernels' own are among them.
    page_size = draw(st.sampled_from([64, 16, 32, 128, 256, 4096, 16384, 65536]))
    per_page = draw(st.sampled_from([2, 1, 3, 4, 5, 8, 16, 40]))
    size = draw(st.one_of(st.just(page_size // per_page), st.integers(page_size // 9, page_size * 5 // 4)))
    align = draw(st.sampled_from([1, 0, 2, 4, 8, 16, 64]))
    boundary = draw(st.sampled_from([0, 1, 2, 4])) * (1 << (size * 5 // 4 - 1).bit_length())
    if draw(st.integers(0, 15)) == 15:  # mostly arguments that are refused
        size, align = draw(st.integers(0, page_size)), draw(st.integers(0, 2 * page_size))
        boundary = draw(st.integers(0, 2 * page_size))
    if not clips_the_boundary:
        boundary = min(boundary, page_size)
    name = draw(st.sampled_from(["pool", "", "a name of more than 31 characters, which is cut"]))
    where = draw(st.sampled_from(list(EDGES)))
    debug, init_on_alloc, init_on_free = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    weights = draw(st.tuples(*(st.sampled_from(operation.weights) for operation in OPERATIONS)))
    return Surroundings(
        Kernel(page_size, debug, init_on_alloc, init_on_free),
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


class PoolMachine(RuleBasedStateMachine):
    """A pool on a device; when it is destroyed, another one on another device."""

    revision: ClassVar[Revision]
    tally: ClassVar[Tally]

    def __init__(self) -> None:
        super().__init__()
        self.lockstep: Any = None
        self.happened: set[str] = set()
        self.named = self.places = self.failures = 0
        self.outcome = ""  # of a wrong free
        self.under_way: list[tuple[str, int]] = []  # allocations: what the device is going to do, and where
        self.others: list[Dice] = []  # what others are going to do meanwhile, the last one first
        self.watched = ExitStack()
        self.watched.enter_context(watchdog.watchdog())

    @initialize(data=st.data())
    def create(self, data: st.DataObject) -> None:
        self.drawn = data.draw(surroundings(self.revision.promises.clips_the_boundary))
        self.lockstep = Lockstep(self.revision, self.drawn.kernel, device=self.device)
        self.places = self.failures = 0
        self.run(self.drawn.arguments)
        self.count("create" if self.lockstep.target is not None else "create is refused")
        self.count(f"memory: {self.drawn.where}")
        if type(self.lockstep.target) is Pool:
            self.count_rotations(self.lockstep.target.page_tree)

    @precondition(lambda self: self.lockstep.target is None)
    @rule(data=st.data())
    def create_another(self, data: st.DataObject) -> None:
        self.create(data)

    @precondition(lambda self: self.lockstep.target is not None)
    @rule(dice=dice, others=st.lists(dice, max_size=6))
    def operate(self, dice: Dice, others: list[Dice]) -> None:
        self.others = others
        self.throw(dice)

    def teardown(self) -> None:
        try:
            if self.lockstep is not None and self.lockstep.target is not None:
                self.end()
        finally:
            self.watched.close()
        for what in sorted(self.happened):
            event(what)
        if Phase.target in settings().phases:
            target(len(self.happened), label="kinds of events")

    def end(self) -> None:
        """Destroy the pool; all its pages are given back if the drivers are tidy."""
        for name in self.lockstep.live() if self.drawn.tidy else ():
            if not self.lockstep.blocks[name].of_other_pool and self.lockstep.target is not None:
                self.run(Free(name))
        if self.lockstep.target is not None:
            if self.lockstep.in_use_of_pool == 0 and not self.lockstep.damaged_by and self.number_of_pages() > 1:
                self.count("destroy gives every page back")
            self.run(Destroy())

    def throw(self, dice: Dice) -> None:
        """Do what the dice say; where that is not possible, allocate."""
        which, choice = dice
        operation = self.drawn.operations[which % len(self.drawn.operations)]
        self.outcome = ""
        step = operation.step(self, choice)
        if step is None:
            operation = OPERATIONS[0]
            step = operation.step(self, choice)
        self.count(operation.name + self.outcome)
        if isinstance(step, Alloc):
            self.under_way.append((operation.device, choice))
        try:
            self.run(step)
        finally:
            if isinstance(step, Alloc):
                self.under_way.pop()

    def run(self, step: Any) -> None:
        self.tally.steps += 1
        lockstep, damage = self.lockstep, len(self.lockstep.damage)
        watchdog.begin()
        lockstep.run(step)
        for claim in list(lockstep.damage)[damage:]:
            self.count(f"damage: {claim}")
        if lockstep.target is None or lockstep.damaged_by:
            return
        if isinstance(step, Alloc | Free) and step.block in lockstep.blocks:
            self.count_filling(step, lockstep.oracle.page_of(lockstep.blocks[step.block].dma))

    def device(self, nbytes: int) -> PageChoice:
        """What happens while the lock is dropped, and the page that comes then, or none."""
        if len(self.under_way) > 1:
            self.count(f"{len(self.under_way)} allocations wait at once")
        while self.others and len(self.under_way) < DEEPEST and self.lockstep.target is not None:
            which, choice = self.others.pop()
            if which % 4 == 3:
                break  # the rest is done while the one before waits
            self.throw((which // 4, choice))
        does, choice = self.under_way[-1]
        if does == "fails" or self.number_of_pages() >= MOST_PAGES:
            self.failures += 1
            self.count("the device fails" if self.failures == 1 else "the device fails again")
            return PageChoice(None)
        self.failures = 0
        if does == "overlaps" and (overlapping := self.overlapping_place(choice)) is not None:
            return overlapping
        return PageChoice(self.free_place(nbytes, choice))

    def free_place(self, nbytes: int, choice: int) -> int:
        """A DMA address for a page, naturally aligned, that overlaps no other."""
        stride = self.drawn.stride << (nbytes - 1).bit_length()
        place = choice % 64 if self.drawn.scattered else self.places
        self.places += 1
        taken = {mapping.dma for mapping in self.lockstep.memory.mappings.values()}
        while (dma := self.drawn.edge + stride * (place + (stride < 0))) in taken:
            place += 1
        return dma

    def overlapping_place(self, choice: int) -> PageChoice | None:
        """An address inside another page, which is refused if that is promised; or, if hostile, one that reaches into it."""
        lockstep, allocation = self.lockstep, self.lockstep.oracle.geometry.allocation
        pages = lockstep.oracle.pages
        if not pages or not (lockstep.revision.promises.notices_overlap or self.drawn.hostile == "anything"):
            return None
        dma = pages[choice % len(pages)].mapping.dma
        if self.drawn.hostile != "anything":
            self.count("a page overlaps another from above")
            return PageChoice(min(dma + choice % allocation, 2**64 - allocation))
        self.count("a page overlaps another from below")
        return PageChoice(max(0, dma - choice % allocation), forced=True)

    def number_of_pages(self) -> int:
        oracle = self.lockstep.oracle
        return 0 if oracle is None else len(oracle.pages)

    def one_of(self, names: list[str], choice: int) -> str:
        """One of the blocks, the newest or the oldest more often than the others."""
        return names[(-1, 0, choice // 3 % len(names))[choice % 3]]

    def name(self) -> str:
        self.named += 1
        return f"b{self.named}"

    def wrong(self, misuse: Free | None) -> Step | None:
        """A wrong free, where the pool promises to notice it, or the run is hostile."""
        if misuse is None:
            return None
        lockstep = self.lockstep
        vaddr, dma = lockstep.addresses(misuse)
        noticed = lockstep.notices(vaddr, dma)
        if lockstep.in_use_at(vaddr, dma) is not None or not (noticed or self.drawn.hostile == "anything"):
            return None
        self.outcome = ", noticed" if noticed else ", not noticed"
        return misuse

    def count(self, what: str) -> None:
        self.tally.events[what] += 1
        self.happened.add(what)

    def count_filling(self, step: Step, page: Page | None) -> None:
        if page is None:
            return
        blocks = len(self.lockstep.oracle.offsets)
        if isinstance(step, Alloc) and len(page.in_use) == blocks:
            self.count("a page is full")
        if isinstance(step, Free) and not page.in_use:
            self.count("a page is empty again")
        if isinstance(step, Free) and len(page.in_use) == blocks - 1:
            self.count("a page is listed again")

    def count_rotations(self, tree: PageTree[Any]) -> None:
        """Have a tree count how it is repaired after an insertion."""
        insert, rotate = tree.insert, tree._rotate
        turns: list[str] = []

        def counted_insert(page: Any) -> Any:
            turns.clear()
            overlapping = insert(page)
            if overlapping is None:
                self.count(f"insert rotates {' and '.join(turns)}" if turns else "insert rotates nothing")
            return overlapping

        def counted_rotate(node: Any, side: int) -> None:
            turns.append("left" if side == LEFT else "right")
            rotate(node, side)

        tree.insert, tree._rotate = counted_insert, counted_rotate  # type: ignore[method-assign]


EXPECTED_EVENTS = """
create / create is refused / alloc / alloc where the device fails / free / poolinfo / destroy
2 allocations wait at once / 3 allocations wait at once / 4 allocations wait at once
destroy gives every page back / the device fails / the device fails again
a page is full / a page is empty again / a page is listed again
free again, noticed / free again, not noticed / free of a foreign address, noticed
free in the middle of a block, not noticed / free of a block of another pool, noticed
write to a block in use / write to a free block / write to the link in a free block
memory: at the bottom of the address space / memory: neighbours / memory: with gaps / memory: descending
memory: below 4 GiB / memory: at the top of the address space / memory: up to the top of the address space
"""
"""What a hunt has to meet, whatever the target."""

EXPECTED_OF_DAMAGE = """
a page overlaps another from below / damage: in_use_counts_the_live_blocks / damage: blocks_are_disjoint
"""
"""The oracle takes none."""

EXPECTED_OF_THE_SERIES = """
insert rotates nothing / insert rotates left / insert rotates right
insert rotates left and right / insert rotates right and left
a page overlaps another from above / free with another virtual address, noticed
"""


def missed(tally: Tally, revision: str) -> list[str]:
    """The events that a hunt has to meet, and did not."""
    expected = EXPECTED_EVENTS
    expected += EXPECTED_OF_DAMAGE if revision != "model" else ""
    expected += EXPECTED_OF_THE_SERIES if revision == "series" else ""
    events = [event.strip() for line in expected.splitlines() for event in line.split("/")]
    return [event for event in events if event and not tally.events[event]]


class Operation(NamedTuple):
    """Something that is done to a pool. `step` is None where it can't be done now; `device` what the device does if an
    allocation asks for a page; one of the weights is drawn for each pool."""

    name: str
    weights: tuple[int, ...]
    step: Callable[[PoolMachine, int], Any]
    device: str = "serves"

    def __repr__(self) -> str:
        return self.name


def alloc(machine: PoolMachine, choice: int) -> Step:
    return Alloc(machine.name(), zero=choice % 4 == 1)


def free(machine: PoolMachine, choice: int) -> Step | None:
    live = [name for name in machine.lockstep.live() if not machine.lockstep.blocks[name].of_other_pool]
    return Free(machine.one_of(live, choice)) if live else None


def a_block(machine: PoolMachine, choice: int, suitable: Callable[[Block], bool] = lambda _: True) -> str | None:
    """A block of this pool that is suitable: in use, or freed."""
    names = [name for name, block in machine.lockstep.blocks.items() if not block.of_other_pool and suitable(block)]
    return machine.one_of(names, choice) if names else None


def a_free_block(machine: PoolMachine, choice: int) -> str | None:
    """One that was freed, and that nobody has been given since."""
    return a_block(machine, choice, lambda block: not block.content and block.vaddr not in machine.lockstep.in_use)


def free_again(machine: PoolMachine, choice: int) -> Step | None:
    name = a_free_block(machine, choice)
    return machine.wrong(Free(name)) if name else None


def free_a_foreign_address(machine: PoolMachine, choice: int) -> Step | None:
    """Far away, the first byte behind the page, or the last one before it."""
    name = a_block(machine, choice)
    if name is None:
        return None
    block, oracle = machine.lockstep.blocks[name], machine.lockstep.oracle
    page = oracle.page_of(block.dma)
    start = block.dma if page is None else page.mapping.dma
    to = (1 << 62, start + oracle.geometry.allocation, start - 1)[choice // 4 % 3]
    return machine.wrong(Free(name, dma_plus=to - block.dma)) if 0 <= to < 2**64 else None


def free_the_middle(machine: PoolMachine, choice: int) -> Step | None:
    name, plus = a_block(machine, choice), 4 * (1 + choice // 16)
    return machine.wrong(Free(name, plus, plus)) if name else None


def free_with_another_vaddr(machine: PoolMachine, choice: int) -> Step | None:
    one, other = a_block(machine, choice), a_block(machine, choice // 2)
    if one is None or other is None or one == other:
        return machine.wrong(Free(one, vaddr_plus=1)) if one else None
    blocks = machine.lockstep.blocks
    return machine.wrong(Free(one, vaddr_plus=blocks[other].vaddr - blocks[one].vaddr))


def free_a_block_of_another_pool(machine: PoolMachine, choice: int) -> Step | None:
    blocks = machine.lockstep.blocks
    foreign = [name for name, block in blocks.items() if block.of_other_pool]
    if not foreign:
        machine.outcome = ", which it hands out first"
        return OtherPool(machine.name(), dma=2**48)
    return machine.wrong(Free(machine.one_of(foreign, choice)))


def write(machine: PoolMachine, block: str, offset: int, data: bytes) -> Step | None:
    """Blocks of a damaged pool may be anywhere."""
    lockstep = machine.lockstep
    if not lockstep.is_memory(lockstep.blocks[block].vaddr + offset, len(data)):
        return None
    return Write(block, offset, data.hex())


def write_to_a_block_in_use(machine: PoolMachine, choice: int) -> Step | None:
    name = a_block(machine, choice, lambda block: block.content != b"")
    if name is None:
        return None
    return write(machine, name, choice % len(machine.lockstep.blocks[name].content), bytes([choice]))


def write_behind_the_link(machine: PoolMachine, choice: int) -> Step | None:
    """To a block that is free; debug builds notice it, others need not care."""
    link, size = machine.revision.promises.smallest_block, machine.lockstep.oracle.geometry.size
    name = a_free_block(machine, choice)
    if name is None or size == link:
        return None
    offset = (link, size - 1, link + choice % (size - link))[choice % 3]
    return write(machine, name, offset, bytes([choice]))


def write_to_the_link(machine: PoolMachine, choice: int) -> Step | None:
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


def destroy(machine: PoolMachine, choice: int) -> Step | None:
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


def machine(revision: Revision) -> type[PoolMachine]:
    """The state machine that drives one revision, with a tally of its own."""
    return type("PoolMachine", (PoolMachine,), {"revision": revision, "tally": Tally()})
