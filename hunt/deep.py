"""Deep runs: pools of so many blocks, and of so many pages, that counts of 8 and of 12 bits are too small for them.

The pools of the state machine have some dozens of blocks. A deep run fills a pool, misuses it as far as the pool promises to
notice that, empties it, misuses it again with every block free, fills it to the last block, and destroys it with one block
in use. A kernel's own file allocates and frees natively, thousands of blocks in a call.

Like the sweep, it only finds out that something is not as promised; which claim that breaks, `model.lockstep` says.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from hunt.sweep import judged
from hunt.watchdog import begin, watchdog
from kernel.pool import KernelPool
from kernel.protocol import ALLOC, FREE, OPERATION
from model import geometry
from model.bad_input import BadInput
from model.checks import BrokenClaim
from model.memory import Mapping, Memory, apart
from model.pool import Addresses, Oracle, Page
from model.revision import Revision
from model.trace import Alloc, Create, Destroy, Free, Kernel, PageChoice, Step, Trace

DEPTH = "block of the deep runs"
"""What a hunt counts."""

DEPTHS = (9, 65, 257, 4097)
"""Blocks of a pool: beyond powers of two, the small ones first, since a counterexample should be small."""

MOST = 2**13
"""Numbers found in the code under test are tried as depths, up to this many blocks."""

MOST_IN_PYTHON = 257
"""Blocks, and bytes of a page, of a debug build, which looks through all free blocks at each free."""

GEOMETRIES = (
    (Create(24, 1, 64), 256),  # a gap before each boundary
    (Create(40), 128),  # unused bytes at the end of each page
    (Create(16), 65536),  # 4,096 blocks in a page
    (Create(64), 64),  # as many pages as blocks: last, since a step takes longest where there are many
)
"""Pools, and the kernel's page size."""

SECONDS = 60.0
"""Of the processor, that so many calls may take."""


class Differs(Exception):
    """Something is not as promised."""


