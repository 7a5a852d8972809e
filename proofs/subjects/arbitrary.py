"""Any pool, in any state, as far as `dma_pool_alloc`, `_free` and `_destroy` look at it.

The code of `impl.pool` runs on it unchanged, but for what takes the place of memory, and for the tree of pages. A page's bytes
are kept as a log of what was written (`AnyPage`), which `tests/test_stubs.py` holds to a page with bytes; what the tree does is
taken from its own proofs (`path.by`); and what the code does not look at is left out. Of a free list these are the blocks
after the first one: they are `the tail`, whose first block is a number and whose links may not be followed. Of the list of
pages with room they are the pages after the second one, of whose links only the ends exist.
"""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from impl.list_head import ListHead, list_add
from impl.lock import Lock
from impl.pool import FREE_LINK, Page, Pool
from impl.rbtree import PageTree
from impl.v6_1 import V6_1Pool
from impl.words import INT_MAX
from model import claims
from model.claims import Claim
from proofs.subjects.subject import ReachedTail, any_geometry, any_options, give_back, show_sought

END = "no block: a link that is not inside the page"
A_BLOCK = "a page has a block"
IN_USE = "a block of the page is in use"
NO_MORE = "no more blocks are in use than there are"
COUNTS_FIT = "no number of blocks is above an int"
FITS = claims.admitted_geometry_fits_an_int.name
INSIDE = claims.block_lies_inside_its_page.name
DISJOINT = claims.blocks_are_disjoint.name
PLACES = (FITS, END, INSIDE, DISJOINT)
EVERYTHING = (*PLACES, A_BLOCK, IN_USE, NO_MORE, COUNTS_FIT)


class AnyPage(Page):
    """A page of which nothing is known but the blocks that are named, and what was written."""

    __slots__ = ("blocks", "links", "path", "writes")

    def __init__(self, path: Any, mapping: Any) -> None:
        super().__init__(mapping)
        self.path = path
        self.blocks: dict[str, Any] = {}  # the offset of each block that has a name
        self.links: list[tuple[Any, Any]] = []  # of free blocks, before the code ran
        self.writes: list[tuple[Any, Any, Any, bool]] = []  # offset, bytes, what, whether that is a link

    def __repr__(self) -> str:
        return "the page"

    def link(self, offset: Any) -> Any:
        if "the tail" in self.blocks and offset is self.blocks["the tail"]:
            raise ReachedTail
        for start, nbytes, what, is_link in reversed(self.writes):
            if start is offset or start == offset:
                return what if is_link else what * 0x01010101
            if not (start + nbytes <= offset or offset + FREE_LINK.size <= start):
                raise AssertionError("a link is read where something else was written over a part of it")
        for start, following in self.links:
            if start is offset or start == offset:
                return following
        raise AssertionError("a link is read of a block that is not free")

    def set_link(self, offset: Any, following: Any) -> None:
        self.writes.append((offset, FREE_LINK.size, following, True))

    def fill(self, offset: Any, nbytes: Any, byte: int) -> None:
        self.writes.append((offset, nbytes, byte, False))

    def is_filled(self, offset: Any, nbytes: Any, byte: int) -> bool:  # noqa: ARG002
        return True  # nobody wrote to a free block

    def byte(self, offset: Any, former: int) -> int:
        """The byte at an offset, where no link was written; `former` if nothing was written there."""
        for start, nbytes, what, is_link in reversed(self.writes):
            if offset >= start and offset - start < nbytes:
                assert not is_link, "the byte is part of a link"
                return int(what)
        return former


