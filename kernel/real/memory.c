// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The kernel's memory, as the code under test requests it (redirected.h): it comes from the kernel, unless the request is to be
 * refused. Fault injection is the shim's: each request of an operation is refused once, in turn, before the operation runs
 * without failures. And the resources of the device, as managed pools are.
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
		breaks("structs_are_on_the_node", NULL, "memory is allocated on %s, of a pool for node %d",
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
bool is_live(const void *object)
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
			breaks("pools_file_exists_while_pools_do", NULL,
			       "the file pools is created and removed under no common lock: of two creates or destroys at once, one undoes the other's");
	}
	device_remove_file(dev, attr);
}

/* The device's pools, and its resources: managed pools are some of them */

int devres_release_all(struct device *dev); /* of drivers/base/ */

static size_t length(const struct list_head *head)
{
	const struct list_head *at;
	size_t number = 0;

	list_for_each(at, head)
		number++;
	return number;
}

size_t resources_of_the_device(void)
{
	return length(&device->devres_head);
}

size_t pools_of_the_device(void)
{
	return length(&device->dma_pools);
}

bool has_managed_pools(void)
{
	return code->create_managed && code->destroy_managed;
}

struct dma_pool *create_managed(void)
{
	return code->create_managed("managed", device, 64, 8, 0);
}

void destroy_managed(struct dma_pool *managed)
{
	code->destroy_managed(managed);
}

void give_up_resources(void)
{
	begin(GFP_KERNEL, false);
	devres_release_all(device);
	check_return();
}
