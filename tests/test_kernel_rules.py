"""The rules of locks, interrupts, callers that may not sleep, and requests that are refused: what of a kernel's own code breaks
them, and what does not."""

import re
from pathlib import Path

import pytest

from kernel.pool import revision_of
from model.checks import BrokenClaim
from model.lockstep import replay
from model.trace import Alloc, Create, Destroy, Free, Kernel, Trace, Write
from tests.kernels import changed, fetched, hunt, needs_a_compiler

needs_a_compiler()

RULES: dict[str, list[tuple[str, ...]]] = {
    "locking_rules_are_kept": [
        (
            "v6.12",
            "lock that others hold, in pool_initialise_page",
            "		spin_lock_irqsave(&pool->lock, flags);\n		pool_initialise_page(pool, page);",
            "		pool_initialise_page(pool, page);\n		spin_lock_irqsave(&pool->lock, flags);",
        ),
        (
            "v6.12",
            "without the spinlock that others hold, in pool_block_pop",
            "	spin_lock_irqsave(&pool->lock, flags);\n	block = pool_block_pop(pool);",
            "	block = pool_block_pop(pool);\n	spin_lock_irqsave(&pool->lock, flags);",
        ),
        (
            "v6.12",
            "without the mutex that others hold, in pools_show",
            "	empty = list_empty(&dev->dma_pools);\n"
            "	list_add(&retval->pools, &dev->dma_pools);\n	mutex_unlock(&pools_lock);",
            "	empty = list_empty(&dev->dma_pools);\n"
            "	mutex_unlock(&pools_lock);\n	list_add(&retval->pools, &dev->dma_pools);",
        ),
        (
            "v6.1",
            "without the spinlock that others hold, in pool_find_page",
            "	spin_lock_irqsave(&pool->lock, flags);\n	page = pool_find_page(pool, dma);",
            "	page = pool_find_page(pool, dma);\n	spin_lock_irqsave(&pool->lock, flags);",
        ),
        (
            "v6.12",
            "an allocation may sleep, and is called with interrupts off",
            "kmalloc(sizeof(*page), mem_flags)",
            "kmalloc(sizeof(*page), GFP_KERNEL)",
        ),
        (
            "v6.12",
            "dma_alloc_coherent may do more for memory than the caller allows",
            "&page->dma, mem_flags)",
            "&page->dma, GFP_KERNEL)",
        ),
        (
            "v6.12",
            "an allocation may sleep, and is called with a lock held",
            "	might_alloc(mem_flags);\n\n	spin_lock_irqsave(&pool->lock, flags);",
            "	spin_lock_irqsave(&pool->lock, flags);\n	might_alloc(mem_flags);",
        ),
        (
            "v6.12",
            "an operation returns with a lock held",
            "			mutex_unlock(&pools_reg_lock);\n			kfree(retval);",
            "			kfree(retval);",
        ),
        (
            "v6.1",
            "a spinlock is taken with interrupts on that an interrupt handler takes as well",
            "		spin_lock_irq(&pool->lock);\n		list_for",
            "		spin_lock(&pool->lock);\n		list_for",
        ),
        (
            "v6.1",
            "the file pools that is called with interrupts on returns with interrupts off",
            "		spin_unlock_irq(&pool->lock);\n\n		/* per-pool",
            "		spin_unlock(&pool->lock);\n\n		/* per-pool",
        ),
        (
            "v6.12",
            "the file pools returns with a lock held",
            "	mutex_unlock(&pools_lock);\n\n	return size;",
            "	return size;",
        ),
        (
            "v6.12",
            "called with interrupts on returns with interrupts off",
            "		pool->nr_active--;\n	}\n	spin_unlock_irqrestore(&pool->lock, flags);",
            "		pool->nr_active--;\n	}\n	spin_unlock(&pool->lock);",
        ),
        (
            "v6.12",
            "who wait for a mutex that is held: a deadlock",
            "	mutex_unlock(&pools_lock);\n	if (empty)\n		device_remove_file(pool->dev, &dev_attr_pools);",
            "	if (empty)\n		device_remove_file(pool->dev, &dev_attr_pools);\n	mutex_unlock(&pools_lock);",
        ),
        (
            "v6.12",
            "the file pools is created and removed under no common lock",
            "	mutex_lock(&pools_reg_lock);\n	mutex_lock(&pools_lock);\n	list_del(&pool->pools);",
            "	mutex_lock(&pools_lock);\n	list_del(&pool->pools);",
            "	mutex_unlock(&pools_reg_lock);\n\n	if (pool->nr_active)",
            "	if (pool->nr_active)",
        ),
        (
            "v6.12",
            "an allocation may do more for memory than the caller allows",
            "kmalloc(sizeof(*page), mem_flags)",
            "kmalloc(sizeof(*page), gfpflags_allow_blocking(mem_flags) ? GFP_KERNEL : GFP_ATOMIC)",
        ),
        (
            "v6.12",
            "a free writes to its block after it has released the lock",
            "	spin_unlock_irqrestore(&pool->lock, flags);\n}\nEXPORT_SYMBOL(dma_pool_free);",
            "	spin_unlock_irqrestore(&pool->lock, flags);\n	memset(vaddr + 16, 0, 4);\n}\nEXPORT_SYMBOL(dma_pool_free);",
        ),
    ],
    "pool_stays_in_its_memory": [
        (
            "v6.12",
            "no pool is created, as request 2 was refused, but memory, the file pools, or a pool in the device's list is left",
            "			kfree(retval);\n			return NULL;",
            "			return NULL;",
        ),
        (
            "v6.12",
            "or the file pools or another pool is gone as well",
            "	if (empty)\n		device_remove",
            "	device_remove",
        ),
        ("v6.1", "the file pools has no row of another pool", "		next += temp;\n", ""),
        (
            "v6.12",
            "sysfs_emit is given a place that is not the start",
            "sysfs_emit_at(buf, size,",
            "sysfs_emit(buf + size,",
        ),
        ("v6.12", "SIGSEGV", "	if (!retval)\n		return retval;\n", ""),
        (
            "v6.12",
            "as request 2 for memory was refused, but 1 objects of kmalloc are left",
            "	if (!page->vaddr) {\n		kfree(page);\n",
            "	if (!page->vaddr) {\n",
        ),
        ("v6.1", "the pool is gone, and 1 of its objects of kmalloc are left", "			kfree(page);\n", ""),
        ("v6.12", "the pool is gone, and 1 of its objects of kmalloc are left", "	kfree(pool);\n}", "}"),
    ],
}
"""By the claim that they break, changes that a driver alone does not see: locks that are taken too late, failures that leave
something behind."""


