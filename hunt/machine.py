"""The state machine: drives any target beside the oracle, with what drivers and devices do, and should not do.

One rule runs one operation. Which one, dice say, by weights that are drawn for each pool (swarm testing): some drivers only
allocate, some devices fail all the time, some runs are full of misuse. Where an allocation drops the lock to ask for a page,
further dice say what others do meanwhile, who may drop it again. What is not noticed corrupts a pool (`model.promises`): in
runs that are `hostile`, the machine does that too, and holds the pool to what it keeps all the same.

Every step is checked against the claims by `model.lockstep`.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, ClassVar

from hypothesis import Phase, currently_in_test_context, event, settings, target
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from hunt import watchdog
from hunt.events import KNOWN_BREAK, VIOLATION, Tally
from hunt.numbers import with_neighbours
from hunt.operations import OPERATIONS
from hunt.surroundings import Surroundings, surroundings
from impl.pool import Pool
from impl.rbtree import LEFT, PageTree
from model.lockstep import Lockstep
from model.pool import Page
from model.revision import Revision
from model.trace import Alloc, Destroy, Free, PageChoice, Step

DEEPEST = 4
"""Allocations that wait for a page at once."""

MOST_PAGES = 32
"""Pages of a pool; enough for every rotation."""

Dice = tuple[int, int]
"""Which operation, and which of the things that it could be done to."""

dice = st.tuples(st.integers(0, 255), st.integers(0, 255))


class PoolMachine(RuleBasedStateMachine):
    """A pool on a device; when it is destroyed, another one on another device."""

    revision: ClassVar[Revision]
    tally: ClassVar[Tally]
    numbers: ClassVar[tuple[int, ...]] = ()
    """That the code under test has in it, with their neighbours, ascending."""

    def __init__(self) -> None:
        super().__init__()
        self.lockstep: Any = None
        self.happened: set[str] = set()
        self.named = self.places = self.failures = self.depth = 0
        self.outcome = ""  # of a wrong free
        self.under_way: list[tuple[str, int]] = []  # allocations: what the device is going to do, and where
        self.others: list[Dice] = []  # what others are going to do meanwhile, the last one first
        self.watched = ExitStack()
        self.watched.enter_context(watchdog.watchdog())

    @initialize(data=st.data())
    def create(self, data: st.DataObject) -> None:
        self.begin(data.draw(surroundings(self.revision.promises, self.numbers)))

    def begin(self, drawn: Surroundings) -> None:
        self.drawn = drawn
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
        if not currently_in_test_context():  # as on a directed run, which is no test of Hypothesis
            return
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
            if self.lockstep.in_use_of_pool == 0 and not self.lockstep.corrupted_by and self.number_of_pages() > 1:
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
        lockstep, before = self.lockstep, len(self.lockstep.violations)
        self.depth += 1
        watchdog.begin()
        try:
            lockstep.run(step)
        finally:
            self.depth -= 1
            if self.depth:
                watchdog.begin()  # the allocation that waited goes on
            else:
                watchdog.end()
        for claim in list(lockstep.violations)[before:]:
            self.count(f"{VIOLATION}{claim}")
        if lockstep.ended and not lockstep.corrupted_by and not self.depth:
            self.count(KNOWN_BREAK)
        if lockstep.target is None or lockstep.corrupted_by:
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


def machine(revision: Revision, numbers: Iterable[int] = ()) -> type[PoolMachine]:
    """The state machine that drives one revision, with a tally of its own; it draws the numbers of the code more often."""
    around = with_neighbours(numbers)
    return type("PoolMachine", (PoolMachine,), {"revision": revision, "tally": Tally(), "numbers": around})
