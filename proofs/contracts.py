"""Contracts on the running functions of `impl`, for CrossHair: `proofs.confirm` checks them.

A contract is a function of plain integers that says whether a claim holds. Its docstring holds the contract itself, as
CrossHair reads it: every `pre:` is a premise, and `post: _` says that what is returned has to be true. A contract whose
paths can all be followed is CONFIRMED, for every input within the bound that it states; one without a bound is only
SEARCHED, for a number of paths. Sizes, offsets and addresses are in bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from impl import history, layout
from impl.layout import Cursor, Geometry
from impl.rbtree import Node, PageTree
from model import claims
from model import geometry as promise
from model.claims import Claim
from model.revision import LARGEST_PAGE
from model.trace import Alloc, Create, Free, Kernel, PageChoice, Trace
from proofs import admission, counting
from proofs import layout as laying
from proofs.engine.obligation import Counterexample, Explain
from proofs.layout import PAGE_SIZE


class Outcome(Enum):
    """What CrossHair found of a contract."""

    CONFIRMED = "CONFIRMED"  # every path was followed to its end, and the claim holds on each
    SEARCHED = "SEARCHED"  # nothing was found within the budget, which says nothing about the rest
    REFUTED = "REFUTED"  # an input breaks the claim, also on plain integers
    VACUOUS = "VACUOUS"  # no input was found that meets the premises
    UNKNOWN = "UNKNOWN"  # no answer, or one that plain integers contradict


@dataclass(frozen=True)
class Contract:
    """`check` says whether `claim` holds of `revision`, for the inputs that `about` describes, with their bound."""

    claim: Claim
    revision: str
    about: str
    expected: Outcome
    check: Callable[..., bool]
    explain: Explain
    paths: int  # the budget: how many paths are followed at most

    @property
    def name(self) -> str:
        return f"{self.claim.name}/{self.revision}/{self.check.__name__}"


CONTRACTS: dict[str, Contract] = {}


def contract(
    claim: Claim,
    about: str,
    *,
    explain: Explain,
    revision: str = "series",
    expected: Outcome = Outcome.CONFIRMED,
    paths: int = 5_000,
) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    """Make a function a contract."""

    def register(check: Callable[..., bool]) -> Callable[..., bool]:
        made = Contract(claim, revision, about, expected, check, explain, paths)
        assert made.name not in CONTRACTS, made.name
        CONTRACTS[made.name] = made
        return check

    return register


def known(number: int, highest: int) -> int:
    """`number`, which is from 0 to `highest`, as a plain integer: a path of its own for each value.

    Where numbers are multiplied, divided or masked, that is quicker than to leave them to the solver.
    """
    low = 0
    while low < highest:
        middle = (low + highest) // 2
        if number <= middle:
            highest = middle
        else:
            low = middle + 1
    assert number == low, "the contract bounds the number"
    return low


# What dma_pool_create lets in.


def explain_small_arguments(inputs: dict[str, Any]) -> Counterexample:
    """Pages of 8 bytes are no kernel's, so no trace can show it."""
    told = admission.explain({**inputs, "page_size": 8})
    return Counterexample(told.expected, told.actual)


@contract(
    claims.create_admits_what_is_promised,
    "size <= 9, align <= 4, boundary <= 16, pages of 8",
    explain=explain_small_arguments,
)
def small_arguments(size: int, align: int, boundary: int) -> bool:
    """The argument check, `align_up` and `kept` against the promise; refusals too.

    pre: 0 <= size <= 9 and 0 <= align <= 4 and 0 <= boundary <= 16
    post: _
    """
    arguments = known(size, 9), known(align, 4), known(boundary, 16), 8
    return bool(claims.create_admits_what_is_promised(promise.create(*arguments), admission.kept_geometry(*arguments)))


def page_arguments(size: int, align_shift: int, boundary_shift: int, page_shift: int) -> dict[str, int]:
    """Arguments of dma_pool_create, where all but the size are powers of two."""
    align, boundary, page_size = 1 << align_shift, 1 << boundary_shift, 1 << page_shift
    return {"size": size, "align": align, "boundary": boundary, "page_size": page_size}


