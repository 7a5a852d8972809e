"""Balance: the tree of pages stays a red-black tree, in order, for trees of any size.

The code of `impl.rbtree`, or of a kernel's lib/rbtree.c, runs on a tree that does not exist yet, see
`proofs.subjects.any_tree`. The code's loops are unbounded, so the proof is about one turn of each: from any tree in
which all is well but at one place, either all is well afterwards, or all but at a place that is nearer to the root. That
the loops then take that turn, and stop when all is well, is shown with turns that are given.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from impl.rbtree import LEFT, RIGHT, Node, PageTree, Place, is_red, place_of
from model import claims
from proofs.engine.obligation import Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.subjects.any_tree import (
    BLACK_HEIGHTS_ARE_EQUAL,
    FURTHER_UP,
    RED_HAS_NO_RED_CHILD,
    SIDES,
    UNREAD,
    AnyNode,
    AnyTree,
)

obligation = Obligations(__name__)

TreeKind = Callable[[Any], Any]
"""Any tree on a path, with the code that works on it: of `impl.rbtree`, or of C."""


def show_well_formed(tree: Any, gone: Any = None, red_one: Any = None, lighter: Place | None = None) -> None:
    """Show that the nodes are linked, in order, without `gone`; and that the tree is red-black, except for `red_one`,
    which may be red under a red parent or as the root, and for `lighter`, a place that has one black node too few."""
    path = tree.path
    if tree.top is not red_one and tree.top.red and not tree.top.was_red:
        _ = tree.top.parent  # it may be red
    top = tree.root if tree.top.former_parent is None else tree.top
    loose: list[str] = []
    red_above_red: list[str] = []
    heights: list[Any] = [] if tree.top.former_parent is None else [tree.top.black_height]

    def walk(node: Any, parent: Any, blacks: Any) -> list[str]:
        if node.known_parent is not parent or len(loose) > 99:
            loose.append(node.name)
            return []
        if node is not red_one and node.red and isinstance(parent, AnyNode) and parent.red:
            red_above_red.append(node.name)
        blacks += not node.red
        order: list[list[str]] = []
        for side in (LEFT, RIGHT):
            if node.red and not node.was_red:
                _ = node.child[side]  # its root may be red
            child = node.child.now[side]
            at = blacks + (lighter is not None and lighter[0] is node and lighter[1] == side)
            order.append([subtree_name(node, side)] if child is UNREAD else [])
            if child is UNREAD:
                heights.append(at + node.black_height_of_children)
                if side == LEFT and node.name in tree.further_down:
                    inner = tree.further_down[node.name]
                    order[-1][:0] = walk(inner, FURTHER_UP, at + node.black_height_of_children - inner.black_height)
            elif child is None:
                heights.append(at + 0)
            else:
                order[-1] = walk(child, node, at)
        return [*order[LEFT], node.name, *order[RIGHT]]

    former = former_order(tree, tree.top)
    order = [] if top is None else walk(top, None if tree.top.former_parent is None else UNREAD, 0)
    root_is_red = tree.top.former_parent is None and is_red(top) and top is not red_one
    path.show_claim(claims.tree_is_balanced, loose, root_is_red, red_above_red, heights)
    kept = [name for name in former if gone is None or name != gone.name]
    path.show("the same nodes are in the tree", lambda: sorted(order) == sorted(kept))
    for lower, higher in pairwise(order):
        path.show_claim(claims.tree_keeps_pages_in_order, kept.index(lower), kept.index(higher))
    if lighter is not None and lighter[0] is not None:
        path.show("the lighter subtree's root is black", lambda: not is_red(lighter[0].child[lighter[1]]))


def former_order(tree: Any, node: Any) -> list[str]:
    """The nodes and unread subtrees in the order in which they were before the code ran."""
    sides: list[list[str]] = []
    for side, child in enumerate(node.child.formerly):
        sides.append([subtree_name(node, side)] if child is UNREAD else [])
        if isinstance(child, AnyNode):
            sides[-1] = former_order(tree, child)
        elif child is UNREAD and side == LEFT and node.name in tree.further_down:
            sides[-1][:0] = former_order(tree, tree.further_down[node.name])
    return [*sides[LEFT], node.name, *sides[RIGHT]]


def subtree_name(node: AnyNode, side: int) -> str:
    return f"{node.name}'s {SIDES[side]} subtree"


def is_above(ancestor: Any, node: Any) -> bool:
    """Whether a node was above another before the code ran."""
    node = node.former_parent
    while isinstance(node, AnyNode) and node is not ancestor:
        node = node.former_parent
    return node is ancestor


explain = from_this_state("all is well afterwards, but perhaps nearer to the root")


@obligation(claims.tree_is_balanced, "series", Theory.INTEGERS, explain=explain, case="insert_turn")
@obligation(claims.tree_keeps_pages_in_order, "series", Theory.INTEGERS, explain=explain, case="insert_turn")
def insert_turn(path: Any, subject: TreeKind = AnyTree) -> None:
    """A red node, whose parent may be red, or which may be the root. A new page is such a node."""
    tree = subject(path)
    node = AnyNode(tree, "the node", True, path.number("black height"))
    tree.top = tree.red_one = node
    higher = tree._repair_red(node)
    if higher is not None:
        path.show("the trouble comes nearer to the root", lambda: higher.red and is_above(higher, node))
    show_well_formed(tree, red_one=higher)


@obligation(claims.tree_is_balanced, "series", Theory.INTEGERS, explain=explain, case="erase_turn")
@obligation(claims.tree_keeps_pages_in_order, "series", Theory.INTEGERS, explain=explain, case="erase_turn")
def erase_turn(path: Any, subject: TreeKind = AnyTree) -> None:
    """A place, or the root, with one black node too few on every way down."""
    tree = subject(path)
    height = path.number("black height")
    side = path.one_of("the lighter side", LEFT, RIGHT)
    red = path.one_of("the parent is", "black", "red") == "red"
    tree.top = parent = AnyNode(tree, "the parent", red, height if red else height + 1)
    parent.child.set_first(side, lighter_subtree(path, tree, height - 1))
    lighter = tree._repair_black((parent, side))
    if lighter is not None and lighter[0] is not None:
        path.show("the trouble comes nearer to the root", lambda: is_above(lighter[0], parent))
    show_well_formed(tree, lighter=lighter)


def lighter_subtree(path: Any, tree: Any, height: Any) -> AnyNode | None:
    """Any subtree with a root that is black or missing."""
    if path.one_of("the lighter subtree is", "empty", "there") == "empty":
        path.assume(BLACK_HEIGHTS_ARE_EQUAL, lambda: height == 0)
        return None
    path.assume(BLACK_HEIGHTS_ARE_EQUAL, lambda: height >= 1)
    return AnyNode(tree, "the lighter subtree", False, height)


def any_leftmost(tree: Any, node: AnyNode) -> AnyNode:
    """The node itself, its left child, or one that is any number of levels further down: see `proofs.walk`."""
    path = tree.path
    depth = path.one_of("the following page is", "the right child", "its left child", "further down")
    following = node
    if depth == "its left child":
        following = node.child[LEFT]
    elif depth == "further down":
        red = path.one_of("the following page's parent is", "black", "red") == "red"
        height = path.number("black height further down")
        above = AnyNode(tree, "the following page's parent", red, height)
        above.known_parent = FURTHER_UP
        tree.further_down[node.name] = above
        following = above.child[LEFT]
    path.assume(
        "the following page is the leftmost of the right subtree",
        lambda: following is not None and following.child[LEFT] is None,
    )
    return following


@obligation(claims.tree_is_balanced, "series", Theory.INTEGERS, explain=explain, case="erase")
@obligation(claims.tree_keeps_pages_in_order, "series", Theory.INTEGERS, explain=explain, case="erase")
def erase(path: Any, subject: TreeKind = AnyTree) -> None:
    """Any page; what is left to repair is left to `erase_turn`."""
    tree = subject(path)
    places: list[Place] = []  # where the repair begins; the list's `append` returns None, which ends it there
    path.by(claims.tree_is_balanced, tree, "_repair_black", places.append, *tree.repaired_by)
    path.by(claims.walk_follows_the_order, tree, "_leftmost", lambda node: any_leftmost(tree, node), "first_page")
    red = path.one_of("the page is", "black", "red") == "red"
    tree.top = page = AnyNode(tree, "the page", red, path.number("black height"))
    tree.erase(page)
    show_well_formed(tree, gone=page, lighter=places[0] if places else None)


@obligation(claims.tree_is_balanced, "series", Theory.INTEGERS, explain=explain, case="erase_at_the_root")
def erase_at_the_root(path: Any) -> None:
    """Where the whole tree has one black node less, all is well."""
    tree = AnyTree(path)
    nothing_left = tree._repair_black((None, LEFT))
    path.show(claims.tree_is_balanced.name, lambda: nothing_left is None and tree.root is None)


class Turns:
    """A tree whose repairs are given, to see what the loops do with them: each leads to the next place, the last to none.

    Whoever asks for more of them fails.
    """

    def __init__(self, path: Any, lead_to: list[Any]) -> None:
        self.tree: PageTree[Any] = PageTree(1)
        self.lead_to = iter([*lead_to, None])
        self.taken: list[tuple[str, Any]] = []
        at_the_root = "erase_turn", "erase_at_the_root"
        path.by(claims.tree_is_balanced, self.tree, "_repair_red", lambda at: self.take("red", at), "insert_turn")
        path.by(claims.tree_is_balanced, self.tree, "_repair_black", lambda at: self.take("black", at), *at_the_root)

    def take(self, kind: str, at: Any) -> Any:
        self.taken.append((kind, at))
        return next(self.lead_to)


@obligation(claims.tree_is_balanced, "series", Theory.INTEGERS, explain=explain, case="insert_loop")
def insert_loop(path: Any) -> None:
    """The repair starts at the page, and goes on wherever a turn says, until one says that all is well."""
    page, *higher = [Node(0), Node(1), Node(2)][: path.one_of("turns", 3, 1)]
    turns = Turns(path, higher)
    turns.tree._rebalance(page)
    path.show(claims.tree_is_balanced.name, lambda: turns.taken == [("red", at) for at in (page, *higher)])


@obligation(claims.tree_is_balanced, "series", Theory.INTEGERS, explain=explain, case="erase_loop")
def erase_loop(path: Any) -> None:
    """The repair starts where a black page without children was; see `erase` for the other pages, which need none."""
    page = Node(0)
    page.red = False
    higher = [(Node(1), RIGHT), (None, LEFT)][: path.one_of("further turns", 2, 0)]
    turns = Turns(path, higher)
    tree = turns.tree
    where = path.one_of("the page hangs as", "a left child", "a right child", "the root")
    tree._link((None, LEFT) if where == "the root" else (Node(2), LEFT if where == "a left child" else RIGHT), page)
    place = place_of(page)
    tree.erase(page)
    path.show(claims.tree_is_balanced.name, lambda: turns.taken == [("black", at) for at in (place, *higher)])


@obligation(claims.subtree_is_full, "series", Theory.INTEGERS, explain=explain, case="empty")
def empty_subtree_is_full(path: Any) -> None:
    path.show_claim(claims.subtree_is_full, 0, 0, path.one_of("black height", 0), False)


@obligation(claims.subtree_is_full, "series", Theory.INTEGERS, explain=explain)
def subtree_is_full(path: Any) -> None:
    """By induction over the subtrees of a red-black tree, which are full by hypothesis."""
    red = path.one_of("the root is", "black", "red") == "red"
    black_height = path.number("black height of both subtrees")
    levels, pages = [], []
    for side in SIDES.values():
        child_is_red = path.one_of(f"the {side} child is", "black or missing", "red") == "red"
        pages.append(path.number(f"pages on the {side}"))
        levels.append(path.number(f"levels on the {side}"))
        path.assume(RED_HAS_NO_RED_CHILD, lambda child_is_red=child_is_red: not (red and child_is_red))
        path.assume_claim(claims.subtree_is_full, pages[-1], levels[-1], black_height, child_is_red)
    height = 1 + max(levels)
    path.show_claim(claims.subtree_is_full, 1 + sum(pages), height, black_height + (not red), red)


@obligation(claims.tree_height_is_logarithmic, "series", Theory.INTEGERS, explain=explain)
def tree_height_is_logarithmic(path: Any) -> None:
    pages, height, black_height = path.number("pages"), path.number("levels"), path.number("black height")
    path.assume_claim(claims.subtree_is_full, pages, height, black_height, False)
    least = 2**black_height
    path.show("the square of 2^b is 2^2b", lambda: 2 ** (2 * black_height) == least * least)
    path.show("twice the black nodes bound the levels", lambda: 2**height <= least * least)
    path.show_claim(claims.tree_height_is_logarithmic, pages, height)
