/* SPDX-License-Identifier: MIT */
/*
 * A device's resources, and managed pools, which are some of them.
 *
 * Replaces drivers/base/devres.c. Whenever a pool was destroyed, a driver makes
 * two managed pools, with fault injection, and destroys the first; the device gives up the other with its resources.
 * Invariant: at any other time, the device has no resources.
 */
#include "shim.h"

#define MOST_RESOURCES 4

typedef void release_t(struct device *dev, void *resource);
typedef int match_t(struct device *dev, void *resource, void *match_data);

struct resource {
	release_t *release;
	u64 data[];
};
static struct resource *resources[MOST_RESOURCES];
static unsigned number_of_resources;

#pragma weak dmam_pool_create
#pragma weak dmam_pool_destroy

void *__devres_alloc_node(release_t *release, size_t nbytes, gfp_t flags, int node, const char *name)
{
	struct resource *resource = allocate(sizeof(*resource) + nbytes, flags | __GFP_ZERO, CALLER);

	(void)node, (void)name;

	if (!resource)
		return NULL;
	resource->release = release;
	return resource->data;
}

void devres_add(struct device *dev, void *res)
{
	(void)dev;
	if (number_of_resources == MOST_RESOURCES)
		fault("the device gets more resources than pools were asked for");
	resources[number_of_resources++] = container_of(res, struct resource, data);
}

void devres_free(void *res)
{
	struct resource *resource = container_of(res, struct resource, data);

	for (unsigned n = 0; n < number_of_resources; n++)
		if (resources[n] == resource)
			fault("a resource is freed that the device still has");
	kfree(resource);
}

static void give_up(unsigned number)
{
	struct resource *resource = resources[number];

	for (number_of_resources--; number < number_of_resources; number++)
		resources[number] = resources[number + 1];
	resource->release(device, resource->data);
	kfree(resource);
}

int devres_release(struct device *dev, release_t *release, match_t *match, void *match_data)
{
	for (unsigned n = number_of_resources; n--;)
		if (resources[n]->release == release && match(dev, resources[n]->data, match_data)) {
			give_up(n);
			return 0;
		}
	return -ENOENT;
}

static unsigned pools_of_the_device(void)
{
	struct list_head *head = pools_of(device), *at;
	unsigned number = 0;

	for (at = head->next; at != head; at = at->next)
		number++;
	return number;
}

static struct dma_pool *create_managed(void)
{
	unsigned had = number_of_resources;
	size_t before = objects;
	struct dma_pool *made;

	for (unsigned fails = 1;; fails++) {
		begin(GFP_KERNEL, false);
		running.fails = fails;
		made = dmam_pool_create("managed", device, 64, 8, 0);
		check_return();
		if (!running.failed)
			break;
		if (made || objects != before || number_of_resources != had || pools_of_the_device() != had)
			breaks("failed_create_leaves_nothing_behind", NULL,
			      "request %u was refused as a managed pool was to be created, but there is one, or memory, a resource or "
			      "a pool in the device's list is left",
			      fails);
	}
	if (!made || number_of_resources != had + 1)
		breaks("managed_pool_is_destroyed_once", NULL, "a managed pool is not created, or the device does not have it as a resource");
	return made;
}

void try_managed_pools(void)
{
	struct dma_pool *first, *second;
	size_t before = objects;
	u32 said = reply.log_bytes;

	if (!dmam_pool_create || !dmam_pool_destroy)
		return;
	number_of_resources = 0;
	first = create_managed();
	second = create_managed();
	destroying = true;
	begin(GFP_KERNEL, false);
	dmam_pool_destroy(first);
	check_return();
	if (is_live(first) || !is_live(second) || number_of_resources != 1)
		breaks("managed_pool_is_destroyed_once", NULL, "dmam_pool_destroy leaves its pool, or destroys another");
	while (number_of_resources) {
		begin(GFP_KERNEL, false);
		give_up(number_of_resources - 1);
		check_return();
	}
	destroying = false;
	if (objects != before || pools_of_the_device() || pools_file)
		breaks("managed_pool_is_destroyed_once", NULL, "the device has given up its resources, and a managed pool, its memory or the file pools is left");
	if (reply.log_bytes != said)
		fault("managed pools are created and destroyed, and something is said");
}