class AnyPool(Pool):
    """A pool with any geometry and any pages, of which the code gets to see those that are put into it.

    The options that are named have any value, of which some are of C only; the others are off. A proof may say that it `needs`
    less than all that is known of a state: that the geometry is admitted, where a link leads that ends a list, where blocks may
    lie and how many there are.
    """

    AS_LAID = "as_laid"
    """The case of `free_list_holds_the_free_blocks` that is about a new page."""
    TURNS = 2
    """That a search through a free list has counted by the time it follows the link of the tail's first block."""
    poisons_pages = True
    """Whether a debug build has to poison a page that it gives back; or may."""
    LOOKUP = ""
    """The case of `lookup_finds_the_page_of_an_address` that is about this pool."""

    def __init__(self, path: Any, *options: str, needs: tuple[str, ...] = EVERYTHING) -> None:
        self.path = path
        self.needs = needs
        self.name = "pool"
        self.geometry = any_geometry(path)
        self.assume_claim(claims.admitted_geometry_fits_an_int, self.geometry)
        self.blks_per_alloc = path.number("blocks per page")
        self.debug, self.init_on_alloc, self.init_on_free = any_options(path, options)
        self.log: list[str] = []
        self.lock = Lock()
        self.avail_page_list = ListHead()
        self.memory: Any = None
        self.found: AnyPage | None = None
        self.sought: Any = None  # the DMA address that is freed
        self.operand: Any = None  # what an operation is about: a page, and the offset of a block
        self.zero = False  # whether zeros are asked for
        self.page_tree = PageTree(self.geometry.allocation)
        path.by(claims.lookup_finds_the_page_of_an_address, self.page_tree, "find", self._found_by_tree, self.LOOKUP)
        self.insertion_gives(lambda _: None)

    def _found_by_tree(self, dma: Any) -> Any:
        show_sought(self.path, self, dma)
        return self.found

    def insertion_gives(self, given: Callable[[Page], Page | None]) -> None:
        """What the tree returns of a new page: None where it takes the page in, or the page that the new one overlaps."""
        self.path.by(claims.tree_keeps_pages_in_order, self.page_tree, "insert", given)

    def misuse(self) -> str:
        """What the lock has to say at the end of an operation."""
        return "pool->lock is left taken" if self.lock.taken else ""

    def page(self, name: str) -> AnyPage:
        """Any page: some blocks in use, the others in its free list."""
        page = self.bare_page(name)
        page.in_use = self.path.number(f"blocks of {name} in use")
        self.give_free_list(page, self.blks_per_alloc - page.in_use)
        return page

    def bare_page(self, name: str = "the page") -> AnyPage:
        """A page at any addresses."""
        vaddr, dma = self.path.number(f"{name}'s vaddr"), self.path.number(f"{name}'s dma")
        return AnyPage(self.path, SimpleNamespace(vaddr=vaddr, dma=dma, data=None))

    def give_free_list(self, page: AnyPage, free: Any) -> None:
        """Any free list of a number of blocks: its first block and the tail, where there are such."""
        page.offset = self.number_outside("the end of the list")
        if free == 0:
            return
        end = page.offset
        page.offset = page.blocks["the first"] = self.block_offset("the first free block")
        following = end
        if free >= 2:
            following = page.blocks["the tail"] = self.block_offset("the second free block")
            self.assume_disjoint(page.offset, following)
        page.links.append((page.offset, following))

    def block_offset(self, name: str) -> Any:
        """The offset of any block; see `block_lies_inside_its_page`."""
        offset = self.path.number(f"offset of {name}")
        self.assume_claim(claims.block_lies_inside_its_page, offset, self.geometry.size, self.geometry.allocation)
        return offset

    def number_outside(self, name: str) -> Any:
        offset = self.path.number(name)
        self.assume(END, lambda: offset >= self.geometry.allocation)
        return offset

    def assume_disjoint(self, one: Any, other: Any) -> None:
        self.assume_claim(claims.blocks_are_disjoint, one, other, self.geometry.size)

    def has_room(self, page: AnyPage) -> bool:
        return bool(page.in_use < self.blks_per_alloc)

    def without_room(self) -> "PageDevice":
        """No page has room, so that the device is asked for one."""
        self.assume(A_BLOCK, lambda: self.blks_per_alloc >= 1)
        return PageDevice(self, self.block_offset("the first block"))

    def operate(self, operation: str) -> Any:
        """Run one of the `OPERATIONS`, about any page, or about a new one that may overlap another: what an alloc returns."""
        path = self.path
        if operation == "free":
            page = any_page(self)
            has_a_block_in_use(self, page)
            put_in_list(self, [page] if self.has_room(page) else [])
            self.operand = page, free_any_block(self, page)
            return None
        if operation == "alloc":
            self.found, _ = first_with_room(self)
        else:
            self.without_room()
            self.insertion_gives(lambda page: page if path.one_of("the page overlaps another", False, True) else None)
        self.zero = path.one_of("zero", False, True)
        got = self.alloc(self.zero)
        self.operand = self.found, self.found and self.found.blocks.get("the first")
        return got

    def byte(self, distance: Any, former: int) -> int:
        """The byte at a distance from the start of the operand; `former` if nothing was written there."""
        page, block = self.operand
        return int(page.byte(block + distance, former))

    def counts_fit(self, *numbers: Any) -> None:
        self.assume(COUNTS_FIT, lambda: all(number <= INT_MAX for number in numbers))

    def assume(self, premise: str, condition: Callable[[], Any]) -> None:
        if premise in self.needs:
            self.path.assume(premise, condition)

    def assume_claim(self, claim: Claim, *arguments: Any) -> None:
        if claim.name in self.needs:
            self.path.assume_claim(claim, *arguments)

    def _new_page(self, mapping: Any) -> AnyPage:
        page = AnyPage(self.path, mapping)
        self.found = page
        return page


