"""The claims about what a kernel's dma_pool_alloc and dma_pool_free do, with any number of pages and blocks.

The bodies are those about impl/, in `proofs.free_list`, `proofs.fills`, `proofs.block_stack` and `proofs.operations`: of lists
of offsets on `proofs.subjects.c_lists`, of a stack of blocks on `proofs.subjects.c_stack`; and those of `proofs.c_create`.
"""

from collections.abc import Callable
from typing import Any

from model import claims
from model.claims import Claim
from model.promises import V6_1
from proofs import block_stack, c_create, fills, free_list, operations
from proofs.c_counterexamples import confirmed
from proofs.c_runs import explain_operation
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Counterexample
from proofs.engine.path import Body
from proofs.subjects.c_lists import pools_of
from proofs.subjects.c_pool import Code, of_function
from proofs.subjects.c_stack import stacks_of
from proofs.subjects.subject import about, of_kind

Explain = Callable[[Code, Claim, dict[str, Any]], Counterexample]


def natively(explain: Callable[[dict[str, Any]], Counterexample]) -> Explain:
    """A known defect, in the words of the one about impl/, and what the compiled file does of its trace."""
    return lambda code, _, inputs: confirmed(code, explain(inputs))


def about_c(code: Code, body: Callable[..., None], kind: Any) -> Body:
    """A body about pools of the file."""
    return of_function(code.module, "dma_pool_alloc", of_kind(body, kind))


def making(state: Any) -> None:
    """Create and destroy, managed or not."""
    code, module = state.code, state.code.module
    failed, once = claims.failed_create_leaves_nothing_behind, claims.managed_pool_is_destroyed_once
    rules = claims.pools_file_exists_while_pools_do, claims.locking_rules_are_kept
    managed = module.has("dmam_pool_create")
    for body, case, about_it in (
        (c_create.create_makes_a_pool_or_leaves_nothing, "create", (failed, *rules)),
        (c_create.destroy_removes_the_file_of_the_last_pool, "destroy", rules),
        (c_create.managed_pool_is_destroyed_once, "managed", (once, *rules)),
        (c_create.pool_that_is_not_managed_is_left_alone, "not_managed", (once,)),
    ):
        if managed or once not in about_it:
            every(state, about_it, of_function(module, "dma_pool_destroy", about(body, code)), case)


def operations_of(state: Any) -> None:
    code = state.code
    making(state)
    if code.stacks:
        of_stacks(state)
        return
    kind = pools_of(code)
    (of_v6_1 if code.promises is V6_1 else of_the_series)(state, kind)
    body = about_c(state.code, free_list.double_free_breaks_the_list, kind)
    defect = natively(free_list.explain_double_free)
    state.refute(claims.free_list_holds_the_free_blocks, body, "double_free", defect)
    original = code.promises is V6_1
    for claim, body, case, explain in (
        (claims.double_free_is_refused, free_list.double_free_is_refused, "", None),
        (claims.refused_free_changes_nothing, free_list.refused_free_changes_nothing, "", free_list.explain_refused),
        (claims.allocated_block_is_filled, fills.allocated_block_is_filled, "", None),
        (claims.block_is_filled_once, fills.block_is_filled_once, "", fills.explain_twice),
        (claims.freed_block_is_filled, fills.freed_block_is_filled, "", None),
        (claims.freed_block_is_filled, fills.link_survives_the_fill, "link", None),
        (claims.live_block_is_left_alone, operations.operation_writes_inside_its_block, "", None),
        (claims.locking_rules_are_kept, operations.locking_rules_are_kept, "", None),
    ):
        if explain is not None and original:
            state.refute(claim, about_c(state.code, body, kind), case, natively(explain))
        else:
            state.prove(claim, about_c(state.code, body, kind), explain_operation, case)
    poison = about_c(state.code, operations.poison_is_looked_for, kind)
    state.prove(claims.reports_are_the_kernels, poison, explain_operation, "poison")


def of_the_series(state: Any, kind: Any) -> None:
    for case, body in (
        ("alloc", free_list.alloc_from_a_page_with_room),
        ("alloc_with_a_new_page", free_list.alloc_with_a_new_page),
        ("free", free_list.free_a_block_in_use),
    ):
        every(state, free_list.INVARIANT, about_c(state.code, body, kind), case)
    few = about_c(state.code, free_list.alloc_touches_few_pages, kind)
    state.prove(claims.alloc_touches_few_pages, few, explain_operation)


def of_v6_1(state: Any, kind: Any) -> None:
    page = (
        claims.free_list_holds_the_free_blocks,
        claims.in_use_counts_the_live_blocks,
        claims.blocks_are_in_use_or_free,
    )
    alloc, ring = (claims.allocated_block_was_free, *page), claims.list_is_a_ring
    every(state, alloc, about_c(state.code, operations.alloc_looks_at_any_page, kind), "alloc")
    every(
        state,
        (*alloc, ring),
        about_c(state.code, operations.alloc_at_the_end_of_the_list, kind),
        "alloc_with_a_new_page",
    )
    every(state, page, about_c(state.code, operations.free_a_block_in_use, kind), "free")


def every(state: Any, shown: tuple[Claim, ...], body: Body, case: str) -> None:
    """An obligation for each claim that a body shows."""
    for claim in shown:
        state.prove(claim, body, explain_operation, case)


def of_stacks(state: Any) -> None:
    code = state.code
    kind = stacks_of(code)
    for one in block_stack.obligation.stated:
        body = about_c(state.code, one.body, kind)
        if one.expected is Verdict.PROVED:
            state.prove(one.claim, body, explain_operation, one.case)
        else:
            state.refute(one.claim, body, one.case, natively(one.explain))
    for claim, of_stack in (
        (claims.live_block_is_left_alone, operations.operation_writes_inside_a_block_of_a_stack),
        (claims.locking_rules_are_kept, operations.locking_rules_of_a_stack_are_kept),
    ):
        state.prove(claim, about_c(state.code, of_stack, kind), explain_operation)
    poison = about_c(state.code, operations.poison_is_looked_for, kind)
    state.prove(claims.reports_are_the_kernels, poison, explain_operation, "poison")
