"""The claims about the C that runs: a kernel's own mm/dmapool.c, compiled as it is and executed on symbolic words.

The arguments are those of `proofs.admission`, `proofs.layout`, `proofs.counting` and `proofs.block_stack`; the bodies about a
loop that places blocks are the same. What dma_pool_create grants the layout is stated as claims of
`model.claims`: shown of every path through dma_pool_create, and assumed of any geometry in pool_initialise_page.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial, update_wrapper
from typing import Any

from impl import layout
from impl.layout import Cursor
from kernel.build import Source
from kernel.objects import Pointer
from kernel.words import Unknown
from model import claims
from model.claims import Claim
from model.promises import SERIES, V6_1
from model.revision import KERNEL
from proofs import compiled_pages
from proofs.admission import (
    KEPT_BY_ANY_ALIGN,
    WRONG_FOR_A_LARGE_ALIGN,
    Arguments,
    first_block_is_placed_again,
    of_arguments,
    second_block_sticks_out,
    smallest_align_first,
    within_the_contract,
)
from proofs.c_counterexamples import explain_arguments, explain_page, explain_total
from proofs.c_row import row_counts_the_pages, row_has_the_counts
from proofs.c_runs import explain_natively, search
from proofs.compiled_operations import operations_of
from proofs.counting import total_counts_the_blocks
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Counterexample, Obligation, Obligations
from proofs.engine.path import Body, Theory
from proofs.layout import BODIES, any_page_of_v6_1, any_turn, offsets_fit_the_int_link
from proofs.subjects.c_loop import LoopInC, any_page_of, stay_inside, subject_of
from proofs.subjects.c_page import same_value
from proofs.subjects.c_pool import Code, compile_file, created, geometry_of, is_inside, located
from proofs.subjects.c_shape import shape_of
from proofs.subjects.subject import PAGE_SIZE, Subject, Turn, about


class Statements:
    """The obligations about a file."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.subject = subject_of(code)
        self.obligations = Obligations(__name__)
        self.located = cache(located)  # a body is run once for all of its claims

    def prove(
        self,
        claim: Claim,
        body: Body,
        explain: Callable[[Code, Claim, dict[str, Any]], Counterexample] = explain_page,
        case: str = "",
        expected: Verdict = Verdict.PROVED,
        theory: Theory = Theory.U64,
    ) -> None:
        explained, searched = partial(explain, self.code, claim), partial(search, self.code, claim)
        stated = self.obligations(
            claim, KERNEL, theory, explain=explained, expected=expected, case=case, search=searched
        )
        stated(self.located(body))

    def refute(self, claim: Claim, body: Body, case: str, explain: Any = explain_arguments) -> None:
        self.prove(claim, body, explain, case, Verdict.REFUTED)


# What dma_pool_create lets in.


def any_boundary(path: Any) -> Arguments:
    size, boundary = path.number("size"), path.number("boundary")
    path.assume("a boundary is asked for", lambda: boundary > 0)
    return size, path.one_of("align", 1), boundary, path.one_of("page_size", PAGE_SIZE)


def any_size(path: Any) -> Arguments:
    return path.number("size"), path.one_of("align", 1), path.one_of("boundary", 0), path.one_of("page_size", PAGE_SIZE)


def admission(state: Statements) -> None:
    subject = state.subject
    within = partial(within_the_contract, subject=subject)
    case = "boundary_up_to_a_page" if subject.promises is V6_1 else "size_rounds_up_to_an_int"
    for claim in (*WRONG_FOR_A_LARGE_ALIGN, *KEPT_BY_ANY_ALIGN):
        state.prove(claim, of_arguments(claim, subject, within), explain_arguments, case)
    for claim in WRONG_FOR_A_LARGE_ALIGN:
        state.refute(claim, of_arguments(claim, subject, smallest_align_first), "any_arguments")
    if subject.promises is V6_1:
        divides = claims.boundary_divides_the_allocation
        state.refute(divides, of_arguments(divides, subject, any_boundary), "any_arguments")


# How a page is laid out.


def pool_stays_in_its_memory(path: Any, subject: Subject) -> None:
    """Each access of a turn is shown to be inside the page as it happens, see `shown_inside`; so is where the next begins."""
    geometry, page, _, at, last = any_turn(path, subject)
    following = page.turn(at, last).following
    path.show(
        "the next turn begins inside the page, or at its end",
        lambda: following is None or following.offset <= geometry.allocation,
    )


def shown_inside(code: Code) -> Subject:
    """The file, where each access to the page is something to show."""

    def page(path: Any, geometry: layout.Geometry) -> LoopInC:
        claim = claims.pool_stays_in_its_memory.name

        def check(offset: Any, nbytes: Any) -> None:
            path.show(claim, lambda: is_inside(geometry.allocation, offset, nbytes))

        return any_page_of(path, code, geometry, check, LoopInC)

    return replace(subject_of(code), page=page)


