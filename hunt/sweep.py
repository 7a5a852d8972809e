"""The sweep: every pool up to a bound, filled and emptied; each block has to lie where the oracle lays it.

A hunt draws pools, and a block that sticks out by one byte does so in few of them. The sweep leaves none out: all sizes up to a
bound, with every boundary, and every alignment that makes a difference.

It only finds pools that differ from the oracle. Which claim such a pool breaks, `model.lockstep` says, by a run of it.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice

from hunt.watchdog import begin, watchdog
from kernel.build import Source, Variant
from kernel.pool import KernelPool, Swept
from model import claims
from model.checks import BrokenClaim
from model.geometry import Geometry, Refusal, block_offsets, create
from model.lockstep import replay
from model.memory import Memory, apart
from model.promises import Promises, numbers_in
from model.revision import Revision
from model.trace import Alloc, Create, Destroy, Free, Kernel, PoolInfo, Trace

SMALL_PAGE, PAGE_SIZE, LARGE_PAGE = 256, 4096, 65536

AT_ONCE = 8192
"""Pools that the other process is given in one message, on pages of 4 KiB: their blocks have to fit the scratch memory."""

PAGES = 1 << 32, (1 << 32) + (1 << 24)
"""DMA addresses of the pages that the device gives."""

SWEPT = "pool of the sweep"
"""What a hunt counts."""

Filled = tuple[list[Swept | None], Exception | None]
Fill = Callable[[Sequence[tuple[int, int, int, int]], int], Filled]
"""Fills and empties a pool for each size, align, boundary and number of blocks, on pages of so many bytes. Returns what each
gave, None for a pool that is refused, and what went wrong with the next one, if anything did."""


def sizes(page_size: int, numbers: frozenset[int] = frozenset()) -> list[int]:
    """Bytes of a block: all that share a page of up to 4 KiB, and some for which a page has to be larger; in a larger page
    these too, those of which some end close to the page's end, multiples of 512 bytes, the neighbours of powers of two, and
    of the `numbers` that the code under test has in it."""
    small = range(1, min(page_size, PAGE_SIZE) * 17 // 16 + 1)
    if page_size <= PAGE_SIZE:
        return list(small)
    edges = {page_size // blocks for blocks in range(1, page_size // PAGE_SIZE + 1)} | {
        1 << bit for bit in range(12, 19)
    }
    edges |= set(range(PAGE_SIZE, page_size, 512))
    edges |= {number for number in numbers if number <= page_size}
    return sorted({*small, *(edge + near for edge in edges for near in (-2, -1, 0, 1, 2) if edge + near > 0)})


def pools(
    page_size: int, clips_the_boundary: bool, aligned: bool = True, of_sizes: Iterable[int] | None = None
) -> Iterator[Create]:
    """Each size, alignment and boundary, in bytes, that differ in effect: an alignment that divides the size has none, nor has
    a boundary above two pages. Of boundaries that are too small for a block, the largest are among them."""
    powers = [1 << bit for bit in range((2 * page_size).bit_length())]
    for size in sizes(page_size) if of_sizes is None else of_sizes:
        most = 2 * page_size if clips_the_boundary else max(page_size, size)
        boundaries = [0, *(power for power in powers if size // 4 <= power <= most)]
        aligns = [align for align in powers if align == 1 or size % align] if aligned else [1]
        yield from (Create(size, align, boundary) for align in aligns for boundary in boundaries)


@dataclass
class Sweep:
    """How many pools and blocks were looked at, up to the first pool that breaks a claim, if one does."""

    pools: int = 0
    blocks: int = 0
    broken: BrokenClaim | None = None


def sweep(
    revision: Revision,
    source: Source | None = None,
    page_sizes: Sequence[int] = (),
    numbers: frozenset[int] = frozenset(),
    progress: Callable[[str], None] = lambda _: None,
) -> Sweep:
    """Sweep a revision, natively if it is a kernel's own file, with pages of so many bytes, and sizes about the `numbers` that
    its code has in it; `progress` is told how far it is. Raises BuildError.

    Of all pools that differ, the one in which the fewest blocks show it is judged; of those that crash, the first.
    """
    done = Sweep()
    fill = in_python(revision) if source is None else natively(source, revision)
    for page_size in page_sizes or (
        (PAGE_SIZE, LARGE_PAGE) if source is not None else (SMALL_PAGE, PAGE_SIZE, LARGE_PAGE)
    ):
        aligned = page_size <= (SMALL_PAGE if source is None else PAGE_SIZE)
        of_sizes = sizes(page_size, numbers)
        if (
            source is None and page_size > PAGE_SIZE
        ):  # what takes Python too long is left out: thousands of small blocks
            of_sizes = [size for size in of_sizes if size >= PAGE_SIZE or size % 512 == 0 or size in numbers]
        todo = pools(page_size, revision.promises.clips_the_boundary, aligned, of_sizes)
        differing: list[tuple[int, int, Create]] = []  # the blocks that show it, the blocks of a page and one more
        for part, expected, counts in in_parts(todo, page_size, revision.promises):
            filled, fault = fill(geometries(part, counts), page_size)
            done.pools += len(filled)
            done.blocks += sum(len(given[0]) // 16 for given in filled if given)
            progress(f"{done.pools:,} pools of the sweep")
            for pool, number, wanted, given in zip(part, counts, expected, filled, strict=False):
                if (shown := difference(wanted, given)) is not None:
                    differing.append((shown, number, pool))
            if fault is not None:
                differing.append((0, counts[len(filled)], part[len(filled)]))
                break
        if differing:
            _, number, pool = min(differing, key=lambda one: one[:2])
            done.broken = judged(full_page(pool, number, page_size), revision, str(pool))
            break
    return done


def in_parts(
    todo: Iterator[Create], page_size: int, promises: Promises
) -> Iterator[tuple[list[Create], list[Swept | None], list[int]]]:
    """The pools, so many at a time as the other process is given; what the oracle gives of each, and in how many blocks."""
    while part := list(islice(todo, AT_ONCE * PAGE_SIZE // max(page_size, PAGE_SIZE))):
        expected = [promised(pool, page_size, promises) for pool in part]
        yield part, expected, [len(blocks[0]) // 16 if blocks else 1 for blocks in expected]


def geometries(part: Sequence[Create], counts: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """What a `Fill` is given of these pools, and of their numbers of blocks."""
    return [(pool.size, pool.align, pool.boundary, number) for pool, number in zip(part, counts, strict=True)]


def promised(pool: Create, page_size: int, promises: Promises) -> Swept | None:
    """What the oracle gives of a pool with a full page, and one block in a second page; None if it is refused."""
    geometry = create(pool.size, pool.align, pool.boundary, page_size, promises.smallest_block)
    return None if isinstance(geometry, Refusal) else laid_out(geometry, promises)


@lru_cache(maxsize=AT_ONCE)
def laid_out(geometry: Geometry, promises: Promises) -> Swept:
    offsets = offsets_of(geometry, promises.lays_up_to_the_boundary)
    blocks = [(offset, PAGES[0] + offset) for offset in offsets] + [(apart(geometry.allocation), PAGES[1])]
    counted = len(offsets) if promises.counts_what_is_laid else geometry.allocation // geometry.size
    return packed(blocks), (len(blocks), 2 * counted, geometry.size, 2)


def offsets_of(geometry: Geometry, up_to_the_boundary: bool) -> list[int]:
    """`block_offsets`, which walks from byte to byte, between two boundaries only: further on it is the same."""
    size, boundary, allocation = geometry.size, geometry.boundary, geometry.allocation
    if boundary >= allocation:
        return block_offsets(geometry, up_to_the_boundary)
    pattern = block_offsets(Geometry(size, boundary, boundary), up_to_the_boundary)
    laid = (start + offset for start in range(0, allocation, boundary) for offset in pattern)
    return [offset for offset in laid if offset + size <= allocation]


def packed(blocks: Sequence[tuple[int, int]]) -> bytes:
    return struct.pack(f"={2 * len(blocks)}Q", *chain.from_iterable(blocks))


def difference(expected: Swept | None, given: Swept | None) -> int | None:
    """How many blocks, from the lowest on, show that a pool is not as promised; None if it is. In which order a page's blocks
    are given is not promised."""
    if expected is None or given is None:
        return None if expected is given else 0
    if expected == given:
        return None
    pairs = zip(in_order(expected[0]), in_order(given[0]), strict=True)
    return next(
        (number for number, (one, other) in enumerate(pairs) if one != other), None if expected[1] == given[1] else 1
    )


def in_order(blocks: bytes) -> list[tuple[int, ...]]:
    return sorted(struct.iter_unpack("=QQ", blocks))


def full_page(pool: Create, blocks: int, page_size: int) -> Trace:
    """A run of so many blocks: its break is about a block, if one is wrong, and not about what the pool reports."""
    steps = [*(Alloc(f"b{n}") for n in range(blocks)), PoolInfo(), *(Free(f"b{n}") for n in range(blocks)), Destroy()]
    return Trace((pool, *steps), Kernel(page_size), claims.block_lies_inside_its_page.name)


def judged(run: Trace, revision: Revision, what: str) -> BrokenClaim | None:
    """The claim that a run breaks beside the oracle; None if the run goes past it. Raises AssertionError if there is none,
    though `what` was seen to differ."""
    try:
        with watchdog():
            replay(run, revision, begin)
    except BrokenClaim as broken:
        return broken
    if revision.past:
        return None
    raise AssertionError(f"{what} differs, and beside the oracle no claim is broken")


def natively(source: Source, revision: Revision) -> Fill:
    columns, past = revision.promises.columns, revision.past
    return lambda geometries, page_size: KernelPool.sweep(
        source, Variant(), geometries, page_size, PAGES, columns, past
    )


def in_python(revision: Revision) -> Fill:
    def fill(geometries: Sequence[tuple[int, int, int, int]], page_size: int) -> Filled:
        filled: list[Swept | None] = []
        try:
            with watchdog():
                for geometry in geometries:
                    begin()
                    filled.append(fill_one(*geometry, page_size))
        except Exception as fault:  # a crash of any kind is a difference
            return filled, fault
        return filled, None

    def fill_one(size: int, align: int, boundary: int, blocks: int, page_size: int) -> Swept | None:
        places = iter(PAGES)
        memory = Memory(lambda _: next(places, None))
        pool = revision.create("pool", memory, size, align, boundary, page_size=page_size)
        if pool is None:
            return None
        given = [pool.alloc() or (memory.base - 1, 0) for _ in range(blocks)]
        row = numbers_in(pool.poolinfo())
        assert row is not None
        for vaddr, dma in given:
            if dma:
                pool.free(vaddr, dma)
        pool.destroy()
        return packed([((vaddr - memory.base) % 2**64, dma) for vaddr, dma in given]), row

    return fill
