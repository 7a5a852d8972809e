"""The claims about what a kernel's operations do: alloc and free, with any number of pages and blocks; create and destroy.

The bodies are those about impl/, in `proofs.free_list`, `proofs.fills`, `proofs.block_stack` and `proofs.operations`: of lists
of offsets on `proofs.subjects.c_lists`, of a stack of blocks on `proofs.subjects.c_stack`; and those of `proofs.c_alloc` and
`proofs.c_create`.
"""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

from model import claims
from model.claims import Claim
from model.promises import V6_1
from proofs import block_stack, c_alloc, c_create, fills, free_list, operations, page_scan
from proofs.c_counterexamples import confirmed
from proofs.c_runs import explain_count, explain_natively
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Counterexample
from proofs.engine.path import Body
from proofs.subjects.c_lists import CPool
from proofs.subjects.c_pool import Code
from proofs.subjects.c_stack import CStack
from proofs.subjects.subject import about

Explain = Callable[[Code, Claim, dict[str, Any]], Counterexample]


def natively(explain: Callable[[dict[str, Any]], Counterexample]) -> Explain:
    """A known defect, in the words of the one about impl/, and what the compiled file does of its trace."""
    return lambda code, _, inputs: confirmed(code, explain(inputs))


def making(state: Any) -> None:
    """Create and destroy, managed or not."""
    code, module = state.code, state.code.module
    failed, once = claims.failed_create_leaves_nothing_behind, claims.managed_pool_is_destroyed_once
    rules = claims.pools_file_exists_while_pools_do, claims.locking_rules_are_kept
    managed = module.has("dmam_pool_create")
    if module.has("dma_pool_create_node"):
        on_the_node = about(c_create.structs_are_on_the_node, code)
        state.prove(claims.structs_are_on_the_node, on_the_node, explain_natively, "pool")
    for body, case, about_it in (
        (c_create.create_makes_a_pool_or_leaves_nothing, "create", (failed, *rules)),
        (c_create.destroy_removes_the_file_of_the_last_pool, "destroy", rules),
        (c_create.managed_pool_is_destroyed_once, "managed", (once, *rules)),
        (c_create.managed_pool_is_what_is_asked_for, "managed", (claims.create_admits_what_is_promised,)),
        (c_create.pool_that_is_not_managed_is_left_alone, "not_managed", (once,)),
    ):
        if managed or "managed" not in case:
            every(state, about_it, about(body, code), case)
    if code.stacks:
        held = claims.free_list_holds_the_free_blocks, claims.in_use_counts_the_live_blocks
        every(state, (claims.total_counts_the_blocks, *held), about(c_create.new_pool_has_no_blocks, code), "create")


STATED = [one for module in (free_list, page_scan, fills, block_stack, operations) for one in module.obligation.stated]
"""What is stated of impl/: of the series and of v6.1 about lists of offsets, of v6.12 about a stack."""

ASKS_FOR_A_PAGE = (
    free_list.alloc_with_a_new_page,
    page_scan.alloc_at_the_end_of_the_list,
    block_stack.alloc_takes_a_free_block_off_the_stack,
)
"""Bodies in which an allocation gets a page or none. Of C, they show structs_are_freed as well: impl/ has no kmalloc."""


def operations_of(state: Any) -> None:
    """Whatever is stated of impl/ and a kind of pool, of this kind; and what is about C alone."""
    code = state.code
    making(state)
    kind = partial(CStack if code.stacks else CPool, code)
    like = "v6.12" if code.stacks else "v6.1" if code.promises is V6_1 else "series"
    bodies: dict[Body, Body] = {}  # one for all of its claims
    for one in STATED:
        if one.revision != like or "subject" not in signature(one.body).parameters:
            continue
        if one.body not in bodies:
            bodies[one.body] = about(one.body, kind)
            if one.body in ASKS_FOR_A_PAGE:
                state.prove(claims.structs_are_freed, bodies[one.body], explain_natively, one.case or "alloc")
        body = bodies[one.body]
        if one.expected is Verdict.PROVED:
            explain = explain_count if one.claim is claims.counters_do_not_wrap else explain_natively
            state.prove(one.claim, body, explain, one.case)
        else:
            state.refute(one.claim, body, one.case, natively(one.explain))
    if code.stacks and code.module.has("dma_pool_create_node"):
        body = about(c_alloc.page_is_on_the_node, kind)
        state.prove(claims.structs_are_on_the_node, body, explain_natively, "page")
    at_once = c_alloc.poison_is_looked_for_at_once
    poison = about(at_once if code.looks_at_once else c_alloc.poison_is_looked_for, kind)
    state.prove(claims.reports_are_the_kernels, poison, explain_natively, "poison")
    if code.stacks:
        in_time = about(c_alloc.block_is_looked_through_before_it_is_filled, kind)
        state.prove(claims.reports_are_the_kernels, in_time, explain_natively, "alloc")


def every(state: Any, shown: tuple[Claim, ...], body: Body, case: str) -> None:
    """An obligation for each claim that a body shows."""
    for claim in shown:
        state.prove(claim, body, explain_natively, case)
