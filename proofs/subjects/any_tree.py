"""Any red-black tree, as the code of `impl.rbtree`, or lib/rbtree.c, gets to see it.

A node's children, its parent and their colours are chosen when the code reads them, each possible choice on a path of its own.
What was never read stays any red-black subtree of its black height, which is a number.
"""

from typing import Any

from impl.rbtree import LEFT, RIGHT, PageTree

RED_HAS_NO_RED_CHILD = "no red node has a red child, before"
BLACK_HEIGHTS_ARE_EQUAL = "every way down from a node has the same number of black nodes, before"
ROOT_IS_BLACK = "the root is black, before"
UNREAD: Any = object()
FURTHER_UP: Any = object()  # the parent of a node of which nothing was read up to the one that it is further down from
SIDES = {LEFT: "left", RIGHT: "right"}


class AnyNode:
    """A node of any red-black tree. `black_height` counts the black nodes on every way down from here, this one included."""

    def __init__(self, tree: "TreeState", name: str, red: bool, black_height: Any) -> None:
        self.tree = tree
        self.name = name
        self.red = self.was_red = red
        self.black_height = black_height
        self.child = Children(self)
        self.known_parent = self.former_parent = UNREAD

    @property
    def parent(self) -> Any:
        if self.known_parent is UNREAD:
            self.tree.choose_parent(self)
        return self.known_parent

    @parent.setter
    def parent(self, node: Any) -> None:
        self.known_parent = node

    @property
    def black_height_of_children(self) -> Any:
        return self.black_height if self.was_red else self.black_height - 1


class Children:
    """The two children of a node, now and formerly; chosen when they are read."""

    def __init__(self, owner: AnyNode) -> None:
        self.owner = owner
        self.now = [UNREAD, UNREAD]
        self.formerly = [UNREAD, UNREAD]

    def __getitem__(self, side: int) -> Any:
        if self.now[side] is UNREAD:
            owner = self.owner
            name = f"{owner.name}'s {SIDES[side]} child"
            self.set_first(side, owner.tree.choose_subtree(name, owner.black_height_of_children, owner.was_red))
        return self.now[side]

    def __setitem__(self, side: int, node: Any) -> None:
        self.now[side] = node

    def set_first(self, side: int, node: Any) -> None:
        """What is there before the code runs."""
        self.now[side] = self.formerly[side] = node
        if isinstance(node, AnyNode):
            node.known_parent = node.former_parent = self.owner


class TreeState:
    """Any red-black tree, seen from a node in it. `red_one` may be red under a red parent, or as the root."""

    def __init__(self, path: Any) -> None:
        self.path = path
        self.root: Any = None
        self.top: Any = None  # the highest node that was read
        self.red_one: Any = None
        self.further_down: dict[str, AnyNode] = {}  # by the node in whose left subtree it is the highest that was read

    def choose_subtree(self, name: str, height: Any, below_red: bool) -> AnyNode | None:
        """Any subtree of a black height."""
        kind = self.path.one_of(f"{name} is", "empty", "black", "red")
        if kind == "red":
            self.path.assume(RED_HAS_NO_RED_CHILD, lambda: not below_red)
            return AnyNode(self, name, True, height)
        self.path.assume(BLACK_HEIGHTS_ARE_EQUAL, lambda: height == 0 if kind == "empty" else height >= 1)
        return None if kind == "empty" else AnyNode(self, name, False, height)

    def choose_parent(self, node: AnyNode) -> None:
        """Any place in any tree for a node that was the highest so far."""
        may_be_red = self.red_one is node or not node.was_red
        where = self.path.one_of(f"{node.name} hangs as", "the root", "a left child", "a right child")
        if where == "the root":
            self.path.assume(ROOT_IS_BLACK, lambda: may_be_red)
            node.known_parent = node.former_parent = None
            self.root = node
            return
        name = f"{node.name}'s parent"
        red = self.path.one_of(f"{name} is", "black", "red") == "red"
        self.path.assume(RED_HAS_NO_RED_CHILD, lambda: not red or may_be_red)
        parent = AnyNode(self, name, red, node.black_height if red else node.black_height + 1)
        parent.child.set_first(LEFT if where == "a left child" else RIGHT, node)
        self.top = parent


class AnyTree(TreeState, PageTree[Any]):
    """Such a tree, with the code of `impl.rbtree`."""

    repaired_by = ("erase_turn", "erase_at_the_root")
    """The cases of `tree_is_balanced` that say what a repair after a removal does."""

    def __init__(self, path: Any) -> None:
        PageTree.__init__(self, 1)
        TreeState.__init__(self, path)
