"""The loop of a kernel's own file that lays a page out: found by what it does.

The state of a loop is its phis and memory. Runs on plain integers tell which of them is the
place of the next block, and which the next boundary, whatever C calls them, and give a rule for the others: the last block's
address, the bytes that are left. A proof begins a turn with what the rules say, and where there is none with any value; the
turn that it runs has to end with what the rules say, too, or it is not followed. So no rule is trusted.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from impl.layout import Geometry
from kernel.execute import Frame, in_memory, variable
from kernel.ir import NotFollowed
from kernel.objects import DmaPage, Pointer, Store
from kernel.words import wrap
from model.memory import DMA_BASE
from proofs.subjects.c_names import LAYS
from proofs.subjects.c_page import PageInC, Slot, same_value
from proofs.subjects.c_pool import Code

REHEARSED = (Geometry(24, 64, 256), Geometry(40, 128, 512), Geometry(16, 64, 192), Geometry(56, 256, 768))
"""Pages that are laid out on plain integers. Each has a boundary between blocks, and all but one have room before it."""

MOST_TURNS = 1000
"""Of a loop that lays one of them out, which have less bytes."""


class At(NamedTuple):
    """The beginning of a turn; `last` is the offset of the block that was placed last, None before the first one."""

    geometry: Geometry
    dma: Any
    offset: Any
    next_boundary: Any
    last: Any


BASES: dict[str, Callable[[At], Any]] = {
    "nothing": lambda _: 0,
    "offset": lambda at: at.offset,
    "next boundary": lambda at: at.next_boundary,
    "bytes left": lambda at: at.geometry.allocation - at.offset,
    "bytes below the next boundary": lambda at: at.next_boundary - at.offset,
    "DMA address": lambda at: at.dma + at.offset,
    "last block": lambda at: at.last,
}


@dataclass(frozen=True)
class Rule:
    """What a slot holds at the beginning of a turn: what it held at the first one; or so many bytes, and blocks, behind a base,
    as a number or as an address in the page; if `later`, then from the second turn on."""

    base: str = ""  # as on arrival
    shift: int = 0
    blocks: int = 0
    address: bool = False
    later: bool = False

    def value(self, at: At, arrival: Any, memory: DmaPage, width: int) -> Any:
        if not self.base or (self.later and at.last is None):
            return arrival
        number = BASES[self.base](at) + (self.shift + self.blocks * at.geometry.size)
        return Pointer(memory, number) if self.address else wrap(number, width)


@dataclass(frozen=True)
class Shape:
    """A loop, what it changes, and how it places a block."""

    function: str
    head: str  # the block of code where a turn begins
    inside: frozenset[str]  # its blocks of code
    offset: Slot
    next_boundary: Slot
    rules: dict[Slot, Rule | None]
    counters: frozenset[Slot]  # what rises by one in each turn that places a block, and in no other
    placing: dict[
        bool, int
    ]  # of a turn's stores, by whether it is the first turn, the number of the first to its own block
    start: int  # bytes from a block's beginning to there
    dma: int | None  # bytes from a block's beginning to its DMA address
    link: int
    ascends: bool | None  # whether a block leads to the next one; or to the one before
    stack: int | None  # the pool's field that leads to the page's first block; or to the last one
    leaves: frozenset[str]  # the blocks of code from which it is left

    @property
    def idle_end(self) -> bool:
        """Whether it is left in its first block only, as a `while` is: so the last turn that is begun places no block."""
        return self.leaves == {self.head}

    def held(
        self, code: Code, at: At, arrival: dict[Slot, Any], memory: Any, path: Any, counted: Any = None
    ) -> dict[Slot, Any]:
        """What the slots hold at the beginning of a turn, before which so many blocks are `counted`, if that is known; where no
        rule is known, any value of the path's. Raises NotFollowed where that is an address."""
        held = dict[Slot, Any]()
        for slot, rule in self.rules.items():
            first = arrival.get(slot)
            if rule is not None and (code.stacks or not rule.later):
                held[slot] = rule.value(at, first, memory, self.width(code, slot))
            elif counted is not None and slot in self.counters:
                held[slot] = wrap(first + counted, self.width(code, slot))
            elif path is None or isinstance(first, Pointer):
                reason = f"what {self.named(code, slot)} holds in any turn of this loop is not known"
                raise code.not_followed(reason, self.function, self.head)
            elif isinstance(first, bool):
                held[slot] = path.one_of(self.named(code, slot), False, True)
            else:
                held[slot] = path.number(self.named(code, slot), self.width(code, slot))
        return held

    def width(self, code: Code, slot: Slot) -> int:
        of, where = slot
        if of == "phi":
            phis = code.module.function(self.function).phis[self.head]
            return next(in_memory(phi.width) for phi in phis if phi.name == where)
        return code.struct(of).fields[where].width

    def named(self, code: Code, slot: Slot) -> str:
        of, where = slot
        return variable(where) if of == "phi" else f"{of}.{code.struct(of).fields[where].name}"


