"""One turn of the loop that lays a page out, anywhere: a kernel's own file as a subject of the proofs about layout.

What its variables hold at the beginning of a turn, `proofs.subjects.c_shape` says."""

from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from impl.layout import Cursor, Geometry
from kernel.execute import Frame
from kernel.ir import NotFollowed
from kernel.objects import Pointer
from model import claims
from model.memory import DMA_BASE
from model.revision import KERNEL
from proofs.engine.path import AssertionFailed
from proofs.subjects.c_page import Check, PageInC, Slot, Stop, same_value
from proofs.subjects.c_pool import Code, created, geometry_of, is_inside
from proofs.subjects.c_shape import At, shape_of
from proofs.subjects.subject import Blocks, Subject, Turn


class LoopInC(PageInC):
    """A `PageLoop` of C: what lays a page out, at work on a page."""

    counted: Any = None
    """Of a page whose blocks are counted: how many there are before a turn."""

    def first(self) -> Cursor:
        """Run to the first turn. Raises NotFollowed for a loop that is not the one that the proof knows."""
        shape, arrived = shape_of(self.code), dict[Slot, Any]()

        def entered(frame: Frame, values: dict[str, Any]) -> dict[str, Any]:
            if (frame.function.name, frame.block) != (shape.function, shape.head):
                return values
            self.read(slot for slot in shape.rules if slot[0] != "phi")
            arrived.update(self.slots(values))
            raise Stop

        self.run(entered)
        if not arrived:
            raise self.lost("the loop is not reached")
        if self.memory.log:
            raise self.lost("blocks are placed before the loop")
        at = At(self.geometry, self.dma, offset_in(arrived[shape.offset]), arrived[shape.next_boundary], None)
        self.compare(arrived, at, arrived)
        return Cursor(at.offset, at.next_boundary)

    def lost(self, reason: str) -> NotFollowed:
        shape = shape_of(self.code)
        return self.code.not_followed(reason, shape.function, shape.head)

    def compare(self, found: dict[Slot, Any], at: At, arrival: dict[Slot, Any]) -> None:
        """Where a turn begins, each slot has to hold what its rule says."""
        shape = shape_of(self.code)
        for slot, rule in shape.rules.items():
            if rule is not None and slot in found:
                expected = rule.value(at, arrival.get(slot), self.memory, shape.width(self.code, slot))
                if not same_value(found[slot], expected):
                    raise self.lost(f"a turn of this loop changes {shape.named(self.code, slot)} as no other turn does")

    def turn(self, at: Cursor, last: Any = None) -> Turn:
        """One turn from there. Raises NotFollowed if it changes what the proof does not know of."""
        shape = shape_of(self.code)
        here = At(self.geometry, self.dma, at.offset, at.next_boundary, last)
        is_first = self.code.stacks and last is None
        before = dict[Slot, Any]()
        arrival, found = self.arrival, self.found = dict[Slot, Any](), dict[Slot, Any]()
        home: list[Frame] = []
        left: list[int] = []  # the stores by then

        def entered(frame: Frame, values: dict[str, Any]) -> dict[str, Any]:
            if not home and (frame.function.name, frame.block) == (shape.function, shape.head):
                home.append(frame)
                self.read(slot for slot in shape.rules if slot[0] != "phi")
                arrival.update(self.slots(values))
                self.memory.log.clear()
                if not is_first:
                    held = shape.held(self.code, here, arrival, self.memory, self.path, self.counted)
                    values = self.set(held, values)
                before.update(self.slots(values))
            elif home and frame is home[0] and not left:
                if frame.block not in shape.inside:
                    left.append(len(self.memory.log))
                elif found:
                    raise Stop
                elif frame.block == shape.head:
                    found.update(self.slots(values))
                    if self.code.stacks or shape.head not in shape.leaves:
                        raise Stop
            return values

        self.run(entered)
        stores = self.memory.log[: left[0]] if left else self.memory.log
        placed = self.placed_by(stores, is_first)
        by_then = last if placed is None else placed
        if left or not found:
            self.only_links(self.memory.log[len(stores) :], by_then)
            return Turn(placed, None, by_then)
        following = Cursor(offset_in(found[shape.offset]), found[shape.next_boundary])
        self.compare(found, At(self.geometry, self.dma, *following, by_then if self.code.stacks else None), arrival)
        for slot, value in found.items():
            if slot[0] != "phi" and slot not in shape.rules and value is not before.get(slot, value):
                raise self.lost(f"a turn of this loop changes {shape.named(self.code, slot)}")
        return Turn(placed, following, by_then)

    def placed_by(self, stores: list[Any], is_first: bool) -> Any:
        """The block that a turn places, by its stores; None if there is none."""
        shape = shape_of(self.code)
        if not stores:
            return None
        number = shape.placing[is_first and True in shape.placing]
        if number >= len(stores):
            raise self.lost("a turn of this loop writes, and places no block")
        offset = stores[number].offset
        if not self.code.stacks and len(stores) > 1:
            raise self.lost(f"a turn of this loop writes {len(stores)} links")
        return offset - shape.start if shape.start else offset

    def only_links(self, stores: list[Any], last: Any) -> None:
        for store in stores:
            if not (self.code.stacks and last is not None and store.offset == last + shape_of(self.code).link):
                raise self.lost("the page is written behind the loop")

    def link(self, at: Cursor) -> Any:
        return self.stored(at.offset)

    def stored(self, offset: Any) -> Any:
        """What was stored there in this turn."""
        for store in reversed(self.memory.log):
            if store.offset is offset or store.offset == offset:
                return store.value
        raise self.lost("nothing is stored where a link is expected")


