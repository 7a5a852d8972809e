// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The dmapool.c under test, once more, under names of its own: its device is the server's, and its PAGE_SIZE is chosen for each
 * pool. What it includes is included before, so that only its own code is meant.
 */
#include "redirected.h"
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poison.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stat.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/wait.h>

#ifndef OF_THIS_BUILD
#define OF_THIS_BUILD(name) name##_poolproof
#define poolproof_pool poolproof_plain
#endif
#define dma_pool_create OF_THIS_BUILD(dma_pool_create)
#define dma_pool_create_node OF_THIS_BUILD(dma_pool_create_node)
#define dma_pool_destroy OF_THIS_BUILD(dma_pool_destroy)
#define dma_pool_alloc OF_THIS_BUILD(dma_pool_alloc)
#define dma_pool_free OF_THIS_BUILD(dma_pool_free)
#define dmam_pool_create OF_THIS_BUILD(dmam_pool_create)
#define dmam_pool_destroy OF_THIS_BUILD(dmam_pool_destroy)
#include <linux/dmapool.h>
#include <linux/mm.h>
#include "server.h"

/* A version may have no such function. */
struct dma_pool *dma_pool_create_node(const char *name, struct device *dev, size_t size, size_t align, size_t boundary, int node) __weak;
typeof(dmam_pool_create) dmam_pool_create __weak;
typeof(dmam_pool_destroy) dmam_pool_destroy __weak;

#undef EXPORT_SYMBOL
#undef EXPORT_SYMBOL_GPL
#define EXPORT_SYMBOL(name)
#define EXPORT_SYMBOL_GPL(name)
#undef PAGE_SIZE
#define PAGE_SIZE poolproof_page_size
/* Of the pool only: with KASAN, the slab of User Mode Linux does not bear init_on_free. */
#define want_init_on_alloc(flags) (poolproof_init_on_alloc || ((flags) & __GFP_ZERO))
#define want_init_on_free() poolproof_init_on_free
/* Who calls it tells what it may do for memory. */
#define might_alloc(flags) (poolproof_told(), might_alloc(flags))
#undef might_sleep
#define might_sleep() do { poolproof_told(); __might_sleep(__FILE__, __LINE__); } while (0)
#define __func__ poolproof_name(__func__) /* as messages have it */
#include "dmapool.c"

static struct dma_pool *create(const char *name, struct device *dev, size_t size, size_t align, size_t boundary, int node)
{
	return node == NUMA_NO_NODE ? dma_pool_create(name, dev, size, align, boundary) :
				      dma_pool_create_node(name, dev, size, align, boundary, node);
}

static bool has_nodes(void)
{
	return dma_pool_create_node;
}

const struct poolproof_pool poolproof_pool = { create,		dma_pool_alloc,	  dma_pool_free,    dma_pool_destroy,
					       dmam_pool_create, dmam_pool_destroy, has_nodes };
