"""What an alloc and a free leave alone, and the lock that guards the rest.

A `subject` is the kind of pool that a body is about: impl/'s, or a kernel's own.
"""

from functools import partial
from typing import Any

from impl.lock import LockingError
from impl.pool import POOL_POISON_FREED
from impl.v6_12 import NULL
from model import claims
from proofs import block_stack
from proofs.engine.obligation import Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.fills import DRIVERS
from proofs.fills import explain as explain_fills
from proofs.free_list import PageDevice, free_any_block, has_a_block_in_use
from proofs.subjects.arbitrary import (
    FITS,
    INSIDE,
    AnyPool,
    any_page,
    first_with_room,
    put_in_list,
)
from proofs.subjects.stack import SMALLEST_BLOCK, AnyStack
from proofs.subjects.subject import give_back

obligation = Obligations(__name__)

OVERWRITTEN = DRIVERS + 1  # any byte but the driver's

explain = from_this_state("the operation touches its block, and what the lock guards")
explain_flags = from_this_state("the device gets the caller's flags")


def operate(path: Any, pool: Any, operation: str) -> tuple[Any, Any]:
    """Allocate from any page, or free a block of it: the page, and the block's offset."""
    if operation == "alloc":
        page, _ = first_with_room(pool)
        pool.alloc(path.one_of("zero", False, True))
        return page, page.blocks["the first"]
    page = any_page(pool)
    has_a_block_in_use(pool, page)
    put_in_list(pool, [page] if page.in_use < pool.blks_per_alloc else [])
    return page, free_any_block(pool, page)


def alloc_with_a_new_page(path: Any, pool: Any) -> None:
    pool.has_a_block()
    PageDevice(pool, pool.block_offset("the first block"))
    refused = path.one_of("the page overlaps another", False, True)
    pool.insertion_gives(lambda page: page if refused else None)
    pool.alloc(path.one_of("zero", False, True))


@obligation(claims.live_block_is_left_alone, "series", Theory.U64, explain=explain)
def live_block_is_left_alone(path: Any, subject: Any = AnyPool) -> None:
    """Any byte outside of the block that an operation is about is as it was; that is where other blocks are, says a lemma. A
    new page has none in use, so that it may be written anywhere."""
    pool = subject(path, "debug", "init_on_alloc", "init_on_free", needs=(FITS, INSIDE))
    operation, place = path.one_of("operation", "alloc", "free", "alloc with a new page"), path.number("any place")
    path.lemma(claims.blocks_are_disjoint, lambda: None)()
    if operation == "alloc with a new page":
        alloc_with_a_new_page(path, pool)
        page = pool.found
        if page is None:
            return
        path.assume("the place is behind the new page", lambda: place >= pool.geometry.allocation)
    else:
        page, block = operate(path, pool, operation)
        path.assume("the place is outside of the block", lambda: place < block or place >= block + pool.geometry.size)
    touched = any(place >= start and place - start < nbytes for start, nbytes, *_ in page.writes)
    path.show_claim(claims.live_block_is_left_alone, bytes([DRIVERS]), bytes([OVERWRITTEN if touched else DRIVERS]))


@obligation(claims.locking_rules_are_kept, "series", Theory.U64, explain=explain)
def locking_rules_are_kept(path: Any, subject: Any = AnyPool) -> None:
    """Of impl/, as far as `impl.lock` knows; of C, all that `proofs.subjects.c_views.Spinlocks` and `Locked` note."""
    pool = subject(path, "debug", "interrupts", needs=())
    operation = path.one_of("operation", "alloc", "free", "alloc with a new page")
    try:
        if operation == "alloc with a new page":
            alloc_with_a_new_page(path, pool)
        else:
            operate(path, pool, operation)
        misuse = pool.misuse()
    except LockingError as error:
        misuse = str(error)
    path.show_claim(claims.locking_rules_are_kept, misuse)


@obligation(claims.locking_rules_are_kept, "v6.12", Theory.U64, explain=explain)
def locking_rules_of_a_stack_are_kept(path: Any, subject: Any = AnyStack) -> None:
    subject = partial(subject, interrupts=True)
    try:
        if path.one_of("operation", "alloc", "free") == "free":
            pool, _ = block_stack.take_back(path, subject)
        else:
            pool, _ = block_stack.allocate(path, subject, path.one_of("the device fails", False, True))
        misuse = pool.misuse()
    except LockingError as error:
        misuse = str(error)
    path.show_claim(claims.locking_rules_are_kept, misuse)


@obligation(claims.flags_reach_the_device, "series", Theory.U64, explain=explain_flags)
def flags_reach_the_device(path: Any, subject: Any = AnyPool) -> None:
    pool, flags = subject(path, needs=()), path.number("the caller's flags")
    pool.has_a_block()
    device = PageDevice(pool, pool.block_offset("the first block"))
    pool.alloc(path.one_of("zero", False, True), flags)
    for asked_with in device.requests:
        path.show_claim(claims.flags_reach_the_device, asked_with, flags)


