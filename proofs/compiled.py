"""The claims about the C that runs: a kernel's own mm/dmapool.c, compiled as it is and executed on symbolic words.

The arguments are those of `proofs.admission`, `proofs.layout`, `proofs.counting` and `proofs.block_stack`, about the
compiled functions instead of Python. The contract between dma_pool_create and the layout is stated as claims of
`model.claims`: shown of every path through dma_pool_create, and assumed of any geometry in pool_initialise_page. Its loop is
cut where it begins a turn: the variables of C that the proof knows there are arbitrary, as far as the invariant allows. A loop
with other variables, or one that writes what the proof does not know of, is not followed.

Memory for the pool itself is always there; the device gives a page that does not wrap around in its address space.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

from impl import layout
from impl.layout import Cursor, Geometry
from kernel.build import Source
from kernel.execute import Machine, Pointer, Struct, Unknown
from kernel.ir import NotFollowed
from model import claims
from model import geometry as promise
from model.claims import Claim
from model.promises import SERIES, V6_1
from proofs.admission import arguments, arguments_that_round_up_to_an_int
from proofs.counting import Turn, by_blocks, by_turns
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Obligation
from proofs.layout import PAGE_SIZE
from proofs.subjects.c_pool import (
    Code,
    Layout,
    code_of,
    created,
    geometry_of,
    node_field,
    total_in_the_row,
)
from proofs.subjects.c_told import (
    explain_arguments,
    explain_page,
    explain_state,
    explain_total,
    make,
)

MOST_PAGES = 4
"""In a lookup: a list, or a tree, of at most so many."""


# What dma_pool_create lets in.


def admitted(path: Any, code: Code, given: tuple[Any, Any, Any, Any]) -> Geometry:
    """The geometry that the pool keeps of these arguments, on the paths where it admits them."""
    geometry = geometry_of(created(code, *given))
    path.assume("the arguments are admitted", lambda: geometry is not None)
    assert geometry is not None
    return geometry


def contract(path: Any, code: Code) -> tuple[Any, Any, Any, Any]:
    """The arguments for which a revision promises what it does."""
    if code.promises is not V6_1:
        return arguments_that_round_up_to_an_int(path)
    size, align, boundary, page_size = arguments(path)
    path.assume("size and align are at most 2^30", lambda: size <= 2**30 and align <= 2**30)
    path.assume("boundary is at most PAGE_SIZE", lambda: boundary <= page_size)
    return size, align, boundary, page_size


def small_first(path: Any) -> tuple[Any, Any, Any, Any]:
    """Any arguments, on a kernel with pages of 4 KiB; of a counterexample, the smallest align comes first."""
    page_size, align, size = path.one_of("page_size", PAGE_SIZE), path.number("align"), path.number("size")
    return size, align, path.number("boundary"), page_size


def any_boundary(path: Any) -> tuple[Any, Any, Any, Any]:
    size, boundary = path.number("size"), path.number("boundary")
    path.assume("a boundary is asked for", lambda: boundary > 0)
    return size, path.one_of("align", 1), boundary, path.one_of("page_size", PAGE_SIZE)


def any_size(path: Any) -> tuple[Any, Any, Any, Any]:
    return path.number("size"), path.one_of("align", 1), path.one_of("boundary", 0), path.one_of("page_size", PAGE_SIZE)


Arguments = Callable[[Any], tuple[Any, Any, Any, Any]]


Made = Iterator[Obligation]


def admission(code: Code) -> Made:
    within = partial(contract, code=code)
    case = "boundary_up_to_a_page" if code.promises is V6_1 else "size_rounds_up_to_an_int"
    held = make(code, explain_arguments, case=case)
    broken = make(code, explain_arguments, Verdict.REFUTED, "any_arguments")

    def admits(given: Arguments) -> Callable[[Any], None]:
        def body(path: Any) -> None:
            what = given(path)
            promised = promise.create(*what, code.smallest)
            path.show_claim(claims.create_admits_what_is_promised, promised, geometry_of(created(code, *what)))

        return body

    def of_geometry(claim: Claim, given: Arguments, *more: Any) -> Callable[[Any], None]:
        def body(path: Any) -> None:
            path.show_claim(claim, admitted(path, code, given(path)), *more)

        return body

    def aligned(path: Any) -> None:
        given = within(path)
        geometry = admitted(path, code, given)
        path.show_claim(claims.alignment_divides_size_and_boundary, geometry, 1 if given[1] == 0 else given[1])

    yield held(claims.create_admits_what_is_promised, admits(within))
    yield held(claims.admitted_geometry_is_ordered, of_geometry(claims.admitted_geometry_is_ordered, within))
    fits = claims.admitted_geometry_fits_an_int
    yield held(fits, of_geometry(fits, within, code.smallest))
    divides = claims.boundary_divides_the_allocation
    yield held(divides, of_geometry(divides, within))
    yield held(claims.alignment_divides_size_and_boundary, aligned)
    yield broken(claims.create_admits_what_is_promised, admits(small_first))
    yield broken(claims.admitted_geometry_is_ordered, of_geometry(claims.admitted_geometry_is_ordered, small_first))
    yield broken(fits, of_geometry(fits, small_first, code.smallest))
    if code.promises is V6_1:
        yield broken(divides, of_geometry(divides, any_boundary))


# How a page is laid out.


def inside(path: Any, allocation: Any, offset: Any, nbytes: Any) -> None:
    """Show that an access stays in its page."""
    path.show(claims.pool_stays_in_its_memory.name, lambda: offset >= 0 and offset + nbytes <= allocation)


def any_layout(path: Any, code: Code) -> tuple[Geometry, Layout, Cursor]:
    """Any geometry that dma_pool_create promises, and its layout up to the first turn."""
    geometry = Geometry(path.number("size"), path.number("boundary"), path.number("allocation"))
    path.assume_claim(claims.admitted_geometry_is_ordered, geometry)
    path.assume_claim(claims.admitted_geometry_fits_an_int, geometry, code.smallest)
    dma = path.number("dma")
    path.assume("the page lies in the address space", lambda: dma + geometry.allocation <= 2**64)
    at_work = Layout(code, geometry, dma)
    return geometry, at_work, at_work.first()


def place(code: Code, geometry: Geometry) -> Geometry:
    """What the invariant is about: a block, or the place where a turn begins, whether or not a block fits there."""
    return Geometry(0, geometry.boundary, geometry.allocation) if code.stacks else geometry


def any_turn(path: Any, code: Code, geometry: Geometry, first: Cursor) -> tuple[Cursor, Any]:
    """The beginning of any turn, and the block before it; None before the first block."""
    if code.stacks and path.one_of("first_turn", False, True):
        return first, None
    cursor = Cursor(path.number("offset"), path.number("next_boundary"))
    path.assume_claim(claims.layout_stays_between_boundaries, *cursor, place(code, geometry))
    if not code.stacks:
        return cursor, None
    last = path.number("last")
    path.assume("the block before ends before this turn's place", lambda: last + geometry.size <= cursor.offset)
    return cursor, last


def layouts(code: Code) -> Made:
    held = make(code, explain_page)
    wasteful = make(code, explain_page, Verdict.REFUTED) if code.promises is V6_1 else held

    def next_boundary_is_a_multiple(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        path.show_claim(claims.next_boundary_is_a_multiple, first.next_boundary, geometry.boundary)
        cursor, last = any_turn(path, code, geometry, first)
        following = at_work.turn(cursor, last)
        path.assume("the loop goes on", lambda: following is not None)
        path.assume_claim(claims.next_boundary_is_a_multiple, cursor.next_boundary, geometry.boundary)
        path.show_claim(claims.next_boundary_is_a_multiple, following.next_boundary, geometry.boundary)

    def layout_stays_between_boundaries(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        about = place(code, geometry)
        path.show_claim(claims.layout_stays_between_boundaries, *first, about)
        cursor, last = any_turn(path, code, geometry, first)
        following = at_work.turn(cursor, last)
        path.assume("the loop goes on", lambda: following is not None)
        path.assume_claim(claims.boundary_divides_the_allocation, geometry)
        path.assume_claim(claims.next_boundary_is_a_multiple, cursor.next_boundary, geometry.boundary)
        if at_work.laid:
            path.show_claim(claims.layout_stays_between_boundaries, *cursor, geometry)
        path.show_claim(claims.layout_stays_between_boundaries, *following, about)
        path.show(
            "the block before ends before the next turn's place",
            lambda: not code.stacks or (at_work.last is not None and at_work.last + geometry.size <= following.offset),
        )
        path.show(
            "the first block stays the first",
            lambda: not code.stacks or (isinstance(at_work.begins, Pointer) and at_work.begins.offset == 0),
        )

    def block_lies_inside_its_page(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        cursor, last = any_turn(path, code, geometry, first)
        at_work.turn(cursor, last)
        path.assume("a block is laid", lambda: len(at_work.laid) == 1)
        path.show_claim(claims.block_lies_inside_its_page, at_work.laid[0], geometry.size, geometry.allocation)

    def pool_stays_in_its_memory(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        at_work.memory.check = partial(inside, path, geometry.allocation)
        cursor, last = any_turn(path, code, geometry, first)
        at_work.turn(cursor, last)
        path.show("no turn fails", lambda: True)

    def no_block_crosses_a_boundary(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        cursor, last = any_turn(path, code, geometry, first)
        at_work.turn(cursor, last)
        path.assume("a block is laid", lambda: len(at_work.laid) == 1)
        start = at_work.laid[0]
        path.assume_claim(claims.next_boundary_is_a_multiple, cursor.next_boundary, geometry.boundary)
        above = cursor.next_boundary // geometry.boundary
        path.show("there is a boundary above", lambda: above >= 1)
        path.show("the block starts below it", lambda: start // geometry.boundary == above - 1)
        path.show("the block ends below it", lambda: (start + geometry.size - 1) // geometry.boundary == above - 1)
        path.show_claim(claims.no_block_crosses_a_boundary, start, geometry.size, geometry.boundary)

    def blocks_are_disjoint(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        cursor, last = any_turn(path, code, geometry, first)
        earlier = path.number("earlier")
        path.assume("an earlier block ends before this turn's place", lambda: earlier + geometry.size <= cursor.offset)
        following = at_work.turn(cursor, last)
        path.assume("a block is laid, or the loop goes on", lambda: following is not None or bool(at_work.laid))
        for start in at_work.laid:
            path.show_claim(claims.blocks_are_disjoint, earlier, start, geometry.size)
        if following is not None:
            path.show("it ends before the next place", lambda: earlier + geometry.size <= following.offset)
            path.show(
                "so does a block that is laid",
                lambda: all(start + geometry.size <= following.offset for start in at_work.laid),
            )

    def blocks_are_aligned(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        cursor, last = any_turn(path, code, geometry, first)
        following = at_work.turn(cursor, last)
        align = path.number("align")
        path.assume("there is an alignment", lambda: align >= 1)
        path.assume_claim(claims.alignment_divides_size_and_boundary, geometry, align)
        path.show("the first place is aligned", lambda: first.offset % align == 0 and first.next_boundary % align == 0)
        path.assume("this turn's place is aligned", lambda: claims.blocks_are_aligned(cursor.offset, align))
        path.assume("its boundary is aligned", lambda: cursor.next_boundary % align == 0)
        for start in at_work.laid:
            path.show_claim(claims.blocks_are_aligned, start, align)
        if following is not None:
            path.show("the next place is aligned", lambda: following.offset % align == 0)
            path.show("the next boundary is aligned", lambda: following.next_boundary % align == 0)

    def layout_ends(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        cursor, last = any_turn(path, code, geometry, first)
        following = at_work.turn(cursor, last)
        path.assume("the loop goes on", lambda: following is not None)
        if at_work.laid:
            path.show_claim(claims.layout_ends, cursor.offset, following.offset)
        path.show("the next place is not below", lambda: following.offset >= cursor.offset)
        path.show(
            "a turn without a block raises the boundary",
            lambda: bool(at_work.laid) or following.next_boundary > cursor.next_boundary,
        )

    def offsets_fit_the_int_link(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        cursor, _ = any_turn(path, code, geometry, first)
        at_work.turn(cursor)
        path.show_claim(claims.offsets_fit_the_int_link, at_work.stored(cursor.offset))

    def free_list_of_offsets(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        path.show("the list begins at the page's start", lambda: first.offset == 0)
        cursor, _ = any_turn(path, code, geometry, first)
        following = at_work.turn(cursor)
        link = at_work.stored(cursor.offset)
        path.show("one block is laid, at its place", lambda: len(at_work.laid) == 1)
        if following is None:
            path.show("the last link ends the list", lambda: link >= geometry.allocation)
            return
        path.show("it is no end", lambda: link < geometry.allocation)
        path.show_claim(claims.free_list_holds_the_free_blocks, [link], [following.offset])

    def free_list_of_pointers(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        cursor, last = any_turn(path, code, geometry, first)
        following = at_work.turn(cursor, last)
        if following is None:
            path.show("the last block leads to the other pages", lambda: at_work.stored(last) is at_work.rest)
            path.show("the stack begins at the page's start", lambda: at_work.pool["next_block"].offset == 0)
            return
        path.assume("a block is laid", lambda: len(at_work.laid) == 1)
        (start,) = at_work.laid
        block = code.struct("dma_block")
        dma, link = block.offset_of("dma"), block.offset_of("next_block")
        path.show("its DMA address is in it", lambda: at_work.stored(start + dma) == at_work.dma + start)
        path.show(
            "nothing is written but the block, and the link to it",
            lambda: len(at_work.memory.log) == (2 if last is None else 3),
        )
        path.show("it leads nowhere yet", lambda: at_work.stored(start + link) == 0)
        if last is not None:
            linked = at_work.stored(last + link)
            path.show_claim(claims.free_list_holds_the_free_blocks, [linked.offset], [start])

    def no_room_is_wasted(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        cursor, _ = any_turn(path, code, geometry, first)
        path.show("the first block is at the page's start", lambda: first.offset == 0)
        at_work.turn(cursor)
        end = min(at_work.stored(cursor.offset), geometry.allocation)
        gap = cursor.offset + geometry.size, end
        path.show_claim(claims.no_room_is_wasted, gap, path.number("start"), geometry.size, geometry.boundary)

    def only_room_below_a_boundary_is_wasted(path: Any) -> None:
        """What `>=` in v6.1 leaves out is a block that would end at a boundary."""
        geometry, at_work, first = any_layout(path, code)
        cursor, _ = any_turn(path, code, geometry, first)
        path.show("the first block is at the page's start", lambda: first.offset == 0)
        at_work.turn(cursor)
        gap = cursor.offset + geometry.size, min(at_work.stored(cursor.offset), geometry.allocation)
        start = path.number("start")
        path.assume_claim(claims.next_boundary_is_a_multiple, cursor.next_boundary, geometry.boundary)
        path.assume("a block there ends at no boundary", lambda: start + geometry.size != cursor.next_boundary)
        path.show_claim(claims.no_room_is_wasted, gap, start, geometry.size, geometry.boundary)

    def no_room_is_wasted_by_turns(path: Any) -> None:
        geometry, at_work, first = any_layout(path, code)
        path.show("the first place is the page's start", lambda: first.offset == 0)
        cursor, last = any_turn(path, code, geometry, first)
        following = at_work.turn(cursor, last)
        path.assume("a block is laid", lambda: len(at_work.laid) == 1)
        block, here = at_work.laid[0], following
        following = at_work.turn(here, block)
        if following is not None and not at_work.laid:
            here = following
            path.assume_claim(claims.layout_stays_between_boundaries, *here, place(code, geometry))
            following = at_work.turn(here, block)
            path.show("after a turn that lays no block comes one that does", lambda: following is None or at_work.laid)
        end = here.offset if following is not None else geometry.allocation
        gap = block + geometry.size, end
        path.show_claim(claims.no_room_is_wasted, gap, path.number("start"), geometry.size, geometry.boundary)

    for body in (
        next_boundary_is_a_multiple,
        layout_stays_between_boundaries,
        block_lies_inside_its_page,
        pool_stays_in_its_memory,
        no_block_crosses_a_boundary,
        blocks_are_disjoint,
        blocks_are_aligned,
        layout_ends,
    ):
        yield held(claims.CLAIMS[body.__name__], body)
    if code.stacks:
        yield held(claims.free_list_holds_the_free_blocks, free_list_of_pointers)
        yield held(claims.no_room_is_wasted, no_room_is_wasted_by_turns)
    else:
        yield held(claims.offsets_fit_the_int_link, offsets_fit_the_int_link)
        yield held(claims.free_list_holds_the_free_blocks, free_list_of_offsets)
        yield wasteful(claims.no_room_is_wasted, no_room_is_wasted)
    if code.promises is V6_1:
        yield make(code, explain_page, case="but_for_blocks_that_end_at_a_boundary")(
            claims.no_room_is_wasted, only_room_below_a_boundary_is_wasted
        )


# From a driver's arguments to the first blocks.


def first_turns(code: Code) -> Made:
    """What the first two turns do, for any arguments: bounded, to refute."""
    broken = partial(make, code, explain_arguments, Verdict.REFUTED)

    def second_block_sticks_out(given: Arguments) -> Callable[[Any], None]:
        def body(path: Any) -> None:
            geometry, at_work, following = after_one_turn(path, code, given)
            at_work.turn(following, 0)
            path.assume("a second block is laid", lambda: len(at_work.laid) == 1)
            path.show_claim(claims.block_lies_inside_its_page, at_work.laid[0], geometry.size, geometry.allocation)

        return body

    def never_ends(given: Arguments) -> Callable[[Any], None]:
        def body(path: Any) -> None:
            _, _, following = after_one_turn(path, code, given)
            path.show_claim(claims.layout_ends, 0, following.offset)

        return body

    if code.promises is V6_1:
        yield broken("first_turns_any_boundary")(
            claims.block_lies_inside_its_page, second_block_sticks_out(any_boundary)
        )
        yield broken("first_turns_any_boundary")(claims.layout_ends, never_ends(any_boundary))
        yield broken("first_turns_any_size")(claims.layout_ends, never_ends(any_size))
    if code.stacks:
        yield broken("first_turns_any_align")(claims.block_lies_inside_its_page, second_block_sticks_out(small_first))
        yield broken("first_turns_any_align")(claims.layout_ends, never_ends(small_first))


def after_one_turn(path: Any, code: Code, given: Arguments) -> tuple[Geometry, Layout, Cursor]:
    geometry = admitted(path, code, given(path))
    at_work = Layout(code, geometry, 0)
    following = at_work.turn(at_work.first())
    path.assume("there is a second turn", lambda: following is not None and len(at_work.laid) == 1)
    assert following is not None
    return geometry, at_work, following


# The total.


def totals(code: Code) -> Made:
    def original(path: Any) -> None:
        """Against the number of blocks that fit."""
        size, boundary = path.number("size"), path.number("boundary")
        geometry = Geometry(size, boundary, path.one_of("allocation", PAGE_SIZE))
        path.assume("a free block holds a link", lambda: size >= code.smallest)
        path.assume_claim(claims.admitted_geometry_is_ordered, geometry)
        path.assume_claim(claims.boundary_divides_the_allocation, geometry)
        total = total_in_the_row(code, Layout(code, geometry, 0).pool)
        path.show_claim(claims.total_counts_the_blocks, total, 1, layout.blks_per_alloc(geometry))

    def turn_of_the_series(path: Any) -> Turn:
        """The row that pools_show prints has what dma_pool_create has set, see `set_by_create`."""
        geometry, at_work, first = any_layout(path, code)
        cursor, _ = any_turn(path, code, geometry, first)
        following = at_work.turn(cursor)
        link = at_work.stored(cursor.offset)
        if following is None:
            path.assume_claim(claims.boundary_divides_the_allocation, geometry)
            path.show("the page is full", lambda: link >= geometry.allocation)

        def total() -> Any:
            counted = path.number("blks_per_alloc")
            path.assume("dma_pool_create has set blks_per_alloc", lambda: counted == layout.blks_per_alloc(geometry))
            at_work.pool["blks_per_alloc"] = counted
            return total_in_the_row(code, at_work.pool)

        return Turn(geometry, first, cursor, following, total)

    def turn_of_the_rewrite(path: Any) -> Turn:
        """nr_blocks counts what is laid, and is what pools_show prints."""
        geometry, at_work, first = any_layout(path, code)
        cursor, last = any_turn(path, code, geometry, first)
        earlier = path.number("nr_blocks")
        path.assume("there are less than 2^63 blocks", lambda: earlier < 2**63)
        following = at_work.turn(cursor, last, earlier)
        laid = len(at_work.laid)
        path.show("nr_blocks counts what is laid", lambda: at_work.pool["nr_blocks"] == earlier + laid)
        if following is None:
            path.assume_claim(claims.boundary_divides_the_allocation, geometry)
            path.show("the row has nr_blocks", lambda: total_in_the_row(code, at_work.pool) == earlier)
        return Turn(geometry, first, cursor, following, lambda: layout.blks_per_alloc(geometry), laid)

    if code.promises is V6_1:
        yield make(code, explain_total, Verdict.REFUTED, "kernel_page")(claims.total_counts_the_blocks, original)
    elif code.stacks:
        yield make(code, explain_page)(claims.total_counts_the_blocks, by_turns(turn_of_the_rewrite))
    else:
        yield make(code, explain_page)(claims.total_counts_the_blocks, by_blocks(turn_of_the_series))
        yield make(code, explain_arguments, case="set_by_create")(claims.total_counts_the_blocks, set_by_create(code))


def same(code: Code, one: Any, other: Any) -> bool:
    """Whether two words are computed alike, of equal ones."""
    if not (isinstance(one, Unknown) or isinstance(other, Unknown)):
        return bool(one == other)
    if not (isinstance(one, Unknown) and isinstance(other, Unknown) and one.operation == other.operation):
        raise code.not_followed("blks_per_alloc is computed otherwise than the proof knows", "dma_pool_create")
    return same(code, one.x, other.x) and same(code, one.y, other.y)


def set_by_create(code: Code) -> Callable[[Any], None]:
    def body(path: Any) -> None:
        pool = created(code, *contract(path, code))
        path.assume("the arguments are admitted", lambda: pool is not None)
        assert pool is not None
        path.assume_claim(claims.admitted_geometry_fits_an_int, geometry_of(pool), code.smallest)
        size, boundary, allocation = pool["size"], pool["boundary"], pool["allocation"]
        below = Unknown("mul", Unknown("udiv", allocation, boundary), Unknown("udiv", boundary, size))
        formula = Unknown("add", below, Unknown("udiv", Unknown("urem", allocation, boundary), size))
        path.show(claims.total_counts_the_blocks.name, lambda: same(code, pool["blks_per_alloc"], formula))

    return body


# How a page is found.


def shapes(pages: int) -> list[Any]:
    """Every binary tree of so many pages, as (left, right); None is the empty one."""
    if pages == 0:
        return [None]
    return [(left, right) for below in range(pages) for left in shapes(below) for right in shapes(pages - 1 - below)]


def lookup(code: Code) -> Made:
    module = code.module if "pool_find_page" in code.module.functions else code.debugging

    def pages_of(path: Any, number: int) -> list[Struct]:
        pages = [code.struct("dma_page") for _ in range(number)]
        for page in pages:
            page["dma"] = path.number("page")
        return pages

    def shown(path: Any, pool: Struct, pages: list[Struct], allocation: Any) -> Iterator[tuple[Any, ...]]:
        address = path.number("address")
        found = Machine(module, {}).call("pool_find_page", Pointer(pool, 0), address)
        for page in pages:
            mine = isinstance(found, Pointer) and found.object is page
            # Of pages that overlap, a list gives the first.
            if mine or not isinstance(found, Pointer):
                yield page["dma"], allocation, address, mine
        if isinstance(found, Pointer) and (found.object not in pages or found.offset != 0):
            raise NotFollowed("what is returned is no page").at(module.place_of("pool_find_page"))

    def in_a_list(path: Any) -> None:
        pool, allocation = code.struct("dma_pool"), path.number("allocation")
        pool["allocation"] = allocation
        path.assume("a page has bytes, as an int counts them", lambda: allocation >= 1 and allocation < 2**31)
        pages = pages_of(path, path.one_of("pages", *range(1, MOST_PAGES + 1)))
        ring = [pool, *pages]
        for one, other in zip(ring, [*pages, pool], strict=True):
            one["page_list.next"], other["page_list.prev"] = other.at("page_list.next"), one.at("page_list.next")
        for told in shown(path, pool, pages, allocation):
            path.show_claim(claims.lookup_finds_the_page_of_an_address, *told)

    def in_a_tree(path: Any) -> None:
        pool, allocation = code.struct("dma_pool"), path.number("allocation")
        pool["allocation"] = allocation
        path.assume("a page has bytes, as an int counts them", lambda: allocation >= 1 and allocation < 2**31)
        shape = path.one_of("shape", *(shape for number in range(1, MOST_PAGES + 1) for shape in shapes(number)))
        pages: list[Struct] = []

        def planted(tree: Any) -> Any:
            if tree is None:
                return 0
            left = planted(tree[0])
            page = pages_of(path, 1)[0]
            pages.append(page)
            page[node_field(page, 2)], page[node_field(page, 1)] = left, planted(tree[1])
            return page.at(node_field(page, 0))

        pool["page_tree.rb_node"] = planted(shape)
        for lower, higher in pairwise(pages):
            path.assume_claim(claims.insertion_keeps_pages_disjoint, lower["dma"], higher["dma"], allocation)
        for told in shown(path, pool, pages, allocation):
            path.show_claim(claims.lookup_finds_the_page_of_an_address, *told)

    tree = code.promises is SERIES
    case = f"up_to_{MOST_PAGES}_pages" + ("" if module is code.module else "_in_debug_builds")
    yield make(code, explain_state, case=case)(
        claims.lookup_finds_the_page_of_an_address, in_a_tree if tree else in_a_list
    )


def obligations_of(source: Source) -> dict[str, Obligation]:
    """Everything to prove of a file, by name. Raises BuildError."""
    code = code_of(source)
    made = [*admission(code), *layouts(code), *first_turns(code), *totals(code), *lookup(code)]
    return {one.name: one for one in made}
