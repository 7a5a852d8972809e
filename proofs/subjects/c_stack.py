"""A kernel's dma_pool_alloc and dma_pool_free of v6.12's stack of blocks, on `AnyStack`: its known blocks are structs of C."""

from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise
from typing import Any

from impl.v6_12 import NULL
from kernel.environment import GFP_ZERO
from kernel.execute import Frame, Interpreter
from kernel.ir import NotFollowed
from kernel.objects import Opaque, Pointer, Struct, View
from model import claims
from proofs.engine.path import AssertionFailed
from proofs.subjects.c_last_turn import Laid
from proofs.subjects.c_operations import Operations
from proofs.subjects.c_pool import Code, lookup_case
from proofs.subjects.c_turns import Variables, names_by_role
from proofs.subjects.c_views import Locked, Views, fits
from proofs.subjects.stack import SMALLEST_BLOCK, AnyStack, Block
from proofs.subjects.subject import ReachedTail

LOOKS = "pool_check_block"
"""Debug builds look through a block with it."""


class BlockView(View):
    """A known block, of which the link and the DMA address are fields; `fills` notes what is filled."""

    pool: "CStack"
    of: Block

    @property
    def vaddr(self) -> Any:
        return self.of.vaddr

    def fill(self, offset: Any, nbytes: Any, byte: int) -> None:
        if not (offset <= 0 and offset + nbytes >= SMALLEST_BLOCK):
            raise NotFollowed("a part of a block is filled")
        self.pool.filled(self.of, offset, nbytes, byte)

    def store(self, offset: Any, width: int, value: Any) -> None:
        super().store(offset, width, value)
        self.pool.writes.append(self.of.vaddr)


class TakenBack(Exception):
    """A block is filled, as it is freed."""


class MemoryAt(Opaque):
    """Memory at an address that is no known block's."""

    vaddr: Any = None


class NewPage(MemoryAt):
    """The page that an allocation adds: filled before there are blocks in it, which are known."""

    pool: "CStack"
    has_blocks = False

    def block(self, offset: Any, what: str) -> Pointer:
        for block in self.pool.free_blocks if self.has_blocks else ():
            view = self.pool.view_of(block)
            for start in view.fields:
                if self.vaddr + offset == block.vaddr + start:
                    return Pointer(view, start)
        raise NotFollowed(f"the new page is {what} where it has no block")

    def load(self, offset: Any, width: int) -> Any:
        block = self.block(offset, "read")
        return block.object.load(block.offset, width)

    def store(self, offset: Any, width: int, value: Any) -> None:
        assert self.pool.last_turn is not None
        self.pool.last_turn.writes()
        block = self.block(offset, "written to")
        block.object.store(block.offset, width, value)

    def fill(self, offset: Any, nbytes: Any, byte: int) -> None:
        """pool_init_page."""
        if self.has_blocks:
            block = self.block(offset, "filled")
            block.object.fill(block.offset, nbytes, byte)
        elif not (offset == 0 and nbytes == self.pool.geometry.allocation):
            raise AssertionFailed(claims.pool_stays_in_its_memory.name)


class Addresses(Views):
    """Pointers of C for addresses, which are numbers in Python: to a known block, to the tail, or to other memory."""

    def __init__(self, pool: "CStack", code: Code, path: Any, interrupts_off: bool | None) -> None:
        super().__init__(code, path, Locked(interrupts_off))
        self.pool = pool

    def pointer(self, value: Any, width: int = 64) -> Any:
        return fits(value, width)

    def keep_address(self, view: View, name: str, owner: Any, attribute: str) -> None:
        def read(vaddr: Any) -> Any:
            if vaddr is None and not any(owner is block for block, *_ in self.pool.fills):
                vaddr = owner.below = self.path.number(f"what {owner.name} says")
            return self.to(vaddr)

        view.keep_attribute(name, lambda: owner, attribute, read, self.address)

    def to(self, vaddr: Any) -> Any:
        """The pointer of an address; of NULL, 0."""
        if vaddr is None:
            raise NotFollowed("a link is read that was written over")
        known = next((block for block in self.pool.known if block.vaddr is vaddr), None)
        if known is None and vaddr == NULL:
            return 0
        known = known or next((block for block in self.pool.known if block.vaddr == vaddr), None)
        if known is not None:
            return Pointer(self.pool.view_of(known), 0)
        elsewhere = MemoryAt("memory at another address")
        if vaddr == self.pool.tail:
            vaddr, elsewhere = self.pool.tail, MemoryAt("the tail", ReachedTail(), may_be_another=False)
        elsewhere.vaddr = vaddr
        return self.places.setdefault(id(vaddr), (vaddr, Pointer(elsewhere, 0)))[1]

    def address(self, value: Any) -> Any:
        if not isinstance(value, Pointer):
            return value
        if isinstance(value.object, BlockView):
            return value.object.of.vaddr if value.offset == 0 else value.object.of.vaddr + value.offset
        if isinstance(value.object, MemoryAt):
            return value.object.vaddr + value.offset
        raise NotFollowed("an address is stored of what is no block")


