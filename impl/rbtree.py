"""The red-black tree of a pool's pages, keyed by DMA address (patch 10; the kernel's lib/rbtree.c).

The nodes are the pages themselves, as in the kernel. `LEFT` and `RIGHT` index a node's children, so that every mirrored
case is written once. Where the kernel repairs the tree in a loop, one turn of the loop is a function of its own: a proof
about any one turn is then a proof about all of them.
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
Place = tuple[Any, int]
"""Where a subtree hangs: its parent, and on which side; the parent of the whole tree is None."""


class PageTree(Generic[N]):
    """Pages of `allocation` bytes each, in the order of their DMA addresses.

    `insert` refuses a page that starts inside another, as patch 10 does. A page that starts below another and reaches into
    it is let in: see the claim `insertion_keeps_pages_disjoint`. With `checks_below` it is refused as well.
    """

    def __init__(self, allocation: int, checks_below: bool = False) -> None:
        self.allocation = allocation
        self.checks_below = checks_below
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
        """Add a page, or return the one that it overlaps (`pool_insert_page`)."""
        parent = None
        side = LEFT
        node = self.root
        while node is not None:
            parent = node
            if page.dma < node.dma:
                if self.checks_below and node.dma - page.dma < self.allocation:
                    return node
                side = LEFT
            elif page.dma - node.dma >= self.allocation:
                side = RIGHT
            else:
                return node
            node = node.child[side]
        self._link((parent, side), page)
        self._rebalance(page)
        return None

    def _rebalance(self, page: Any) -> None:
        """Restore the red-black properties after the red `page` was added (`rb_insert_color`)."""
        while page is not None:
            page = self._repair_red(page)

    def _repair_red(self, node: Any) -> Any:
        """One turn of `rb_insert_color` at a red node, whose parent may be red too, or missing.

        Returns the red node, nearer to the root, of which that can now be said; or None, if all is well.
        """
        parent = node.parent
        if parent is None:
            node.red = False
            return None
        if not parent.red:
            return None
        grandparent, side = place_of(parent)
        uncle = grandparent.child[1 - side]
        if uncle is not None and uncle.red:
            parent.red = uncle.red = False
            grandparent.red = True
            return grandparent
        if node is parent.child[1 - side]:
            self._rotate(parent, side)
            parent = node
        parent.red = False
        grandparent.red = True
        self._rotate(grandparent, 1 - side)
        return None

    def erase(self, page: N) -> None:
        """Remove a page (`rb_erase`). The series keeps its pages until the pool is destroyed, and so never calls it."""
        if page.child[LEFT] is not None and page.child[RIGHT] is not None:
            self._exchange(page, self._leftmost(page.child[RIGHT]))
        place: Place | None = place_of(page)
        assert place is not None
        only_child = page.child[LEFT] if page.child[LEFT] is not None else page.child[RIGHT]
        self._link(place, only_child)
        if only_child is not None:
            only_child.red = False  # it was red, and the page black: no other only child is balanced
        elif not page.red:
            while place is not None:
                place = self._repair_black(place)

    def _repair_black(self, place: Place) -> Place | None:
        """One turn of `____rb_erase_color`: the subtree at `place` has one black node too few on every way down.

        Returns the place, nearer to the root, of which that can now be said; or None, if all is well.
        """
        parent, side = place
        if parent is None:
            return None
        sibling = parent.child[1 - side]
        if sibling.red:
            sibling.red = False
            parent.red = True
            self._rotate(parent, side)
            sibling = parent.child[1 - side]
        near, far = sibling.child[side], sibling.child[1 - side]
        if not is_red(near) and not is_red(far):
            sibling.red = True
            if not parent.red:
                return place_of(parent)
            parent.red = False
            return None
        if not is_red(far):
            near.red = False
            sibling.red = True
            self._rotate(sibling, 1 - side)
            sibling, far = near, sibling
        sibling.red = parent.red
        parent.red = far.red = False
        self._rotate(parent, side)
        return None

    def _exchange(self, page: Any, following: Any) -> None:
        """Let a page with two children and the one that follows it in order trade places and colours.

        The kernel moves the following page, and leaves out the page that it is about to free.
        """
        left, right, after = page.child[LEFT], page.child[RIGHT], following.child[RIGHT]
        place = place_of(following)
        page.red, following.red = following.red, page.red
        self._link(place_of(page), following)
        self._link((following, LEFT), left)
        if following is right:
            self._link((following, RIGHT), page)
        else:
            self._link((following, RIGHT), right)
            self._link(place, page)
        self._link((page, LEFT), None)
        self._link((page, RIGHT), after)

    def _rotate(self, node: Any, side: int) -> None:
        """Lower `node` to `side`; its child on the other side takes its place. The order of the nodes stays."""
        child = node.child[1 - side]
        inner = child.child[side]
        self._link(place_of(node), child)
        self._link((node, 1 - side), inner)
        self._link((child, side), node)

    def _link(self, place: Place, node: Any) -> None:
        """Hang a subtree, or None for an empty one, at a place."""
        parent, side = place
        if parent is None:
            self.root = node
        else:
            parent.child[side] = node
        if node is not None:
            node.parent = parent

    def _leftmost(self, node: Any) -> Any:
        """The first page of a subtree in order."""
        while node.child[LEFT] is not None:
            node = node.child[LEFT]
        return node

    def __iter__(self) -> Iterator[N]:
        """The pages by ascending DMA address (`rb_first`, `rb_next`)."""
        node: Any = None if self.root is None else self._leftmost(self.root)
        while node is not None:
            yield node
            node = self._next(node)

    def _next(self, node: Any) -> Any:
        """The page after `node` in order, or None (`rb_next`)."""
        if node.child[RIGHT] is not None:
            return self._leftmost(node.child[RIGHT])
        while node.parent is not None and node is node.parent.child[RIGHT]:
            node = node.parent
        return node.parent

    def postorder(self) -> Iterator[N]:
        """The pages, children before their parent; a page is not read again once it was given, so it may be freed."""
        node: Any = None if self.root is None else self._deepest(self.root)
        while node is not None:
            following = self._next_postorder(node)
            yield node
            node = following

    def _deepest(self, node: Any) -> Any:
        """The page of a subtree that a postorder walk visits first (`rb_left_deepest_node`)."""
        while (child := node.child[LEFT] if node.child[LEFT] is not None else node.child[RIGHT]) is not None:
            node = child
        return node

    def _next_postorder(self, node: Any) -> Any:
        """The page after `node` in postorder, or None (`rb_next_postorder`)."""
        parent, side = place_of(node)
        if parent is not None and side == LEFT and parent.child[RIGHT] is not None:
            return self._deepest(parent.child[RIGHT])
        return parent


def place_of(node: Any) -> Place:
    """Where the subtree below `node` hangs."""
    parent = node.parent
    return parent, LEFT if parent is None or node is parent.child[LEFT] else RIGHT


def is_red(node: Any) -> bool:
    """Whether there is a node, and it is red; an empty place counts as black."""
    return node is not None and node.red
