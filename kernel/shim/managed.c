/* SPDX-License-Identifier: MIT */
/*
 * A device's resources, and managed pools, which are some of them.
 *
 * Replaces drivers/base/devres.c. Invariant: but for managed pools, the device has no resources.
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
	if (dev != device)
		breaks("managed_pool_is_destroyed_once", CALLER, "a managed pool is made a resource of another device");
	if (number_of_resources == MOST_RESOURCES)
		fault("the device gets more resources than pools were asked for");
	resources[number_of_resources++] = container_of(res, struct resource, data);
}

void devres_free(void *res)
{
	struct resource *resource = container_of(res, struct resource, data);

	if (!res)
		return;
	for (unsigned n = 0; n < number_of_resources; n++)
		if (resources[n] == resource)
			fault("a resource is freed that the device still has");
	kfree(resource);
}

static struct resource *taken_off(unsigned number)
{
	struct resource *resource = resources[number];

	for (number_of_resources--; number < number_of_resources; number++)
		resources[number] = resources[number + 1];
	return resource;
}

static void give_up(struct resource *resource)
{
	resource->release(device, resource->data);
	kfree(resource);
}

/* The latest resource that matches is not the device's any more. */
void *devres_remove(struct device *dev, release_t *release, match_t *match, void *match_data)
{
	for (unsigned n = number_of_resources; n--;)
		if (resources[n]->release == release && match(dev, resources[n]->data, match_data))
			return taken_off(n)->data;
	return NULL;
}

int devres_destroy(struct device *dev, release_t *release, match_t *match, void *match_data)
{
	void *data = devres_remove(dev, release, match, match_data);

	if (!data)
		return -ENOENT;
	devres_free(data);
	return 0;
}

int devres_release(struct device *dev, release_t *release, match_t *match, void *match_data)
{
	void *data = devres_remove(dev, release, match, match_data);

	if (!data)
		return -ENOENT;
	give_up(container_of(data, struct resource, data));
	return 0;
}

void forget_resources(void)
{
	number_of_resources = 0;
}

size_t resources_of_the_device(void)
{
	return number_of_resources;
}

bool has_managed_pools(void)
{
	return dmam_pool_create && dmam_pool_destroy;
}

#define ARGUMENTS device, 40, 16, 1024 /* of which a pool keeps a size of 48, the boundary, and the page size */

struct dma_pool *create_managed(void)
{
	return dmam_pool_create("managed", ARGUMENTS);
}

/* Where two other pools of these arguments have one of these numbers, a managed one has it as well. */
void check_managed(const struct dma_pool *managed)
{
	struct dma_pool *others[] = { dma_pool_create("other", ARGUMENTS), dma_pool_create("another", ARGUMENTS) };
	const u32 *one = (u32 *)others[0], *another = (u32 *)others[1], *found = (u32 *)managed;
	size_t nbytes = 0, of_managed = 0;

	object_of((u8 *)managed - heap, &of_managed);
	if (one && another)
		object_of((u8 *)one - heap, &nbytes);
	for (size_t n = 0; (n + 1) * sizeof(*one) <= nbytes && (n + 1) * sizeof(*one) <= of_managed; n++)
		if (one[n] == another[n] && (one[n] == 48 || one[n] == 1024 || one[n] == poolproof_page_size) && found[n] != one[n])
			breaks("create_admits_what_is_promised", NULL,
			       "a managed pool of size 40, align 16 and boundary 1024 has %u where another pool has %u", found[n], one[n]);
	dma_pool_destroy(others[1]);
	dma_pool_destroy(others[0]);
}

void destroy_managed(struct dma_pool *managed)
{
	destroying = true;
	dmam_pool_destroy(managed);
	destroying = false;
}

void give_up_resources(void)
{
	destroying = true;
	while (number_of_resources) {
		begin(GFP_KERNEL, false);
		give_up(taken_off(number_of_resources - 1));
		check_return();
	}
	destroying = false;
}