class AnyV6_1Pool(AnyPool, V6_1Pool):
    """The same of v6.1, whose list has the pages without room as well."""

    TURNS = 0  # v6.1 counts none

    def __init__(self, path: Any, *options: str, needs: tuple[str, ...] = EVERYTHING) -> None:
        super().__init__(path, *options, needs=needs)
        self.page_list: Any = PageList(self.avail_page_list)
        path.by(claims.lookup_finds_the_page_of_an_address, self, "_find_page", lambda _, dma: self._found_by_tree(dma))

    def has_room(self, page: AnyPage) -> bool:
        return super().has_room(page) and bool(page.offset < self.geometry.allocation)

    def scan(self, page: AnyPage | None, zero: bool) -> Any:
        """Alloc, when its scan of the pages is at this one, or at the end of the list. Raises ReachedTail if it goes on."""
        self.page_list.at = self.avail_page_list if page is None else page.avail_page_link
        return self.alloc(zero)


class PageList:
    """v6.1's list of pages: the page where a scan is, which is the first one if none is named; what follows is a list again."""

    def __init__(self, head: ListHead) -> None:
        self.head = head
        self.at: Any = None

    def __iter__(self) -> Iterator[Any]:
        link = self.at or self.head.next
        if link is not self.head:
            yield link.owner
            raise ReachedTail(link.next)

    def insert(self, place: int, page: Page) -> None:
        assert place == 0
        list_add(page.avail_page_link, self.head)


def any_page(pool: AnyPool) -> AnyPage:
    page = pool.page("the page")
    pool.assume(NO_MORE, lambda: page.in_use <= pool.blks_per_alloc)
    return page


def first_with_room(pool: AnyPool) -> tuple[AnyPage, list[Any]]:
    """Any page with room, the first of those, and the others behind it."""
    page = pool.page("the page")
    pool.path.assume("the page is the first of those with room", lambda: pool.has_room(page))
    return page, put_in_list(pool, [page])[1:]


def has_a_block_in_use(pool: AnyPool, page: AnyPage) -> None:
    pool.assume(IN_USE, lambda: page.in_use >= 1)
    pool.counts_fit(page.in_use)


def free_block(pool: AnyPool, page: AnyPage, block: Any, refused: bool = False) -> None:
    """Free a block of a page; whether debug builds refuse that, a lemma says."""
    pool.found = page
    pool.path.by(claims.double_free_is_refused, pool, "_is_refused", lambda *_: refused)
    give_back(pool, page.vaddr + block, page.dma + block)


