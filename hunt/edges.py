"""Pools at the edges of the argument check: sizes, aligns and boundaries about which a word of 32 or 64 bits can be wrong.

Each is created; where its page is not too large to be there, two blocks are given and freed, the row is read, and the pool is
destroyed.
"""

from collections.abc import Callable, Iterator
from itertools import product

from hunt.numbers import with_neighbours
from hunt.watchdog import begin, watchdog
from model.checks import BrokenClaim
from model.geometry import INT_MAX, round_up
from model.lockstep import Lockstep
from model.promises import Promises
from model.revision import Revision
from model.trace import TWO_BLOCKS, Create, Kernel, TraceError

CREATED = "create at an edge"
"""What a hunt counts."""

WORDS = (2**16, 2**20, 2**31, 2**32)
SIZES = (0, 1, 15, 16, 4095, 4096, 4097, *with_neighbours(WORDS), 2**32 + 16, 2**63, 2**64 - 1)
ALIGNS = (1, 0, 3, 16, 2**12, 2**31, 2**32, 2**63)
BOUNDARIES = (0, 1, 16, 2**12, *with_neighbours(WORDS), 2**63, 2**64 - 1)


def at_edges(numbers: frozenset[int] = frozenset()) -> list[Create]:
    """Pools at the edges, and at those of the numbers; aligns that matter little have fewer of them."""
    sizes = sorted({*SIZES, *with_neighbours(numbers)})
    boundaries = sorted({*BOUNDARIES, *numbers, *(1 << number.bit_length() for number in numbers if number < 2**63)})
    drawn = [Create(size, 1, boundary) for size, boundary in product(sizes, boundaries)]
    return drawn + [Create(*arguments) for arguments in product(SIZES, ALIGNS[1:], (0, 2**12, 2**32))]


def pools(promises: Promises, numbers: frozenset[int] = frozenset(), more: tuple[Create, ...] = ()) -> Iterator[Create]:
    """Those, and `more`, in which no version's defect is known."""
    yield from (pool for pool in [*at_edges(numbers), *more] if not is_a_known_defect(pool, promises))


def is_a_known_defect(pool: Create, promises: Promises) -> bool:
    """Where every version breaks the promise, and the prover refutes it: rounding up to the align leaves an int. And where v6.1
    does: it admits sizes above an int, and lays blocks past the end of a page that is smaller than the boundary."""
    size = round_up(pool.size, max(pool.align, 1))
    if promises.clips_the_boundary:
        return pool.size <= INT_MAX < size
    return size > INT_MAX or pool.boundary > max(size, Kernel().page_size)


def run_edges(
    revision: Revision,
    numbers: frozenset[int] = frozenset(),
    progress: Callable[[str], None] = lambda _: None,
    more: tuple[Create, ...] = (),
) -> tuple[int, BrokenClaim | None]:
    """How many pools were created, up to the first that breaks a claim, and what it breaks."""
    created = 0
    with watchdog():
        for created, pool in enumerate(pools(revision.promises, numbers, more), 1):
            if created % 100 == 0:
                progress(f"{created:,} pools at edges")
            lockstep = Lockstep(revision, Kernel())
            try:
                for step in (pool, *TWO_BLOCKS):
                    begin()
                    lockstep.run(step)
                    if lockstep.target is None:
                        break
            except TraceError:  # its page is too large to be there
                continue
            except BrokenClaim as broken:
                return created, broken
    return created, None
