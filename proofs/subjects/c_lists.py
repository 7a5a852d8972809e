"""A kernel's dma_pool_alloc and dma_pool_free of lists of offsets, v6.1's or the series', on `AnyPool` and `AnyPage`."""

from types import SimpleNamespace
from typing import Any

from kernel.execute import Frame, Interpreter
from kernel.ir import NotFollowed
from kernel.objects import Pointer, Struct, View
from model import claims
from model.promises import SERIES, V6_1
from proofs.engine.path import AssertionFailed
from proofs.subjects.arbitrary import EVERYTHING, AnyPage, AnyPool, first_with_room
from proofs.subjects.c_last_turn import Laid
from proofs.subjects.c_operations import Operations
from proofs.subjects.c_pool import Code, is_inside, lookup_case
from proofs.subjects.c_turns import Variables, names_by_role
from proofs.subjects.c_views import Lists, Locked, fits
from proofs.subjects.subject import ReachedTail

LINK = 4
"""Bytes of the link in a free block."""


MOST_BLOCKS = 65536 // 4
"""In a page of 64 KiB, each of 4 bytes; a larger page has one block."""


class PageBytes:
    """The bytes of a page, over `AnyPage`: what was written to it, and the links of its free blocks."""

    def __init__(self, pool: "CPool", page: AnyPage) -> None:
        self.pool, self.page = pool, page

    def load(self, offset: Any, width: int) -> Any:
        self._stays_inside(offset, width // 8)
        if width == 8 and self.pool.read_byte is not None:
            return self.pool.read_byte(self.page, offset)
        if width != 8 * LINK:
            raise NotFollowed(f"{width} bits of a page are read")
        for at in self.page.blocks.values():
            if at is not offset and at == offset:
                offset = at  # the page knows its blocks by identity, which a computation loses
                break
        try:
            return fits(self.page.link(offset), width)
        except AssertionError as unknown:
            raise NotFollowed(str(unknown)) from unknown

    def store(self, offset: Any, width: int, value: Any) -> None:
        if self.pool.last_turn is not None:
            self.pool.last_turn.writes()
        self._stays_inside(offset, width // 8)
        if width != 8 * LINK:
            raise NotFollowed(f"{width} bits of a page are written")
        self.page.set_link(offset, value)

    def fill(self, offset: Any, nbytes: Any, byte: int) -> None:
        self._stays_inside(offset, nbytes)
        self.page.fill(offset, nbytes, byte)

    def _stays_inside(self, offset: Any, nbytes: Any) -> None:
        if not is_inside(self.pool.geometry.allocation, offset, nbytes):
            raise AssertionFailed(claims.pool_stays_in_its_memory.name)


class CPool(Operations, AnyPool):
    """`AnyPool`, whose `alloc` and `free` are those of a kernel's file. Of v6.1, which has pages without room in its list, the
    list of pages is the one of `AnyPool` as far as a body says so."""

    AS_LAID = ""
    TURNS = 1  # what a turn has counted is seen when it is over
    LINK = LINK
    ALWAYS_NEEDS: tuple[str, ...] = EVERYTHING

    def __init__(self, code: Code, path: Any, *options: str, needs: tuple[str, ...] = EVERYTHING) -> None:
        self.LOOKUP = lookup_case(code)
        AnyPool.__init__(self, path, *options, needs=(*needs, *self.ALWAYS_NEEDS))
        locked = Locked(path.one_of("interrupts are off", False, True) if "interrupts" in options else None)
        self.link_field, self.head_field = (
            ("avail_page_link", "avail_page_list") if code.promises is SERIES else ("page_list", "page_list")
        )
        fits(self.blks_per_alloc, 32)  # no more than bytes in a page
        page = code.struct("dma_page")
        if page.has("in_use") and page.fields[page.offset_of("in_use")].width < 32:
            path.assume(
                "a page has at most 16,384 blocks: PAGE_SIZE is at most 64 KiB",
                lambda: self.blks_per_alloc <= MOST_BLOCKS,
            )
        kept = {f"{self.head_field}.{end}": f"avail_page_list.{end}" for end in ("next", "prev")}
        if code.struct("dma_pool").has("blks_per_alloc"):
            kept["blks_per_alloc"] = "blks_per_alloc"
        self.begin(code, Lists(code, path, locked, self.link_field), kept)
        self.views.put(self.avail_page_list, self.view.at(f"{self.head_field}.next"))
        self.new: Any = None  # the page that the code adds
        self.read_byte: Any = None  # of a free block, in the proof about the loop over its bytes

    def bare_page(self, name: str = "the page") -> AnyPage:
        page = super().bare_page(name)
        page.vaddr = Pointer(PageBytes(self, page), 0)  # type: ignore[assignment]
        self.in_the_address_space(page.dma)
        self.view_of(page)
        return page

    def view_of(self, page: AnyPage, fresh: bool = False) -> View:
        ends = {f"{self.link_field}.{end}": f"avail_page_link.{end}" for end in ("next", "prev")}
        known = self.code.struct("dma_page")
        names = {name: name for name in ("vaddr", "dma", "in_use", "offset") if known.has(name)}
        view = self.views.view("dma_page", page, names | ends, fresh)
        self.views.put(page.avail_page_link, view.at(f"{self.link_field}.next"))
        return view

    def at(self, page: Any) -> Any:
        """The pointer to a page."""
        return 0 if page is None else Pointer(self.views.pointer(page.avail_page_link).object, 0)

    def block_offset(self, name: str) -> Any:
        if name != "the first block":
            return super().block_offset(name)
        self.assume_claim(claims.block_lies_inside_its_page, 0, self.geometry.size, self.geometry.allocation)
        return 0

    def found_page(self, pool: Any, dma: Any) -> Any:
        self.known_to_find_pages(pool)
        return self.at(self.page_tree.find(dma))

    def scan(self, page: AnyPage | None, zero: bool) -> Any:
        """As `AnyV6_1Pool` does: the scan is any turn of the first loop."""
        interpreter, frame = self.started(zero)
        begins = interpreter.advance(frame, frame.function.loops[0])
        first = self.linked(self.avail_page_list)
        self.path.follow(
            "the scan begins with the first page", lambda: begins is not None and [*begins.values()] == [first]
        )
        assert begins is not None
        (name,) = begins
        end = Pointer(self.view, self.view.offset_of(f"{self.head_field}.next"))
        goes_on = interpreter.resume(frame, {name: end if page is None else self.at(page)})
        if goes_on is None:
            return self.result(frame)
        self.path.show("the scan ends with the list", lambda: page is not None)
        assert page is not None
        following = self.linked(page.avail_page_link)
        self.path.follow("the scan goes on with the next", lambda: goes_on == {name: following})
        raise ReachedTail

    def linked(self, link: Any) -> Pointer:
        """The pointer to the page, or the pool, with the next link."""
        return Pointer(self.views.pointer(link.next).object, 0)

    # What the code calls, and what stands for its loops.

    def interpreter(self) -> Interpreter:
        interpreter = super().interpreter()
        interpreter.replaced["pool_find_page"] = self.found_page  # a lemma itself
        if self.code.promises is SERIES:
            interpreter.replaced["pool_insert_page"] = self.inserted  # a lemma itself
        if self.debug:
            interpreter.cuts["dma_pool_free", self.walk_loop()] = self.walked
        return interpreter

    def poison_loop(self) -> tuple[str, str]:
        """The last loop of dma_pool_alloc; v6.1's scans the pages before."""
        loops = 2 if self.code.promises is V6_1 else 1
        return "dma_pool_alloc", self.code.debugging.function("dma_pool_alloc").loop(loops - 1, of=loops)

    def walk_loop(self) -> str:
        return self.code.debugging.function("dma_pool_free").loop()

    def inserted(self, pool: Any, page: Pointer) -> int:
        """pool_insert_page returns 0 if the tree takes the page in."""
        self.of_this(pool)
        page.object.private = False
        return 0 if self.page_tree.insert(self.new) is None else 2**32 - 1

    def walked(self, arrived: Variables) -> Variables:
        """The walk through the free list: it is at the block that is freed, or it is over, as `_is_refused` says."""
        page = self.found
        assert page is not None
        chain = next((name for name, value in arrived.items() if value is page.offset), "")
        self.path.follow("the walk begins with the first free block", lambda: chain != "")
        counters = {name: self.blks_per_alloc - page.in_use for name in arrived if name != chain}
        self.path.follow("what else it has are counts", lambda: all(arrived[name] == 0 for name in counters))
        offset = self.freed.offset
        refused = self._is_refused(page, offset, page.vaddr + offset, page.dma + offset)
        return {chain: self.freed.offset if refused else self.number_outside("where the walk ends"), **counters}

    def laid(self, idle: bool) -> Laid:
        self.path.assume_claim(claims.admitted_geometry_is_ordered, self.geometry)
        page = self.found = self.new
        assert page is not None
        offset = page.offset  # which the code may have set
        ((first, following),) = self._laid_blocks()
        page.offset = offset
        last = first if idle else None
        if "the tail" in page.blocks:
            last = self.block_offset("the last block")
            self.assume_disjoint(page.blocks["the first"], last)
        if last is not None:
            page.set_link(first, following)
        place = fits(self.number_outside("where the loop ends"), 32) if idle else last
        return Laid(page.dma, page.vaddr.object, place, last)

    def new_header(self) -> Struct | None:
        if self.path.one_of("kmalloc", "serves", "fails") == "fails":
            return None
        self.new = AnyPage(self.path, SimpleNamespace(vaddr=0, dma=0, data=None))
        return self.view_of(self.new, fresh=True)

    def memory_of(self, mapping: Any) -> PageBytes:
        del mapping
        return PageBytes(self, self.new)

    def looks_for_poison(self, read: Any) -> tuple[Interpreter, Frame, Any, list[Any]]:
        """dma_pool_alloc, about to look through the bytes of a block, each of which it gets of `read`; the block's offset, and
        what is written to it."""
        page, _ = first_with_room(self)
        self.read_byte = lambda _, offset: read(offset)
        self.shows = [page.vaddr + page.blocks["the first"]]
        interpreter, frame = self.started(self.path.one_of("zero", False, True))
        interpreter.cuts.clear()
        return interpreter, frame, page.blocks["the first"], page.writes

    def _walk(self, page: Any, chain: Any, free_blks: Any, offset: Any) -> str:
        """dma_pool_free of a debug build, from any turn of its walk on: what it says. v6.1 counts no blocks."""
        self.debug, self.found = True, page
        interpreter = self.interpreter()
        interpreter.cuts.clear()
        before = page.offset, page.in_use
        fits(page.in_use, 32)
        fits(self.blks_per_alloc, 32)
        self.sought = page.dma + offset
        addresses = page.vaddr + offset, self.sought
        frame = interpreter.enter("dma_pool_free", Pointer(self.view, 0), *addresses)
        begins = interpreter.advance(frame, self.walk_loop())
        self.path.follow("it walks through the free list", lambda: begins is not None)
        assert begins is not None
        names = names_by_role(begins, chain=page.offset, **{"count": 0} if len(begins) > 1 else {})
        at: Any = {names["chain"]: chain} | ({names["count"]: free_blks.value} if "count" in names else {})
        while (following := interpreter.resume(frame, at)) is not None:
            self.path.show("nothing is said or written on the way", lambda: not self.log and not page.writes)
            free_blks.value = following[names["count"]] if "count" in names else free_blks.value + 1
            at = following
        if not self.log:  # the block is freed, see `free_a_block_in_use`
            page.writes, (page.offset, page.in_use) = [], before
        return "".join(self.log)
