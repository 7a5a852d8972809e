// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The kernel's memory, as the code under test requests it (redirected.h): it comes from the kernel, unless the request is to be
 * refused. Fault injection is the shim's: each request of an operation is refused once, in turn, before the operation runs
 * without failures. And managed pools, which a driver makes and the device gives up.
 *
 * Invariant: `file_under` has the locks that were held every time that the file pools was created or removed.
 */
#include <linux/device.h>
#include <linux/numa.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include "server.h"

#define MOST_LOCKS 8

static const void *file_under[MOST_LOCKS];
static int locks_of_file = -1; /* there was no file yet */

/* Whether a request fails. Once a page was requested of the device, the rest succeeds: the test decides about that page. */
bool fails_by_injection(void)
{
	running.told = true;
	if (running.page_requested || ++running.allocations != running.fails)
		return false;
	return running.failed = true;
}

static bool refuses(int node)
{
	if (running.node != NUMA_NO_NODE && node != running.node)
		breaks("structs_are_on_the_node", "memory is allocated on %s, of a pool for node %d",
		       node == NUMA_NO_NODE ? "any node" : "another node", running.node);
	return fails_by_injection();
}

static void *given(void *object)
{
	if (object && running.number_given < ARRAY_SIZE(running.given))
		running.given[running.number_given++] = object;
	return object;
}

/* Whether it is not freed, by KASAN's shadow: what is freed is not given again soon. */
static bool is_live(const void *object)
{
	return *(s8 *)shadow((unsigned long)object) >= 0;
}

bool leaks(void)
{
	for (unsigned int n = 0; n < running.number_given; n++)
		if (is_live(running.given[n]))
			return true;
	return false;
}

/*
 * The arguments are passed on, whatever they are: the second are the flags, but of devres, and the third is the node, where there is
 * one. Who asks is noted, for the line that is told. Whether the caller may sleep is looked at before a request is refused, as by the
 * kernel's own fault injection. What this version has not is NULL.
 */
#define GIVES(name, flags, node)                                                        \
	extern void *kernels_##name(long a, long b, long c, long d, long e) __asm__(#name) __weak; \
	void *poolproof_##name(long a, long b, long c, long d, long e);                 \
	void *poolproof_##name(long a, long b, long c, long d, long e)                  \
	{                                                                               \
		poolproof_latest = __builtin_return_address(0);                         \
		might_alloc((gfp_t)(flags));                                            \
		return refuses(node) ? NULL : given(kernels_##name(a, b, c, d, e));     \
	}
GIVES(__kmalloc, b, NUMA_NO_NODE)
GIVES(__kmalloc_node, b, (int)c)
GIVES(kmalloc_large, b, NUMA_NO_NODE)
GIVES(kmalloc_large_node, b, (int)c)
GIVES(kmalloc_trace, b, NUMA_NO_NODE)
GIVES(kmalloc_node_trace, b, (int)c)
GIVES(kmem_cache_alloc, b, NUMA_NO_NODE)
GIVES(kmem_cache_alloc_node, b, (int)c)
GIVES(__kmalloc_noprof, b, NUMA_NO_NODE)
GIVES(__kmalloc_node_noprof, b, (int)c)
GIVES(__kmalloc_large_noprof, b, NUMA_NO_NODE)
GIVES(__kmalloc_large_node_noprof, b, (int)c)
GIVES(__kmalloc_cache_noprof, b, NUMA_NO_NODE)
GIVES(__kmalloc_cache_node_noprof, b, (int)c)
GIVES(kmem_cache_alloc_noprof, b, NUMA_NO_NODE)
GIVES(kmem_cache_alloc_node_noprof, b, (int)c)
GIVES(kstrdup, b, NUMA_NO_NODE)
GIVES(__devres_alloc_node, c, NUMA_NO_NODE)

void poolproof_told(void)
{
	running.told = true;
}

void forget_file(void)
{
	locks_of_file = -1;
}

/* A lock that was not held every time is none of the file's. */
static void note_locks(void)
{
	int kept = 0, held = current->lockdep_depth;

	for (int n = running.locks; locks_of_file < 0 && n < held && kept < MOST_LOCKS; n++)
		file_under[kept++] = current->held_locks[n].instance;
	for (int at = 0; at < locks_of_file; at++)
		for (int n = running.locks; n < held; n++)
			if (current->held_locks[n].instance == file_under[at]) {
				file_under[kept++] = file_under[at];
				break;
			}
	locks_of_file = kept;
}

int poolproof_device_create_file(struct device *dev, const struct device_attribute *attr);
int poolproof_device_create_file(struct device *dev, const struct device_attribute *attr)
{
	if (fails_by_injection())
		return -ENOMEM;
	if (!strcmp(attr->attr.name, "pools"))
		note_locks();
	return device_create_file(dev, attr);
}

void poolproof_device_remove_file(struct device *dev, const struct device_attribute *attr);
void poolproof_device_remove_file(struct device *dev, const struct device_attribute *attr)
{
	if (!strcmp(attr->attr.name, "pools")) {
		note_locks();
		if (!locks_of_file)
			breaks("pools_file_exists_while_pools_do",
			       "the file pools is created and removed under no common lock: of two creates or destroys at once, one undoes the other's");
	}
	device_remove_file(dev, attr);
}

/* Managed pools */

int devres_release_all(struct device *dev); /* of drivers/base/ */

static size_t length(const struct list_head *head)
{
	const struct list_head *at;
	size_t number = 0;

	list_for_each(at, head)
		number++;
	return number;
}

static struct dma_pool *create_managed(struct device *device)
{
	size_t resources = length(&device->devres_head), pools = length(&device->dma_pools);
	struct dma_pool *made;

	for (unsigned int fails = 1;; fails++) {
		begin(GFP_KERNEL, false);
		running.fails = fails;
		made = code->create_managed("managed", device, 64, 8, 0);
		check_return();
		if (!running.failed)
			break;
		if (made || leaks() || length(&device->devres_head) != resources || length(&device->dma_pools) != pools)
			breaks("failed_create_leaves_nothing_behind",
			       "request %u was refused as a managed pool was to be created, but there is one, or memory, a resource or a pool in the device's list is left",
			       fails);
	}
	if (!made || length(&device->devres_head) != resources + 1)
		breaks("managed_pool_is_destroyed_once", "a managed pool is not created, or the device does not have it as a resource");
	return made;
}

/* A driver makes two, and destroys the first; the device gives up the other with its resources. */
void try_managed_pools(struct device *device)
{
	struct dma_pool *first, *second;
	u32 said = reply.log_bytes;

	if (!code->create_managed || !code->destroy_managed)
		return;
	first = create_managed(device);
	second = create_managed(device);
	begin(GFP_KERNEL, false);
	code->destroy_managed(first);
	check_return();
	if (is_live(first) || !is_live(second) || length(&device->devres_head) != 1)
		breaks("managed_pool_is_destroyed_once", "dmam_pool_destroy leaves its pool, or destroys another");
	begin(GFP_KERNEL, false);
	devres_release_all(device);
	check_return();
	if (is_live(second) || !list_empty(&device->dma_pools) || file_exists())
		breaks("managed_pool_is_destroyed_once", "the device has given up its resources, and a managed pool, or the file pools, is left");
	if (reply.log_bytes != said)
		fault("managed pools are created and destroyed, and something is said");
}