@contract(
    claims.create_admits_what_is_promised,
    "any size that rounds up to an int, any powers of two",
    explain=lambda inputs: admission.explain(page_arguments(**inputs)),
    expected=Outcome.SEARCHED,
    paths=500,
)
def any_powers_of_two(size: int, align_shift: int, boundary_shift: int, page_shift: int) -> bool:
    """The same, for pages of 4 KiB to 64 KiB, and sizes that stay ints when they are rounded up.

    pre: 0 <= size <= promise.INT_MAX and 0 <= boundary_shift < 64 and 12 <= page_shift <= 16
    pre: 0 <= align_shift < 32 and size + (1 << known(align_shift, 31)) <= promise.INT_MAX + 1
    post: _
    """
    shifts = known(align_shift, 31), known(boundary_shift, 63), known(page_shift, 16)
    arguments: Any = tuple(page_arguments(size, *shifts).values())
    return bool(claims.create_admits_what_is_promised(promise.create(*arguments), admission.kept_geometry(*arguments)))


def explain_rounding(inputs: dict[str, Any]) -> Counterexample:
    size, align = inputs["size"], 1 << inputs["shift"]
    return Counterexample(
        f"{size} rounded up to a multiple of {align} is {promise.round_up(size, align)}",
        f"it is {layout.align_up(size, align)}",
    )


@contract(claims.create_admits_what_is_promised, "align_up: size <= 64, align <= 32", explain=explain_rounding)
def rounding_up(size: int, shift: int) -> bool:
    """The size of a geometry is the least multiple of the alignment that holds a block.

    pre: 0 <= size <= 64 and 0 <= shift <= 5
    post: _
    """
    size, align = known(size, 64), 1 << known(shift, 5)
    promised = promise.Geometry(promise.round_up(size, align), align, PAGE_SIZE)
    rounded = Geometry(layout.align_up(size, align), align, PAGE_SIZE)
    return bool(claims.create_admits_what_is_promised(promised, rounded))


def explain_keeping(inputs: dict[str, Any]) -> Counterexample:
    geometry = Geometry(**inputs)
    return Counterexample(
        f"the pool keeps {admission.describe(geometry)}", f"it keeps {admission.describe(layout.kept(geometry))}"
    )


@contract(claims.create_admits_what_is_promised, "kept: all up to INT_MAX", explain=explain_keeping)
def keeping_a_geometry(size: int, boundary: int, allocation: int) -> bool:
    """A geometry of ints is kept as it is.

    pre: 0 <= size <= promise.INT_MAX and 0 <= boundary <= promise.INT_MAX and 0 <= allocation <= promise.INT_MAX
    post: _
    """
    geometry = promise.Geometry(size, boundary, allocation)
    return bool(claims.create_admits_what_is_promised(geometry, layout.kept(Geometry(size, boundary, allocation))))


# A turn of the loop that lays out a page, from any block of any page. No product and no walk: all paths can be followed.

ANY_TURN = "next_block: all up to INT_MAX"


@contract(claims.next_boundary_is_a_multiple, ANY_TURN, explain=laying.explain_series)
def boundary_after_a_turn(size: int, boundary: int, allocation: int, offset: int, next_boundary: int) -> bool:
    """
    pre: 0 < size <= boundary <= allocation <= promise.INT_MAX and offset >= 0
    pre: claims.next_boundary_is_a_multiple(next_boundary, boundary)
    pre: claims.layout_stays_between_boundaries(offset, next_boundary, Geometry(size, boundary, allocation))
    post: _
    """
    geometry = Geometry(size, boundary, allocation)
    following = layout.next_block(geometry, Cursor(offset, next_boundary))
    return not layout.goes_on(geometry, following) or bool(
        claims.next_boundary_is_a_multiple(following.next_boundary, boundary)
    )


@contract(claims.layout_stays_between_boundaries, ANY_TURN, explain=laying.explain_series)
def block_after_a_turn(size: int, boundary: int, allocation: int, offset: int, next_boundary: int) -> bool:
    """
    pre: 0 < size <= boundary <= allocation <= promise.INT_MAX and offset >= 0
    pre: claims.boundary_divides_the_allocation(Geometry(size, boundary, allocation))
    pre: claims.next_boundary_is_a_multiple(next_boundary, boundary)
    pre: claims.layout_stays_between_boundaries(offset, next_boundary, Geometry(size, boundary, allocation))
    post: _
    """
    geometry = Geometry(size, boundary, allocation)
    following = layout.next_block(geometry, Cursor(offset, next_boundary))
    return not layout.goes_on(geometry, following) or bool(
        claims.layout_stays_between_boundaries(following.offset, following.next_boundary, geometry)
    )


