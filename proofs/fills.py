"""Fills: zeros and poison, for any block and any byte of it (patches 06 and 07).

A fill covers a whole block, so one byte at any distance from the block's start stands for all of them.
"""

from types import SimpleNamespace
from typing import Any

from impl.pool import POOL_POISON_FREED
from model import claims
from model.geometry import SMALLEST_BLOCK
from proofs.engine.obligation import Counterexample, Obligations, from_this_state
from proofs.engine.path import Theory
from proofs.subjects import stack
from proofs.subjects.arbitrary import AnyPage, AnyPool, AnyV6_1Pool, free_block, put_in_list
from proofs.subjects.stack import AnyStack
from proofs.subjects.subject import about

obligation = Obligations(__name__)

NOWHERE = SimpleNamespace(vaddr=0, dma=0, data=None)
"""Where a page lies of which only the bytes matter."""

DRIVERS = 0x55
"""What a driver wrote: neither zero nor poison."""


explain = from_this_state("the block is filled as it should be")


def explain_twice(inputs: dict[str, Any]) -> Counterexample:
    zeros = "init_on_alloc" if inputs.get("init_on_alloc") else "zeros that are asked for"
    return Counterexample(
        "the block is filled once, with zeros",
        f"with debug and {zeros}, the block is filled twice: poison, and then zeros",
    )


def show_filled(path: Any, pool: Any, got: Any) -> None:
    """Of a block that an allocation has given, where anything is promised of its bytes."""
    zero, distance = pool.zero or pool.init_on_alloc, path.number("distance of the byte from the block's start")
    path.assume("the byte is in the block", lambda: distance < pool.geometry.size)
    content = b""
    if got is not None and (zero or pool.debug):
        content = bytes([pool.byte(distance, POOL_POISON_FREED if pool.debug else DRIVERS)])
    path.show_claim(claims.allocated_block_is_filled, content, zero, pool.debug)


@obligation(claims.allocated_block_is_filled, "series", Theory.U64, explain=explain)
def allocated_block_is_filled(path: Any, subject: Any = AnyPool) -> None:
    pool = subject(path, "debug", "init_on_alloc", "init_on_free", needs=())
    show_filled(path, pool, pool.operate(path.one_of("operation", "alloc", "alloc with a new page")))


@obligation(claims.allocated_block_is_filled, "v6.12", Theory.U64, explain=explain)
def allocated_block_of_a_stack_is_filled(path: Any, subject: Any = AnyStack) -> None:
    pool = subject(path, "debug", "init_on_alloc")
    show_filled(path, pool, pool.operate(path.one_of("operation", "alloc", "alloc with a new page"), most=1))


@obligation(claims.block_is_filled_once, "series", Theory.U64, explain=explain)
def block_is_filled_once(path: Any, subject: Any = AnyPool) -> None:
    pool = subject(path, "debug", "init_on_alloc", "init_on_free", needs=())
    pool.operate("alloc")
    path.show_claim(claims.block_is_filled_once, len(pool.found.writes))


# v6.1 fills it twice, with debug and init_on_alloc: poison first, and then zeros over it.
obligation.refuted(claims.block_is_filled_once, "v6.1", Theory.U64, explain=explain_twice)(
    about(block_is_filled_once, AnyV6_1Pool)
)


def twins(path: Any, option: str) -> tuple[AnyPool, AnyPool]:
    """Any pool of v6.1, and the same pool of the series."""
    before = AnyV6_1Pool(path, "debug", option, needs=())
    after: AnyPool = object.__new__(AnyPool)
    after.__dict__.update(before.__dict__, log=[])
    return before, after


@obligation(claims.patch_07_keeps_what_the_driver_sees, "series", Theory.U64, explain=explain)
def patch_07_keeps_what_the_driver_sees(path: Any) -> None:
    zero, seen = path.one_of("zero", False, True), []
    twin = twins(path, "init_on_alloc")
    block, distance = path.number("the block"), path.number("distance of the byte from the block's start")
    former = POOL_POISON_FREED if twin[0].debug else DRIVERS
    for pool in twin:
        page = AnyPage(path, NOWHERE)
        pool._fill_allocated(page, block, zero)
        seen.append(bytes([page.byte(block + distance, former)]))
    path.show_claim(claims.patch_07_keeps_what_the_driver_sees, *seen)


@obligation(claims.patch_06_keeps_the_freed_block, "series", Theory.U64, explain=explain)
def patch_06_keeps_the_freed_block(path: Any) -> None:
    """A block that is freed properly holds poison in debug builds, before and after."""
    twin, left = twins(path, "init_on_free"), []
    block, distance = path.number("the block"), path.number("distance of the byte from the block's start")
    for pool in twin:
        page = AnyPage(path, NOWHERE)
        path.by(claims.double_free_is_refused, pool, "_is_refused", lambda *_: False)
        pool._fill_freed(page, block, block, block)
        left.append(bytes([page.byte(block + distance, DRIVERS)]))
    path.show_claim(claims.patch_06_keeps_the_freed_block, *left)


@obligation(claims.freed_block_is_filled, "series", Theory.U64, explain=explain)
def freed_block_is_filled(path: Any, subject: Any = AnyPool) -> None:
    pool = subject(path, "debug", "init_on_free", needs=())
    page = pool.page("the page")
    put_in_list(pool, [])
    block, distance = pool.block_offset("the block"), path.number("distance of the byte from the block's start")
    path.assume(
        "the byte is in the block, behind the link",
        lambda: distance < pool.geometry.size and distance >= SMALLEST_BLOCK,
    )
    path.assume("the block is in the page", lambda: block < 2**32)
    free_block(pool, page, block)
    content = bytes([DRIVERS] * SMALLEST_BLOCK + [page.byte(block + distance, DRIVERS)])
    path.show_claim(claims.freed_block_is_filled, content, pool.debug, pool.init_on_free)


@obligation(claims.freed_block_is_filled, "series", Theory.U64, explain=explain, case="link")
def link_survives_the_fill(path: Any, subject: Any = AnyPool) -> None:
    """The fill comes before the link, which it would wipe out."""
    pool = subject(path, "debug", "init_on_free", needs=())
    page = pool.page("the page")
    put_in_list(pool, [])
    first = page.offset
    free_block(pool, page, pool.block_offset("the block"))
    path.show(claims.freed_block_is_filled.name, lambda: page.link(page.offset) == first)


@obligation(claims.freed_block_is_filled, "v6.12", Theory.U64, explain=explain)
def freed_block_of_a_stack_is_filled(path: Any, subject: Any = AnyStack) -> None:
    pool = subject(path, "debug", "init_on_free")
    pool.operate("free", anywhere=True)
    distance = path.number("distance of the byte from the block's start")
    path.assume(
        "the byte is in the block, behind the link",
        lambda: distance < pool.geometry.size and distance >= stack.SMALLEST_BLOCK,
    )
    path.show_claim(
        claims.freed_block_is_filled, bytes([pool.byte(distance, DRIVERS)]), pool.debug, pool.init_on_free, 0
    )
