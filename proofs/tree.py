"""The tree of pages: insertion and rotation, for search trees of any size and any shape.

By structural induction, see `proofs.subjects.search_tree`. What is left to show is that the new page belongs on that side of
the root on which the insertion goes on; and so, by transitivity, of everything on the other side.
"""

from typing import Any

from impl.rbtree import LEFT, RIGHT, Node, PageTree
from model import claims
from model.trace import Alloc, Create, PageChoice, Trace
from proofs.engine.obligation import Counterexample, Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.subjects.search_tree import ADDRESSES, IN_PYTHON, Trees, built, some_tree
from proofs.subjects.subject import ReachedTail

obligation = Obligations(__name__)

explain_shape = from_this_state("the nodes stay linked, and in order")


def is_leaf(page: Node) -> bool:
    """Whether a page is red and has no children."""
    return page.red and page.child == [None, None]


def insert_anywhere(path: Any, subject: Trees, checks_below: bool = False) -> tuple[Any, Node, Any, int | None]:
    """Insert any page: the tree, its root, the page, and the side of the root on which it goes; None if refused."""
    tree, root, subtrees = some_tree(path, subject)
    tree.checks_below = checks_below
    former = list(root.child)
    if not checks_below:
        path.assume("a page is not empty", lambda: tree.allocation >= 1)
    page = Node(path.number("new page"))
    rebalanced: list[Node] = []
    path.by(
        claims.tree_is_balanced, tree, "_rebalance", rebalanced.append, *subject.repaired_by, revision=subject.revision
    )
    try:
        overlapping = tree.insert(page)
    except ReachedTail as subtree:
        entered, sought = subtree.part, subtree.sought
        path.show("the subtree is entered with the page's address", lambda: sought == page.dma)
        return tree, root, page, entered
    if overlapping is not None:
        path.show("only a page that the new one overlaps refuses it", lambda: overlapping is root)
        lower, higher = (root, page) if root.dma <= page.dma else (page, root)
        path.show("they overlap", lambda: higher.dma - lower.dma < tree.allocation)
        return tree, root, page, None
    side = LEFT if root.child[LEFT] is page else RIGHT
    path.show("it takes the place of no subtree", lambda: side not in subtrees)
    path.show("the other side is as it was", lambda: root.child[1 - side] is former[1 - side])
    path.show("the new page is linked", lambda: root.child[side] is page and page.parent is root)
    path.show("the repair starts at it, red and without children", lambda: rebalanced == [page] and is_leaf(page))
    return tree, root, page, side


def explain_insertion(inputs: dict[str, Any]) -> Counterexample:
    """Insert the pages into a pool, the new one last."""
    allocation, root, new = inputs["allocation"], inputs["root"], inputs["new page"]
    tree, _ = built({"allocation": allocation, "root": root})
    refused = tree.insert(Node(new)) is not None
    low, high = sorted((root, new))
    overlap = max(0, low + allocation - high)
    expected = (
        f"pages of {allocation} bytes: the one at {new:#x} {'is refused' if overlap else 'is added'} beside {root:#x}"
    )
    actual = f"the page at {new:#x} is {'refused' if refused else 'added'}, and {overlap} bytes belong to both"
    steps = (Create(allocation), Alloc("a", page=PageChoice(root)), Alloc("b", page=PageChoice(new)))
    return Counterexample(expected, actual, Trace(steps) if allocation >= 4096 else None)


@obligation(claims.tree_keeps_pages_in_order, "series", *ADDRESSES, explain=explain_insertion)
def tree_keeps_pages_in_order(path: Any, subject: Trees = IN_PYTHON) -> None:
    _, root, page, side = insert_anywhere(path, subject)
    path.assume("the page is added", lambda: side is not None)
    lower, higher = (page, root) if side == LEFT else (root, page)
    path.show_claim(claims.tree_keeps_pages_in_order, lower.dma, higher.dma)


@obligation(claims.tree_keeps_pages_in_order, "series", Theory.INTEGERS, explain=explain_shape, case="first_page")
def insertion_into_an_empty_tree(path: Any, subject: Trees = IN_PYTHON) -> None:
    tree = subject.empty(path, path.number("allocation"))
    page = Node(path.number("new page"))
    refused = tree.insert(page)
    path.show(claims.tree_keeps_pages_in_order.name, lambda: refused is None and in_order(tree.root) == [page])


