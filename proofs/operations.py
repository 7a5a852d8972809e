"""What an alloc and a free leave alone, and the lock that guards the rest; and what only debug builds of C, or v6.1's C, do.

A `subject` is the kind of pool that a body is about: impl/'s, or a kernel's own.
"""

from functools import partial
from types import SimpleNamespace
from typing import Any

from impl.lock import LockingError
from impl.pool import POOL_POISON_FREED
from impl.v6_12 import NULL
from kernel.objects import Pointer
from model import claims
from proofs import block_stack
from proofs.engine.obligation import Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.fills import DRIVERS
from proofs.fills import explain as explain_fills
from proofs.free_list import PageDevice, free_any_block, has_a_block_in_use, show_page
from proofs.subjects.arbitrary import (
    FITS,
    INSIDE,
    AnyPool,
    any_page,
    around,
    chain,
    first_with_room,
    put_in_list,
)
from proofs.subjects.stack import SMALLEST_BLOCK, AnyStack

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
    """Of impl/, as far as `impl.lock` knows; of C, each access to what the lock guards."""
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


def page_is_on_the_node(path: Any, subject: Any) -> None:
    pool = subject(path, debug=False)
    pool.next_block, pool.memory = NULL, block_stack.StackDevice(pool, True)
    pool.alloc()
    path.show_claim(claims.structs_are_on_the_node, pool.node, pool.view["node"])


@obligation(claims.live_block_is_left_alone, "v6.12", Theory.U64, explain=explain)
def live_block_beside_a_stack_is_left_alone(path: Any, subject: Any = AnyStack) -> None:
    """Any byte behind the block is as it was, and nothing before it is filled; that is where other blocks are, a lemma says."""
    path.lemma(claims.blocks_are_disjoint, lambda: None)()
    debug, init_on_free = path.one_of("debug", False, True), path.one_of("init_on_free", False, True)
    pool = subject(path, debug=debug, init_on_free=init_on_free)
    pool.init_on_alloc = path.one_of("init_on_alloc", False, True)
    block, size = pool.any_block("the block"), pool.any_size()
    if path.one_of("operation", "alloc", "free") == "free":
        pool.free(block.vaddr, block.dma)
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
    pool.free(block.vaddr, block.dma)
    byte = filled_with(pool, block, distance, DRIVERS)
    path.show_claim(claims.freed_block_is_filled, bytes([byte]), pool.debug, pool.init_on_free, 0)


@obligation(claims.refused_free_changes_nothing, "v6.12", Theory.U64, explain=explain, case="no_page")
def free_of_an_address_in_no_page_is_refused(path: Any, subject: Any = AnyStack) -> None:
    """Of a debug build; others believe the address."""
    pool = subject(path, debug=True, init_on_free=path.one_of("init_on_free", False, True))
    block = pool.any_block("the block", anywhere=True)
    path.by(claims.lookup_finds_the_page_of_an_address, pool, "_find_page", lambda _: None, pool.LOOKUP)
    pool.free(block.vaddr, block.dma)
    path.show("it is reported", lambda: len(pool.log) == 1)
    linked_otherwise = ["the stack"] * (pool.stack() != pool.promised())
    changes = [*pool.writes, *["in use"] * bool(pool.nr_active != pool.live), *linked_otherwise]
    path.show_claim(claims.refused_free_changes_nothing, changes)


# The loop of debug builds over the bytes of a block, which is a lemma of other proofs about C.


def poison_is_looked_for(path: Any, subject: Any) -> None:
    """A turn looks at one byte; by induction, all bytes before it are poison."""
    byte = path.one_of("the byte is", POOL_POISON_FREED, "another")
    if byte == "another":
        byte = path.number("the byte")
        path.assume("it is another byte", lambda: byte < 256 and byte != POOL_POISON_FREED)
    seen: list[Any] = []

    def read(offset: Any) -> Any:
        seen.append(offset)
        return byte

    pool = subject(path, debug=True)
    interpreter, frame, head, block = pool.looks_for_poison(read)
    size, link = pool.geometry.size, pool.LINK
    begins = interpreter.advance(frame, head)
    path.follow("it begins, and nothing was said", lambda: begins is not None and not pool.log)
    upwards = None
    if byte == POOL_POISON_FREED and interpreter.resume(frame, begins) is not None:
        upwards = bool(seen.pop() == block + link)
    if frame.returned:
        path.show("there is no byte to look at", lambda: size == link and not seen)
        path.show_claim(claims.reports_are_the_kernels, pool.log, [])
        return
    number = path.number("turns before")
    path.assume("the bytes of these turns were looked at", lambda: number <= size - link)
    goes_on = interpreter.resume(frame, pool.having_looked_at(begins, number))
    if goes_on is None and not seen:
        path.show("all bytes were looked at", lambda: number == size - link)
        path.show_claim(claims.reports_are_the_kernels, pool.log, [])
        return
    path.show("one byte is looked at", lambda: len(seen) == 1 and number < size - link)
    at = seen[0] - block
    path.show("it is behind the link, in the block", lambda: at >= link and at < size)
    path.show(
        "it is none of those before, all of which lie above it, or below",
        lambda: upwards is None or at == (link + number if upwards else size - 1 - number),
    )
    path.show_claim(claims.reports_are_the_kernels, pool.log, [] if byte == POOL_POISON_FREED else ["said"])
    following = pool.having_looked_at(begins, number + 1)
    path.follow(
        "the loop goes on with the next byte, after poison",
        lambda: goes_on == following if byte == POOL_POISON_FREED else goes_on is None,
    )


