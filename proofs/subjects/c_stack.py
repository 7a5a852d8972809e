"""A kernel's dma_pool_alloc and dma_pool_free of v6.12's stack of blocks, on `AnyStack`: its known blocks are structs of C."""

from typing import Any

from impl.v6_12 import NULL
from kernel.execute import Frame, Interpreter
from kernel.ir import NotFollowed
from kernel.objects import Opaque, Pointer, Struct, View
from model import claims
from proofs.engine.path import AssertionFailed
from proofs.subjects.c_operations import Operations
from proofs.subjects.c_pool import Code, lookup_case
from proofs.subjects.c_turns import Variables, names_of
from proofs.subjects.c_views import Locked, Views, fits
from proofs.subjects.stack import SMALLEST_BLOCK, AnyStack, Block
from proofs.subjects.subject import ReachedTail, any_geometry


class BlockView(View):
    """A known block, of which the link and the DMA address are fields; `fills` notes what is filled."""

    pool: "CStack"
    of: Block

    def fill(self, offset: Any, nbytes: Any, byte: int) -> None:
        self.pool.fills.append((self.of, offset, nbytes, byte))
        if not (offset <= 0 and offset + nbytes >= SMALLEST_BLOCK):
            raise NotFollowed("a part of a block is filled")
        self.pool._fill(self.of.vaddr, byte)

    def store(self, offset: Any, width: int, value: Any) -> None:
        super().store(offset, width, value)
        self.pool.writes.append(self.of.vaddr)


class TakenBack(Exception):
    """A block is filled, as it is freed."""


class At(Opaque):
    """Memory at an address that is no known block's; a page's may be filled, before there are blocks in it."""

    vaddr: Any = None
    filled: Any = None

    def fill(self, *what: Any) -> None:
        if self.filled is None:
            self.load()
        self.filled(*what)


class Addresses(Views):
    """Pointers of C for addresses, which are numbers in Python: to a known block, to the tail, or to other memory."""

    def __init__(self, pool: "CStack", code: Code, path: Any) -> None:
        super().__init__(code, path, Locked(False))
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
        elsewhere = At("memory at another address")
        if vaddr == self.pool.tail:
            vaddr, elsewhere = self.pool.tail, At("the tail", ReachedTail(), may_be_another=False)
        elsewhere.vaddr = vaddr
        return self.places.setdefault(id(vaddr), (vaddr, Pointer(elsewhere, 0)))[1]

    def address(self, value: Any) -> Any:
        if not isinstance(value, Pointer):
            return value
        if isinstance(value.object, BlockView):
            return value.object.of.vaddr if value.offset == 0 else value.object.of.vaddr + value.offset
        if isinstance(value.object, At):
            return value.object.vaddr + value.offset
        raise NotFollowed("an address is stored of what is no block")


class Bytes:
    """A block's memory, of which each byte is read."""

    def __init__(self, read: Any) -> None:
        self.read = read

    def load(self, offset: Any, width: int) -> Any:
        if width != 8:
            raise NotFollowed(f"{width} bits of a block are read")
        return self.read(offset)


