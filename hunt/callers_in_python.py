"""Callers at once in a pool of impl/: each is a thread of its own, of which one runs at a time, by a schedule.

Before each event, which is an access to an attribute of a pool, a page or a link, to bytes of a page, or a lock that is taken
or dropped, the schedule says who goes on; `kernel/shim/callers.c` does the same for a kernel's own file.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Semaphore, Thread, get_ident
from typing import Any
from zlib import crc32

from impl.list_head import ListHead
from impl.lock import Lock, LockingError
from impl.pool import DmaPool, Page, Pool
from impl.rbtree import Node, PageTree
from impl.v6_1 import V6_1Pool
from impl.v6_12 import DMA_BLOCK, V6_12Pool
from model.events import ASKS, LOCKS, READS, READS_ONCE, UNLOCKS, WRITES, Event, Outcome
from model.memory import Mapping as Given
from model.pool import Addresses
from model.trace import Alloc, Free, PoolInfo, Step, Together, TraceError, Turn

SHARED = DmaPool, Pool, V6_1Pool, V6_12Pool, Node, Page, ListHead, PageTree
"""What callers share: of these, accesses to attributes are events."""

OF_BYTES: dict[tuple[type, str], Callable[..., tuple[int, int, int]]] = {
    (Page, "link"): lambda page, offset: (READS, page.vaddr + offset, 4),
    (Page, "set_link"): lambda page, offset, _: (WRITES, page.vaddr + offset, 4),
    (Page, "fill"): lambda page, offset, nbytes, _: (WRITES, page.vaddr + offset, nbytes),
    (Page, "is_filled"): lambda page, offset, nbytes, _: (READS, page.vaddr + offset, nbytes),
    (V6_12Pool, "_read_block"): lambda _, block: (READS, block, DMA_BLOCK.size),
    (V6_12Pool, "_write_block"): lambda _, block, *__: (WRITES, block, DMA_BLOCK.size),
    (V6_12Pool, "_fill"): lambda pool, block, _: (WRITES, block, pool.geometry.size),
    (V6_12Pool, "_check_block"): lambda pool, block: (READS, block, pool.geometry.size),
}
"""Methods that read or write bytes of a page: which, from its arguments."""


class AbandonedError(BaseException):
    """Another caller has failed: no caller goes on, whatever it would catch."""


class Ready:
    """The device's memory, with pages that are ready; which of them an allocation gets is an event, too."""

    def __init__(self, memory: Any, pages: Sequence[Given], callers: "Callers") -> None:
        self.block, self.free_coherent = memory.block, memory.free_coherent
        self.pages, self.callers = list(pages), callers

    def alloc_coherent(self, nbytes: int, flags: str) -> Given | None:
        del nbytes, flags
        self.callers.happens(ASKS, 0, 8)
        return self.pages.pop(0) if self.pages else None


class Callers:
    """Callers at once, and what has happened so far. Invariant: each but the one that runs is before its next event."""

    def __init__(self, pool: Any, step: Together, named: Mapping[str, Addresses]) -> None:
        self.pool, self.named = pool, dict(named)
        self.calls = step.calls()
        self.count = len(step.callers)
        self.blocks: list[Addresses | None] = [None] * len(self.calls)
        self.given = self._handed_over()
        self.turns = list(step.schedule)
        self.may_go_on = [Semaphore(0) for _ in range(self.count)]
        self.over = Semaphore(0)
        self.waits_for: list[Lock | None] = [None] * self.count
        self.done = [False] * self.count
        self.call = [0] * self.count
        self.started = False
        self.of_thread: dict[int, int] = {}
        self.events: list[Event] = []
        self.enabled = 0
        self.fault: Exception | None = None
        self.places: dict[int, str] = {}

    def _handed_over(self) -> dict[str, Lock]:
        """By the name of a block that one caller is given and another frees: what that one waits for."""
        by = {call.block: caller for caller, call in self.calls if isinstance(call, Alloc)}
        locks = dict[str, Lock]()
        for caller, call in self.calls:
            if isinstance(call, Free) and by.get(call.block, caller) != caller:
                locks[call.block] = Lock()
                locks[call.block].taken = True
        return locks

    def run(self) -> None:
        threads = [Thread(target=self._run_caller, args=(number,), daemon=True) for number in range(self.count)]
        for thread in threads:
            thread.start()
            self.over.acquire()  # it is before its first event
        self.started = True
        if self.fault is None:  # of who has failed before its first event
            self._go_on(self._chosen(0))
            self.over.acquire()
        for number, thread in enumerate(threads):
            self.may_go_on[number].release()
            thread.join()

    def happens(self, kind: int, address: int, nbytes: int, lock: Lock | None = None) -> None:
        caller = self.of_thread.get(get_ident())
        if caller is None:
            return
        self.waits_for[caller] = lock
        if not self.started:
            self.over.release()
            self.may_go_on[caller].acquire()
        elif (chosen := self._chosen(caller)) != caller:
            self._go_on(chosen)
            self.may_go_on[caller].acquire()
        if self.fault is not None:
            raise AbandonedError
        self.waits_for[caller] = None
        frame = next(frame for frame in frames() if frame.f_code.co_filename != __file__)
        place = f"{frame.f_code.co_name} ({frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno})"
        self.places[hash(place)] = place
        self.events.append(Event(caller, self.call[caller], kind, address, nbytes, hash(place), self.enabled))

    def attribute(self, of: Any, name: str, writes: bool) -> None:
        """An access to an attribute of an object. What poolinfo reads of the pool itself is for people, and may race."""
        caller = self.of_thread.get(get_ident())
        if caller is not None and (known := known_as(of)) is not None:
            for_people = isinstance(of, DmaPool) and isinstance(self.calls[self.call[caller]][1], PoolInfo)
            kind = WRITES if writes else READS_ONCE if for_people else READS
            self.happens(kind, 16 * crc32(f"{type(of).__name__} {known} {name}".encode()), 8)

    def _go_on(self, chosen: int | None) -> None:
        if chosen is None:
            self.over.release()
        else:
            self.may_go_on[chosen].release()

    def _chosen(self, current: int) -> int | None:
        can = [
            caller
            for caller in range(self.count)
            if not self.done[caller] and not ((lock := self.waits_for[caller]) is not None and lock.taken)
        ]
        self.enabled = sum(1 << caller for caller in can)
        while self.turns and (not self.turns[0].events or self.turns[0].caller not in can):
            del self.turns[0]
        if self.turns:
            turn = self.turns[0]
            self.turns[0] = Turn(turn.caller, turn.events - 1)
            return turn.caller
        if not can and not all(self.done):
            self.fault = LockingError("callers wait for each other: a deadlock")
        return current if current in can else min(can, default=None)

    def _run_caller(self, number: int) -> None:
        self.of_thread[get_ident()] = number
        try:
            for place, (caller, call) in enumerate(self.calls):
                if caller == number:
                    self.call[number] = place
                    self.blocks[place] = self._do(call)
        except AbandonedError:
            return
        except Exception as fault:
            self.fault = fault
        self.done[number] = True
        if not self.started:
            self.over.release()
        else:
            self._go_on(None if self.fault is not None else self._chosen(number))

    def _do(self, call: Step) -> Addresses | None:
        match call:
            case Alloc():
                block: Addresses | None = self.pool.alloc(False, call.flags)
                if block is not None:
                    self.named[call.block] = block
                if (lock := self.given.get(call.block)) is not None:
                    self.happens(UNLOCKS, 16 * crc32(call.block.encode()), 8)
                    lock.taken = False
                return block
            case Free():
                if (lock := self.given.get(call.block)) is not None:
                    self.happens(LOCKS, 16 * crc32(call.block.encode()), 8, lock)
                if (given := self.named.get(call.block)) is not None:
                    self.pool.free(*given)
                return given
            case PoolInfo():
                numbers = self.pool.poolinfo().split()[-4:]
                return int(numbers[0]), int(numbers[3])
            case _:
                raise TraceError("a pool of impl/ has no device with a file pools")


