"""What an alloc and a free leave alone, and the lock that guards the rest.

A `subject` is the kind of pool that a body is about: impl/'s, or a kernel's own.
"""

from typing import Any

from impl.lock import LockingError
from model import claims
from proofs.engine.obligation import Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.fills import DRIVERS
from proofs.subjects.arbitrary import FITS, INSIDE, AnyPool
from proofs.subjects.stack import AnyStack
from proofs.subjects.subject import OPERATIONS, about

obligation = Obligations(__name__)

OVERWRITTEN = DRIVERS + 1  # any byte but the driver's

explain = from_this_state("the operation touches its block, and what the lock guards")
explain_flags = from_this_state("the device gets the caller's flags")


@obligation(claims.live_block_is_left_alone, "series", Theory.U64, explain=explain)
def live_block_is_left_alone(path: Any, subject: Any = AnyPool) -> None:
    """Any byte outside of the block that an operation is about is as it was; that is where other blocks are, says a lemma. A
    new page has none in use, so that it may be written anywhere."""
    pool = subject(path, "debug", "init_on_alloc", "init_on_free", needs=(FITS, INSIDE))
    operation, place = path.one_of("operation", *OPERATIONS), path.number("any place")
    path.lemma(claims.blocks_are_disjoint, lambda: None)()
    pool.operate(operation)
    page, block = pool.operand
    if page is None:
        return
    if operation == "alloc with a new page":
        path.assume("the place is behind the new page", lambda: place >= pool.geometry.allocation)
    else:
        path.assume("the place is outside of the block", lambda: place < block or place >= block + pool.geometry.size)
    touched = any(place >= start and place - start < nbytes for start, nbytes, *_ in page.writes)
    path.show_claim(claims.live_block_is_left_alone, bytes([DRIVERS]), bytes([OVERWRITTEN if touched else DRIVERS]))


@obligation(claims.live_block_is_left_alone, "v6.12", Theory.U64, explain=explain)
def live_block_beside_a_stack_is_left_alone(path: Any, subject: Any = AnyStack) -> None:
    """Any byte behind the block is as it was, and nothing before it is filled; that is where other blocks are, a lemma says."""
    path.lemma(claims.blocks_are_disjoint, lambda: None)()
    pool = subject(path, "debug", "init_on_alloc", "init_on_free")
    pool.operate(path.one_of("operation", "alloc", "free"))
    distance = path.number("distance of any place behind the block's start")
    path.assume("the place is outside of the block", lambda: distance >= pool.geometry.size)
    touched = any(start < 0 or distance < start + nbytes for _, start, nbytes, _ in pool.fills)
    path.show_claim(claims.live_block_is_left_alone, bytes([DRIVERS]), bytes([OVERWRITTEN if touched else DRIVERS]))


@obligation(claims.locking_rules_are_kept, "series", Theory.U64, explain=explain)
def locking_rules_are_kept(path: Any, subject: Any = AnyPool) -> None:
    """Of impl/, as far as `impl.lock` knows; of C, all that `proofs.subjects.c_views.Spinlocks` and `Locked` note."""
    operation = path.one_of("operation", *OPERATIONS)
    pool = subject(path, "debug", "interrupts", *["init_on_free"] * (operation == "free"), needs=())
    try:
        pool.operate(operation)
        misuse = pool.misuse()
    except LockingError as error:
        misuse = str(error)
    path.show_claim(claims.locking_rules_are_kept, misuse)


@obligation(claims.flags_reach_the_device, "series", Theory.U64, explain=explain_flags)
def flags_reach_the_device(path: Any, subject: Any = AnyPool) -> None:
    pool, flags = subject(path, needs=()), path.number("the caller's flags")
    device = pool.without_room()
    pool.alloc(path.one_of("zero", False, True), flags)
    for asked_with in device.requests:
        path.show_claim(claims.flags_reach_the_device, asked_with, flags)


obligation(claims.locking_rules_are_kept, "v6.12", Theory.U64, explain=explain)(about(locking_rules_are_kept, AnyStack))
obligation(claims.flags_reach_the_device, "v6.12", Theory.U64, explain=explain_flags)(
    about(flags_reach_the_device, AnyStack)
)
