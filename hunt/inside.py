"""Views of a pool from inside: the first functions check the claim of their name in the series' pool, the last ones are for
pictures."""

from collections.abc import Iterable
from itertools import islice, pairwise
from typing import Any

from impl.pool import FREE_LINK, Page, Pool
from impl.rbtree import LEFT, RIGHT
from impl.v6_12 import NULL, V6_12Pool
from model import claims
from model.lockstep import Lockstep
from model.pool import Oracle
from model.pool import Page as OraclePage
from model.revision import Inside, TreeNode

MOST_PAGES = 1000
"""Of a pool that is drawn."""


def look(lockstep: Lockstep, pool: Pool, touched: OraclePage | None, added: bool) -> None:
    """Hold the pool to its claims: the page that was `touched`; or, if one was `added`, the tree and every page."""
    oracle = lockstep.oracle
    assert oracle is not None
    if added:
        in_order = list(pool.page_tree)
        for lower, higher in pairwise(in_order):
            tree_keeps_pages_in_order(lockstep, lower, higher)
            insertion_keeps_pages_disjoint(lockstep, pool, lower, higher)
        tree_is_balanced(lockstep, pool)
        tree_height_is_logarithmic(lockstep, pool, len(in_order))
        page = in_order[len(lockstep.blocks) % len(in_order)]  # one after the other
        for address in (
            page.dma - 1,
            page.dma,
            page.dma + pool.geometry.allocation - 1,
            page.dma + pool.geometry.allocation,
        ):
            lookup_finds_the_page_of_an_address(lockstep, pool, page, address)
    pages_with_room_are_listed(lockstep, pool, oracle)
    for twin in oracle.pages if added else [touched] if touched is not None else []:
        in_use_counts_the_live_blocks(lockstep, pool, twin)
        free_list_holds_the_free_blocks(lockstep, pool, oracle, twin)


def tree_keeps_pages_in_order(lockstep: Lockstep, lower: Page, higher: Page) -> None:
    def described() -> tuple[str, str]:
        return "pages in the order of their addresses", f"the page at {lower.dma:#x} before that at {higher.dma:#x}"

    lockstep.check(claims.tree_keeps_pages_in_order, lower.dma, higher.dma, description=described)


def insertion_keeps_pages_disjoint(lockstep: Lockstep, pool: Pool, lower: Page, higher: Page) -> None:
    def described() -> tuple[str, str]:
        overlap = lower.dma + pool.geometry.allocation - higher.dma
        return "pages that are apart", f"pages at {lower.dma:#x} and {higher.dma:#x}, which share {overlap} bytes"

    lockstep.check(
        claims.insertion_keeps_pages_disjoint, lower.dma, higher.dma, pool.geometry.allocation, description=described
    )


def lookup_finds_the_page_of_an_address(lockstep: Lockstep, pool: Pool, page: Page, address: int) -> None:
    found, allocation = pool.page_tree.find(address), pool.geometry.allocation

    def described() -> tuple[str, str]:
        finds = "finds" if 0 <= address - page.dma < allocation else "does not find"
        where = "nothing" if found is None else f"the page at {found.dma:#x}"
        return f"a lookup of {address:#x} that {finds} the page at {page.dma:#x}", f"one that finds {where}"

    claim = claims.lookup_finds_the_page_of_an_address
    lockstep.check(claim, page.dma, allocation, address, found is page, description=described)


def tree_is_balanced(lockstep: Lockstep, pool: Pool) -> None:
    loose: list[int] = []  # nodes that do not know their parent
    red_above_red: list[int] = []
    black_heights: list[int] = []

    def walk(node: Any, parent: Any, black_height: int) -> None:
        if node is None:
            black_heights.append(black_height)
            return
        if node.parent is not parent:
            loose.append(node.dma)
        if node.red and parent is not None and parent.red:
            red_above_red.append(node.dma)
        walk(node.child[LEFT], node, black_height + (not node.red))
        walk(node.child[RIGHT], node, black_height + (not node.red))

    root = pool.page_tree.root
    walk(root, None, 0)
    red_root = root is not None and root.red
    lockstep.check(claims.tree_is_balanced, loose, red_root, red_above_red, black_heights)


