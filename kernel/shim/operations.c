/* SPDX-License-Identifier: MIT */
/*
 * Operations: create, alloc, free and destroy, which serve.h has run.
 *
 * Stands for the drivers that call mm/dmapool.c through linux/dmapool.h, and for CONFIG_FAILSLAB.
 * Invariant: between operations no lock is held, and interrupts are as the caller had them.
 */
#include "shim.h"

struct operation running;
struct device *device; /* the heap's first object, so that accesses to its list of pools are watched */
struct dma_pool *pool;
size_t pool_bytes; /* of the heap, that the pool was created in */
bool destroyed; /* a driver may use the pointer all the same */
static struct dma_pool *other_pool;
static size_t objects_of_other_pool;
static size_t unused_pages; /* pages that an alloc requested, and gave no block of */
static unsigned long frees; /* how many there were: it decides who the next caller is */

#pragma weak dma_pool_create_node

/* In later kernels, a header has this one. */
__attribute__((weak)) struct dma_pool *dma_pool_create(const char *name, struct device *dev, size_t size, size_t align,
							size_t boundary)
{
	return dma_pool_create_node(name, dev, size, align, boundary, NUMA_NO_NODE);
}

void begin(gfp_t allowed, bool by_interrupt)
{
	budget = budget_of_operation = 1000000 + BASIC_BLOCKS(bytes_given, block_bytes);
	running = (struct operation){ .allowed = allowed, .by_interrupt = by_interrupt, .node = NUMA_NO_NODE, .objects = objects, .own = heap_used, .others = SIZE_MAX };
	irqs_off = by_interrupt;
	in_interrupt_handler(by_interrupt);
}

void check_return(void)
{
	const char *what = reading_pools_file ? "the file pools" : "an operation";
	bool were_off = running.by_interrupt;

	if (held)
		misuse(CALLER, "%s returns with a lock held", what);
	if (irqs_off != were_off)
		misuse(CALLER, "%s that is called with interrupts %s returns with interrupts %s", what, were_off ? "off" : "on",
		       irqs_off ? "off" : "on");
	irqs_off = 0;
	if (running.late_write)
		misuse_unless_known(running.late_write, "a free writes to its block after it has released the lock, when it may be another's");
}

bool with_options; /* are to be set: once, as the kernel sets them */

/* A new machine: nothing of an earlier pool is left. */
void reset(void)
{
	close_pages();
	forget_pools_file();
	forget_blocks();
	forget_order();
	forget_resources();
	heap_used = copies_used = objects = frees = unused_pages = 0;
	destroyed = false;
	poolproof_page_size = request.d;
	peer_base = request.base;
	begin(GFP_KERNEL, false);
	device = allocate(device_bytes, GFP_KERNEL | __GFP_ZERO, CALLER);
	start_machine(device, DEVICE, request.flags & 1, request.flags & 2);
	if (with_options)
		set_options();
	with_options = false;
	run_initcalls();
	objects = 0;
}

/* Nothing is read of what the list leads to. */
bool no_pool_is_listed(void)
{
	return pools_of(device)->next == pools_of(device);
}

size_t pools_of_the_device(void)
{
	struct list_head *head = pools_of(device), *at;
	size_t number = 0;

	for (at = head->next; at != head; at = at->next)
		number++;
	return number;
}

bool leaks(void)
{
	return objects != running.objects;
}

void create_other_pool(void)
{
	size_t before = objects;

	begin(GFP_KERNEL, false);
	other_pool = dma_pool_create(OTHER_POOL, device, 64, 8, 0);
	check_return();
	objects_of_other_pool = objects - before;
	if (!other_pool)
		fault("the device gets no second pool");
	check_freed();
}

/* Once the mutexes are released, others may see a pool that is in the device's list, the first or the last. */
void note_newest_pool(void)
{
	const struct list_head *ends[] = { pools_of(device)->next, pools_of(device)->prev };

	for (size_t n = 0; n < ARRAY_SIZE(ends); n++) {
		size_t offset = (u8 *)ends[n] - heap;

		if (offset >= running.own && offset < heap_used)
			running.seen = object_of(offset, &running.seen_bytes);
	}
}