@contract(claims.no_block_crosses_a_boundary, ANY_TURN, explain=laying.explain_series)
def boundaries_around_a_block(size: int, boundary: int, allocation: int, offset: int, next_boundary: int) -> bool:
    """
    pre: 0 < size <= boundary <= allocation <= promise.INT_MAX and offset >= 0
    pre: claims.next_boundary_is_a_multiple(next_boundary, boundary)
    pre: claims.layout_stays_between_boundaries(offset, next_boundary, Geometry(size, boundary, allocation))
    post: _
    """
    geometry = Geometry(size, boundary, allocation)
    following = layout.next_block(geometry, Cursor(offset, next_boundary))
    return not layout.goes_on(geometry, following) or bool(
        claims.no_block_crosses_a_boundary(following.offset, size, boundary)
    )


@contract(claims.offsets_fit_the_int_link, ANY_TURN, explain=laying.explain_series)
def link_of_a_block(size: int, boundary: int, allocation: int, offset: int, next_boundary: int) -> bool:
    """Also of the last block, whose link is behind the page.

    pre: 0 < size <= boundary <= allocation <= promise.INT_MAX and offset >= 0
    pre: claims.layout_stays_between_boundaries(offset, next_boundary, Geometry(size, boundary, allocation))
    post: _
    """
    following = layout.next_block(Geometry(size, boundary, allocation), Cursor(offset, next_boundary))
    return bool(claims.offsets_fit_the_int_link(following.offset))


@contract(claims.layout_ends, ANY_TURN, explain=laying.explain_series)
def progress_of_a_turn(size: int, boundary: int, allocation: int, offset: int, next_boundary: int) -> bool:
    """
    pre: 0 < size <= boundary <= allocation <= promise.INT_MAX and offset >= 0
    pre: claims.layout_stays_between_boundaries(offset, next_boundary, Geometry(size, boundary, allocation))
    post: _
    """
    following = layout.next_block(Geometry(size, boundary, allocation), Cursor(offset, next_boundary))
    return bool(claims.layout_ends(offset, following.offset))


@contract(claims.no_room_is_wasted, ANY_TURN, explain=laying.explain_series)
def room_before_the_next_block(
    size: int, boundary: int, allocation: int, offset: int, next_boundary: int, start: int
) -> bool:
    """
    pre: 0 < size <= boundary <= allocation <= promise.INT_MAX and offset >= 0
    pre: claims.next_boundary_is_a_multiple(next_boundary, boundary)
    pre: claims.layout_stays_between_boundaries(offset, next_boundary, Geometry(size, boundary, allocation))
    post: _
    """
    following = layout.next_block(Geometry(size, boundary, allocation), Cursor(offset, next_boundary))
    gap = offset + size, min(following.offset, allocation)
    return bool(claims.no_room_is_wasted(gap, start, size, boundary))


# Whole pages. The boundary divides the page.