def shows(path: Any, claim: Claim, linked: Any, promised: Any, block: Any) -> None:
    """Of a block of a page that was just laid out: what it is linked to is what is promised; or it is above the block."""
    if claim is claims.fresh_blocks_ascend:
        path.show_claim(claim, linked, block)
    else:
        path.show_claim(claim, [linked], [promised])


def free_list_of_offsets(path: Any, subject: Subject, claim: Claim) -> None:
    geometry, page, first, at, _ = any_turn(path, subject)
    path.show("the list begins at the page's start", lambda: first.offset == 0)
    placed, following, _ = page.turn(at)
    link = page.link(at)
    path.show("one block is placed", lambda: placed is not None)
    if following is None:
        path.show("the last link ends the list", lambda: link >= geometry.allocation)
        return
    path.show("it is no end", lambda: link < geometry.allocation)
    shows(path, claim, link, following.offset, at.offset)


def free_list_of_pointers(path: Any, subject: Subject, claim: Claim) -> None:
    """Each block leads to the next one, and the last to the other pages; or each to the one before, and the first to them.
    Alloc takes the top of the stack, and free puts a block above it."""
    geometry, page, _, at, last = any_turn(path, subject)
    assert isinstance(page, LoopInC)
    shape = shape_of(page.code)
    if shape.stack is None or shape.dma is None:
        raise page.lost("what leads to the blocks of a page is not known")
    placed, following, by_then = page.turn(at, last)
    others = page.given.get((page.pool.name, shape.stack))
    if following is None:
        path.assume("there is a block", lambda: by_then is not None)
        top = Pointer(page.memory, 0 if shape.ascends else by_then)
        path.show(
            "the last block leads to the other pages",
            lambda: not shape.ascends or same_value(page.stored(by_then + shape.link), others),
        )
        path.show("the pool leads to the page's blocks", lambda: same_value(page.pool.cells[shape.stack], top))
        if placed is None:
            return
    path.assume("a block is placed", lambda: placed is not None)
    for store in page.memory.log:
        path.show(
            "nothing is written but the block, and the link to it",
            lambda store=store: (
                is_inside(geometry.size, store.offset - placed, store.nbytes)
                or (last is not None and store.offset == last + shape.link)
            ),
        )
    path.show("its DMA address is in it", lambda: page.stored(placed + shape.dma) == page.dma + placed)
    if last is None:
        path.show(
            "the first block leads to the other pages, or to the next one",
            lambda: shape.ascends or same_value(page.stored(placed + shape.link), others),
        )
        return
    one, other = (last, placed) if shape.ascends else (placed, last)
    linked = page.stored(one + shape.link)
    shows(path, claim, linked.offset, other, one)


def only_room_below_a_boundary_is_wasted(path: Any, subject: Subject) -> None:
    """What `>=` in v6.1 leaves out is a block that would end at a boundary."""
    geometry, page, first, at, _ = any_turn(path, subject)
    path.show("the first block is at the page's start", lambda: first.offset == 0)
    page.turn(at)
    gap = at.offset + geometry.size, min(page.link(at), geometry.allocation)
    start = path.number("start")
    path.assume_claim(claims.next_boundary_is_a_multiple, at.next_boundary, geometry.boundary)
    path.assume("a block there ends at no boundary", lambda: start + geometry.size != at.next_boundary)
    path.show_claim(claims.no_room_is_wasted, gap, start, geometry.size, geometry.boundary)


def layouts(state: Statements) -> None:
    code, subject = state.code, state.subject
    for body in BODIES:
        claim = claims.CLAIMS[body.__name__]
        wasteful = claim is claims.no_room_is_wasted and code.promises is V6_1
        expected = Verdict.REFUTED if wasteful else Verdict.PROVED
        state.prove(claim, about(body, subject), expected=expected)
    state.prove(claims.pool_stays_in_its_memory, about(pool_stays_in_its_memory, shown_inside(code)))
    free_list = free_list_of_pointers if code.stacks else free_list_of_offsets
    for claim in (claims.free_list_holds_the_free_blocks, claims.fresh_blocks_ascend):
        state.prove(claim, about(update_wrapper(partial(free_list, claim=claim), free_list), subject))
    if not code.stacks:
        state.prove(claims.offsets_fit_the_int_link, about(offsets_fit_the_int_link, subject))
    if code.promises is V6_1:
        case = "but_for_blocks_that_end_at_a_boundary"
        state.prove(claims.no_room_is_wasted, about(only_room_below_a_boundary_is_wasted, subject), case=case)


# From a driver's arguments to the first blocks: bounded, to refute.


def first_turns(state: Statements) -> None:
    code = state.code
    subject = replace(state.subject, page=lambda path, geometry: LoopInC(code, geometry, 0, path=path))
    inside, ends = claims.block_lies_inside_its_page, claims.layout_ends
    if code.promises is V6_1:
        state.refute(inside, second_block_sticks_out(subject, any_boundary), "first_turns_any_boundary")
        state.refute(ends, first_block_is_placed_again(subject, any_boundary), "first_turns_any_boundary")
        state.refute(ends, first_block_is_placed_again(subject, any_size), "first_turns_any_size")
    if code.stacks:
        state.refute(inside, second_block_sticks_out(subject, smallest_align_first), "first_turns_any_align")
        state.refute(ends, first_block_is_placed_again(subject, smallest_align_first), "first_turns_any_align")


