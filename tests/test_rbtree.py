"""The tree of pages against a sorted list: what is inserted and erased, in whatever order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impl.older import TreeByEndAddress
from impl.rbtree import LEFT, RIGHT, Node, PageTree


def black_height(node: Any, parent: Any = None) -> int:
    """The black nodes on every way down from a node; the tree below it has to be linked both ways, and red-black."""
    if node is None:
        return 0
    assert node.parent is parent
    assert not (node.red and parent is not None and parent.red)
    left, right = (black_height(child, node) for child in node.child)
    assert left == right
    return left + (not node.red)


def check(tree: PageTree[Node], expected: list[int]) -> None:
    """The tree is red-black, and holds just these pages, in order, whichever way it is walked through."""
    assert tree.root is None or not tree.root.red
    black_height(tree.root)
    assert [node.dma for node in tree] == expected
    assert sorted(node.dma for node in tree.postorder()) == expected


@given(st.lists(st.integers(0, 63), max_size=150))
def test_pages_come_and_go_as_in_a_sorted_list(addresses: list[int]) -> None:
    """An address that is there already is erased, any other is inserted."""
    tree: PageTree[Node] = PageTree(1)
    there: dict[int, Node] = {}
    for dma in addresses:
        if dma in there:
            tree.erase(there.pop(dma))
            assert tree.find(dma) is None
        else:
            there[dma] = Node(dma)
            assert tree.insert(there[dma]) is None
            assert tree.find(dma) is there[dma]
        check(tree, sorted(there))


@given(st.permutations(range(40)), st.permutations(range(40)))
def test_a_tree_is_emptied_in_any_order(inserted: list[int], erased: list[int]) -> None:
    tree: PageTree[Node] = PageTree(1)
    pages = {dma: Node(dma) for dma in inserted}
    for page in pages.values():
        tree.insert(page)
    for dma in erased:
        tree.erase(pages.pop(dma))
        check(tree, sorted(pages))
    assert tree.root is None


def test_an_erased_page_leaves_its_place_to_the_next_in_order() -> None:
    tree: PageTree[Node] = PageTree(1)
    pages = [Node(dma) for dma in range(3)]
    for page in pages:
        tree.insert(page)
    assert tree.root is pages[1]
    tree.erase(pages[1])
    assert tree.root is pages[2]
    assert pages[2].child[LEFT] is pages[0]
    assert pages[2].child[RIGHT] is None


def test_a_lookup_by_end_address_misses_nothing_but_the_page_at_the_top() -> None:
    top = 2**64 - 16
    starts = [0, 32, 48, 80, top]
    by_end, by_length = TreeByEndAddress[Node](16), PageTree[Node](16)
    for start in starts:
        by_end.insert(Node(start))
        by_length.insert(Node(start))
    for address in (*range(100), top - 1, top, 2**64 - 1):
        holding: int | None = next((start for start in starts if start <= address < start + 16), None)
        assert getattr(by_length.find(address), "dma", None) == holding
        assert getattr(by_end.find(address), "dma", None) == (None if holding == top else holding)


@pytest.mark.parametrize("checks_below", [False, True])
def test_a_page_that_reaches_into_the_one_above_is_refused_where_that_is_checked(checks_below: bool) -> None:
    for start, refused in ((16, False), (17, checks_below), (31, checks_below), (32, True), (47, True), (48, False)):
        tree: PageTree[Node] = PageTree(16, checks_below)
        first = Node(32)
        assert tree.insert(first) is None
        assert tree.insert(Node(start)) is (first if refused else None)
