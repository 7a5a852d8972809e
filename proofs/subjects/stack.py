"""Any stack of free blocks of the merged rewrite, v6.12, as far as an alloc or a free looks at it.

The stack is of any size. Its upper blocks are known, one by one; of the tail only the address of its first block is, and
whoever reads or writes a block of the tail fails. What an operation leaves is right if the known blocks are where they
have to be, above that same tail. `tests/test_stubs.py` holds it to the stack with bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from impl.layout import Geometry
from impl.pool import POOL_POISON_FREED, Options
from impl.v6_12 import DMA_BLOCK, NULL, V6_12Pool
from model import claims
from proofs.subjects.subject import PAGE_SIZE, ReachedTail, any_options, give_back, show_sought

SMALLEST_BLOCK = DMA_BLOCK.size

UNREAD = Geometry(SMALLEST_BLOCK, PAGE_SIZE, PAGE_SIZE)
"""No operation on the stack looks at it, but for the size."""


@dataclass
class Block:
    """A block that is known by name, and what it holds while it is free: the block below it, and a DMA address."""

    name: str
    vaddr: Any
    dma: Any
    below: Any = None
    says_dma: Any = None


@dataclass
class GivenPage:
    """What the device gives, with the offsets of the blocks that are placed in it."""

    vaddr: Any
    dma: Any
    offsets: list[Any]
    data: bytearray


class AnyStack(V6_12Pool):
    """The running pool on a symbolic memory: blocks that are known, of any size, above the tail of the stack. The options that
    are named have any value, of which some are of C only; the others are off.

    A DMA address is always one of the pool's. Whether a block is on the stack is answered as the walk is proved to, but for the
    proof about the walk.
    """

    LOOKUP = ""
    """The case of `lookup_finds_the_page_of_an_address` that is about this pool."""

    def __init__(
        self,
        path: Any,
        *options: str,
        walks: bool = False,
        needs: tuple[str, ...] = (),  # noqa: ARG002 - of lists only
    ) -> None:
        super().__init__("pool", KnownBlocks(self), UNREAD, Options(PAGE_SIZE, *any_options(path, options)))
        self.path = path
        self.geometry = replace(UNREAD, size=path.number("size"))
        self.operand: Any = None  # the block that an operation is about
        self.zero = False  # whether zeros are asked for
        self.sought: Any = None  # the DMA address that is freed
        self.writes: list[Any] = []
        self.fills: list[tuple[Block, Any, Any, int]] = []  # which block, from where on, how many bytes, with what
        self.tail = path.number("tail")  # the virtual address of the first block of the tail; NULL if it has none
        self.known: list[Block] = []
        self.free_blocks: list[Block] = []  # the known ones that lie above the tail
        self.below: list[Block] = []  # known to be in the tail, but not where
        self.page = GivenPage(0, 0, [], bytearray(PAGE_SIZE))
        self.next_block = self.tail
        self.live, self.blocks = path.number("live"), path.number("blocks")  # before the operation
        self.pages = path.number("pages")
        self.nr_active, self.nr_blocks, self.nr_pages = self.live, self.blocks, self.pages
        path.by(claims.blocks_are_disjoint, self, "_laid_offsets", lambda: iter(self.page.offsets))
        path.by(claims.lookup_finds_the_page_of_an_address, self, "_find_page", self.finds(self.page), self.LOOKUP)
        if not walks:
            path.by(claims.double_free_is_refused, self, "_is_free", self._is_known_to_be_free)

    def finds(self, page: GivenPage | None) -> Callable[[Any], GivenPage | None]:
        """What stands for a lookup that finds this page."""

        def find(dma: Any) -> GivenPage | None:
            show_sought(self.path, self, dma)
            return page

        return find

    def block(self, name: str, vaddr: Any, dma: Any, anywhere: bool = False) -> Block:
        """A block of the pool. Its address is not NULL, nor another known block's, nor that of the tail's first."""
        if not anywhere:
            self.path.assume(
                "the blocks of the pool are at addresses of their own",
                lambda: vaddr != NULL and vaddr != self.tail and all(vaddr != other.vaddr for other in self.known),
            )
        self.known.append(Block(name, vaddr, dma))
        return self.known[-1]

    def any_block(self, name: str, anywhere: bool = False) -> Block:
        return self.block(name, self.path.number(f"vaddr of {name}"), self.path.number(f"dma of {name}"), anywhere)

    def misuse(self) -> str:
        """What the lock has to say at the end of an operation."""
        return "pool->lock is left taken" if self.lock.taken else ""

    def put(self, block: Block) -> Block:
        """Have a block on top of the stack from the beginning."""
        block.below, block.says_dma = self.next_block, block.dma
        self.next_block = block.vaddr
        self.free_blocks.insert(0, block)
        return block

    def without_room(self, fails: bool = True) -> Any:
        """No block is free, so that the device is asked for a page."""
        device: Any = StackDevice(self, fails)
        self.next_block, self.memory = NULL, device
        return device

    def operate(self, operation: str, anywhere: bool = False, most: int = 3) -> Any:
        """Run one of the `OPERATIONS`, about any block, the `operand`, which is `anywhere` if that is no matter: what an alloc
        returns.

        A new page has one block, two, or three, `most`: the third is placed as every later one is, for what the loop keeps of
        the blocks before is the first and the last.
        """
        path, page = self.path, self.page
        if operation == "free":
            self.operand = self.any_block("freed", anywhere)
            give_back(self, self.operand.vaddr, self.operand.dma)
            return None
        if operation == "alloc":
            self.put(self.any_block("top"))
        else:
            fails = path.one_of("dma_alloc_coherent", "serves", "fails") == "fails"
            self.without_room(fails)
            page.vaddr, page.dma = path.number("vaddr of the page"), path.number("dma of the page")
            blocks = 1 if fails else path.one_of("blocks of the page", *range(1, most + 1))
            page.offsets = [path.number(f"offset {number}") for number in range(blocks)]
            self.free_blocks = [
                self.block(f"block {number}", page.vaddr + offset, page.dma + offset)
                for number, offset in enumerate(page.offsets)
            ]
        self.zero = path.one_of("zero", False, True)
        got = self.alloc(self.zero)
        self.operand = self.free_blocks[0]
        return got

    def byte(self, distance: Any, former: int) -> int:
        """The byte at a distance from the start of the operand, after the fills; `former` if nothing was written there."""
        for filled, start, nbytes, byte in reversed(self.fills):
            if filled is self.operand and start <= distance and distance < start + nbytes:
                return int(byte) % 256
        return former

    def stack(self) -> list[str]:
        """The names of the blocks on the stack, as far as it can be followed."""
        names: list[str] = []
        at = self.next_block
        while at != self.tail:
            block = self._known(at)
            if block is None or len(names) > len(self.known):
                return [*names, "no end"]
            names.append(block.name if block.says_dma == block.dma else f"{block.name} at a wrong DMA address")
            at = block.below
        return [*names, "the tail"]

    def promised(self, *but: Block) -> list[str]:
        """What is on the stack if these are not."""
        return [*(block.name for block in self.free_blocks if block not in but), "the tail"]

    def _known(self, vaddr: Any) -> Block | None:
        return None if vaddr is None else next((block for block in self.known if block.vaddr == vaddr), None)

    def _touched(self, vaddr: Any) -> Block:
        block = self._known(vaddr)
        assert block is not None, "the code touches what is no known block"
        return block

    # What takes the place of memory.

    def _read_block(self, block: Any) -> tuple[Any, Any]:
        if block == self.tail:
            raise ReachedTail
        read = self._touched(block)
        return read.below, read.says_dma

    def _write_block(self, block: Any, below: Any, dma: Any) -> None:
        written = self._touched(block)
        written.below, written.says_dma = below, dma
        self.writes.append(block)

    def _fill(self, block: Any, byte: int) -> None:
        self.filled(self._touched(block), 0, self.geometry.size, byte)

    def filled(self, block: Block, start: Any, nbytes: Any, byte: int) -> None:
        """A block is filled, its link as well."""
        block.below = block.says_dma = None
        self.writes.append(block.vaddr)
        self.fills.append((block, start, nbytes, byte))

    def _is_known_to_be_free(self, vaddr: Any) -> bool:
        return any(block.vaddr == vaddr for block in (*self.free_blocks, *self.below))


class KnownBlocks:
    """The memory behind them: a block that is looked at has to be known, and nobody wrote to it while it was free. One byte
    stands for those behind its link."""

    fails = False

    def __init__(self, pool: AnyStack) -> None:
        self.pool = pool

    def block(self, vaddr: Any, nbytes: int) -> memoryview:  # noqa: ARG002
        self.pool._touched(vaddr)
        return memoryview(bytearray([POOL_POISON_FREED]) * (SMALLEST_BLOCK + 1))

    def alloc_coherent(self, nbytes: Any, flags: Any) -> Any:  # noqa: ARG002
        raise AssertionError(f"the code asks for {nbytes} bytes, although the stack has a block")

    def free_coherent(self, nbytes: Any, vaddr: Any, dma: Any) -> None:
        raise AssertionError(f"the code gives back {nbytes} bytes at {vaddr} and {dma}")


class StackDevice(KnownBlocks):
    """Gives the pool its page, or fails. Meanwhile other callers have run, so that the stack is any by then."""

    def __init__(self, pool: AnyStack, fails: bool) -> None:
        super().__init__(pool)
        self.fails = fails
        self.requests: list[Any] = []  # the flags of each

    def alloc_coherent(self, nbytes: Any, flags: Any) -> GivenPage | None:  # noqa: ARG002
        self.requests.append(flags)
        self.pool.next_block = self.pool.tail
        return None if self.fails else self.pool.page
