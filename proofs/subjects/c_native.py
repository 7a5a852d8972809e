"""Holds `kernel.execute` to native code: random calls of the functions that the proofs about a kernel's file follow.

Natively they are reached through what the file exports: dma_pool_create refuses or not; the blocks of a page lie where
pool_initialise_page has laid them; pools_show prints its row; and dma_pool_free reports "bad dma" where pool_find_page, in
debug builds at least, finds no page. Of files with a list of pages, as v6.1 and v6.12 have it.
"""

import random
from collections import Counter

from impl.layout import Geometry
from kernel.build import Source, Variant
from kernel.execute import Interpreter
from kernel.objects import Pointer
from kernel.pool import KernelPool
from model.geometry import INT_MAX
from model.memory import DMA_BASE, Memory
from proofs.subjects.c_loop import LoopInC, placed_blocks
from proofs.subjects.c_pool import Code, compile_file, created, geometry_of, in_a_ring, total_in_the_row
from proofs.subjects.c_shape import shape_of
from proofs.subjects.subject import PAGE_SIZE

FOLLOWED = ("dma_pool_create", "pool_initialise_page", "pools_show", "pool_find_page")
LARGEST_PAGE = 2**16
MOST_BLOCKS = 64
"""In a page that is laid out; those of larger ones would be nothing new."""
LOOKUPS = 50
"""In a pool, until the next one gets other pages."""


class Differs(Exception):
    """The executor does not do what native code does; says which function, and with what."""


def hold_to_native(source: Source, calls: int, seed: int) -> dict[str, int]:
    """Compare so many calls of each function at least: how many there were. Raises Differs, BuildError, and NotFollowed."""
    code, chance, counts = compile_file(source), random.Random(seed), Counter[str]()
    while min(counts[name] for name in FOLLOWED[:3]) < calls:
        compare_layouts(code, chance, counts)
    while counts["pool_find_page"] < calls:
        compare_lookups(code, chance, counts, min(LOOKUPS, calls - counts["pool_find_page"]))
    return dict(counts)


def compare_layouts(code: Code, chance: random.Random, counts: Counter[str]) -> None:
    """One dma_pool_create; where it admits its arguments, the blocks of a page, and the row."""
    size = chance.choice([0, 1, 5, chance.randrange(5000), chance.randrange(64, 600), 2**63, INT_MAX])
    align = chance.choice([0, 1, 3, 2 ** chance.randrange(12)])
    boundary = chance.choice([0, 100, 2 ** chance.randrange(13)])
    arguments = f"size {size}, align {align}, boundary {boundary}"
    geometry = geometry_of(created(code, size, align, boundary, PAGE_SIZE))
    device = Memory()
    pool = KernelPool.create(code.source, Variant(), "pool", device, size, align, boundary)
    expect("dma_pool_create", arguments, pool is not None, geometry is not None)
    counts["dma_pool_create"] += 1
    if pool is None or geometry is None:
        return
    expect("dma_pool_create", arguments, int(pool.poolinfo().split()[3]), geometry.size)
    if geometry.allocation > LARGEST_PAGE or geometry.allocation > MOST_BLOCKS * geometry.size:
        return
    placed, trouble = placed_blocks(code, geometry, MOST_BLOCKS + 1)
    offsets = [offset for offset, _ in placed]
    total, at_once = placed_at_once(code, geometry)
    blocks = [pool.alloc() or (0, 0) for _ in offsets]
    (page,) = device.mappings.values()
    expect("pool_initialise_page", arguments, [vaddr - page.vaddr for vaddr, _ in blocks], offsets)
    expect("pool_initialise_page", arguments, [dma - page.dma for _, dma in blocks], at_once)
    expect("pools_show", arguments, int(pool.poolinfo().split()[2]), total)
    pool.alloc()
    expect("pool_initialise_page", arguments, len(device.mappings), trouble or 2)
    counts["pool_initialise_page"] += 1
    counts["pools_show"] += 1


def placed_at_once(code: Code, geometry: Geometry) -> tuple[int, list[int]]:
    """What pools_show prints after an uncut run of pool_initialise_page, and the offsets of the blocks that it lays."""
    page_at_work = LoopInC(code, geometry, DMA_BASE)
    page_at_work.run()
    stores = page_at_work.memory.log
    if not code.stacks:
        return total_in_the_row(code, page_at_work.pool), [store.offset for store in stores]
    dma = shape_of(code).dma
    laid = [store.offset - dma for store in stores if store.value == DMA_BASE + store.offset - dma]
    return total_in_the_row(code, page_at_work.pool), laid


def compare_lookups(code: Code, chance: random.Random, counts: Counter[str], lookups: int) -> None:
    """Look addresses up in a pool with one block in each of its pages: some are neighbours, one is at the very top."""
    numbers = [*chance.sample(range(8), chance.randrange(1, 6)), 2**52 - 1]
    places = [PAGE_SIZE * number for number in chance.sample(numbers, len(numbers))]
    module = code.module if "pool_find_page" in code.module.functions else code.debugging
    pool, pages = code.struct("dma_pool"), [code.struct("dma_page") for _ in places]
    pool["allocation"] = PAGE_SIZE
    for page, place in zip(pages, places, strict=True):
        page["dma"] = place
    in_a_ring(*(one.at("page_list.next") for one in (pool, *pages)))
    given = iter(places)
    native = KernelPool.create(
        code.source, Variant(), "pool", Memory(lambda _: next(given)), PAGE_SIZE, 1, 0, debug=True
    )
    assert native is not None
    blocks = [native.alloc() or (0, 0) for _ in places]
    for _ in range(lookups):
        near = chance.choice([-1, 0, 1, PAGE_SIZE - 1, PAGE_SIZE, chance.randrange(PAGE_SIZE)])
        address = (chance.choice(places) + near) % 2**64
        found = Interpreter(module, {}).call("pool_find_page", Pointer(pool, 0), address)
        holder = next((page for page in pages if 0 <= address - page["dma"] < PAGE_SIZE), None)
        what = f"address {address:#x}, pages at {', '.join(map(hex, places))}"
        expect("pool_find_page", what, finds(native, chance.choice(blocks)[0], address), isinstance(found, Pointer))
        expect("pool_find_page", what, holder, found.object if isinstance(found, Pointer) else None)
        counts["pool_find_page"] += 1


def finds(pool: KernelPool, vaddr: int, address: int) -> bool:
    """Whether dma_pool_free finds a page of this DMA address. A block that it takes back is allocated again."""
    before = len(pool.log)
    pool.free(vaddr, address)
    errors = pool.log[before:]
    if not errors:
        pool.alloc()
    return not any("bad dma" in line for line in errors)


def expect(function: str, arguments: str, native: object, executed: object) -> None:
    if native is not executed and native != executed:
        raise Differs(f"{function} with {arguments}: natively {native}, executed {executed}")