@obligation(claims.flags_reach_the_device, "v6.12", Theory.U64, explain=explain_flags)
def flags_reach_the_device_of_a_stack(path: Any, subject: Any = AnyStack) -> None:
    pool, flags = subject(path, debug=False), path.number("the caller's flags")
    pool.next_block, pool.memory = NULL, block_stack.StackDevice(pool, True)
    pool.alloc(path.one_of("zero", False, True), flags)
    for asked_with in pool.memory.requests:
        path.show_claim(claims.flags_reach_the_device, asked_with, flags)


@obligation(claims.live_block_is_left_alone, "v6.12", Theory.U64, explain=explain)
def live_block_beside_a_stack_is_left_alone(path: Any, subject: Any = AnyStack) -> None:
    """Any byte behind the block is as it was, and nothing before it is filled; that is where other blocks are, a lemma says."""
    path.lemma(claims.blocks_are_disjoint, lambda: None)()
    debug, init_on_free = path.one_of("debug", False, True), path.one_of("init_on_free", False, True)
    pool = subject(path, debug=debug, init_on_free=init_on_free)
    pool.init_on_alloc = path.one_of("init_on_alloc", False, True)
    block, size = pool.any_block("the block"), pool.any_size()
    if path.one_of("operation", "alloc", "free") == "free":
        give_back(pool, block.vaddr, block.dma)
    else:
        pool.put(block)
        pool.alloc(path.one_of("zero", False, True))
    distance = path.number("distance of any place behind the block's start")
    path.assume("the place is outside of the block", lambda: distance >= size)
    touched = any(start < 0 or distance < start + nbytes for _, start, nbytes, _ in pool.fills)
    path.show_claim(claims.live_block_is_left_alone, bytes([DRIVERS]), bytes([OVERWRITTEN if touched else DRIVERS]))


def filled_with(pool: Any, block: Any, distance: Any, former: int) -> int:
    """The byte at a distance from the block's start, after the fills of an operation."""
    for filled, start, nbytes, byte in reversed(pool.fills):
        if filled is block and start <= distance and distance < start + nbytes:
            return int(byte) % 256
    return former


@obligation(claims.allocated_block_is_filled, "v6.12", Theory.U64, explain=explain_fills)
def allocated_block_of_a_stack_is_filled(path: Any, subject: Any = AnyStack) -> None:
    """As `fills.allocated_block_is_filled` is about lists."""
    pool = subject(path, debug=path.one_of("debug", False, True))
    pool.init_on_alloc, zero = path.one_of("init_on_alloc", False, True), path.one_of("zero", False, True)
    block, size = pool.any_block("the block"), pool.any_size()
    distance = path.number("distance of the byte from the block's start")
    path.assume("the byte is in the block", lambda: distance < size)
    if path.one_of("the block is", "on the stack", "a new page's") == "on the stack":
        pool.put(block)
    else:
        pool.next_block, pool.memory = NULL, block_stack.StackDevice(pool, False)
        pool.page.vaddr, pool.page.dma, pool.page.offsets, pool.free_blocks = block.vaddr, block.dma, [0], [block]
    pool.alloc(zero)
    byte = filled_with(pool, block, distance, POOL_POISON_FREED if pool.debug else DRIVERS)
    path.show_claim(claims.allocated_block_is_filled, bytes([byte]), zero or pool.init_on_alloc, pool.debug)


@obligation(claims.freed_block_is_filled, "v6.12", Theory.U64, explain=explain_fills)
def freed_block_of_a_stack_is_filled(path: Any, subject: Any = AnyStack) -> None:
    pool = subject(path, debug=path.one_of("debug", False, True), init_on_free=path.one_of("init_on_free", False, True))
    block, size = pool.any_block("the block", anywhere=True), pool.any_size()
    distance = path.number("distance of the byte from the block's start")
    path.assume("the byte is in the block, behind the link", lambda: distance < size and distance >= SMALLEST_BLOCK)
    give_back(pool, block.vaddr, block.dma)
    byte = filled_with(pool, block, distance, DRIVERS)
    path.show_claim(claims.freed_block_is_filled, bytes([byte]), pool.debug, pool.init_on_free, 0)


@obligation(claims.refused_free_changes_nothing, "v6.12", Theory.U64, explain=explain, case="no_page")
def free_of_an_address_in_no_page_is_refused(path: Any, subject: Any = AnyStack) -> None:
    """Of a debug build; others believe the address."""
    pool = subject(path, debug=True, init_on_free=path.one_of("init_on_free", False, True))
    block = pool.any_block("the block", anywhere=True)
    path.by(claims.lookup_finds_the_page_of_an_address, pool, "_find_page", pool.finds(None), pool.LOOKUP)
    give_back(pool, block.vaddr, block.dma)
    path.show("it is reported", lambda: len(pool.log) == 1)
    linked_otherwise = ["the stack"] * (pool.stack() != pool.promised())
    changes = [*pool.writes, *["in use"] * bool(pool.nr_active != pool.live), *linked_otherwise]
    path.show_claim(claims.refused_free_changes_nothing, changes)
