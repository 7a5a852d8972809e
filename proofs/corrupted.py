"""Pools whose free blocks were written to, of which less remains than `proofs.free_list` shows.

A page that is in the list of pages with room keeps, as the first block of its free list, an offset inside the page: the code
checks each link before it keeps it. The code is shown to do so wherever the links lead, and neither to read nor to change what
another page keeps.
"""

from types import SimpleNamespace
from typing import Any

from impl.list_head import list_empty
from impl.pool import Page
from model import claims
from proofs.engine.obligation import Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.subjects.arbitrary import AnyPage, AnyPool, put_in_list
from proofs.subjects.subject import give_back

obligation = Obligations(__name__)


class CorruptedPage(AnyPage):
    """A page whose free blocks were written to: their links are any numbers."""

    __slots__ = ()

    def link(self, offset: Any) -> Any:  # noqa: ARG002
        return self.path.number("what a free block says")

    def is_filled(self, offset: Any, nbytes: Any, byte: int) -> bool:  # noqa: ARG002
        return bool(self.path.one_of("the block has kept its poison", True, False))


class CorruptedPool(AnyPool):
    """A pool of such pages."""

    def corrupted_page(self, listed: bool) -> CorruptedPage:
        """Any page, in the list of pages with room, or outside of it."""
        path = self.path
        vaddr, dma = path.number("the page's vaddr"), path.number("the page's dma")
        page = CorruptedPage(path, SimpleNamespace(vaddr=vaddr, dma=dma, data=None))
        page.in_use, page.offset = path.number("blocks in use"), path.number("offset that the page keeps")
        put_in_list(self, [page] if listed else [])
        path.assume("a page that is listed keeps an offset inside it, before", lambda: self.next_starts_inside(page))
        return page

    def next_starts_inside(self, page: Page) -> bool:
        """The invariant: if an alloc can take a block of this page, it starts inside the page."""
        start, allocation = page.vaddr + page.offset, self.geometry.allocation
        return list_empty(page.avail_page_link) or bool(claims.block_starts_in_a_page(start, [page.vaddr], allocation))

    def _new_page(self, mapping: Any) -> AnyPage:
        self.found = CorruptedPage(self.path, mapping)
        return self.found


explain_corrupted = from_this_state("a block starts inside the page, whatever the links say")


@obligation(claims.block_starts_in_a_page, "series", Theory.U64, explain=explain_corrupted, case="alloc")
def corrupted_alloc_starts_in_the_page(path: Any) -> None:
    """The block that is handed out, and the one that is next: its offset is what the block says, so that it is looked at."""
    pool = CorruptedPool(path, "debug", needs=())
    page = pool.corrupted_page(listed=True)
    block = pool.alloc(path.one_of("zero", False, True))
    assert block is not None
    path.show_claim(claims.block_starts_in_a_page, block[0], [page.vaddr], pool.geometry.allocation)
    path.show("the page keeps an offset inside it, or is not listed", lambda: pool.next_starts_inside(page))


@obligation(
    claims.block_starts_in_a_page, "series", Theory.U64, explain=explain_corrupted, case="alloc_with_a_new_page"
)
def corrupted_alloc_of_a_new_page_starts_in_it(path: Any) -> None:
    """Whatever others write to the page while it is laid out."""
    pool = CorruptedPool(path, "debug", needs=())
    path.assume_claim(claims.admitted_geometry_is_ordered, pool.geometry)
    pool.without_room()
    path.by(claims.free_list_holds_the_free_blocks, pool, "_laid_blocks", lambda: (), "as_laid")
    block, page = pool.alloc(path.one_of("zero", False, True)), pool.found
    if page is None:
        path.show("there is no block", lambda: block is None)
        return
    assert block is not None
    path.show_claim(claims.block_starts_in_a_page, block[0], [page.vaddr], pool.geometry.allocation)
    path.show("the page keeps an offset inside it, or is not listed", lambda: pool.next_starts_inside(page))


@obligation(claims.block_starts_in_a_page, "series", Theory.U64, explain=explain_corrupted, case="free")
def corrupted_free_leaves_an_offset_inside(path: Any) -> None:
    """Of a block's own two addresses; in debug builds, whether or not what the free blocks say makes it refuse."""
    pool = CorruptedPool(path, "debug", "init_on_free", needs=())
    pool.found = page = pool.corrupted_page(path.one_of("the page is listed", True, False))
    vaddr, dma = path.number("vaddr that is freed"), path.number("dma that is freed")
    path.assume_claim(claims.lookup_finds_the_page_of_an_address, page.dma, pool.geometry.allocation, dma, True)
    path.assume("they are of the same byte", lambda: vaddr - page.vaddr == dma - page.dma)
    path.by(claims.double_free_is_refused, pool, "_is_refused", lambda *_: path.one_of("it is refused", False, True))
    give_back(pool, vaddr, dma)
    path.show(claims.block_starts_in_a_page.name, lambda: pool.next_starts_inside(page))