@dataclass
class Seen:
    """A turn of a rehearsal: what its slots hold, and held at the first turn; what it stores; and the block that it places."""

    page: PageInC
    frame: Frame
    slots: dict[Slot, Any]
    first: dict[Slot, Any]
    begun: int  # the stores before
    stores: list[Store]
    placed: int | None = None
    last: int | None = None

    @property
    def is_first(self) -> bool:
        return self.slots is self.first


def rehearse(code: Code, geometry: Geometry) -> dict[tuple[str, str], list[Seen]]:
    """Lay a page out on plain integers: the turns of each loop, by its function and the block where a turn begins."""
    page, loops = PageInC(code, geometry, DMA_BASE), dict[tuple[str, str], list[Seen]]()

    def entered(frame: Frame, values: dict[str, Any]) -> dict[str, Any]:
        if frame.block in frame.function.loops:
            turns, slots = loops.setdefault((frame.function.name, frame.block), []), page.slots(values)
            if len(turns) > MOST_TURNS:
                raise TimeoutError(f"{frame.function.name} never ends")
            turns.append(Seen(page, frame, slots, turns[0].first if turns else slots, len(page.memory.log), []))
        return values

    page.run(entered, all_fields=True)
    for turns in loops.values():
        # Behind the loop of a stack, the link to other pages' blocks is written.
        end = turns[-1].begun if code.stacks else len(page.memory.log)
        last = None
        for turn, after in zip(turns, [*(turn.begun for turn in turns[1:]), end], strict=True):
            turn.stores, turn.last = page.memory.log[turn.begun : after], last
            if (
                turn.stores
            ):  # to the block that is placed, and perhaps to the one before, which lies 16 bytes below at least
                top = max(store.offset for store in turn.stores)
                turn.placed = last = min(store.offset for store in turn.stores if store.offset > top - 16)
    return loops


def shape_of(code: Code) -> Shape:
    """How a file lays pages out. Raises NotFollowed, with the line of C, where that is not known."""
    shape = learnt(code)
    if isinstance(shape, NotFollowed):
        raise shape
    return shape


@cache
def learnt(code: Code) -> Shape | NotFollowed:
    """The shape, or why it is not known: once for all proofs."""
    try:
        return learn(code)
    except NotFollowed as lost:
        return lost


def learn(code: Code) -> Shape:
    code.module.function(LAYS)
    try:
        rehearsals = [rehearse(code, geometry) for geometry in REHEARSED]
    except NotFollowed:
        raise
    except Exception as failure:  # the code may fail in any way
        raise code.not_followed(f"laying a page out fails: {failure}", LAYS) from failure
    heads = [
        head
        for head, turns in rehearsals[0].items()
        if len(turns) > 2 and turns[0].begun == 0 and any(turn.stores for turn in turns[1:])
    ]
    if len(heads) != 1:
        raise code.not_followed(f"the loops that place blocks are {len(heads)}, not 1", LAYS)
    function, head = heads[0]
    try:
        return Learnt(code, rehearsals, heads[0]).shape()
    except NotFollowed as lost:
        raise lost.at(code.module.place(function, head)) from lost


