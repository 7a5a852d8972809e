"""The claims about what a pool owes to the rest of the kernel: what it leaves, says, locks and asks for; see `model.claims`."""

from collections.abc import Collection, Sequence
from typing import Any

from model.claim import claims_about

claim = claims_about("destroy, messages, locks, memory")


@claim("Patch 08 changes nothing that the device or a reader of the messages sees.", "dma_pool_destroy; patch 08")
def patch_08_changes_nothing(before: Sequence[Any], after: Sequence[Any]) -> bool:
    return list(before) == list(after)


@claim(
    "Destroying a pool gives back every page without blocks in use, and no other.",
    "dma_pool_destroy; patch 08",
)
def destroy_leaks_exactly_the_busy_pages(left: Collection[int], busy: Collection[int]) -> bool:
    return sorted(left) == sorted(busy)


@claim(
    "Destroying a pool frees the structs of the pool and of its pages, and an allocation without a page leaves none behind.",
    "dma_pool_destroy, pool_alloc_page",
)
def structs_are_freed(left: Collection[Any]) -> bool:
    return not left


@claim(
    "A create that fails leaves nothing behind: no memory, no pool in its device's list, no resource.",
    "dma_pool_create, dmam_pool_create",
)
def failed_create_leaves_nothing_behind(left: Collection[Any]) -> bool:
    return not left


@claim(
    "A managed pool is destroyed once: by its driver, who takes it off its device's resources, or else with its device.",
    "dmam_pool_create, dmam_pool_destroy",
)
def managed_pool_is_destroyed_once(destroyed: Sequence[Any], pools: Sequence[Any]) -> bool:
    """`destroyed`: a pool for each time that it was destroyed; `pools`: those that had to be destroyed by now."""
    return list(destroyed) == list(pools)


@claim("A device has the file pools exactly as long as it has a pool.", "dma_pool_create, dma_pool_destroy")
def pools_file_exists_while_pools_do(exists: bool, pools: int) -> bool:
    return exists == (pools > 0)


@claim("The pools file and the messages say what the kernel says.", "pools_show, dev_err")
def reports_are_the_kernels(reported: Collection[str], expected: Collection[str]) -> bool:
    return sorted(reported) == sorted(expected)


@claim("Every operation comes to an end.", "mm/dmapool.c; patch 05")
def operations_end(hang: str) -> bool:
    return not hang


@claim(
    "An operation sleeps only where its caller may, keeps interrupts off under a spinlock, leaves both as they were, and "
    "touches shared data under a lock.",
    "mm/dmapool.c",
)
def locking_rules_are_kept(misuse: str) -> bool:
    """`misuse`: which rule is broken, in words. Who notes it: of impl/, `impl.lock`, which knows of taking and dropping only;
    of C in proofs, `proofs.subjects.c_views` and `proofs.c_create`; of C that runs, what calls `misuse` in kernel/shim/."""
    return not misuse


@claim(
    "What callers at once are given, some order of their operations gives as well, in which one comes before another that "
    "began after its end: they are linearizable.",
    "dma_pool_alloc, dma_pool_free",
)
def operations_are_linearizable(order: Sequence[Any] | None) -> bool:
    """`order`: one in which the oracle gives the same."""
    return order is not None


@claim(
    "The pool touches no memory but its own, and its code does not fail.",
    "mm/dmapool.c",
)
def pool_stays_in_its_memory(fault: str) -> bool:
    return not fault


@claim(
    "Apart from __GFP_ZERO, the pool asks its device for a page with exactly the flags of the caller.",
    "dma_pool_alloc; “mm: dmapool: use provided gfp flags for all dma_alloc_coherent() calls”, 2012",
    "all that run on ARM, where GFP_ATOMIC takes from a small reserve: it ran out on a Marvell Kirkwood with SATA and USB",
)
def flags_reach_the_device(given: str, asked: str) -> bool:
    """Flags by the name that the kernel has for them, `asked` the caller's."""
    return given == asked


@claim(
    "The structs of a pool are allocated on the NUMA node that the pool is created for.",
    "dma_pool_create_node, dma_pool_alloc; “dmapool: add NUMA affinity support”, 6.16",
    "nvme, which has pools for each NUMA node",
)
def structs_are_on_the_node(node: int, asked: int) -> bool:
    return node == asked


@claim(
    "Debugging is on in each kernel that is configured with CONFIG_SLUB_DEBUG_ON.",
    "mm/dmapool.c; “mm/dmapool: use static key for boot-time debug enablement”, 2026",
    "all, in kernels that are configured with CONFIG_SLUB_DEBUG_ON",
)
def debug_is_on_where_it_was(configured: bool, on: bool) -> bool:
    return on or not configured