char *behind_the_name;
static int pools_node; /* that the pool is created for: 0 or 1, by its size */

/* A driver's copy of a name: nothing can be read behind its end. */
static char *of_a_driver(const char *name)
{
	if (!behind_the_name) {
		char *room = mmap(NULL, 2 * NAME_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (room == MAP_FAILED || mprotect(room + NAME_ROOM, NAME_ROOM, PROT_NONE))
			fault("there is no memory for the name of a pool");
		behind_the_name = room + NAME_ROOM;
	}
	return strcpy(behind_the_name - strlen(name) - 1, name);
}

bool create_pool(unsigned fails, const char *given_name, size_t size, size_t align, size_t boundary)
{
	size_t start = heap_used;
	char *name = of_a_driver(given_name);

	block_bytes = size;
	begin(GFP_KERNEL, false);
	running.fails = fails;
	pools_node = dma_pool_create_node ? (int)(size / 8 % 2) : NUMA_NO_NODE;
	running.node = pools_node;
	pool = dma_pool_create_node ? dma_pool_create_node(name, device, size, align, boundary, pools_node) :
				      dma_pool_create(name, device, size, align, boundary);
	check_return();
	memset(name, '?', strlen(name)); /* the driver uses that memory for something else */
	pool_bytes = heap_used - start;
	return pool;
}

void destroy_pools(void)
{
	begin(GFP_KERNEL, false);
	running.of_null = true;
	dma_pool_destroy(NULL);
	check_return();
	destroyed = destroying = true;
	begin(GFP_KERNEL, false);
	dma_pool_destroy(pool);
	check_return();
	if (!pools_file || no_pool_is_listed() || pools_of(device)->next != pools_of(device)->prev)
		breaks("pools_file_exists_while_pools_do", NULL,
		       "the pool is gone, and the device's list has it still, or the file pools or another pool is gone as well");
	if (objects - objects_of_other_pool > unused_pages) /* a page that overlaps another is leaked, with its descriptor */
		breaks("structs_are_freed", NULL, "the pool is gone, and %lu of its objects of kmalloc are left",
		       objects - objects_of_other_pool);
	check_freed();
	begin(GFP_KERNEL, false);
	dma_pool_destroy(other_pool);
	check_return();
	destroying = false;
	if (pools_file || !no_pool_is_listed())
		breaks("pools_file_exists_while_pools_do", NULL, "the device's last pool is gone, and its list or its file pools still has it");
}

void *alloc_for(gfp_t allowed, unsigned fails, gfp_t zero, dma_addr_t *dma)
{
	void *vaddr;

	begin(allowed, !(allowed & __GFP_DIRECT_RECLAIM));
	running.fails = fails;
	running.is_alloc = true;
	running.node = pools_node;
	vaddr = dma_pool_alloc(pool, allowed | zero, dma);
	check_return();
	if (vaddr && (allowed & __GFP_DIRECT_RECLAIM) && !running.told)
		misuse((const char *)dma_pool_alloc + 1, "an alloc that may sleep does not say so where a block is free (might_alloc): who must not sleep is not warned");
	hand_over(vaddr);
	if (!vaddr)
		unused_pages += running.pages;
	return vaddr;
}

void free_by(bool by_interrupt, u64 vaddr, u64 dma)
{
	begin(gfp_atomic, by_interrupt);
	running.is_free = true;
	running.freed = from_peer_address(vaddr);
	dma_pool_free(pool, from_peer_address(vaddr), dma);
	check_return();
	take_back(from_peer_address(vaddr));
}

/* By a driver and by an interrupt handler, in turn. */
void free_block(u64 vaddr, u64 dma)
{
	free_by(++frees & 1, vaddr, dma);
}
