"""Lookup: the page that holds an address, in a search tree of any size and any shape, or in a list of any length.

By structural induction, see `proofs.subjects.search_tree`. What is left to show is that the lookup enters a subtree with the
same address, and that it is right to: neither the root nor the other subtree holds the address.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from impl.older import TreeByEndAddress
from impl.rbtree import RIGHT, Node, PageTree
from impl.v6_1 import V6_1Pool
from impl.v6_12 import V6_12Pool
from impl.words import size_t, unsigned_int
from model import claims
from model.trace import Alloc, Create, Free, PageChoice, Trace
from proofs.engine.obligation import Counterexample, Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.subjects.any_tree import SIDES
from proofs.subjects.search_tree import ADDRESSES, IN_PYTHON, FirstPage, Trees, any_tree, built, some_tree
from proofs.subjects.subject import ReachedTail, about

obligation = Obligations(__name__)


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


explain_shape = from_this_state("the nodes stay linked, and in order")


@obligation(claims.lookup_finds_the_page_of_an_address, "series", *ADDRESSES, explain=explain_lookup)
def lookup_finds_the_page_of_an_address(path: Any, subject: Trees = IN_PYTHON) -> None:
    tree, root, pages = any_tree(path, subject)
    address = path.number("address")
    entered = None
    found = None
    try:
        found = tree.find(address)
    except ReachedTail as subtree:
        entered, sought = subtree.part, subtree.sought
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
def free_compares_few_addresses(path: Any, subject: Trees = IN_PYTHON) -> None:
    """The lookup reads the root's address, and then enters at most one subtree, where it reads one on each level at most."""
    tree, _, subtrees = some_tree(path, subject)
    below = path.ghost("compared below")
    levels = {side: path.ghost(f"levels on the {SIDES[side]}") for side in subtrees}
    try:
        tree.find(path.number("address"))
        entered = None
    except ReachedTail as subtree:
        entered = subtree.part
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
def lookup_in_an_empty_tree_finds_nothing(path: Any, subject: Trees = IN_PYTHON) -> None:
    tree = subject.empty(path, path.number("allocation"))
    found = tree.find(path.number("address"))
    path.show(claims.lookup_finds_the_page_of_an_address.name, lambda: found is None)


class Tail(Node):
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


List = Callable[[Any, Node, Any, bool, Any], bool]
"""Given a path, the first page of a list, the bytes of a page, whether there are more pages, and an address: whether a lookup
finds the first page. Raises ReachedTail where it goes on in the tail."""


def in_python(find_page: Callable[[Any, Any], Any]) -> List:
    def find(path: Any, page: Node, allocation: Any, more: bool, address: Any) -> bool:
        del path
        pages = [page, Tail()] if more else [page]
        geometry = SimpleNamespace(allocation=allocation)
        return find_page(SimpleNamespace(page_list=pages, geometry=geometry), address) is page

    return find


def scan(path: Any, subject: List) -> None:
    """By induction over the list of pages: the first one is found if it holds the address; if not, the scan goes on in the
    tail with the same address, as in a list of its own."""
    page, allocation = Node(path.number("page")), path.number("allocation")
    more = path.one_of("more pages", True, False)
    address = path.number("address")
    try:
        found = subject(path, page, allocation, more, address)
    except ReachedTail as tail:
        found, sought = False, tail.sought
        path.show("the tail is looked through for the same address", lambda: more and sought == address)
    path.show_claim(claims.lookup_finds_the_page_of_an_address, page.dma, allocation, address, found)


original = in_python(lambda pool, address: V6_1Pool._find_page(pool, 0, address))
for revision, first_page in (("v6.1", original), ("v6.12", in_python(V6_12Pool._find_page))):
    state = obligation(claims.lookup_finds_the_page_of_an_address, revision, *ADDRESSES, explain=explain_scan)
    state(about(scan, first_page))


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


@obligation.refuted(
    claims.lookup_finds_the_page_of_an_address,
    "what-if",
    Theory.U64,
    Theory.U32,
    explain=explain_wrapped,
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


@obligation.refuted(
    claims.lookup_finds_the_page_of_an_address,
    "series",
    Theory.U64,
    explain=explain_wrong_page,
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