def known_as(of: Any) -> int | None:
    """What tells an object from others of its class in every run: the address of its page, or 0; None while it is made."""
    page = of
    if isinstance(of, ListHead):
        try:
            page = object.__getattribute__(of, "owner")
        except AttributeError:
            return None
    try:
        return int(object.__getattribute__(page, "vaddr"))
    except AttributeError:
        return None if isinstance(page, Page) else 0


def frames() -> Iterator[Any]:
    frame = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]


@contextmanager
def watched(callers: Callers) -> Iterator[None]:
    """Have the classes of impl/ tell callers what they do."""
    before = [(cls, name, cls.__dict__[name]) for cls, name in OF_BYTES]
    before += [(Lock, name, Lock.__dict__[name]) for name in ("take", "drop", "__enter__", "__exit__")]

    def read(of: Any, name: str) -> Any:
        value = object.__getattribute__(of, name)
        if name[:2] != "__" and not callable(value) and name not in ("lock", "memory"):
            callers.attribute(of, name, writes=False)
            return object.__getattribute__(of, name)
        return value

    def write(of: Any, name: str, value: Any) -> None:
        callers.attribute(of, name, writes=True)
        object.__setattr__(of, name, value)

    def of_bytes(cls: type, name: str) -> Callable[..., Any]:
        method, which = cls.__dict__[name], OF_BYTES[cls, name]

        def told(of: Any, *arguments: Any) -> Any:
            kind, address, nbytes = which(of, *arguments)
            callers.happens(kind, address, nbytes)
            return method(of, *arguments)

        return told

    def take(lock: Lock) -> None:
        callers.happens(LOCKS, 8, 4, lock)
        Lock_take(lock)

    def drop(lock: Lock) -> None:
        callers.happens(UNLOCKS, 8, 4)
        Lock_drop(lock)

    def leave(lock: Lock, kind: object, *rest: object) -> None:
        callers.happens(UNLOCKS, 8, 4)
        Lock_leave(lock, kind, *rest)

    Lock_take, Lock_drop, Lock_leave = Lock.take, Lock.drop, Lock.__exit__
    try:
        for cls, name, _ in before[: len(OF_BYTES)]:
            setattr(cls, name, of_bytes(cls, name))
        for name, told in (("take", take), ("__enter__", take), ("drop", drop), ("__exit__", leave)):
            setattr(Lock, name, told)
        for cls in SHARED:
            cls.__getattribute__, cls.__setattr__ = read, write  # type: ignore[method-assign]
        yield
    finally:
        for cls, name, method in before:
            setattr(cls, name, method)
        for cls in SHARED:
            del cls.__getattribute__, cls.__setattr__


def run_callers(pool: Any, step: Together, ready: Sequence[Given], named: Mapping[str, Addresses]) -> Outcome:
    """Run the callers of a step. The device has some pages `ready`; `named` are the blocks that there are. Raises TraceError
    for interrupts."""
    if step.interrupts:
        raise TraceError("a pool of impl/ has no processor that is interrupted")
    callers = Callers(pool, step, named)
    memory, pool.memory = pool.memory, Ready(pool.memory, ready, callers)
    try:
        with watched(callers):
            callers.run()
    finally:
        taken = len(ready) - len(pool.memory.pages)
        pool.memory = memory
    return Outcome(callers.blocks, taken, callers.events, lambda event: callers.places[event.pc], callers.fault)
