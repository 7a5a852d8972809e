"""Kernels for tests: those that were fetched, as they are and with changes, a short hunt in one, and a tiny pool."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from hunt import directed, profiles
from hunt.at_once import Met
from hunt.machine import machine
from hunt.sweep import Sweep
from kernel.build import KERNELS, Source, Variant, find
from kernel.compiler import BuildError, compiler
from kernel.fetch import NEWEST, newer_than_the_others
from kernel.headers import is_whole
from kernel.pool import KernelPool
from kernel.promises import revision_of
from model.memory import Memory


def needs_a_compiler() -> None:
    """Skip the module that asks, if there is none, or no kernel whose headers tests are compiled with."""
    if not is_whole(KERNELS / "v6.12"):
        pytest.skip("needs the kernel v6.12: run `make kernels`", allow_module_level=True)
    try:
        compiler()
    except BuildError as error:
        pytest.skip(f"needs a C compiler: apt-get install gcc ({error})", allow_module_level=True)


def fetched(version: str) -> Source:
    """A kernel's source, or that of the `newest`; the test is skipped if nobody has fetched it."""
    if version == NEWEST and (folder := newer_than_the_others()) is not None:
        return find(folder)
    if not is_whole(KERNELS / version):
        pytest.skip(f"needs the kernel {version}: run `make kernels`")
    return find(KERNELS / version)


def changed(version: str, folder: Path, *changes: str) -> Source:
    """A kernel's source with a bug: each text is replaced by the one that follows it."""
    source = fetched(version)
    text = source.file.read_text()
    for before, after in zip(changes[::2], changes[1::2], strict=True):
        assert text.count(before) >= 1, before
        text = text.replace(before, after, 1)
    (folder / "dmapool.c").write_text(text)
    return Source(folder / "dmapool.c", source.tree)


def hunt_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have hunts leave out deep runs, the sweep and callers at once, which have tests of their own."""
    monkeypatch.setattr("hunt.fuzz.run_deep", lambda *_: (0, None))
    monkeypatch.setattr("hunt.fuzz.sweep", lambda *_, **__: Sweep())
    monkeypatch.setattr("hunt.fuzz.meet_all", lambda *_: Met())
    monkeypatch.setattr("hunt.fuzz.meet_by_priorities", lambda *_: Met())


def hunt(source: Source, examples: int = 0) -> int:
    """Steps of a hunt in a source: the directed runs, and so many that are drawn. Raises the BrokenClaim that it finds."""
    hunter = machine(revision_of(source))
    for broken in directed.run_all(hunter, most=1):
        raise broken
    if not examples:
        return hunter.tally.steps
    profiles.register()
    phases = [Phase.generate]
    short = settings(settings.get_profile(profiles.UNSHRUNK), max_examples=examples, phases=phases, derandomize=False)
    run_state_machine_as_test(seed(1)(hunter), settings=short)
    return hunter.tally.steps


TINY = """
#include <linux/device.h>
#include <linux/dmapool.h>
#include <linux/dma-mapping.h>
#include <linux/slab.h>
/* MORE */
struct dma_pool {
	spinlock_t lock;
	struct device *dev;
	size_t size;
	unsigned int used;
	char *page;
	dma_addr_t dma;
	char name[32];
	struct list_head pools;
};
static DEFINE_MUTEX(list_lock);
static DEFINE_MUTEX(file_lock);
static ssize_t pools_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	char *row = "%-16s %4u %4u %4zu %2u\\n";
	struct list_head *at;
	size_t nbytes = scnprintf(buf, PAGE_SIZE, "poolinfo - 0.1\\n");
	mutex_lock(&list_lock);
	for (at = dev->dma_pools.next; at != &dev->dma_pools; at = at->next) {
		struct dma_pool *pool = container_of(at, struct dma_pool, pools);
		nbytes += scnprintf(buf + nbytes, PAGE_SIZE - nbytes, row, pool->name, pool->used, 0u, pool->size, 1u);
	}
	mutex_unlock(&list_lock);
	return nbytes;
}
static DEVICE_ATTR_RO(pools);
static bool list_or_unlist(struct dma_pool *pool, bool list)
{
	struct list_head *head = &pool->dev->dma_pools, *link = &pool->pools;
	bool empty;
	mutex_lock(&list_lock);
	empty = head->next == head;
	if (list) {
		link->prev = head;
		link->next = head->next;
		link->next->prev = head->next = link;
	} else {
		link->prev->next = link->next;
		link->next->prev = link->prev;
		empty = head->next == head;
	}
	mutex_unlock(&list_lock);
	return empty;
}
struct dma_pool *dma_pool_create(const char *name, struct device *dev, size_t size, size_t align, size_t boundary)
{
	struct dma_pool *pool = kzalloc(sizeof(*pool), GFP_KERNEL);
	if (!pool)
		return NULL;
	spin_lock_init(&pool->lock);
	strscpy(pool->name, name, sizeof(pool->name));
	pool->dev = dev;
	pool->size = size;
	mutex_lock(&file_lock);
	if (list_or_unlist(pool, true) && device_create_file(dev, &dev_attr_pools)) {
		list_or_unlist(pool, false);
		kfree(pool);
		pool = NULL;
	}
	mutex_unlock(&file_lock);
	return pool;
}
static char *page_of(struct dma_pool *pool, gfp_t flags)
{
	unsigned long irqs;
	char *page, *other;
	dma_addr_t dma;
	spin_lock_irqsave(&pool->lock, irqs);
	page = pool->page;
	spin_unlock_irqrestore(&pool->lock, irqs);
	if (page)
		return page;
	other = dma_alloc_coherent(pool->dev, PAGE_SIZE, &dma, flags);
	if (!other)
		return NULL;
	spin_lock_irqsave(&pool->lock, irqs);
	page = pool->page = other;
	pool->dma = dma;
	spin_unlock_irqrestore(&pool->lock, irqs);
	return page;
}
void *dma_pool_alloc(struct dma_pool *pool, gfp_t flags, dma_addr_t *dma)
{
	char *page;
	unsigned long irqs;
	size_t offset;
	might_alloc(flags);
	page = page_of(pool, flags);
	if (!page)
		return NULL;
	/* HERE */
	spin_lock_irqsave(&pool->lock, irqs);
	offset = pool->size * pool->used++;
	*dma = pool->dma + offset;
	spin_unlock_irqrestore(&pool->lock, irqs);
	return page + offset;
}
void dma_pool_free(struct dma_pool *pool, void *vaddr, dma_addr_t dma)
{
	dev_err(pool->dev, "%s %s, %p/%pad\\n", __func__, "tiny", vaddr, &dma);
}
void dma_pool_destroy(struct dma_pool *pool)
{
	if (!pool)
		return;
	if (pool->page)
		dma_free_coherent(pool->dev, PAGE_SIZE, pool->page, pool->dma);
	mutex_lock(&file_lock);
	if (list_or_unlist(pool, false))
		device_remove_file(pool->dev, &dev_attr_pools);
	mutex_unlock(&file_lock);
	kfree(pool);
}
"""
"""A pool of one page, which never takes a block back."""


def tiny(folder: Path, here: str = "", more: str = "") -> Source:
    file = folder / "tiny.c"
    file.write_text(TINY.replace("/* HERE */", here).replace("/* MORE */", more))
    return Source(file, fetched("v6.12").tree)


def created(source: Source, variant: Variant | None = None, **options: Any) -> KernelPool:
    pool = KernelPool.create(source, variant or Variant(), "tiny", Memory(), 64, 1, 0, **options)
    assert pool is not None
    return pool
