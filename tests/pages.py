"""What the claims about cost count, counted on running pools: pages that an alloc or a free looks at.

A pool is filled to a number of pages, freed in an order that mixes the pages, and filled again; every page's header, and its
link in the list of pages with room, notes when it is read or written. An alloc that adds a page goes down the tree with it,
which the claim about an alloc leaves out, and so it is not counted here. The figures are counts, the same on every machine.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from impl.list_head import ListHead
from impl.pool import Mapping, Page, Pool
from model import claims
from model.memory import Memory

BLOCKS_PER_PAGE = 4

touched: set[int] = set()
compared: set[int] = set()
"""By their first DMA addresses: the pages that the operation has looked at, and those whose address it has read."""


class WatchedLink(ListHead):
    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        touched.add(object.__getattribute__(super().__getattribute__("owner"), "dma"))
        return super().__getattribute__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        touched.add(object.__getattribute__(super().__getattribute__("owner"), "dma"))


class WatchedPage(Page):
    __slots__ = ()

    def __init__(self, mapping: Mapping) -> None:
        super().__init__(mapping)
        self.avail_page_link = WatchedLink(self)

    def __getattribute__(self, name: str) -> Any:
        dma = super().__getattribute__("dma")
        touched.add(dma)
        if name == "dma":
            compared.add(dma)
        return super().__getattribute__(name)


def watched(revision: type[Pool]) -> Pool:
    """A pool with pages of four blocks, which note who looks at them."""
    pool = revision.create("pool", Memory(), 4096 // BLOCKS_PER_PAGE - 4, 0, 0)
    assert pool is not None, "the arguments are admitted"
    pool._new_page = WatchedPage  # type: ignore[method-assign]
    return pool


def most_touched(revision: type[Pool], pages: int) -> tuple[int, int]:
    """The most pages that one alloc from the pages that are there looks at, while the pool's `pages` pages fill; and with
    whose addresses one free compares its own while they empty."""
    pool = watched(revision)
    blocks = [pool.alloc() for _ in range(pages * BLOCKS_PER_PAGE)]
    Random(0).shuffle(blocks)
    by_free = max(count(compared, pool.free, *block) for block in blocks if block is not None)
    by_alloc = max(count(touched, pool.alloc) for _ in blocks)
    return by_alloc, by_free


def count(pages: set[int], operation: Callable[..., Any], *arguments: Any) -> int:
    """How many pages an operation adds to one of the two sets."""
    pages.clear()
    operation(*arguments)
    return len(pages)


def within_the_claims(pages: int, by_alloc: int, by_free: int) -> bool:
    return bool(claims.alloc_touches_few_pages(by_alloc) and claims.free_compares_few_addresses(pages, by_free))
