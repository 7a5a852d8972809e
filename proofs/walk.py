"""Walks through the tree: in order (the pools file) and in postorder (dma_pool_destroy), for trees of any size and shape.

By structural induction, as in `proofs.lookup`: the code runs on a node with abstract subtrees, below an abstract rest of the
tree. Where it enters one of these, it is shown to be where it would start on that one alone; code that returns its root
without reading it has not entered it. A walk of a subtree gives what its definition says, if it starts at the first page of
the first part, goes from the last page of each part to the first of the next one, and leaves the last part for what comes
after the subtree.
"""

from collections.abc import Callable
from typing import Any

from impl.rbtree import LEFT, RIGHT, Node, PageTree
from model import claims
from model.claims import Claim
from proofs.engine.obligation import Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.subjects.subject import ReachedTail

obligation = Obligations(__name__)

Walks = Callable[[Any], Any]
"""The steps of a walk through a tree on a path: `_leftmost`, `_next`, `_deepest` and `_next_postorder`."""


def in_python(path: Any) -> PageTree[Any]:  # noqa: ARG001
    return PageTree(1)


class Part:
    """The root of an abstract subtree, or the place above a node: whoever reads of it goes on there.

    Comparing its address, as C compares pointers, reads nothing.
    """

    def __init__(self, name: str, freed: bool = False) -> None:
        self.__dict__.update(name=name, reads=[], freed=freed)

    def __getattr__(self, field: str) -> Any:
        self.reads.append(field)
        raise ReachedTail(self)

    def __setattr__(self, field: str, value: Any) -> None:
        raise AssertionError(f"a walk sets {field!r} of {self.name}")


GOES_ON, GIVES, FIRST, DEEPEST = "goes on in", "gives", "gives the first page of", "gives the deepest page of"
Move = tuple[str, Any]
"""What a step of a walk does, and with which node or part of the tree."""


def move_of(step: Any, node: Node) -> Move:
    """What the code does, from a node on: it returns another, or goes on in a part."""
    try:
        given = step(node)
    except ReachedTail as reached:
        return GOES_ON, reached.part
    return given if isinstance(given, tuple) else (GIVES, given)


def descents(path: Any, subject: Walks) -> Any:
    """A tree of which the first page of a subtree, in either order, is what its own proof says."""
    tree = subject(path)
    path.by(claims.walk_follows_the_order, tree, "_leftmost", lambda node: (FIRST, node), "first_page")
    path.by(claims.destroy_reads_no_freed_page, tree, "_deepest", lambda node: (DEEPEST, node), "first_page")
    return tree


def any_subtrees(path: Any, node: Node, freed: bool = False) -> list[Part]:
    """Give a node any subtrees; those that are not empty, in order."""
    for side, name in ((LEFT, "left"), (RIGHT, "right")):
        if path.one_of(f"a {name} subtree", "yes", "no") == "yes":
            node.child[side] = Part(f"the {name} subtree", freed)
    return [child for child in node.child if child is not None]


def any_place(path: Any, node: Node) -> tuple[str, Any]:
    """Hang a node anywhere in a tree: where it hangs, and its parent, whose own parent is abstract."""
    where = path.one_of("the node hangs as", "the root", "a left child", "a right child")
    if where == "the root":
        return where, None
    node.parent = parent = Node(0)
    parent.parent = Part("the tree above")
    parent.child[LEFT if where == "a left child" else RIGHT] = node
    return where, parent


explain = from_this_state("the walk goes on with the next page")


@obligation(claims.walk_follows_the_order, "series", Theory.INTEGERS, explain=explain, case="first_page")
def walk_starts_at_the_first_page(path: Any, subject: Walks = in_python) -> None:
    tree = subject(path)
    node = Node(0)
    parts = any_subtrees(path, node)
    first = node.child[LEFT]
    move = move_of(tree._leftmost, node)
    path.show("what was read is of the first part", lambda: not any(part.reads for part in parts if part is not first))
    path.show_claim(claims.walk_follows_the_order, [move], [(GIVES, node) if first is None else (GOES_ON, first)])


