"""The claims about what a kernel's operations do: alloc and free, with any number of pages and blocks; create and destroy.

The bodies are those about impl/, in `proofs.free_list`, `proofs.fills`, `proofs.block_stack` and `proofs.operations`: of lists
of offsets on `proofs.subjects.c_lists`, of a stack of blocks on `proofs.subjects.c_stack`; and those of `proofs.c_create`.
"""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

from model import claims
from model.claims import Claim
from model.promises import V6_1
from proofs import block_stack, c_create, fills, free_list, operations
from proofs.c_counterexamples import confirmed
from proofs.c_runs import explain_count, explain_natively
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Counterexample
from proofs.engine.path import Body
from proofs.subjects.c_lists import CPool
from proofs.subjects.c_pool import Code, of_function
from proofs.subjects.c_stack import CStack
from proofs.subjects.subject import about

Explain = Callable[[Code, Claim, dict[str, Any]], Counterexample]


def natively(explain: Callable[[dict[str, Any]], Counterexample]) -> Explain:
    """A known defect, in the words of the one about impl/, and what the compiled file does of its trace."""
    return lambda code, _, inputs: confirmed(code, explain(inputs))


def about_c(code: Code, body: Callable[..., None], kind: Any) -> Body:
    """A body about pools of the file."""
    return of_function(code.module, "dma_pool_alloc", about(body, kind))


def making(state: Any) -> None:
    """Create and destroy, managed or not."""
    code, module = state.code, state.code.module
    failed, once = claims.failed_create_leaves_nothing_behind, claims.managed_pool_is_destroyed_once
    rules = claims.pools_file_exists_while_pools_do, claims.locking_rules_are_kept
    managed = module.has("dmam_pool_create")
    if module.has("dma_pool_create_node"):
        on_the_node = of_function(module, "dma_pool_create_node", about(c_create.structs_are_on_the_node, code))
        state.prove(claims.structs_are_on_the_node, on_the_node, explain_natively, "pool")
    for body, case, about_it in (
        (c_create.create_makes_a_pool_or_leaves_nothing, "create", (failed, *rules)),
        (c_create.destroy_removes_the_file_of_the_last_pool, "destroy", rules),
        (c_create.managed_pool_is_destroyed_once, "managed", (once, *rules)),
        (c_create.pool_that_is_not_managed_is_left_alone, "not_managed", (once,)),
    ):
        if managed or once not in about_it:
            every(state, about_it, of_function(module, "dma_pool_destroy", about(body, code)), case)


STATED = [one for module in (free_list, fills, block_stack, operations) for one in module.obligation.stated]
"""What is stated of impl/: of the series about lists of offsets, of v6.12 about a stack."""

NOT_OF_V6_1 = (
    free_list.alloc_from_a_page_with_room,
    free_list.alloc_with_a_new_page,
    free_list.free_a_block_in_use,
    free_list.alloc_touches_few_pages,
    free_list.free_list_of_wrong_length_is_refused,
)
"""The list of v6.1 has the pages without room as well, and it does not count how long a free list is (patches 09 and 05)."""


def operations_of(state: Any) -> None:
    """Whatever is stated of impl/ and a kind of pool, of this kind; and what is about C alone."""
    code = state.code
    making(state)
    kind, like = partial(CStack if code.stacks else CPool, code), "v6.12" if code.stacks else "series"
    original = code.promises is V6_1
    defects = {(one.claim.name, one.case): one for one in STATED if one.revision == "v6.1"} if original else {}
    bodies: dict[Body, Body] = {}  # one for all of its claims
    for one in STATED:
        if one.revision != like or "subject" not in signature(one.body).parameters:
            continue
        if original and one.body in NOT_OF_V6_1:
            continue
        known = defects.get((one.claim.name, one.case), one)
        body = bodies.setdefault(one.body, about_c(code, one.body, kind))
        if known.expected is Verdict.PROVED:
            explain = explain_count if one.claim is claims.counters_do_not_wrap else explain_natively
            state.prove(one.claim, body, explain, one.case)
        else:
            state.refute(one.claim, body, one.case, natively(known.explain))
    if original:
        of_v6_1(state, kind)
    if code.stacks and code.module.has("dma_pool_create_node"):
        body = about_c(code, operations.page_is_on_the_node, kind)
        state.prove(claims.structs_are_on_the_node, body, explain_natively, "page")
    poison = about_c(code, operations.poison_is_looked_for, kind)
    state.prove(claims.reports_are_the_kernels, poison, explain_natively, "poison")


def of_v6_1(state: Any, kind: Any) -> None:
    page = (
        claims.free_list_holds_the_free_blocks,
        claims.in_use_counts_the_live_blocks,
        claims.blocks_are_in_use_or_free,
    )
    alloc, ring = (claims.allocated_block_was_free, *page), claims.list_is_a_ring
    for case, body, shown in (
        ("alloc", operations.alloc_looks_at_any_page, alloc),
        ("alloc_with_a_new_page", operations.alloc_at_the_end_of_the_list, (*alloc, ring)),
        ("free", operations.free_a_block_in_use, page),
    ):
        every(state, shown, about_c(state.code, body, kind), case)


def every(state: Any, shown: tuple[Claim, ...], body: Body, case: str) -> None:
    """An obligation for each claim that a body shows."""
    for claim in shown:
        state.prove(claim, body, explain_natively, case)