def free_any_block(pool: AnyPool, page: AnyPage) -> Any:
    """Free any block in use of a page; its offset."""
    block = page.blocks["the block"] = another_block(pool, page)
    free_block(pool, page, block)
    return block


class PageDevice:
    """The device's memory: gives one page, at any addresses, or none; other callers run meanwhile."""

    def __init__(self, pool: AnyPool, first: Any) -> None:
        self.pool = pool
        self.first = first
        self.others: list[Any] = []
        self.requests: list[Any] = []  # the flags of each
        pool.memory = self
        pool.path.by(claims.free_list_holds_the_free_blocks, pool, "_laid_blocks", self.laid_blocks, pool.AS_LAID)

    def alloc_coherent(self, nbytes: Any, flags: Any) -> Any:
        path = self.pool.path
        self.requests.append(flags)
        path.show("as many bytes are asked for as a page has", lambda: nbytes == self.pool.geometry.allocation)
        self.others = put_in_list(self.pool, [], " by then")
        if path.one_of("dma_alloc_coherent", "serves", "fails") == "fails":
            return None
        return SimpleNamespace(vaddr=path.number("the page's vaddr"), dma=path.number("the page's dma"), data=None)

    def laid_blocks(self) -> Any:
        """The links of the first block and of the tail, as `free_list_holds_the_free_blocks` is proved of a page as laid."""
        pool, page = self.pool, self.pool.found
        assert isinstance(page, AnyPage)
        page.blocks["the first"] = self.first
        if pool.blks_per_alloc >= 2:
            following = page.blocks["the tail"] = pool.block_offset("the second block")
            pool.assume_disjoint(self.first, following)
        else:
            following = pool.number_outside("the last link")
        page.offset = self.first
        yield self.first, following


def another_block(pool: AnyPool, page: AnyPage) -> Any:
    """The offset of any block of a page but those that are known."""
    block = pool.block_offset("the block")
    for other in page.blocks.values():
        pool.assume_disjoint(block, other)
    return block


def chain(pool: AnyPool, page: AnyPage) -> list[str]:
    """The names of the blocks in a page's free list; from the tail on, it is as it was."""
    names: list[str] = []
    offset = page.offset
    while len(names) <= len(page.blocks) and offset < pool.geometry.allocation:
        name = next((name for name, at in page.blocks.items() if at is offset or at == offset), "a block unknown")
        names.append(name)
        if name in ("the tail", "a block unknown"):
            break
        offset = page.link(offset)
    return names


def put_in_list(pool: AnyPool, first: list[Page], when: str = "") -> list[Any]:
    """Make these pages the first ones of the list of pages with room, with any others after them; what is in the list then."""
    others = pool.path.one_of(f"other pages with room{when}", "none", "one", "more")
    links: list[Any] = [pool.avail_page_list, *(page.avail_page_link for page in first)]
    if others != "none":
        links.append(ListHead("another page"))
    if others == "more":
        links += [SimpleNamespace(prev=None), SimpleNamespace(next=None)]  # the ends of a chain of any length
    for one, other in zip(links, [*links[1:], links[0]], strict=True):
        if hasattr(one, "next"):
            one.next = other
        if hasattr(other, "prev"):
            other.prev = one
    return around(pool.avail_page_list)[0]


def around(head: ListHead) -> tuple[list[Any], list[Any]]:
    """What a walk around the ring meets, and the links whose neighbours don't know them."""
    met: list[Any] = []
    torn: list[Any] = []
    link: Any = head
    while len(met) < 9:
        following = link.next
        if getattr(following, "prev", None) is not link:
            torn.append(met[-1:])
        if following is head:
            return met, torn
        if not hasattr(following, "next"):
            met.append("more pages")
            following = last_link(head)
            if following is None:
                break
        else:
            met.append(following.owner)
        link = following
    return met, [*torn, "the ring does not close"]


def last_link(head: ListHead) -> Any:
    """The end of the chain that closes the ring."""
    return head.prev if not hasattr(head.prev, "prev") else None
