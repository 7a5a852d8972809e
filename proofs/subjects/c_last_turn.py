"""The loop that lays a page out, where an allocation adds one: its last turn runs, all turns before it are a lemma.

The lemma is what the proofs about layout show of this very loop, however it is written: which block each turn places, what
its variables hold, and what the blocks say. So a proof about alloc knows no more of the loop than they do.
"""

from typing import Any, NamedTuple

from kernel.execute import Frame, Interpreter, variable
from kernel.objects import Pointer
from model import claims
from proofs.engine.path import AssumptionFailed
from proofs.subjects.c_page import Slot
from proofs.subjects.c_shape import At, shape_of
from proofs.subjects.c_turns import Variables, ends
from proofs.subjects.c_views import fits

OF_A_LIST = (claims.free_list_holds_the_free_blocks, claims.pool_stays_in_its_memory)
OF_A_STACK = (*OF_A_LIST, claims.total_counts_the_blocks)
"""What is proved of the loop."""


class Laid(NamedTuple):
    """A page, where the last turn begins."""

    dma: Any
    memory: Any
    """What the page's `vaddr` leads to."""
    offset: Any
    """Where the next block would be."""
    last: Any
    """The offset of the block that was placed last; None if there is none."""
    counted: Any = None
    """The blocks that were placed, where that is known."""


class LastTurn:
    """What the turn does is a case of its own: it places the last block, or none."""

    def __init__(self, pool: Any, interpreter: Interpreter) -> None:
        self.pool, self.path, self.code = pool, pool.path, pool.code
        self.shape = shape_of(self.code)
        self.is_inside = self.is_idle = self.has_placed = False
        begins = self.begins
        for claim in OF_A_STACK if self.code.stacks else OF_A_LIST:
            begins = self.path.lemma(claim, begins)
        function = self.code.alike(self.shape.function)
        self.slots: dict[str, Slot] = {}
        for phi in self.code.module.function(function).phis[self.shape.head]:
            if self.slots.setdefault(variable(phi.name), ("phi", phi.name)) != ("phi", phi.name):
                reason = f"this loop has more than one {variable(phi.name)}"
                raise self.code.not_followed(reason, function, self.shape.head)
        ends(interpreter, self.code.module.function(function).name, self.shape.head, begins)
        interpreter.entered = self.entered

    def begins(self, arrived: Variables) -> Variables:
        """What the loop's variables hold, given what they held at the first turn."""
        self.is_idle = self.path.one_of(
            "the last turn places no block", *((True,) if self.shape.idle_end else (False, True))
        )
        laid = self.pool.laid(self.is_idle)
        structs = {"dma_pool": self.pool.view, "dma_page": self.pool.header}
        of, where = at_start = self.shape.offset
        start = (
            arrived[variable(where)] if of == "phi" else structs[of].load(where, self.shape.width(self.code, at_start))
        )
        start_at = start.offset if isinstance(start, Pointer) else start
        self.path.follow("the first turn is at the page's start", lambda: start_at == 0)
        if laid.last is None:  # it is the first one
            return arrived
        fields = {slot: self.shape.width(self.code, slot) for slot in self.shape.rules if slot[0] != "phi"}
        arrival = {self.slots[name]: value for name, value in arrived.items()}
        arrival |= {slot: structs[slot[0]].load(slot[1], width) for slot, width in fields.items()}
        boundary = fits(self.path.number("the boundary where the last turn begins"), 32)
        at = At(self.pool.geometry, laid.dma, laid.offset, boundary, laid.last)
        held = self.shape.held(self.code, at, arrival, laid.memory, self.path, laid.counted)
        for slot, width in fields.items():
            structs[slot[0]].store(slot[1], width, held[slot])
        return {name: held[slot] for name, slot in self.slots.items()}

    def entered(self, frame: Frame, values: dict[str, Any]) -> dict[str, Any]:
        """A block of code begins."""
        if frame.function.name == self.shape.function:
            was_inside, self.is_inside = self.is_inside, frame.block in self.shape.inside
            if was_inside and not (self.is_inside or self.is_idle or self.has_placed):
                raise AssumptionFailed("the last turn places a block")
        return values

    def writes(self) -> None:
        """The page is written to."""
        self.has_placed = self.has_placed or self.is_inside
        if self.is_inside and self.is_idle:
            raise AssumptionFailed("the last turn places no block")