# The total.


class CountedLoop(LoopInC):
    """A page whose blocks are counted; by v6.12 while it places them, by the series beforehand, see `set_by_create`."""

    def begin(self) -> None:
        super().begin()
        if self.code.stacks:  # of a pool without other pages
            self.pool["nr_blocks"] = 0

    def turn(self, at: Cursor, last: Any = None) -> Turn:
        if self.code.stacks:
            before = self.counted = 0 if last is None else self.path.number("nr_blocks")
            self.path.assume("no more blocks than bytes lie before this turn's place", lambda: before <= at.offset)
        turn = super().turn(at, last)
        if self.code.stacks:
            self.counted = before + int(turn.placed is not None)
        if self.code.stacks and turn.following is not None:
            self.path.show(
                "no more blocks than bytes lie before the next place", lambda: self.counted <= turn.following.offset
            )
            for slot in shape_of(self.code).counters:
                self.path.show(
                    "nr_blocks counts what is placed",
                    lambda slot=slot: self.found[slot] == self.arrival[slot] + self.counted,
                )
        elif turn.following is None and not self.code.stacks:
            self.path.show("the page is full", lambda: self.link(at) >= self.geometry.allocation)
        return turn

    def total(self) -> Any:
        formula = layout.blks_per_alloc(self.geometry)
        if self.code.stacks:
            row = super().total()
            self.path.show("the row has nr_blocks", lambda: row == self.counted)
            return formula
        counted = self.path.number("blks_per_alloc")
        self.path.assume("dma_pool_create has set blks_per_alloc", lambda: counted == formula)
        self.pool["blks_per_alloc"] = counted
        return super().total()


def with_counted_pages(state: Statements) -> Subject:
    """The file, with pages whose blocks are counted."""

    def page(path: Any, geometry: layout.Geometry) -> LoopInC:
        return any_page_of(path, state.code, geometry, partial(stay_inside, geometry.allocation), CountedLoop)

    return replace(state.subject, page=page)


def totals(state: Statements) -> None:
    code, claim = state.code, claims.total_counts_the_blocks
    row = about(row_has_the_counts if code.stacks else row_counts_the_pages, code)
    for of_the_row in (claims.reports_are_the_kernels, claims.locking_rules_are_kept):
        state.prove(of_the_row, row, explain_natively, "row")
    if code.promises is SERIES:
        state.prove(claims.counters_do_not_wrap, row, explain_natively, "row")

    def counts_as_v6_1(path: Any) -> None:
        """Against the number of blocks that fit."""
        geometry = any_page_of_v6_1(path)
        path.show_claim(claim, LoopInC(code, geometry, 0).total(), 1, layout.blks_per_alloc(geometry))

    if code.promises is V6_1:
        state.refute(claim, counts_as_v6_1, "kernel_page", explain_total)
        return
    state.prove(claim, about(total_counts_the_blocks, with_counted_pages(state)))
    if not code.stacks:
        state.prove(claim, set_by_create(state), explain_arguments, "set_by_create")


def same(code: Code, one: Any, other: Any) -> bool:
    """Whether two words are computed alike, of equal ones."""
    if not (isinstance(one, Unknown) or isinstance(other, Unknown)):
        return bool(one == other)
    if not (isinstance(one, Unknown) and isinstance(other, Unknown) and one.operation == other.operation):
        raise code.not_followed("blks_per_alloc is computed otherwise than the proof knows", "dma_pool_create")
    return same(code, one.x, other.x) and same(code, one.y, other.y)


def set_by_create(state: Statements) -> Body:
    code, subject = state.code, state.subject

    def body(path: Any) -> None:
        pool = created(code, *within_the_contract(path, subject))
        path.assume("the arguments are admitted", lambda: pool is not None)
        assert pool is not None
        path.assume_claim(claims.admitted_geometry_fits_an_int, geometry_of(pool), subject.smallest)
        size, boundary, allocation = pool["size"], pool["boundary"], pool["allocation"]
        below = Unknown("mul", Unknown("udiv", allocation, boundary), Unknown("udiv", boundary, size))
        formula = Unknown("add", below, Unknown("udiv", Unknown("urem", allocation, boundary), size))
        path.show(claims.total_counts_the_blocks.name, lambda: same(code, pool["blks_per_alloc"], formula))

    return body


def obligations_of(source: Source) -> dict[str, Obligation]:
    """Everything to prove of a file, by name. Raises BuildError."""
    state = Statements(compile_file(source))
    for topic in (
        admission,
        layouts,
        first_turns,
        totals,
        compiled_pages.lookups,
        compiled_pages.rbtree,
        operations_of,
    ):
        topic(state)
    return {one.name: one for one in state.obligations.stated}