@obligation(claims.walk_follows_the_order, "series", Theory.INTEGERS, explain=explain, case="next_page")
def walk_goes_to_the_next_page(path: Any, subject: Walks = in_python) -> None:
    """From a node into its right subtree; or, from the last page of the subtree below a node, to where that hangs.

    A right child's subtree ends where its parent's does, so the code has to go on as it would from the parent.
    """
    tree = descents(path, subject)
    node = Node(0)
    any_subtrees(path, node)
    where, parent = any_place(path, node)
    expected = GIVES, parent
    if node.child[RIGHT] is not None:
        expected = FIRST, node.child[RIGHT]
    elif where == "a right child":
        expected = GOES_ON, parent.parent
    path.show_claim(claims.walk_follows_the_order, [move_of(tree._next, node)], [expected])


class Steps:
    """A tree with some pages whose walk is given step by step; it notes the freed pages that it was asked about."""

    def __init__(self, path: Any, tree: Any, claim: Claim, to_the_first: str, to_the_next: str) -> None:
        self.pages = [Node(0), Node(1), Node(2)][: path.one_of("pages", 3, 0)]
        self.tree = tree
        tree.root = self.pages[1] if self.pages else None
        self.freed: list[Any] = []
        self.asked_when_freed: list[Any] = []
        path.by(claim, self.tree, to_the_first, self.first, "first_page")
        path.by(claim, self.tree, to_the_next, self.following, "next_page")

    def first(self, node: Any) -> Any:
        assert node is self.tree.root, "a walk starts at the root"
        return self.pages[0]

    def following(self, node: Any) -> Any:
        if node in self.freed:
            self.asked_when_freed.append(node)
        return dict(zip(self.pages, self.pages[1:], strict=False)).get(node)


@obligation(claims.walk_follows_the_order, "series", Theory.INTEGERS, explain=explain, case="all_pages")
def walk_gives_each_page(path: Any, subject: Walks = in_python) -> None:
    """The walk gives the first page, then the next one, until there is none."""
    steps = Steps(path, subject(path), claims.walk_follows_the_order, "_leftmost", "_next")
    path.show_claim(claims.walk_follows_the_order, list(steps.tree), steps.pages)


@obligation(claims.destroy_reads_no_freed_page, "series", Theory.INTEGERS, explain=explain, case="first_page")
def postorder_starts_at_the_bottom(path: Any, subject: Walks = in_python) -> None:
    tree = subject(path)
    node = Node(0)
    parts = any_subtrees(path, node)
    expected = (GOES_ON, parts[0]) if parts else (GIVES, node)
    path.show_claim(claims.destroy_reads_no_freed_page, [move_of(tree._deepest, node)], [expected], [])


@obligation(claims.destroy_reads_no_freed_page, "series", Theory.INTEGERS, explain=explain, case="next_page")
def postorder_goes_to_the_sibling_or_up(path: Any, subject: Walks = in_python) -> None:
    """From the last page of the subtree below a node, which is that node. What it has below it is freed by then, and so is
    its left sibling; its right sibling is to come."""
    tree = descents(path, subject)
    node = Node(0)
    where, parent = any_place(path, node)
    freed = any_subtrees(path, node, freed=True)
    expected = GIVES, parent
    if where != "the root" and path.one_of("a sibling", "yes", "no") == "yes":
        sibling = Part("the sibling", freed=where == "a right child")
        parent.child[RIGHT if where == "a left child" else LEFT] = sibling
        if where == "a left child":
            expected = DEEPEST, sibling
        else:
            freed.append(sibling)
    move = move_of(tree._next_postorder, node)
    read_when_freed = [part.name for part in freed if part.reads]
    path.show_claim(claims.destroy_reads_no_freed_page, [move], [expected], read_when_freed)


@obligation(claims.destroy_reads_no_freed_page, "series", Theory.INTEGERS, explain=explain, case="all_pages")
def postorder_gives_each_page(path: Any, subject: Walks = in_python) -> None:
    """The walk asks for the page after one before it gives that one away."""
    steps = Steps(path, subject(path), claims.destroy_reads_no_freed_page, "_deepest", "_next_postorder")
    given = []
    for page in steps.tree.postorder():
        given.append(page)
        steps.freed.append(page)
    path.show_claim(claims.destroy_reads_no_freed_page, given, steps.pages, steps.asked_when_freed)
