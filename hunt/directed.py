"""Directed runs: what each hunt does first, so that it meets every event that it has to, whatever it draws afterwards.

A run is a pool and a list of calls, which the state machine runs as if it had drawn them. The pools cover the edges of the
argument check and of the layout; the calls fill and empty pages, misuse the pool, corrupt it, and bring about each rotation of
the tree and each depth of allocations that wait for a page.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from hunt.machine import PoolMachine
from hunt.operations import OPERATIONS, OTHER_ADDRESS
from hunt.surroundings import EDGES, Surroundings
from model.checks import BrokenClaim
from model.promises import Promises
from model.trace import LONG_NAME, Create, Kernel

NUMBERS = {operation.name: number for number, operation in enumerate(OPERATIONS)}


class Call(NamedTuple):
    """An operation by its name, which of the things that it could be done to, and what others do if it waits for a page."""

    operation: str
    choice: int = 0
    meanwhile: tuple[str, ...] = ()


class Run(NamedTuple):
    surroundings: Surroundings
    calls: tuple[Call, ...]


NEWEST, OLDEST, THIRD = 0, 1, 8
"""Choices of one block of several."""

GEOMETRIES = (
    (32, 1, 0, 64),
    (64, 1, 0, 64),  # one block in a page
    (16, 4, 0, 64),
    (16, 1, 16, 64),  # each block ends at a boundary
    (24, 1, 32, 64),  # a gap before each boundary
    (32, 1, 64, 128),  # the second block ends at a boundary
    (20, 4, 64, 256),  # several blocks between two boundaries, and a gap
    (24, 1, 64, 128),  # as many bytes are left at each boundary as do not make a block
    (64, 1, 256, 64),  # a boundary behind the page
    (24, 1, 128, 64),  # and a gap at the end of the page
    (48, 1, 64, 16),  # larger than a page of the kernel, with a gap
    (20, 16, 0, 128),  # a size that is rounded up
    (2, 1, 0, 32),  # a size that is raised to what a free block holds
    (10, 1, 12, 64),  # the boundary is no power of two: refused
    (12, 1, 16, 64),  # a boundary between the sizes before and after rounding for some revisions
    (40, 0, 0, 128),  # no alignment
    (33, 1, 0, 64),  # more than half of a page is left over
    (512, 1, 0, 4096),
    (48, 16, 1024, 4096),
    (16384, 1, 0, 65536),
    (0, 1, 0, 64),
    (16, 3, 0, 64),
    (32, 1, 16, 64),
)
"""Size, alignment, boundary, and the kernel's page size."""

USE = (
    *(Call("alloc", zero) for zero in (0, 1, 0, 0, 1, 0, 0, 0, 0)),
    Call("write to a block in use", 0),
    *(Call("free", choice) for choice in (NEWEST, OLDEST, THIRD, THIRD)),
    *(Call("alloc", zero) for zero in (1, 0, 0, 1, 0, 0)),
    Call("poolinfo"),
    *(Call("free", OLDEST) for _ in range(11)),
    Call("alloc where the device fails"),
    *(Call("alloc", zero) for zero in (1, 0, 0)),
    Call("destroy", 1),
)
"""Drivers fill pages, empty them, and fill them again; one block or none is left in use."""

MISUSE = (
    *(Call("alloc") for _ in range(5)),
    *(Call("free of a foreign address", choice) for choice in (1, 5, 9, 0, 4, 8, 24)),
    *(Call("free in the middle of a block", choice) for choice in (0, 16)),
    *(Call("free with another virtual address", choice) for choice in (1, 2, 3)),
    *(Call("free of a block of another pool") for _ in range(2)),
    *(Call("free", choice) for choice in (OLDEST, NEWEST, THIRD)),
    *(Call("free again", choice) for choice in (5, NEWEST, OLDEST, THIRD)),
    *(Call("free of a foreign address", choice) for choice in (0, 4, 8)),
    *(Call("write to a free block", choice) for choice in (3, 4, 5)),
    *(Call("alloc", zero) for zero in (0, 1, 0, 0)),
    *(Call("free", NEWEST) for _ in range(2)),
    Call("write to a free block", 7),
    *(Call("alloc") for _ in range(2)),
    Call("free", NEWEST),
    *(Call("free again", OTHER_ADDRESS + 16 * edge) for edge in range(5)),
)
"""Each kind of misuse that a pool may notice."""

WAITING = (
    Call("alloc", 0, ("alloc", "alloc", "alloc")),
    Call("free", OLDEST),
    *(Call("alloc") for _ in range(4)),
    Call("alloc", 0, ("alloc", "free", "free")),
    *(Call("alloc") for _ in range(4)),
    Call("alloc", 0, ("alloc where the device fails", "free", "free")),
    *(Call("alloc where the device fails", 0, ("free", "free")) for _ in range(4)),
    *(Call("alloc", 0, ("free", "free", "alloc")) for _ in range(6)),
    Call("poolinfo"),
)
"""Others run while an allocation waits for a page."""

