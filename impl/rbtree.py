"""The red-black tree of a pool's pages, keyed by DMA address (patch 10).

The nodes are the pages themselves, as in the kernel. `LEFT` and `RIGHT` index a node's children, so that every mirrored
case is written once.
"""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

LEFT, RIGHT = 0, 1


class Node:
    """A page's place in the tree; `dma` is the page's first DMA address."""

    __slots__ = ("child", "dma", "parent", "red")

    def __init__(self, dma: int) -> None:
        self.dma = dma
        # Nodes or None; Any, since the nodes of a tree of pages are pages.
        self.child: list[Any] = [None, None]
        self.parent: Any = None
        self.red = True


N = TypeVar("N", bound=Node)


class PageTree(Generic[N]):
    """Pages of `allocation` bytes each, no two of which overlap, in the order of their DMA addresses."""

    def __init__(self, allocation: int) -> None:
        self.allocation = allocation
        self.root: N | None = None

    def find(self, dma: int) -> N | None:
        """The page whose address range holds `dma`, or None (`pool_find_page`)."""
        node = self.root
        while node is not None:
            if dma < node.dma:
                node = node.child[LEFT]
            elif dma - node.dma >= self.allocation:
                node = node.child[RIGHT]
            else:
                return node
        return None

    def insert(self, page: N) -> N | None:
        """Add a page (`pool_insert_page`), unless a page already holds its first address: that one is returned.

        The check sees only where the new page starts. A page that starts below another and reaches into it is let in:
        see the claim `insertion_keeps_pages_disjoint`.
        """
        parent = None
        side = LEFT
        node = self.root
        while node is not None:
            parent = node
            if page.dma < node.dma:
                side = LEFT
            elif page.dma - node.dma >= self.allocation:
                side = RIGHT
            else:
                return node
            node = node.child[side]
        page.parent = parent
        if parent is None:
            self.root = page
        else:
            parent.child[side] = page
        self._rebalance(page)
        return None

    def _rebalance(self, node: Node) -> None:
        """Restore the red-black properties after the red `node` was added."""
        while (parent := node.parent) is not None and parent.red:
            grandparent = parent.parent
            assert grandparent is not None, "the root is black"
            side = LEFT if parent is grandparent.child[LEFT] else RIGHT
            uncle = grandparent.child[1 - side]
            if uncle is not None and uncle.red:
                parent.red = uncle.red = False
                grandparent.red = True
                node = grandparent
                continue
            if node is parent.child[1 - side]:
                self._rotate(parent, side)
                parent = node
            parent.red = False
            grandparent.red = True
            self._rotate(grandparent, 1 - side)
            break
        assert self.root is not None
        self.root.red = False

    def _rotate(self, node: Node, side: int) -> None:
        """Lower `node` to `side`; its child on the other side takes its place. The order of the nodes stays."""
        child = node.child[1 - side]
        assert child is not None, "there is a child to raise"
        inner = child.child[side]
        node.child[1 - side] = inner
        if inner is not None:
            inner.parent = node
        child.parent = node.parent
        if node.parent is None:
            self.root = child
        else:
            node.parent.child[LEFT if node is node.parent.child[LEFT] else RIGHT] = child
        child.child[side] = node
        node.parent = child

    def __iter__(self) -> Iterator[N]:
        """The pages by ascending DMA address (`rb_first`, `rb_next`)."""
        node = self.root
        while node is not None and node.child[LEFT] is not None:
            node = node.child[LEFT]
        while node is not None:
            yield node
            if node.child[RIGHT] is not None:
                node = node.child[RIGHT]
                while node.child[LEFT] is not None:
                    node = node.child[LEFT]
            else:
                while node.parent is not None and node is node.parent.child[RIGHT]:
                    node = node.parent
                node = node.parent

    def postorder(self) -> Iterator[N]:
        """The pages, children before their parent; a page is not read again once it was given, so it may be freed."""
        node = _deepest_first(self.root)
        while node is not None:
            parent = node.parent
            if parent is not None and node is parent.child[LEFT]:
                following = _deepest_first(parent.child[RIGHT]) or parent
            else:
                following = parent
            yield node
            node = following


def _deepest_first(node: Any) -> Any:
    """The leaf of the subtree at `node` that a postorder walk visits first."""
    while node is not None and (child := node.child[LEFT] or node.child[RIGHT]) is not None:
        node = child
    return node
