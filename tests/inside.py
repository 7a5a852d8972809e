"""A look inside the series' pool: each function holds it to the claim of its name, which an outsider can't see."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from impl.block_stack import NULL, BlockStackPool
from impl.pool import FREE_LINK, Page, Pool
from impl.rbtree import LEFT, RIGHT
from model import claims
from model.lockstep import Inside, Lockstep, TreeNode
from model.pool import Page as OraclePage
from model.pool import Pool as Oracle


def look(lockstep: Lockstep, pool: Pool, touched: OraclePage | None, added: bool) -> None:
    """Hold the pool to its claims: the page that was `touched`; or, if one was `added`, the tree and every page."""
    oracle = lockstep.oracle
    assert oracle is not None
    if added:
        in_order = list(pool.page_tree)
        tree_keeps_pages_in_order(lockstep, in_order)
        insertion_keeps_pages_disjoint(lockstep, pool, in_order)
        tree_is_balanced(lockstep, pool)
        tree_height_is_logarithmic(lockstep, pool, len(in_order))
        lookup_finds_the_page_of_an_address(lockstep, pool, in_order)
    pages_with_room_are_listed(lockstep, pool, oracle)
    pages = oracle.pages if added else [touched] if touched is not None else []
    in_use_counts_the_live_blocks(lockstep, pool, pages)
    free_list_holds_the_free_blocks(lockstep, pool, oracle, pages)


def tree_keeps_pages_in_order(lockstep: Lockstep, in_order: list[Page]) -> None:
    for lower, higher in pairwise(in_order):
        lockstep.hold(claims.tree_keeps_pages_in_order, lower.dma, higher.dma)


def insertion_keeps_pages_disjoint(lockstep: Lockstep, pool: Pool, in_order: list[Page]) -> None:
    for lower, higher in pairwise(in_order):
        lockstep.hold(claims.insertion_keeps_pages_disjoint, lower.dma, higher.dma, pool.geometry.allocation)


def lookup_finds_the_page_of_an_address(lockstep: Lockstep, pool: Pool, in_order: list[Page]) -> None:
    """The bytes at both ends of a page, one page after the other, and those beside it."""
    allocation = pool.geometry.allocation
    page = in_order[len(lockstep.blocks) % len(in_order)]
    for address in (page.dma - 1, page.dma, page.dma + allocation - 1, page.dma + allocation):
        found = pool.page_tree.find(address) is page
        lockstep.hold(claims.lookup_finds_the_page_of_an_address, page.dma, allocation, address, found)


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
    lockstep.hold(claims.tree_is_balanced, loose, red_root, red_above_red, black_heights)


def tree_height_is_logarithmic(lockstep: Lockstep, pool: Pool, pages: int) -> None:
    def height(node: Any) -> int:
        return 0 if node is None else 1 + max(height(node.child[LEFT]), height(node.child[RIGHT]))

    lockstep.hold(claims.tree_height_is_logarithmic, pages, height(pool.page_tree.root))


def pages_with_room_are_listed(lockstep: Lockstep, pool: Pool, oracle: Oracle) -> None:
    listed: list[int] = []
    torn: list[int] = []
    link = pool.avail_page_list.next
    while link is not pool.avail_page_list and len(listed) <= len(oracle.pages):
        listed.append(link.owner.dma)
        if link.next.prev is not link:
            torn.append(link.owner.dma)
        link = link.next
    lockstep.hold(claims.list_is_a_ring, torn, listed, listed)
    room = {page.mapping.dma for page in oracle.pages if len(page.in_use) < len(oracle.offsets)}
    lockstep.hold(claims.pages_with_room_are_listed, listed, room)


def in_use_counts_the_live_blocks(lockstep: Lockstep, pool: Pool, pages: Iterable[OraclePage]) -> None:
    for page in pages:
        twin = pool.page_tree.find(page.mapping.dma)
        lockstep.hold(claims.in_use_counts_the_live_blocks, twin.in_use if twin else 0, len(page.in_use))


def free_list_holds_the_free_blocks(
    lockstep: Lockstep, pool: Pool, oracle: Oracle, pages: Iterable[OraclePage]
) -> None:
    for page in pages:
        listed = chain(pool, pool.page_tree.find(page.mapping.dma), len(oracle.offsets))
        lockstep.hold(claims.free_list_holds_the_free_blocks, listed, set(oracle.offsets) - page.in_use)


def inside_of_pages(pool: Pool) -> Inside:
    """The free lists of a pool's pages, and its tree, if it has one."""
    blocks = pool.geometry.allocation // pool.geometry.size
    lists = [[page.vaddr + offset for offset in chain(pool, page, blocks)] for page in pool._pages()]
    return Inside(lists, tree_of(pool.page_tree.root))


def tree_of(node: Any) -> TreeNode | None:
    return node and TreeNode(node.dma, node.red, tree_of(node.child[LEFT]), tree_of(node.child[RIGHT]))


def inside_of_stack(pool: BlockStackPool) -> Inside:
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