def tree_height_is_logarithmic(lockstep: Lockstep, pool: Pool, pages: int) -> None:
    def height(node: Any) -> int:
        return 0 if node is None else 1 + max(height(node.child[LEFT]), height(node.child[RIGHT]))

    lockstep.check(claims.tree_height_is_logarithmic, pages, height(pool.page_tree.root))


def pages_with_room_are_listed(lockstep: Lockstep, pool: Pool, oracle: Oracle) -> None:
    listed: list[int] = []
    torn: list[int] = []
    head = link = pool.avail_page_list
    while len(listed) <= len(oracle.pages):
        if link.next.prev is not link:
            torn += listed[-1:] or [0]
        link = link.next
        if link is head:
            break
        listed.append(link.owner.dma)
    lockstep.check(
        claims.list_is_a_ring,
        torn,
        listed,
        listed,
        description=lambda: ("a ring", f"a list whose links are torn behind {hexadecimal(torn)}"),
    )
    room = {page.mapping.dma for page in oracle.pages if len(page.in_use) < len(oracle.offsets)}
    lockstep.check(
        claims.pages_with_room_are_listed,
        listed,
        room,
        description=lambda: (
            f"the pages with room in the list: {hexadecimal(room)}",
            f"in the list: {hexadecimal(listed)}",
        ),
    )


def hexadecimal(addresses: Iterable[int]) -> str:
    return ", ".join(map(hex, sorted(addresses))) or "none"


def in_use_counts_the_live_blocks(lockstep: Lockstep, pool: Pool, page: OraclePage) -> None:
    twin = pool.page_tree.find(page.mapping.dma)
    counted = twin.in_use if twin else 0

    def described() -> tuple[str, str]:
        return (
            f"{len(page.in_use)} blocks in use, as the page at {page.mapping.dma:#x} counts them",
            f"{counted} counted",
        )

    lockstep.check(claims.in_use_counts_the_live_blocks, counted, len(page.in_use), description=described)


def free_list_holds_the_free_blocks(lockstep: Lockstep, pool: Pool, oracle: Oracle, page: OraclePage) -> None:
    listed = chain(pool, pool.page_tree.find(page.mapping.dma), len(oracle.offsets))
    free = set(oracle.offsets) - page.in_use

    def described() -> tuple[str, str]:
        where = f"in the free list of the page at {page.mapping.dma:#x}, the blocks at"
        return f"{where} {briefly(sorted(free))}", f"those at {briefly(listed)}"

    lockstep.check(claims.free_list_holds_the_free_blocks, listed, free, description=described)


def briefly(offsets: list[int]) -> str:
    return ", ".join(map(str, offsets[:8])) + " …" * (len(offsets) > 8) if offsets else "none"


def inside_of_pages(pool: Pool) -> Inside:
    """The free lists of a pool's pages, and its tree, if it has one."""
    blocks = pool.geometry.allocation // pool.geometry.size
    pages = islice(pool._pages(), MOST_PAGES)  # a broken tree may have no end
    lists = [[page.vaddr + offset for offset in chain(pool, page, blocks)] for page in pages]
    return Inside(lists, tree_of(pool.page_tree.root))


def tree_of(node: Any) -> TreeNode | None:
    return node and TreeNode(node.dma, node.red, tree_of(node.child[LEFT]), tree_of(node.child[RIGHT]))


def inside_of_stack(pool: V6_12Pool) -> Inside:
    """The stack of free blocks, as far as it stays in the pool's memory and does not run in a circle."""
    stack: list[int] = []
    block = pool.next_block
    while block != NULL and len(stack) <= pool.nr_blocks:
        stack.append(block)
        try:
            block, _ = pool._read_block(block)
        except ValueError:
            break
    return Inside([stack])


def chain(pool: Pool, page: Page | None, blocks: int) -> list[int]:
    """The offsets of a page's free list, as far as it makes sense to follow it."""
    offsets: list[int] = []
    offset = pool.geometry.allocation if page is None else page.offset
    while offset + FREE_LINK.size <= pool.geometry.allocation and len(offsets) <= blocks:
        offsets.append(offset)
        offset = page.link(offset)  # type: ignore[union-attr]
    return offsets