class DeepRun:
    """A pool with so many blocks, beside the oracle, which is told of thousands of calls at once."""

    def __init__(self, revision: Revision, pool: Create, kernel: Kernel, number: int) -> None:
        self.revision, self.kernel, self.number = revision, kernel, number
        self.steps: list[Step] = [pool]
        self.memory, self.shadow = Memory(), Memory(lambda _: None)
        arguments = pool.size, pool.align, pool.boundary
        options = revision.held_to(kernel).options()
        oracle = Oracle.create(pool.name, self.shadow, *arguments, **options, promises=revision.promises)
        assert oracle is not None, f"{pool} is refused"
        self.oracle = oracle
        self.blocks: dict[str, Addresses] = {}  # that were given, by name
        self.messages = 0  # that were compared
        target = revision.create(pool.name, self.memory, *arguments, **kernel.options())
        if target is None:
            raise Differs
        self.target: Any = target

    def run(self) -> None:
        """Raises Differs, or whatever the pool raises, where something is not as promised."""
        self.allocate(self.number)
        names = list(self.blocks)
        self.misuse(names[0], self.edges())
        self.free(names)
        for name in {names[place]: None for place in (0, 1, -1, -257) if -len(names) <= place < len(names)}:
            self.misuse(name, (self.blocks[name][1],))
        self.misuse(names[0], self.edges())
        room = len(self.oracle.offsets) * len(self.oracle.pages)
        self.allocate(room + 1)
        in_use = list(self.blocks)[len(names) :]
        self.free(in_use[1:])
        self.destroy()

    def allocate(self, number: int) -> None:
        """So many blocks: the first time, the device gives the pages for them, and one more; later, it has none."""
        names = [f"b{len(self.blocks) + n}" for n in range(number)]
        oracle, nbytes = self.oracle, self.oracle.geometry.allocation
        first, wanted = not oracle.pages, -(-number // len(oracle.offsets))
        addresses = [self.shadow.next_free_place(nbytes) for _ in range(wanted + 1)] if first else []
        self.steps += [Alloc(name) if first else Alloc(name, page=PageChoice(None)) for name in names]
        given = self._allocate(number, addresses)
        for place, dma in enumerate(addresses[:wanted]):
            vaddr = self.memory.base + apart(nbytes) * place
            twin = Mapping(vaddr, dma, memoryview(bytearray(nbytes)))
            self.shadow.add(twin)
            oracle.pages.append(Page(twin))
            if vaddr not in self.memory.mappings:  # those of a batch are known to the kernel's code only
                self.memory.add(Mapping(vaddr, dma, memoryview(bytearray(nbytes))))
        room = sum(len(oracle.offsets) - len(page.in_use) for page in oracle.pages)
        if [block is not None for block in given] != [True] * min(number, room) + [False] * max(0, number - room):
            raise Differs
        pages, offsets = {page.mapping.vaddr: page for page in oracle.pages}, set(oracle.offsets)
        for name, block in zip(names, given, strict=True):
            if block is None:
                self.steps.pop()
                continue
            offset = (block[0] - self.memory.base) % apart(nbytes)
            page = pages.get(block[0] - offset)
            taken = page is None or offset not in offsets or offset in page.in_use
            if page is None or taken or block[1] != page.mapping.dma + offset:
                raise Differs
            page.in_use.add(offset)
            self.blocks[name] = block
        self.compare()

    def _allocate(self, number: int, addresses: list[int]) -> list[Addresses | None]:
        if isinstance(self.target, KernelPool):
            calls = b"".join(OPERATION.pack(ALLOC, slot, 0) for slot in range(number))
            found = self.target.batch(calls, number, addresses).blocks.tolist()
            return [(vaddr, dma) if vaddr else None for vaddr, dma in zip(found[::2], found[1::2], strict=True)]
        places = iter(addresses)
        self.memory.place = lambda _: next(places, None)
        return [self.target.alloc() for _ in range(number)]

    def free(self, names: Iterable[str]) -> None:
        blocks = [self.blocks[name] for name in names]
        self.steps += [Free(name) for name in names]
        if isinstance(self.target, KernelPool):
            calls = b"".join(OPERATION.pack(FREE, slot, 0) for slot in range(len(blocks)))
            given = memoryview(b"".join(number.to_bytes(8, "little") for block in blocks for number in block))
            self.target.batch(calls, len(blocks), [], given)
        else:
            for block in blocks:
                self.target.free(*block)
        pages = {page.mapping.dma: page for page in self.oracle.pages}
        for vaddr, dma in blocks:
            page = pages[dma - (vaddr - self.memory.base) % (2 * self.oracle.geometry.allocation)]
            page.in_use.remove(dma - page.mapping.dma)
        self.compare()

    def misuse(self, name: str, addresses: Iterable[int]) -> None:
        """Free a block with each of these DMA addresses, where the pool promises to notice that."""
        vaddr, dma = self.blocks[name]
        for wrong in addresses:
            if self.oracle.complaint(vaddr, wrong):
                self.steps.append(Free(name, dma_plus=wrong - dma))
                self.target.free(vaddr, wrong)
                self.oracle.free(vaddr, wrong)
                self.compare()

    def edges(self) -> Iterator[int]:
        """DMA addresses at, before and behind the edges of some pages, and of the unused bytes at their ends."""
        pages, allocation = self.oracle.pages, self.oracle.geometry.allocation
        last = self.oracle.offsets[-1] + self.oracle.geometry.size
        for place in sorted({place % len(pages) for place in (0, 256, -1)}):
            start = pages[place].mapping.dma
            yield from (start - 1, start, start + last - 1, start + last, start + allocation - 1, start + allocation)

    def destroy(self) -> None:
        self.steps.append(Destroy())
        self.target.destroy()
        self.oracle.destroy()
        self.compare(row=False)
        if set(self.memory.mappings) != set(self.shadow.mappings):
            raise Differs

    def compare(self, row: bool = True) -> None:
        begin(SECONDS)
        if row and self.revision.promises.row(self.target.poolinfo()) != self.oracle.poolinfo():
            raise Differs
        if sorted(self.target.log[self.messages :]) != sorted(self.oracle.log[self.messages :]):
            raise Differs
        self.messages = len(self.target.log)


def differs(revision: Revision, pool: Create, kernel: Kernel, number: int) -> DeepRun | None:
    """The run with so many blocks, if something in it is not as promised."""
    with watchdog():
        begin(SECONDS)
        run = None
        try:
            run = DeepRun(revision, pool, kernel, number)
            run.run()
        except BadInput:
            raise
        except Exception:  # a crash of any kind is a difference
            assert run is not None or revision.past, f"{pool} cannot be created"
            return run
    return None


def is_admitted(pool: Create, page_size: int, smallest_block: int) -> bool:
    """Whether there can be such a pool, where a block has at least so many bytes."""
    promised = geometry.create(pool.size, pool.align, pool.boundary, page_size, smallest_block)
    return not isinstance(promised, geometry.Refusal)


def run_deep(
    revision: Revision,
    numbers: frozenset[int] = frozenset(),
    native: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[int, BrokenClaim | None]:
    """How many blocks were given in deep runs, up to the first that differs, and the claim that it breaks; `numbers` of the
    code under test are among the depths. Raises AssertionError if a run differs and breaks no claim."""
    given = 0
    beyond = {number + 2 for number in numbers if min(DEPTHS) <= number < MOST}
    admitted = [one for one in GEOMETRIES if is_admitted(*one, revision.promises.smallest_block)]
    for debug, (pool, page_size) in [(debug, one) for debug in (True, False) for one in admitted]:
        kernel, passed, depths = Kernel(page_size, debug), 1, sorted({*DEPTHS, *beyond})
        if debug and not native:
            depths = [number for number in depths if number <= MOST_IN_PYTHON and page_size <= MOST_IN_PYTHON]
        for number in depths:
            given += number
            progress(f"{given:,} blocks of deep runs")
            run = differs(revision, pool, kernel, number)
            if run is not None and (broken := broken_by(smaller(run, passed))) is not None:
                return given, broken
            passed = number
    return given, None


def smaller(run: DeepRun, passed: int) -> DeepRun:
    """The run with as few blocks as show a difference, more than `passed`, where more of them show it as well."""
    pool = run.steps[0]
    assert isinstance(pool, Create)
    while run.number - passed > 1:
        between = (run.number + passed) // 2
        if (other := differs(run.revision, pool, run.kernel, between)) is not None:
            run = other
        else:
            passed = between
    return run


def broken_by(run: DeepRun) -> BrokenClaim | None:
    """The claim that the same run breaks beside the oracle; see `judged`."""
    first = ", ".join(map(str, islice(run.steps, 2)))
    return judged(Trace(tuple(run.steps), run.kernel), run.revision, f"{run.number} blocks of {first} …")