def whole_page(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with the page's bytes, for people."""
    return {**inputs, "allocation": inputs["boundary"] * inputs["boundaries"]}


@contract(
    claims.total_counts_the_blocks,
    "pages of at most 40 bytes",
    explain=lambda inputs: counting.explain_series(whole_page(inputs)),
)
def blocks_of_a_small_page(size: int, boundary: int, boundaries: int) -> bool:
    """`blks_per_alloc` against a walk over the blocks.

    pre: 0 < size <= boundary <= 40 and 0 < boundaries <= 40
    pre: known(boundary, 40) * boundaries <= 40
    post: _
    """
    size, boundary = known(size, 40), known(boundary, 40)
    geometry = Geometry(size, boundary, boundary * boundaries)
    return bool(claims.total_counts_the_blocks(layout.blks_per_alloc(geometry), 1, count(layout.laid_blocks(geometry))))


@contract(
    claims.total_counts_the_blocks,
    "pages of any size",
    explain=lambda inputs: counting.explain_series(whole_page(inputs)),
    expected=Outcome.SEARCHED,
    paths=24,
)
def blocks_of_any_page(size: int, boundary: int, boundaries: int) -> bool:
    """
    pre: 0 < size <= boundary and 0 < boundaries and boundary * boundaries <= promise.INT_MAX
    post: _
    """
    geometry = Geometry(size, boundary, boundary * boundaries)
    return bool(claims.total_counts_the_blocks(layout.blks_per_alloc(geometry), 1, count(layout.laid_blocks(geometry))))


@contract(
    claims.no_room_is_wasted,
    "pages of at most 12 bytes",
    explain=lambda inputs: laying.explain_series(whole_page(inputs)),
)
def room_in_a_small_page(size: int, boundary: int, boundaries: int, start: int) -> bool:
    """Between any two blocks of a page, and behind the last one.

    pre: 0 < size <= boundary <= 12 and 0 < boundaries <= 12
    pre: known(boundary, 12) * boundaries <= 12
    post: _
    """
    size, boundary = known(size, 12), known(boundary, 12)
    geometry = Geometry(size, boundary, boundary * boundaries)
    gaps = [(at + size, min(following, geometry.allocation)) for at, following in layout.laid_blocks(geometry)]
    return all(claims.no_room_is_wasted(gap, start, size, boundary) for gap in gaps)


def count(blocks: Any) -> int:
    return sum(1 for _ in blocks)


# The lookup.

# An order of insertion for each shape of the tree that insertions make of 1 to 7 pages; page 0 has the lowest address.
ONE_PER_SHAPE = """
0 01 10 012 0123 0132 0231 1230 01234 02314 02413 03412 12304 12403 012345 012354 012453 013452 023145 034125 035124
045123 045132 045231 123045 145230 0123456 0124536 0124635 0125634 0134526 0134625 0231456 0231465 0231564 0241563
0341256 0451236 0451326 0452316 0461235 0461325 0462315 0561234 0562314 0562413 0563412 1230456 1230465 1230564
1240563 1452306 1462305 1562304 1562403
"""
ORDERS = ((), *(tuple(map(int, order)) for order in ONE_PER_SHAPE.split()))


def built(order: Sequence[int], allocation: int, gaps: Sequence[int]) -> tuple[PageTree[Node], list[Node]]:
    """A tree, and its pages by address: `gaps` are the free bytes below each page. Inserted in this order."""
    pages: list[Node] = []
    end = 0
    for gap in gaps:
        pages.append(Node(end + gap))
        end += gap + allocation
    tree: PageTree[Node] = PageTree(allocation)
    for place in order:
        tree.insert(pages[place])
    return tree, pages


def agrees_with_a_scan(tree: PageTree[Node], pages: list[Node], address: int) -> bool:
    """The linear scan: whether the lookup and each page, asked in turn, say the same."""
    found = tree.find(address)
    claim = claims.lookup_finds_the_page_of_an_address
    return all(claim(page.dma, tree.allocation, address, found is page) for page in pages)


def explain_few_pages(inputs: dict[str, Any]) -> Counterexample:
    order = ORDERS[inputs["order"]]
    gaps = [inputs[name] for name in "abcdefg"[: len(order)]]
    return explain_lookup(order, inputs["allocation"], gaps, inputs["address"])


def explain_many_pages(inputs: dict[str, Any]) -> Counterexample:
    gaps = inputs["gaps"]
    return explain_lookup(range(len(gaps)), inputs["allocation"], gaps, inputs["address"])


def explain_lookup(order: Sequence[int], allocation: int, gaps: Sequence[int], address: int) -> Counterexample:
    """Look the address up; and a driver that frees it, as its block in the nearest page below."""
    tree, pages = built(order, allocation, gaps)
    found = tree.find(address)
    holder = next((page for page in pages if 0 <= address - page.dma < allocation), None)
    listed = ", ".join(f"{pages[place].dma:#x}" for place in order)
    expected = (
        f"pages of {allocation} bytes at {listed}: {address:#x} is in {'none' if holder is None else hex(holder.dma)}"
    )
    actual = f"the lookup finds {'none' if found is None else hex(found.dma)}"
    if allocation > LARGEST_PAGE or any(number >= 2**64 - allocation for number in (address, *(p.dma for p in pages))):
        return Counterexample(expected, actual)
    below = max((place for place in order if pages[place].dma <= address), default=order[0])
    allocs = [Alloc(f"page {place}", page=PageChoice(pages[place].dma)) for place in order]
    # A debug build tells an address in no page from one in a wrong place of a page.
    free = Free(f"page {below}", dma_plus=address - pages[below].dma)
    return Counterexample(expected, actual, Trace((Create(allocation), *allocs, free), Kernel(debug=True)))


@contract(
    claims.lookup_finds_the_page_of_an_address,
    "trees of at most 7 pages, each shape",
    explain=explain_few_pages,
)
def lookup_among_few_pages(
    order: int, allocation: int, address: int, a: int, b: int, c: int, d: int, e: int, f: int, g: int
) -> bool:
    """`PageTree.find` against a scan; `a` to `g` are the bytes below each page. Addresses and sizes have no bound.

    pre: 0 <= order < len(ORDERS) and allocation >= PAGE_SIZE and address >= 0
    pre: a >= 0 and b >= 0 and c >= 0 and d >= 0 and e >= 0 and f >= 0 and g >= 0
    post: _
    """
    chosen = ORDERS[known(order, len(ORDERS) - 1)]
    return agrees_with_a_scan(*built(chosen, allocation, (a, b, c, d, e, f, g)[: len(chosen)]), address)


@contract(
    claims.lookup_finds_the_page_of_an_address,
    "any number of pages, in ascending order",
    explain=explain_many_pages,
    expected=Outcome.SEARCHED,
    paths=120,
)
def lookup_among_many_pages(allocation: int, address: int, gaps: list[int]) -> bool:
    """
    pre: allocation >= PAGE_SIZE and address >= 0
    pre: all(gap >= 0 for gap in gaps)
    post: _
    """
    return agrees_with_a_scan(*built(range(len(gaps)), allocation, gaps), address)


# What v6.1 gets wrong: CrossHair has to find it, which also shows that contracts such as these can fail.


def kernel_page(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with a page of 4096 bytes, for people."""
    return {**inputs, "allocation": PAGE_SIZE}


@contract(
    claims.total_counts_the_blocks,
    "kernel pages, any boundary",
    explain=lambda inputs: counting.explain_original(kernel_page(inputs)),
    revision="v6.1",
    expected=Outcome.REFUTED,
)
def original_count(size: int, boundary: int) -> bool:
    """Against the series' count, which another contract holds to a walk.

    pre: 4 <= size <= boundary and PAGE_SIZE % boundary == 0
    post: _
    """
    geometry = Geometry(size, boundary, PAGE_SIZE)
    return bool(claims.total_counts_the_blocks(history.blks_per_alloc(geometry), 1, layout.blks_per_alloc(geometry)))


@contract(
    claims.total_counts_the_blocks,
    "pages of at most 40 bytes",
    explain=lambda inputs: counting.explain_original(whole_page(inputs)),
    revision="v6.1",
    expected=Outcome.REFUTED,
)
def original_count_of_a_small_page(size: int, boundary: int, boundaries: int) -> bool:
    """
    pre: 0 < size <= boundary <= 40 and 0 < boundaries <= 40
    pre: known(boundary, 40) * boundaries <= 40
    post: _
    """
    size, boundary = known(size, 40), known(boundary, 40)
    geometry = Geometry(size, boundary, boundary * boundaries)
    laid = count(layout.laid_blocks(geometry))
    return bool(claims.total_counts_the_blocks(history.blks_per_alloc(geometry), 1, laid))


@contract(
    claims.no_room_is_wasted,
    "kernel pages, any boundary",
    explain=lambda inputs: laying.explain_original(kernel_page(inputs)),
    revision="v6.1",
    expected=Outcome.REFUTED,
)
def original_room_before_the_second_block(size: int, boundary: int, start: int) -> bool:
    """
    pre: 4 <= size <= boundary and PAGE_SIZE % boundary == 0
    post: _
    """
    geometry = Geometry(size, boundary, PAGE_SIZE)
    following = history.next_block(geometry, layout.first_block(geometry))
    gap = size, min(following.offset, PAGE_SIZE)
    return bool(claims.no_room_is_wasted(gap, start, size, boundary))


@contract(
    claims.block_lies_inside_its_page,
    "kernel pages, boundary 8192",
    explain=lambda inputs: laying.explain_original(kernel_page({**inputs, "boundary": 8192})),
    revision="v6.1",
    expected=Outcome.REFUTED,
)
def original_last_block(size: int, block: int) -> bool:
    """The block behind number `block`.

    pre: 4 <= size and block >= 0 and (block + 1) * size <= PAGE_SIZE
    post: _
    """
    geometry = Geometry(size, 8192, PAGE_SIZE)
    following = history.next_block(geometry, Cursor(block * size, 8192))
    return not layout.goes_on(geometry, following) or bool(
        claims.block_lies_inside_its_page(following.offset, size, PAGE_SIZE)
    )


@contract(
    claims.layout_ends,
    "kernel pages, any boundary of 64 bits",
    explain=lambda inputs: laying.explain_original(kernel_page({**inputs, "boundary": 1 << inputs["shift"]})),
    revision="v6.1",
    expected=Outcome.REFUTED,
)
def original_progress(size: int, shift: int) -> bool:
    """
    pre: 12 <= shift < 64 and 4 <= size <= PAGE_SIZE
    post: _
    """
    geometry = Geometry(size, 1 << known(shift, 63), PAGE_SIZE)
    first = layout.first_block(geometry)
    following = history.next_block(geometry, first)
    return not layout.goes_on(geometry, following) or bool(claims.layout_ends(first.offset, following.offset))