class Learnt:
    """What rehearsals tell of a loop. Raises NotFollowed where they tell nothing."""

    def __init__(self, code: Code, rehearsals: list[dict[tuple[str, str], list[Seen]]], loop: tuple[str, str]) -> None:
        self.code, (self.function, self.head) = code, loop
        self.pages = [seen.get(loop, []) for seen in rehearsals]
        self.turns = [turn for page in self.pages for turn in page]
        if any(turn.frame is not page[0].frame for page in self.pages for turn in page):
            raise NotFollowed("the loop that places blocks is begun more than once for a page")
        phis = [slot for slot in self.turns[0].slots if slot[0] == "phi"]
        changed = [
            slot for turn in self.turns for slot, held in turn.slots.items() if not same_value(held, turn.first[slot])
        ]
        self.slots = list(dict.fromkeys(phis + changed))

    def shape(self) -> Shape:
        offset = self.offset()
        try:
            boundary = self.slot("the next boundary", is_a_boundary)
        except NotFollowed:  # it may be moved wrongly
            boundary = self.slot("the next boundary", begins_at_the_boundary)
        rules = {slot: self.rule(slot, offset, boundary) for slot in self.slots}
        function = self.code.module.function(self.function)
        around = [block for block in function.blocks if block == self.head or function.reaches(self.head, block)]
        inside = frozenset(block for block in around if function.reaches(block, self.head))
        placing = {first: self.first_own_store(first) for first in (True, False)}
        starts = {
            turn.stores[placing[turn.is_first]].offset - turn.placed for turn in self.turns if turn.placed is not None
        }
        if len(starts) != 1:
            raise NotFollowed("the turns of this loop begin a block in different places")
        dma, link, ascends = self.fields()
        return Shape(
            function=self.function,
            head=self.head,
            inside=inside,
            offset=offset,
            next_boundary=boundary,
            rules=rules,
            counters=frozenset(slot for slot, rule in rules.items() if rule is None and self.counts(slot)),
            placing=placing,
            start=starts.pop(),
            dma=dma,
            link=link,
            ascends=ascends,
            stack=self.stack(ascends),
            leaves=frozenset(block for block in inside if not inside.issuperset(function.successors(block))),
        )

    def offset(self) -> Slot:
        """The slot that holds where a turn places its block; a block may begin some bytes before what is written there."""
        for before in range(0, 16, 4):
            with suppress(NotFollowed):
                slot = self.slot("", lambda turn, place, before=before: turn.placed in (None, place + before))  # type: ignore[misc]
                for turn in self.turns:
                    turn.placed = None if turn.placed is None else turn.placed - before
                    turn.last = None if turn.last is None else turn.last - before
                return slot
        raise NotFollowed("no variable of this loop holds the place of the next block")

    def slot(self, what: str, role: Callable[[Seen, int], bool]) -> Slot:
        """The first slot that has a role in every turn."""
        for slot in self.slots:
            held = [(turn, place_of(turn.slots[slot])) for turn in self.turns]
            if all(place is not None and role(turn, place) for turn, place in held):
                return slot
        raise NotFollowed(f"no variable of this loop holds {what}")

    def rule(self, slot: Slot, offset: Slot, boundary: Slot) -> Rule | None:
        if all(same_value(turn.slots[slot], turn.first[slot]) for turn in self.turns):
            return Rule()
        seen = [
            (
                At(
                    turn.page.geometry,
                    DMA_BASE,
                    place_of(turn.slots[offset]),
                    place_of(turn.slots[boundary]),
                    turn.last,
                ),
                turn.slots[slot],
                turn.page.memory,
            )
            for turn in self.turns
        ]
        if always := fitting(seen):
            return always
        later = fitting([one for one in seen if one[0].last is not None])
        return later and replace(later, later=True)

    def counts(self, slot: Slot) -> bool:
        return all(
            is_number(now.slots[slot]) and after.slots[slot] == now.slots[slot] + int(now.placed is not None)
            for page in self.pages
            for now, after in pairwise(page)
        )

    def first_own_store(self, first: bool) -> int:
        numbers = {
            next(number for number, store in enumerate(turn.stores) if store.offset >= turn.placed)
            for turn in self.turns
            if turn.placed is not None and turn.is_first == first
        }
        if len(numbers) != 1:
            raise NotFollowed("the turns of this loop write in different order")
        return numbers.pop()

    def fields(self) -> tuple[int | None, int, bool | None]:
        """Where a block of a stack has its DMA address and its link, and whether it leads to the next one."""
        if not self.code.stacks:
            return None, 0, None
        dma, up, down = set[int](), set[int](), set[int]()
        for turn in self.turns:
            for store in turn.stores if turn.placed is not None else ():
                if isinstance(store.value, Pointer) and store.value.object is turn.page.memory:
                    if turn.last is not None and store.value.offset == turn.placed:
                        up.add(store.offset - turn.last)
                    elif turn.last is not None and store.value.offset == turn.last:
                        down.add(store.offset - turn.placed)
                elif is_number(store.value) and store.value and store.width == 64:
                    dma.add(store.offset - turn.placed)
        if len(dma) != 1 or len(up) + len(down) != 1:
            raise NotFollowed("where a block has its DMA address and its link is not known")
        return dma.pop(), next(iter(up | down)), bool(up)

    def stack(self, ascends: bool | None) -> int | None:
        page, last = self.turns[0].page, max(turn.placed or 0 for turn in self.pages[0])
        top = Pointer(page.memory, 0 if ascends else last)
        found = [offset for offset, held in page.pool.cells.items() if same_value(held, top)]
        return found[0] if len(found) == 1 and ascends is not None else None


def is_a_boundary(turn: Seen, place: int) -> bool:
    return begins_at_the_boundary(turn, place) and place % turn.page.geometry.boundary == 0


def begins_at_the_boundary(turn: Seen, place: int) -> bool:
    return not turn.is_first or place == turn.page.geometry.boundary


def fitting(seen: list[tuple[At, Any, DmaPage]]) -> Rule | None:
    """The rule that a slot's values follow: all numbers, or all addresses in their page."""
    address = isinstance(seen[0][1], Pointer)
    if not all(held.object is memory if isinstance(held, Pointer) else is_number(held) for _, held, memory in seen):
        return None
    if any(isinstance(held, Pointer) != address for _, held, _ in seen):
        return None
    for base, of in BASES.items():
        for blocks in (0, 1, -1):
            if all(of(at) is not None for at, _, _ in seen):
                shifts = {place_of(held) - of(at) - blocks * at.geometry.size for at, held, _ in seen}
                if len(shifts) == 1:
                    return Rule(base, shifts.pop(), blocks, address)
    return None


def is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def place_of(held: Any) -> Any:
    """A number, or the offset of an address in a page; None of anything else."""
    if isinstance(held, Pointer):
        return held.offset if isinstance(held.object, DmaPage) else None
    return held if is_number(held) else None