OUTAGE = (
    Call("alloc where the device fails"),
    Call("alloc where the device fails"),
    *(Call("alloc") for _ in range(4)),
    *(Call("alloc where the device fails") for _ in range(6)),
    *(Call("free") for _ in range(3)),
)
"""The device has no memory for a while."""

CORRUPTION = {
    "a block is freed twice": ("alloc", "alloc", "free", "free again", "alloc", "alloc", "alloc", "free", "poolinfo"),
    "a block in use is handed out": ("alloc", "alloc", "free", "free again", "alloc", "alloc", "free", "free again"),
    "the middle of a block is freed": ("alloc", "alloc", "free in the middle of a block", "alloc", "alloc", "free"),
    "another pool's block is freed": ("alloc", *("free of a block of another pool",) * 2, "alloc", "alloc", "free"),
    "a link is overwritten": (
        *("alloc", "alloc", "free", "free", "write to the link in a free block"),
        *("alloc", "alloc", "alloc", "free"),
    ),
    "a link is overwritten while another block is in use": (
        *("alloc", "alloc", "free", "write to the link in a free block"),
        *("free", "alloc", "alloc", "alloc"),
    ),
    "a page reaches into another": (
        "alloc",
        "alloc",
        "alloc",
        "alloc",
        "alloc where a page overlaps",
        "alloc",
        "alloc",
        "free",
    ),
}
"""Misuse that no pool promises to notice, and what follows."""

INSERTIONS = (
    (10, 20, 30),
    (30, 20, 10),
    (10, 30, 20),
    (30, 10, 20),
    tuple(range(24)),
    tuple(range(24, 0, -1)),
    tuple(number * 19 % 32 for number in range(32)),
    tuple(number * 27 % 63 for number in range(32)),
)
"""Orders in which pages arrive, by their place among the device's pages."""


def pool(
    size: int,
    align: int,
    boundary: int,
    kernel: Kernel,
    where: str = "neighbours",
    *,
    name: str = "pool",
    scattered: bool = False,
    tidy: bool = False,
    hostile: str = "",
) -> Surroundings:
    arguments = Create(size, align, boundary, name)
    return Surroundings(kernel, arguments, where, *EDGES[where], scattered, tidy, hostile, OPERATIONS)


def runs(promises: Promises) -> Iterator[Run]:
    """The directed runs of a hunt in a revision with these promises."""
    places = list(EDGES)
    for number, (size, align, boundary, page_size) in enumerate(GEOMETRIES):
        if not promises.clips_the_boundary and boundary > page_size:
            continue
        name = (LONG_NAME, "pool", "")[number % 3]
        for calls, debug in ((USE, False), (USE, True), (MISUSE, False), (MISUSE, True), (WAITING, bool(number % 2))):
            kernel = Kernel(page_size, debug, init_on_alloc=number % 4 == 1, init_on_free=number % 4 >= 2)
            where = places[number % len(places)]
            yield Run(pool(size, align, boundary, kernel, where, name=name, tidy=number % 2 == 0), calls)
    for debug in (False, True):
        yield Run(pool(64, 1, 0, Kernel(64, debug), tidy=True), OUTAGE)
        for calls in (USE, MISUSE) if promises.boot_options else ():
            yield Run(pool(64, 1, 0, Kernel(64, debug, with_options=not debug), tidy=True), calls)
    for size, debug, names, choice in product((32, 16), (False, True), CORRUPTION.values(), (0, 4, 12, 20)):
        calls = tuple(Call(name, choice) for name in names)
        yield Run(pool(size, 1, 0, Kernel(64, debug), hostile="anything"), calls)
    for order in INSERTIONS:
        arrivals = tuple(Call("alloc", place) for place in order)
        leaving = (*(Call("free", choice) for choice in (NEWEST, OLDEST, THIRD, 11)), *arrivals[:2], Call("poolinfo"))
        overlapping = tuple(Call("alloc where a page overlaps", choice) for choice in (0, 7, 25))
        yield Run(pool(64, 1, 0, Kernel(64, debug=len(order) % 2 == 0), scattered=True), arrivals + leaving)
        yield Run(pool(64, 1, 0, Kernel(64), scattered=True, tidy=True), arrivals[:8] + overlapping + leaving)


def run_all(hunter: type[PoolMachine], most: int | None = None) -> list[BrokenClaim]:
    """Run them on the hunter's revision; returns what broke, each claim once.

    No further run begins once `most` claims are broken, or once an operation has not ended: waiting for the others would
    take minutes.
    """
    found: dict[str, BrokenClaim] = {}
    for run in runs(hunter.revision.promises):
        machine = hunter()
        try:
            run_one(machine, run)
        except BrokenClaim as broken:
            found.setdefault(broken.claim.name, broken)
        finally:
            machine.watched.close()
        if len(found) == most or {"operations_end", "layout_ends"} & found.keys():
            break
    return list(found.values())


def run_one(machine: PoolMachine, run: Run) -> None:
    machine.begin(run.surroundings)
    for call in run.calls:
        if machine.lockstep.target is None:
            return
        machine.others = [(4 * NUMBERS[name], call.choice) for name in reversed(call.meanwhile)]
        machine.throw((NUMBERS[call.operation], call.choice))
    machine.teardown()