class CStack(Operations, AnyStack):
    """`AnyStack`, whose `alloc` and `free` are those of a kernel's file."""

    LINK = SMALLEST_BLOCK
    views: Addresses

    def __init__(self, code: Code, path: Any, *, debug: bool, init_on_free: bool = False, walks: bool = False) -> None:
        self.walks, self.LOOKUP = walks, lookup_case(code)
        AnyStack.__init__(self, path, debug=debug, init_on_free=init_on_free, walks=walks)
        self.geometry = any_geometry(path)
        path.assume_claim(claims.admitted_geometry_is_ordered, self.geometry)
        path.assume_claim(claims.admitted_geometry_fits_an_int, self.geometry, SMALLEST_BLOCK)
        self.begin(code, Addresses(self, code, path), {name: name for name in ("nr_blocks", "nr_active", "nr_pages")})
        self.block_views: dict[int, BlockView] = {}
        self.fills: list[tuple[Block, Any, Any, int]] = []
        self.views.keep_address(self.view, "next_block", self, "next_block")
        self.first_page = self.views.view("dma_page", self, {})  # in the list, after a new one
        self.view["page_list.next"] = self.first_page.at("page_list.next")
        self.first_page["page_list.prev"] = self.view.at("page_list.next")
        self.page_memory = At("the page", may_be_another=False)

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
            if not self.walks:
                interpreter.cuts["pool_block_err", interpreter.module.function("pool_block_err").loop()] = self.walked
        return interpreter

    def poison_loop(self) -> tuple[str, str]:
        return "pool_check_block", self.code.debugging.function("pool_check_block").loop()

    def found_page(self, pool: Any, dma: Any) -> Any:
        del pool
        return 0 if self._find_page(dma) is None else Pointer(self.page_memory, 0)

    def walked(self, arrived: Variables) -> Variables:
        """The walk down the stack: it is at the block that is freed, or at the end, as `_is_free` says."""
        names = names_of(arrived, block=self.pointer(self.next_block))
        return {names["block"]: self.pointer(self.freed) if self._is_free(self.freed) else 0}

    def laid(self, arrived: Variables) -> Variables:
        """The loop that lays a page: its blocks are linked and counted; where the last turn begins, none is placed any more."""
        known = {"offset": 0, "next_boundary": self.geometry.boundary, "first": 0, "last": 0}
        self.path.follow("the loop begins as v6.12's does", lambda: arrived == known)
        offsets = list(self._laid_offsets())  # a lemma itself
        blocks = self.free_blocks
        self.path.follow("there is a block", lambda: len(blocks) == len(offsets) > 0)
        for block, below in zip(blocks, [*blocks[1:], None], strict=True):
            block.below, block.says_dma = NULL if below is None else below.vaddr, block.dma
        self.nr_blocks = self.nr_blocks + len(offsets)
        last = {name: fits(self.path.number(f"{name} where the loop ends"), 32) for name in ("offset", "next_boundary")}
        end, page = last["offset"], self.geometry.allocation
        self.path.assume("no block has room any more", lambda: end <= page and end + self.geometry.size > page)
        self.page_memory.filled = None
        return {**last, "first": Pointer(self.view_of(blocks[0]), 0), "last": Pointer(self.view_of(blocks[-1]), 0)}

    def new_header(self) -> Struct | None:
        """Where there is no memory, that is kmalloc's or the device's to say; other callers have run by then."""
        if self.memory.fails and self.path.one_of("what fails", "kmalloc", "the device") == "kmalloc":
            self.next_block = self.tail
            return None
        return self.views.view("dma_page", self, {}, fresh=True)

    def memory_of(self, mapping: Any) -> At:
        self.page_memory.vaddr, self.page_memory.filled = mapping.vaddr, self.page_filled
        return self.page_memory

    def page_filled(self, offset: Any, nbytes: Any, byte: int) -> None:
        """pool_init_page: before any block is laid."""
        del byte
        if not (offset == 0 and nbytes == self.geometry.allocation):
            raise AssertionFailed(claims.pool_stays_in_its_memory.name)

    # The interface that drivers have.

    def result(self, frame: Frame) -> Any:
        got, new = super().result(frame), self.header
        if new is not None and not new.freed:
            link, head, first = (one.at("page_list.next") for one in (new, self.view, self.first_page))
            around_it = new["page_list.next"], new["page_list.prev"]
            to_it = self.view["page_list.next"], self.first_page["page_list.prev"]
            self.path.show("a new page is listed", lambda: around_it == (first, head) and to_it == (link, link))
        return got

    def pointer(self, vaddr: Any) -> Any:
        return self.views.to(vaddr)

    def address(self, pointer: Pointer) -> Any:
        return self.views.address(pointer)

    def _block_err(self, vaddr: Any, dma: Any) -> bool:
        """pool_block_err of a debug build, from any turn of its walk on, until it fills the block, which it takes back then."""
        interpreter = self.interpreter()
        interpreter.externals |= dict.fromkeys(("memset", "llvm.memset.p0.i64"), self.taken_back)
        try:
            return bool(interpreter.call("pool_block_err", Pointer(self.view, 0), self.pointer(vaddr), dma))
        except TakenBack:
            return False

    def looks_for_poison(self, read: Any) -> tuple[Interpreter, Frame, str, Any]:
        """pool_check_block, about to look through the bytes of a block; see `CPool.looks_for_poison`."""
        at = self.path.number("offset")
        self.path.assume("the block lies in a page", lambda: at < 2**31)
        interpreter = self.interpreter()
        interpreter.cuts.clear()
        interpreter.externals |= dict.fromkeys(("memset", "llvm.memset.p0.i64"), lambda *_: 0)
        frame = interpreter.enter("pool_check_block", Pointer(self.view, 0), Pointer(Bytes(read), at), 0)
        return interpreter, frame, self.poison_loop()[1], at

    def taken_back(self, *_: Any) -> None:
        raise TakenBack
