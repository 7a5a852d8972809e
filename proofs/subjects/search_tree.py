"""A search tree of pages of any size and any shape: its root, with two abstract subtrees.

The running code of `impl.rbtree` is given such a tree. When it compares with the first page of a subtree, it is where it would
start on that subtree alone, so the induction hypothesis says what it does from there on. `FirstPage` stands for the tail of a
list of pages as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from impl.rbtree import LEFT, RIGHT, Node, PageTree
from model import claims
from proofs.engine.path import Theory
from proofs.subjects.any_tree import SIDES
from proofs.subjects.subject import ReachedTail

ADDRESSES = (Theory.INTEGERS, Theory.U64, Theory.U32)  # dma_addr_t has 64 bits, or 32


class FirstPage:
    """The DMA address of the root of an abstract subtree: whoever compares with it has entered the subtree."""

    def __init__(self, side: int) -> None:
        self.side = side

    def __gt__(self, address: Any) -> bool:
        raise ReachedTail(self.side, address)

    __lt__ = __le__ = __ge__ = __gt__


class Subtree:
    """A search tree of any size. It may be entered as the whole tree was, and in no other way."""

    def __init__(self, side: int) -> None:
        self.dma = FirstPage(side)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the code reads {name!r} of a subtree before it compares with its first page")


@dataclass(frozen=True)
class Trees:
    """Search trees of a subject: `empty` gives one without pages, on a path, of pages of a number of bytes.

    What repairs it after an insertion is said by these cases of `tree_is_balanced`, of a revision.
    """

    empty: Callable[[Any, Any], Any]
    repaired_by: tuple[str, ...]
    revision: str = ""


IN_PYTHON = Trees(lambda _, allocation: PageTree[Node](allocation), ("insert_turn", "insert_loop"), "series")


def some_tree(path: Any, subject: Trees = IN_PYTHON) -> tuple[Any, Node, list[int]]:
    """A tree with any root: the tree, its root, and the sides on which that has a subtree."""
    tree = subject.empty(path, path.number("allocation"))
    tree.root = root = Node(path.number("root"))
    for side, name in SIDES.items():
        if path.one_of(f"a {name} subtree", True, False):
            root.child[side] = Subtree(side)
    return tree, root, [side for side in SIDES if root.child[side] is not None]


def any_tree(path: Any, subject: Trees = IN_PYTHON) -> tuple[Any, Node, dict[int, Any]]:
    """A tree with any root, whose pages don't overlap; an arbitrary page of each subtree, where that is not empty."""
    tree, root, subtrees = some_tree(path, subject)
    pages = {side: path.number(f"{SIDES[side]} page") for side in subtrees}
    if LEFT in pages:
        path.assume_claim(claims.insertion_keeps_pages_disjoint, pages[LEFT], root.dma, tree.allocation)
    if RIGHT in pages:
        path.assume_claim(claims.insertion_keeps_pages_disjoint, root.dma, pages[RIGHT], tree.allocation)
    return tree, root, pages


def built(inputs: dict[str, Any]) -> tuple[PageTree[Node], list[int]]:
    """The tree of a counterexample's pages, with their addresses."""
    tree: PageTree[Node] = PageTree(inputs["allocation"])
    pages = [inputs[name] for name in ("root", "left page", "right page") if name in inputs]
    for dma in pages:
        tree.insert(Node(dma))
    return tree, pages
