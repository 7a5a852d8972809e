"""The tree of pages: lookup and insertion, for search trees of any size and any shape; and the lookup in a list of pages.

By structural induction: the running code of `impl.rbtree` is given a tree whose two subtrees are abstract. When it
compares with the first page of one, it is where it would start on that subtree alone, so the induction hypothesis says the
rest. What is left to show is that it went there with the same address, and that it was right to go there: of the lookup,
that neither the root nor the other subtree holds the address; of the insertion, that the new page belongs on that side of
the root, and so, by transitivity, of everything on the other side.
"""

from types import SimpleNamespace
from typing import Any, cast

from impl.block_stack import BlockStackPool
from impl.history import OriginalPool, TreeByEndAddress
from impl.rbtree import LEFT, RIGHT, Node, PageTree
from impl.words import size_t, unsigned_int
from model import claims
from model.trace import Alloc, Create, Free, PageChoice, Trace
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Counterexample, Obligations, from_this_state
from proofs.engine.path import Theory

obligation = Obligations(__name__)

SIDES = {LEFT: "left", RIGHT: "right"}
ADDRESSES = (Theory.INTEGERS, Theory.U64, Theory.U32)  # dma_addr_t has 64 bits, or 32


class Entered(BaseException):
    """The code compares an address with the first page of an abstract subtree."""

    def __init__(self, side: int, address: Any) -> None:
        super().__init__(side)
        self.side = side
        self.address = address


class FirstPage:
    """The DMA address of the root of an abstract subtree: whoever compares with it has entered the subtree."""

    def __init__(self, side: int) -> None:
        self.side = side

    def __gt__(self, address: Any) -> bool:
        raise Entered(self.side, address)

    __lt__ = __le__ = __ge__ = __gt__


class Subtree:
    """A search tree of any size. It may be entered as the whole tree was, and in no other way."""

    def __init__(self, side: int) -> None:
        self.dma = FirstPage(side)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the code reads {name!r} of a subtree before it compares with its first page")


def is_leaf(page: Node) -> bool:
    """Whether a page is red and has no children."""
    return page.red and page.child == [None, None]


def some_tree(path: Any) -> tuple[Any, Node, list[int]]:
    """A tree with any root: the tree, its root, and the sides on which that has a subtree."""
    tree: PageTree[Node] = PageTree(path.number("allocation"))
    tree.root = root = Node(path.number("root"))
    for side, name in SIDES.items():
        if path.one_of(f"a {name} subtree", True, False):
            root.child[side] = Subtree(side)
    return tree, root, [side for side in SIDES if root.child[side] is not None]


def any_tree(path: Any) -> tuple[Any, Node, dict[int, Any]]:
    """A tree with any root, whose pages don't overlap; an arbitrary page of each subtree, where that is not empty."""
    tree, root, subtrees = some_tree(path)
    pages = {side: path.number(f"{SIDES[side]} page") for side in subtrees}
    if LEFT in pages:
        path.assume_claim(claims.insertion_keeps_pages_disjoint, pages[LEFT], root.dma, tree.allocation)
    if RIGHT in pages:
        path.assume_claim(claims.insertion_keeps_pages_disjoint, root.dma, pages[RIGHT], tree.allocation)
    return tree, root, pages


def explain_lookup(inputs: dict[str, Any]) -> Counterexample:
    """Build the tree of the (up to three) pages, and look the address up."""
    allocation, address = inputs["allocation"], inputs["address"]
    tree, pages = built(inputs)
    holder = next((dma for dma in pages if 0 <= address - dma < allocation), None)
    found = tree.find(address)
    listed = ", ".join(f"{dma:#x}" for dma in pages)
    return Counterexample(
        f"pages of {allocation} bytes at {listed}: {address:#x} is in {'none' if holder is None else hex(holder)}",
        f"the lookup finds {'none' if found is None else hex(found.dma)}",
    )


def built(inputs: dict[str, Any]) -> tuple[PageTree[Node], list[int]]:
    """The tree of a counterexample's pages, with their addresses."""
    tree: PageTree[Node] = PageTree(inputs["allocation"])
    pages = [inputs[name] for name in ("root", "left page", "right page") if name in inputs]
    for dma in pages:
        tree.insert(Node(dma))
    return tree, pages


explain_shape = from_this_state("the nodes stay linked, and in order")


@obligation(claims.lookup_finds_the_page_of_an_address, "series", *ADDRESSES, explain=explain_lookup)
def lookup_finds_the_page_of_an_address(path: Any) -> None:
    tree, root, pages = any_tree(path)
    address = path.number("address")
    entered = None
    found = None
    try:
        found = tree.find(address)
    except Entered as subtree:
        entered, sought = subtree.side, subtree.address
        path.show("the subtree is entered with the same address", lambda: sought == address)
    claim = claims.lookup_finds_the_page_of_an_address
    path.show_claim(claim, root.dma, tree.allocation, address, found is root)
    for side, page in pages.items():
        if side != entered:
            path.show_claim(claim, page, tree.allocation, address, False)


