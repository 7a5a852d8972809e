"""What dma_pool_alloc of C does, and impl/ has nothing of: a page's struct is on its pool's node, and debug builds look through
a block that was free."""

from typing import Any

from impl.pool import POOL_POISON_FREED
from kernel.objects import Opaque, Pointer
from model import claims


def page_is_on_the_node(path: Any, subject: Any) -> None:
    pool = subject(path)
    pool.without_room()
    pool.alloc()
    path.show_claim(claims.structs_are_on_the_node, pool.node, pool.view["node"])


# How debug builds look at the bytes of a block, which is a lemma of other proofs about C: at once, or in a loop.

BEFORE = "nothing is written before the bytes were looked at"


def poison_is_looked_for_at_once(path: Any, subject: Any) -> None:
    """memchr_inv finds the first of so many bytes that is another one."""
    pool, asked = subject(path), list[tuple[Any, ...]]()
    pool.debug = True
    written_to = path.one_of("a driver wrote to the free block", False, True)

    def memchr_inv(start: Pointer, byte: Any, nbytes: Any) -> Any:
        path.follow(BEFORE, lambda: not writes)
        asked.append((start.offset, byte % 256, nbytes))
        return Pointer(Opaque("a byte"), 0) if written_to and nbytes >= 1 else 0

    interpreter, frame, block, writes = pool.looks_for_poison(None)
    interpreter.externals["memchr_inv"] = memchr_inv
    interpreter.advance(frame)
    size = pool.geometry.size
    every = block + pool.LINK, POOL_POISON_FREED % 256, size - pool.LINK
    path.show(
        "every byte behind the link has to be poison", lambda: asked == [every] or (size == pool.LINK and not asked)
    )
    path.show_claim(claims.reports_are_the_kernels, pool.log, ["said"] if written_to and size > pool.LINK else [])


def block_is_looked_through_before_it_is_filled(path: Any, subject: Any) -> None:
    """Where a function of its own looks through it."""
    pool = subject(path, "init_on_alloc")
    pool.debug = True
    if pool.operate(path.one_of("operation", "alloc", "alloc with a new page")) is None:
        return
    path.follow("the block is looked through", lambda: pool.filled_by_then is not None)
    path.show_claim(claims.reports_are_the_kernels, pool.log, ["said"] if pool.filled_by_then else [])


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

    pool = subject(path)
    pool.debug = True
    interpreter, frame, block, writes = pool.looks_for_poison(read)
    _, head = pool.poison_loop()
    size, link = pool.geometry.size, pool.LINK
    begins = interpreter.advance(frame, head)
    path.follow("it begins, and nothing was said", lambda: begins is not None and not pool.log)
    path.follow(BEFORE, lambda: not writes)
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
    path.follow(BEFORE, lambda: goes_on is None or not writes)
    following = pool.having_looked_at(begins, number + 1)
    path.follow(
        "the loop goes on with the next byte, after poison",
        lambda: goes_on == following if byte == POOL_POISON_FREED else goes_on is None,
    )