def offset_in(held: Any) -> Any:
    """The offset that a variable holds, as a number or as an address in the page."""
    return held.offset if isinstance(held, Pointer) else held


def subject_of(code: Code) -> Subject:
    """A kernel's file, as what proofs are about. Whatever is shown of a turn, its accesses have to stay in the page."""

    def create(*arguments: Any) -> Geometry | None:
        return geometry_of(created(code, *arguments))

    def page(path: Any, geometry: Geometry) -> LoopInC:
        return any_page_of(path, code, geometry, partial(stay_inside, geometry.allocation), LoopInC)

    return Subject(KERNEL, code.promises, create, page, partial(placed_blocks, code), skips=code.stacks, writes=True)


P = TypeVar("P", bound=LoopInC)


def any_page_of(path: Any, code: Code, geometry: Geometry, check: Check, kind: type[P]) -> P:
    """A page at any address of the device's."""
    dma = path.number("dma")
    path.assume("the page lies in the address space", lambda: dma + geometry.allocation <= 2**64)
    return kind(code, geometry, dma, check, path)


def stay_inside(allocation: Any, offset: Any, nbytes: Any) -> None:
    """A write outside of the page could change what the proof takes to be as it was: then nothing is proved."""
    if not is_inside(allocation, offset, nbytes):
        raise AssertionFailed(claims.pool_stays_in_its_memory.name)


def placed_blocks(code: Code, geometry: Any, most: int) -> tuple[Blocks, str]:
    """The blocks that the C places in a page, on plain integers, at most so many; and what else goes wrong."""
    shape, page, begun, trouble = shape_of(code), LoopInC(code, geometry, DMA_BASE), list[int](), ""

    def entered(frame: Frame, values: dict[str, Any]) -> dict[str, Any]:
        if (frame.function.name, frame.block) == (shape.function, shape.head):
            begun.append(len(page.memory.log))
            if len(begun) > 2 * most + 2:
                raise Stop
        return values

    try:
        page.run(entered)
    except NotFollowed:
        raise
    except Exception as failure:  # the code may fail in any way
        trouble = str(failure)
    placed: Blocks = []
    link = None
    log = page.memory.log
    for number, (now, after) in enumerate(pairwise([*begun, len(log)])):
        last_link = code.stacks and number == len(begun) - 1
        offset = None if last_link else page.placed_by(log[now:after], number == 0)
        if offset is None:
            continue
        if len(placed) == most:
            return placed, ""
        stored = {store.offset: store.value for store in log[now:after]}
        dma = None if shape.dma is None else stored.get(offset + shape.dma)
        if placed and not code.stacks and link != offset:
            return placed, f"the link at {placed[-1][0]} leads to {link}, the next block is at {offset}"
        link = stored[offset + shape.link] if not code.stacks else None
        placed.append((offset, None if dma is None else dma - DMA_BASE))
    return placed, trouble or ("the loop goes on without a block" if len(begun) > 2 * most + 2 else "")