def explain_comparisons(inputs: dict[str, Any]) -> Counterexample:
    compared = inputs["compared below"] + 1
    return Counterexample("the lookup compares once on each level", f"it compares {compared} times")


@obligation(claims.free_compares_few_addresses, "series", Theory.INTEGERS, explain=explain_comparisons)
def free_compares_few_addresses(path: Any) -> None:
    """The lookup reads the root's address, and then enters at most one subtree, where it reads one on each level at most."""
    tree, _, subtrees = some_tree(path)
    below = path.ghost("compared below")
    levels = {side: path.ghost(f"levels on the {SIDES[side]}") for side in subtrees}
    try:
        tree.find(path.number("address"))
        entered = None
    except Entered as subtree:
        entered = subtree.side
    path.assume(
        "in a subtree, one comparison on each level", lambda: below <= (0 if entered is None else levels[entered])
    )
    height = 1 + max([0, *levels.values()])
    path.show("one comparison on each level", lambda: 1 + below <= height)
    pages = path.ghost("pages")
    path.assume_claim(claims.tree_height_is_logarithmic, pages, height)
    path.show_claim(claims.free_compares_few_addresses, pages, 1 + below)


@obligation(
    claims.lookup_finds_the_page_of_an_address, "series", Theory.INTEGERS, explain=explain_shape, case="empty_tree"
)
def lookup_in_an_empty_tree_finds_nothing(path: Any) -> None:
    tree: PageTree[Node] = PageTree(path.number("allocation"))
    found = tree.find(path.number("address"))
    path.show(claims.lookup_finds_the_page_of_an_address.name, lambda: found is None)


class Rest(Node):
    """The pages of a list after the first one; see `FirstPage`."""

    def __init__(self) -> None:
        super().__init__(cast(int, FirstPage(RIGHT)))


def explain_scan(inputs: dict[str, Any]) -> Counterexample:
    page, allocation, address = inputs["page"], inputs["allocation"], inputs["address"]
    inside = 0 <= address - page < allocation
    return Counterexample(
        f"a page of {allocation} bytes at {page:#x}: {address:#x} is {'inside' if inside else 'not inside'}",
        "the scan of the pages says otherwise",
    )


@obligation(claims.lookup_finds_the_page_of_an_address, "v6.1", *ADDRESSES, explain=explain_scan)
def original_scans_the_pages(path: Any) -> None:
    scan(path, lambda pool, address: OriginalPool._find_page(pool, 0, address))


@obligation(claims.lookup_finds_the_page_of_an_address, "v6.12", *ADDRESSES, explain=explain_scan)
def merged_rewrite_scans_the_pages(path: Any) -> None:
    scan(path, BlockStackPool._find_page)


def scan(path: Any, find_page: Any) -> None:
    """By induction over the list of pages: the first one is found if it holds the address; if not, the scan goes on in the
    rest with the same address, as in a list of its own."""
    page, allocation = Node(path.number("page")), path.number("allocation")
    more = path.one_of("more pages", True, False)
    address = path.number("address")
    pool = SimpleNamespace(
        page_list=[page, Rest()] if more else [page], geometry=SimpleNamespace(allocation=allocation)
    )
    try:
        found = find_page(pool, address)
    except Entered as rest:
        found, sought = None, rest.address
        path.show("the rest is looked through for the same address", lambda: more and sought == address)
    path.show_claim(claims.lookup_finds_the_page_of_an_address, page.dma, allocation, address, found is page)


def explain_wrong_page(inputs: dict[str, Any]) -> Counterexample:
    """Three pages of one block, forced upon the pool; one of the blocks is freed."""
    pages = [inputs[f"{name} page"] for name in ("first", "second", "third")]
    tree: PageTree[Node] = PageTree(8192)
    for dma in pages:
        tree.insert(Node(dma))
    dma, found = next((dma, found) for dma in pages if (found := tree.find(dma)) is not None and found.dma != dma)
    blocks = dict(zip(pages, "abc", strict=True))
    steps = (
        Create(8192),
        *(Alloc(block, page=PageChoice(at, forced=True)) for at, block in blocks.items()),
        Free(blocks[dma]),
    )
    return Counterexample(
        f"pages of 8192 bytes at {', '.join(map(hex, pages))}: the block at {dma:#x} belongs to the page there",
        f"the free of the block at {dma:#x} is credited to the page at {found.dma:#x}",
        Trace(steps, claim=claims.pool_stays_in_its_memory.name),
    )


def explain_wrapped(inputs: dict[str, Any]) -> Counterexample:
    allocation, root, address = inputs["allocation"], inputs["root"], inputs["address"]
    return Counterexample(
        f"a page of {allocation} bytes at {root:#x}: {address:#x} is in it",
        f"the page's end, {root + allocation:#x}, wraps around to 0, so that {address:#x} seems to be behind it",
    )