@obligation(claims.insertion_keeps_pages_disjoint, "series", *ADDRESSES, explain=explain_insertion)
def insertion_keeps_pages_disjoint(path: Any, subject: Trees = IN_PYTHON) -> None:
    tree, root, page, side = insert_anywhere(path, subject)
    path.assume("the page is added", lambda: side is not None)
    alignment = path.number("alignment")
    path.assume(
        "pages are naturally aligned: to a number of bytes that is at least their own",
        lambda: alignment >= tree.allocation and root.dma % alignment == 0 and page.dma % alignment == 0,
    )
    lower, higher = (page, root) if side == LEFT else (root, page)
    path.show_claim(claims.insertion_keeps_pages_disjoint, lower.dma, higher.dma, tree.allocation)


@obligation(claims.insertion_keeps_pages_disjoint, "checked", *ADDRESSES, explain=explain_insertion)
def complete_check_keeps_pages_disjoint(path: Any) -> None:
    """Whatever the pages' alignment. Every page in the subtree that is not entered is on the other side of the root."""
    tree, root, page, side = insert_anywhere(path, IN_PYTHON, checks_below=True)
    path.assume("the page is added", lambda: side is not None)
    lower, higher = (page, root) if side == LEFT else (root, page)
    path.show_claim(claims.insertion_keeps_pages_disjoint, lower.dma, higher.dma, tree.allocation)


@obligation.refuted(
    claims.insertion_keeps_pages_disjoint, "series", Theory.U64, explain=explain_insertion, case="any_alignment"
)
def insertion_misses_a_page_from_below(path: Any, subject: Trees = IN_PYTHON) -> None:
    allocation, at = path.number("allocation"), path.number("root")
    new = path.number("new page")
    path.assume(
        "pages are aligned to 4096 bytes, and not smaller",
        lambda: allocation >= 4096 and at % 4096 == 0 and new % 4096 == 0,
    )
    tree = subject.empty(path, allocation)
    root, page = Node(at), Node(new)
    tree.root, root.red = root, False
    refused = tree.insert(page)
    path.assume("the page is added", lambda: refused is None)
    lower, higher = (page, root) if root.child[LEFT] is page else (root, page)
    path.show_claim(claims.insertion_keeps_pages_disjoint, lower.dma, higher.dma, allocation)


@obligation(claims.tree_keeps_pages_in_order, "series", Theory.INTEGERS, explain=explain_shape, case="rotation")
def rotation_keeps_the_order(path: Any) -> None:
    """A rotation moves three subtrees, of which it reads nothing, so that one node stands for any subtree."""
    side = path.one_of("side", LEFT, RIGHT)
    above = path.one_of("the node is", "the root", "a left child", "a right child")
    inner = path.one_of("the inner subtree is", "there", "empty")
    tree: PageTree[Node] = PageTree(1)
    node, child = Node(1), Node(2)
    node.child[side] = Node(0)
    node.child[1 - side] = child
    child.child[1 - side] = Node(3)
    if inner == "there":
        child.child[side] = Node(4)
    if above == "the root":
        tree.root = node
    else:
        tree.root = Node(5)
        tree.root.child[LEFT if above == "a left child" else RIGHT] = node
    link_parents(tree.root)
    before = in_order(tree.root)
    tree._rotate(node, side)
    path.show("every node's parent has it as a child", lambda: parents_are_linked(tree.root, None))
    path.show("the child is above the node", lambda: node.parent is child)
    path.show(claims.tree_keeps_pages_in_order.name, lambda: in_order(tree.root) == before)


def in_order(node: Any) -> list[Any]:
    return [] if node is None else [*in_order(node.child[LEFT]), node, *in_order(node.child[RIGHT])]


def link_parents(node: Node) -> None:
    for child in filter(None, node.child):
        child.parent = node
        link_parents(child)


def parents_are_linked(node: Any, parent: Any) -> bool:
    return node is None or (node.parent is parent and all(parents_are_linked(child, node) for child in node.child))