# v6.1, whose list has all pages: a turn of its scan, the scan's end, and a free. Any page, at any place in the list.


def in_the_list(path: Any, pool: Any, page: Any) -> None:
    """The pages around it are any."""
    link, head = page.avail_page_link, pool.avail_page_list
    before = path.one_of("before it in the list", "none", "others") == "others"
    after = path.one_of("after it in the list", "none", "others") == "others"
    link.prev, link.next = SimpleNamespace(next=link) if before else head, SimpleNamespace(prev=link) if after else head
    head.next, head.prev = SimpleNamespace(prev=head) if before else link, SimpleNamespace(next=head) if after else link


def links(pool: Any, page: Any) -> list[Any]:
    link, head = page.avail_page_link, pool.avail_page_list
    return [link.next, link.prev, head.next, head.prev]


def first_of(page: Any) -> list[Any]:
    """The addresses of the first free block, if there is one."""
    return [(page.vaddr + at, page.dma + at) for name, at in page.blocks.items() if name == "the first"]


def alloc_looks_at_any_page(path: Any, subject: Any) -> None:
    """A turn of the scan, at any page: it takes it if it has room, or goes on with the one after it, and leaves all alone."""
    pool = subject(path, "debug")
    page = any_page(pool)
    in_the_list(path, pool, page)
    linked, live, free, offset = links(pool, page), page.in_use, chain(pool, page), page.offset
    interpreter, frame = pool.started(path.one_of("zero", False, True))
    begins = interpreter.advance(frame, frame.function.loops[0])
    first = Pointer(pool.views.pointer(pool.avail_page_list.next).object, 0)
    path.follow("the scan begins with the first page", lambda: begins is not None and [*begins.values()] == [first])
    (name,) = begins
    goes_on = interpreter.resume(frame, {name: pool.at(page)})
    path.show(
        "the list is as it was", lambda: all(one is other for one, other in zip(links(pool, page), linked, strict=True))
    )
    if goes_on is None:
        path.show_claim(claims.allocated_block_was_free, pool.result(frame), first_of(page))
        show_page(pool, page, live + 1, free[1:])
        return
    path.show("a page is passed only if it has no room", lambda: not free)
    following = Pointer(pool.views.pointer(page.avail_page_link.next).object, 0)
    path.follow("the scan goes on with the next", lambda: goes_on == {name: following})
    path.show("the page is as it was", lambda: page.in_use == live and page.offset is offset and not page.writes)


def alloc_at_the_end_of_the_list(path: Any, subject: Any) -> None:
    """No page has room: the lock is dropped, others change the list, a page is added or there is no memory."""
    pool = subject(path, "debug")
    pool.has_a_block()
    device = PageDevice(pool, pool.block_offset("the first block"))
    interpreter, frame = pool.started(path.one_of("zero", False, True))
    begins = interpreter.advance(frame, frame.function.loops[0])
    others = put_in_list(pool, [], " before")
    (name,) = begins or [""]
    over = interpreter.resume(frame, {name: Pointer(pool.view, pool.view.offset_of("page_list.next"))})
    path.show("the scan is over", lambda: over is None)
    listed, torn = around(pool.avail_page_list)
    page, others = pool.found, device.others if device.requests else others
    if page is None:
        path.show("there is no block", lambda: pool.result(frame) is None)
        path.show_claim(claims.list_is_a_ring, torn, listed, others)
        return
    path.show_claim(claims.list_is_a_ring, torn, listed, [page, *others])
    path.show_claim(claims.allocated_block_was_free, pool.result(frame), first_of(page))
    show_page(pool, page, 1, ["the tail"] if "the tail" in page.blocks else [])


def free_a_block_in_use(path: Any, subject: Any) -> None:
    pool = subject(path, "debug", "init_on_free")
    page = any_page(pool)
    has_a_block_in_use(pool, page)
    in_the_list(path, pool, page)
    linked, live, free = links(pool, page), page.in_use, chain(pool, page)
    free_any_block(pool, page)
    show_page(pool, page, live - 1, ["the block", *free])
    path.show(
        "the list is as it was", lambda: all(one is other for one, other in zip(links(pool, page), linked, strict=True))
    )