@obligation(
    claims.lookup_finds_the_page_of_an_address,
    "what-if",
    Theory.U64,
    Theory.U32,
    explain=explain_wrapped,
    expected=Verdict.REFUTED,
    case="by_end_address",
)
def lookup_by_end_address_misses_the_last_page(path: Any) -> None:
    """`dma >= page.dma + allocation` for `dma - page.dma >= allocation`: refuted at the very top of the address space."""
    dma_addr_t = size_t if path.theory is Theory.U64 else unsigned_int
    tree: TreeByEndAddress[Node] = TreeByEndAddress(path.number("allocation"), dma_addr_t)
    tree.root = root = Node(path.number("root"))
    address = path.number("address")
    path.assume("the page lies in the address space", lambda: dma_addr_t(root.dma + tree.allocation - 1) >= root.dma)
    found = tree.find(address)
    path.show_claim(claims.lookup_finds_the_page_of_an_address, root.dma, tree.allocation, address, found is root)


@obligation(
    claims.lookup_finds_the_page_of_an_address,
    "series",
    Theory.U64,
    explain=explain_wrong_page,
    expected=Verdict.REFUTED,
    case="overlapping_pages",
)
def lookup_credits_a_block_to_the_wrong_page(path: Any) -> None:
    """Where pages overlap, the tree may turn so that the lookup meets another page first. Pages of two kernel pages, one
    block each; the third page lets the tree turn."""
    allocation = path.one_of("allocation", 8192)
    tree: PageTree[Node] = PageTree(allocation)
    pages = []
    for name in ("first", "second", "third"):
        page = Node(path.number(f"{name} page"))
        path.assume("pages are aligned to 4096 bytes", lambda page=page: page.dma % 4096 == 0)
        refused = tree.insert(page)
        path.assume("patch 10's check lets every page in", lambda refused=refused: refused is None)
        pages.append(page)
    for page in pages:
        found = tree.find(page.dma)
        path.show_claim(claims.lookup_finds_the_page_of_an_address, page.dma, allocation, page.dma, found is page)


def insert_anywhere(path: Any, checks_below: bool = False) -> tuple[Any, Node, Any, int | None]:
    """Insert any page: the tree, its root, the page, and the side of the root on which it goes; None if refused."""
    tree, root, subtrees = some_tree(path)
    tree.checks_below = checks_below
    former = list(root.child)
    if not checks_below:
        path.assume("a page is not empty", lambda: tree.allocation >= 1)
    page = Node(path.number("new page"))
    rebalanced: list[Node] = []
    balanced = "insert_turn", "insert_loop"
    path.by(claims.tree_is_balanced, tree, "_rebalance", rebalanced.append, *balanced, revision="series")
    try:
        overlapping = tree.insert(page)
    except Entered as subtree:
        entered, sought = subtree.side, subtree.address
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
def tree_keeps_pages_in_order(path: Any) -> None:
    _, root, page, side = insert_anywhere(path)
    path.assume("the page is added", lambda: side is not None)
    lower, higher = (page, root) if side == LEFT else (root, page)
    path.show_claim(claims.tree_keeps_pages_in_order, lower.dma, higher.dma)


@obligation(claims.tree_keeps_pages_in_order, "series", Theory.INTEGERS, explain=explain_shape, case="first_page")
def insertion_into_an_empty_tree(path: Any) -> None:
    tree: PageTree[Node] = PageTree(path.number("allocation"))
    page = Node(path.number("new page"))
    refused = tree.insert(page)
    path.show(claims.tree_keeps_pages_in_order.name, lambda: refused is None and list(tree) == [page])


@obligation(claims.insertion_keeps_pages_disjoint, "series", *ADDRESSES, explain=explain_insertion)
def insertion_keeps_pages_disjoint(path: Any) -> None:
    tree, root, page, side = insert_anywhere(path)
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
    tree, root, page, side = insert_anywhere(path, checks_below=True)
    path.assume("the page is added", lambda: side is not None)
    lower, higher = (page, root) if side == LEFT else (root, page)
    path.show_claim(claims.insertion_keeps_pages_disjoint, lower.dma, higher.dma, tree.allocation)


@obligation(
    claims.insertion_keeps_pages_disjoint,
    "series",
    Theory.U64,
    explain=explain_insertion,
    expected=Verdict.REFUTED,
    case="any_alignment",
)
def insertion_misses_a_page_from_below(path: Any) -> None:
    allocation, at = path.number("allocation"), path.number("root")
    new = path.number("new page")
    path.assume(
        "pages are aligned to 4096 bytes, and not smaller",
        lambda: allocation >= 4096 and at % 4096 == 0 and new % 4096 == 0,
    )
    tree: PageTree[Node] = PageTree(allocation)
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