CASES = [(claim, bug) for claim, bugs in RULES.items() for bug in bugs]


@pytest.mark.parametrize(("claim", "bug"), CASES, ids=[bug[1][:50] for _, bug in CASES])
def test_a_rule_of_the_kernel_that_is_broken_is_found(tmp_path: Path, claim: str, bug: tuple[str, ...]) -> None:
    """By the simplest use of a pool, in which a page is busy at the end."""
    use = Trace((Create(2048), Alloc("a"), Alloc("b"), Alloc("c"), Free("c"), Free("b"), Destroy()))
    version, message, *changes = bug
    replay(use, revision_of(fetched(version)))
    with pytest.raises(BrokenClaim, match=re.escape(message)) as broken:
        replay(use, revision_of(changed(version, tmp_path, *changes)))
    assert broken.value.claim.name == claim


MAY_SLEEP = "gfpflags_allow_blocking(mem_flags)"

HARMLESS = [
    (
        "v6.12",
        "	struct list_head pools;\n};",
        "	struct list_head pools;\n	atomic_long_t n;\n};",
        "	might_alloc(mem_flags);\n",
        "	might_alloc(mem_flags);\n	atomic_long_inc(&pool->n);\n",
    ),
    (
        "v6.12",
        "	unsigned long flags;\n\n	spin_lock_irqsave(&pool->lock, flags);\n	if (!pool_block_err",
        "	guard(spinlock_irqsave)(&pool->lock);\n	if (!pool_block_err",
        "		pool->nr_active--;\n	}\n	spin_unlock_irqrestore(&pool->lock, flags);\n",
        "		pool->nr_active--;\n	}\n",
    ),
    (
        "v6.12",
        "	might_alloc(mem_flags);\n",
        "	might_alloc(mem_flags);\n	if (!READ_ONCE(pool->next_block))\n		barrier();\n",
    ),
    (
        "v6.12",
        "	spin_lock_irqsave(&pool->lock, flags);\n	if (!pool_block_err(pool, vaddr, dma)) {",
        "	(void)flags;\n	scoped_guard(spinlock_irqsave, &pool->lock)\n	if (!pool_block_err(pool, vaddr, dma)) {",
        "		pool->nr_active--;\n	}\n	spin_unlock_irqrestore(&pool->lock, flags);\n",
        "		pool->nr_active--;\n	}\n",
    ),
    (
        "v6.12",
        "	might_alloc(mem_flags);\n",
        "	might_alloc(mem_flags);\n	if (data_race(!pool->next_block))\n		barrier();\n",
    ),
    (  # for a caller that may not sleep, the lock is kept while the page is asked for
        "v6.12",
        "		spin_unlock_irqrestore(&pool->lock, flags);\n\n		page = pool_alloc_page",
        f"		if ({MAY_SLEEP})\n			spin_unlock_irqrestore(&pool->lock, flags);\n\n		page = pool_alloc_page",
        "		if (!page)\n			return NULL;\n\n		spin_lock_irqsave(&pool->lock, flags);\n",
        f"		if (!page) {{\n			if (!{MAY_SLEEP})\n				spin_unlock_irqrestore(&pool->lock, flags);\n"
        f"			return NULL;\n		}}\n		if ({MAY_SLEEP})\n			spin_lock_irqsave(&pool->lock, flags);\n",
    ),
    (  # a number that is written once, before anybody else knows the pool
        "v6.12",
        "	struct list_head pools;\n};",
        "	struct list_head pools;\n	int id;\n};",
        "	empty = list_empty(&dev->dma_pools);\n",
        "	empty = list_empty(&dev->dma_pools);\n	retval->id = 7;\n",
        "	might_alloc(mem_flags);\n",
        "	might_alloc(mem_flags);\n	if (pool->id != 7)\n		return NULL;\n",
    ),
    (
        "v6.12",
        "	page = kmalloc(sizeof(*page), mem_flags);\n",
        "	page = kmalloc(sizeof(*page), GFP_NOWAIT);\n	if (!page)\n		page = kmalloc(sizeof(*page), mem_flags);\n",
    ),
]
"""Changes that break nothing, and look as if they might."""


@pytest.mark.parametrize("change", HARMLESS, ids=range(len(HARMLESS)))
def test_what_breaks_no_rule_is_no_finding(tmp_path: Path, change: tuple[str, ...]) -> None:
    version, *changes = change
    assert hunt(changed(version, tmp_path, *changes)) > 5000


def test_a_lock_that_a_corrupted_pool_keeps_is_found(tmp_path: Path) -> None:
    """Of a debug build, which notices the corruption."""
    poisoned = "			continue;\n"
    source = changed("v6.12", tmp_path, poisoned, poisoned + "		spin_lock(&pool->lock);\n")
    corruption = (Create(64), Alloc("a"), Free("a"), Write("a", 0, "01"), Write("a", 20, "01"), Alloc("b"))
    with pytest.raises(BrokenClaim) as broken:
        replay(Trace(corruption, Kernel(debug=True)), revision_of(source))
    assert broken.value.claim.name == "locking_rules_are_kept"
