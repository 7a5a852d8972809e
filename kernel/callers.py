"""Callers at once in a kernel's own file: what kernel/shim/callers.c is told, and what it writes down."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kernel.places import line_of
from kernel.protocol import (
    ALLOC,
    BATCHES,
    BLOCK,
    CALL,
    CALLERS,
    CREATE,
    DESTROY,
    EVENT,
    FREE,
    INTERRUPTS,
    NO_CALL,
    POOLS_FILE,
    READY,
    TURN,
)
from model.events import Event, Outcome
from model.memory import Mapping as Page
from model.pool import Addresses
from model.trace import FLAGS, Alloc, Create, Destroy, Free, PoolInfo, Together

if TYPE_CHECKING:
    from kernel.pool import KernelPool

WHAT = {Create: CREATE, Alloc: ALLOC, Free: FREE, Destroy: DESTROY, PoolInfo: POOLS_FILE}


def run_callers(pool: "KernelPool", step: Together, ready: Sequence[Page], named: Mapping[str, Addresses]) -> Outcome:
    """Run the callers of a step. The device has some pages `ready`; `named` are the blocks that there are."""
    allocated = dict[str, int]()
    told = bytearray()
    for number, (caller, call) in enumerate(step.calls()):
        flags, of, block = 0, NO_CALL, (0, 0)
        if isinstance(call, Alloc):
            allocated[call.block], flags = number, FLAGS.index(call.flags)
        elif isinstance(call, Free):
            of = allocated.get(call.block, NO_CALL)
            block = named[call.block] if of == NO_CALL else block
        told += CALL.pack(caller, WHAT[type(call)], flags, of, *block)
    count, turns_at = len(step.calls()), BATCHES + len(told)
    told += b"".join(TURN.pack(turn.caller, turn.events) for turn in step.schedule)
    pages_at = BATCHES + len(told)
    told += READY.pack(len(ready), len(ready[0].data) if ready else 0)
    told += b"".join(BLOCK.pack(page.vaddr, page.dma) for page in ready)
    told += bytes(8)
    scratch, events_at = pool._worker.scratch, BATCHES + len(told)
    scratch[BATCHES:events_at] = bytes(told)
    left, fault = 0, None
    try:
        callers = len(step.callers) | INTERRUPTS * step.interrupts
        left, _ = pool._run(CALLERS, callers, BATCHES, count, turns_at, len(step.schedule), pages_at)
    except Exception as raised:
        fault = raised
    happened = int.from_bytes(scratch[events_at - 8 : events_at], "little")
    given = [CALL.unpack_from(scratch, BATCHES + CALL.size * number) for number in range(count)]
    blocks = [
        (vaddr, dma) if vaddr or (what == POOLS_FILE and was_read) else None
        for _, what, was_read, _, vaddr, dma in given
    ]
    events = EVENT.iter_unpack(scratch[events_at : events_at + EVENT.size * happened])
    return Outcome(
        blocks,
        len(ready) - left,
        [
            Event(caller, call, kind, address, nbytes, pc, enabled)
            for address, pc, nbytes, caller, kind, call, enabled in events
        ],
        lambda event: line_of(pool._worker.program, event.pc),
        fault,
    )