class Bytes:
    """A block's memory, of which each byte is read; `writes` notes what is filled."""

    def __init__(self, read: Any) -> None:
        self.read = read
        self.writes: list[Any] = []

    def fill(self, *what: Any) -> None:
        self.writes.append(what)

    def load(self, offset: Any, width: int) -> Any:
        if width != 8:
            raise NotFollowed(f"{width} bits of a block are read")
        return self.read(offset)


class CStack(Operations, AnyStack):
    """`AnyStack`, whose `alloc` and `free` are those of a kernel's file."""

    LINK = SMALLEST_BLOCK
    views: Addresses

    def __init__(self, code: Code, path: Any, *options: str, walks: bool = False, needs: tuple[str, ...] = ()) -> None:
        off = path.one_of("interrupts are off", False, True) if "interrupts" in options else None
        self.walks, self.LOOKUP = walks, lookup_case(code)
        AnyStack.__init__(self, path, *options, walks=walks, needs=needs)
        self.geometry = replace(self.geometry, boundary=path.number("boundary"), allocation=path.number("allocation"))
        path.assume_claim(claims.admitted_geometry_is_ordered, self.geometry)
        path.assume_claim(claims.admitted_geometry_fits_an_int, self.geometry, SMALLEST_BLOCK)
        self.begin(
            code, Addresses(self, code, path, off), {name: name for name in ("nr_blocks", "nr_active", "nr_pages")}
        )
        self.block_views: dict[int, BlockView] = {}
        self.views.keep_address(self.view, "next_block", self, "next_block")
        self.first_page = self.views.view("dma_page", self, {})  # in the list, after a new one
        self.view["page_list.next"] = self.first_page.at("page_list.next")
        self.first_page["page_list.prev"] = self.view.at("page_list.next")
        self.last_page: View | None = None  # known if the code asks for it
        self.at_the_end: Any = None
        self.views.keep(self.view, "page_list.prev", self, "last_link")
        self.page_memory = NewPage("the page", may_be_another=False)
        self.page_memory.pool = self
        self.filled_by_then: list[Any] | None = None  # when a block is looked through

    def view_of(self, block: Block) -> BlockView:
        if id(block) not in self.block_views:
            known = self.code.struct("dma_block")
            view = self.block_views[id(block)] = BlockView("dma_block", known.fields, place=known.place)
            view.pool, view.of = self, block
            self.views.keep(view, "dma", block, "says_dma")
            self.views.keep_address(view, "next_block", block, "below")
        return self.block_views[id(block)]

    # What the code calls, and what stands for its loops.

    def interpreter(self) -> Interpreter:
        interpreter = super().interpreter()
        if self.debug:
            interpreter.replaced["pool_find_page"] = self.found_page  # a lemma itself
            interpreter.replaced[LOOKS] = partial(self.looked_through, interpreter)
            if not self.walks:
                interpreter.cuts["pool_block_err", interpreter.module.function("pool_block_err").loop()] = self.walked
        return interpreter

    def looked_through(self, interpreter: Interpreter, *arguments: Any) -> Any:
        """pool_check_block looks through the block that it is called with, as others have left it."""
        self.looked_at = [one for one in arguments if isinstance(one, Pointer)]
        self.filled_by_then = [*self.fills]
        return interpreter.call(LOOKS, *arguments)

    def poison_loop(self) -> tuple[str, str]:
        return LOOKS, self.code.debugging.function(LOOKS).loop()

    def found_page(self, pool: Any, dma: Any) -> Any:
        self.known_to_find_pages(pool)
        return 0 if self._find_page(dma) is None else Pointer(self.page_memory, 0)

    def walked(self, arrived: Variables) -> Variables:
        """The walk down the stack: it is at the block that is freed, or at the end, as `_is_free` says."""
        names = names_by_role(arrived, block=self.pointer(self.next_block))
        return {names["block"]: self.pointer(self.freed) if self._is_free(self.freed) else 0}

    def laid(self, idle: bool) -> Laid:
        """The blocks lead to each other; of the last one, it is not known to where."""
        offsets = list(self._laid_offsets())  # a lemma itself
        self.path.follow("there is a block", lambda: len(self.free_blocks) == len(offsets) > 0)
        self.path.assume("the first block is at the page's start", lambda: offsets[0] == 0)
        self.path.assume(
            "there are fewer blocks than addresses",
            lambda: self.blocks + len(offsets) < 2**64 and self.pages + 1 < 2**64,
        )
        for one, other in combinations(offsets, 2):
            self.path.assume_claim(claims.blocks_are_disjoint, one, other, self.geometry.size)
        self.path.assume_claim(
            claims.block_lies_inside_its_page, offsets[-1], self.geometry.size, self.geometry.allocation
        )
        blocks = self.free_blocks if idle else self.free_blocks[:-1]
        for block in blocks:
            block.says_dma = block.dma
        assert self.last_turn is not None
        ascends = self.last_turn.shape.ascends
        linked = [*blocks] if ascends else [*reversed(blocks)]
        for block, below in pairwise(linked):
            block.below = below.vaddr
        if blocks and not ascends:
            blocks[0].below = self.next_block
        if not ascends:
            self.free_blocks.reverse()  # alloc takes the last one first
        self.page_memory.has_blocks = True
        last = offsets[len(blocks) - 1] if blocks else None
        place = fits(self.path.number("offset where the loop ends"), 32) if idle else offsets[-1]
        return Laid(self.page.dma, self.page_memory, place, last, len(blocks))

    def new_header(self) -> Struct | None:
        """Where there is no memory, that is kmalloc's or the device's to say; other callers have run by then."""
        if self.memory.fails and self.path.one_of("what fails", "kmalloc", "the device") == "kmalloc":
            self.next_block = self.tail
            return None
        return self.views.view("dma_page", self, {}, fresh=True)

    def memory_of(self, mapping: Any) -> MemoryAt:
        self.page_memory.vaddr = mapping.vaddr
        return self.page_memory

    # The interface that drivers have.

    def result(self, frame: Frame) -> Any:
        got, new = super().result(frame), self.header
        if new is not None and not new.freed:
            link, head = new.at("page_list.next"), self.view.at("page_list.next")
            first, listed = self.first_page.at("page_list.next"), self.view["page_list.next"]
            ends = [new["page_list.next"], new["page_list.prev"], listed]
            if self.last_page is None:
                links, expected = [*ends, self.first_page["page_list.prev"]], [first, head, link, link]
            else:
                last = self.last_page.at("page_list.next")
                links = [*ends, self.last_page["page_list.next"], self.last_link]
                expected = [head, last, first, link, link]
            self.path.show("a new page is listed", lambda: links == expected)
        return got

    @property
    def last_link(self) -> Any:
        """The link of the last page of the list, which is the first one if there are no others."""
        if self.at_the_end is None:
            self.last_page = self.first_page
            if self.path.one_of("the list has", "one page", "others") == "others":
                self.last_page = self.views.view("dma_page", self, {})
                self.last_page.may_be_another = True
            self.last_page["page_list.next"] = self.view.at("page_list.next")
            self.at_the_end = self.last_page.at("page_list.next")
        return self.at_the_end

    @last_link.setter
    def last_link(self, link: Any) -> None:
        self.at_the_end = link

    def pointer(self, vaddr: Any) -> Any:
        return self.views.to(vaddr)

    def address(self, pointer: Pointer) -> Any:
        return self.views.address(pointer)

    def _block_err(self, vaddr: Any, dma: Any) -> bool:
        """pool_block_err of a debug build, from any turn of its walk on, until it fills the block, which it takes back then."""
        interpreter = self.interpreter()
        interpreter.externals |= dict.fromkeys(("memset", "llvm.memset.p0.i64"), self.taken_back)
        walk = interpreter.module.function("pool_block_err").loop()

        def entered(frame: Frame, values: dict[str, Any]) -> dict[str, Any]:
            if (frame.function.name, frame.block) == ("pool_block_err", walk):
                alike = len(values) == 1 and not self.view.written
                self.path.follow("a turn of the walk differs from others in the block only", lambda: alike)
            return values

        interpreter.entered = entered
        try:
            return bool(interpreter.call("pool_block_err", Pointer(self.view, 0), self.pointer(vaddr), dma))
        except TakenBack:
            return False

    def looks_for_poison(self, read: Any) -> tuple[Interpreter, Frame, Any, list[Any]]:
        """pool_check_block, about to look through the bytes of a block; see `CPool.looks_for_poison`."""
        at = self.path.number("offset")
        self.path.assume("the block lies in a page", lambda: at < 2**31)
        interpreter = self.interpreter()
        interpreter.cuts.clear()
        flags = self.path.one_of("flags", 0, GFP_ZERO)
        block = Bytes(read)
        self.shows = [Pointer(block, at)]
        frame = interpreter.enter(LOOKS, Pointer(self.view, 0), *self.shows, flags)
        return interpreter, frame, at, block.writes

    def taken_back(self, *_: Any) -> None:
        raise TakenBack
