/* SPDX-License-Identifier: MIT */
/*
 * Operations: create, alloc, free, destroy, and batches of them.
 *
 * Stands for the drivers that call mm/dmapool.c through linux/dmapool.h, and for CONFIG_FAILSLAB.
 * Fault injection: each allocation that an operation makes fails once, in turn, before the operation runs without failures. A
 * failed operation must leak nothing; an alloc may do without the allocation. Failures of dma_alloc_coherent are injected by the
 * test instead.
 *
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
static bool unfailing;
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
	/* Far more than honest code needs, which looks at each byte of the pool's pages a few times. */
	budget = budget_of_operation = 1000000 + 64 * (long)bytes_given;
	running = (struct operation){ .allowed = allowed, .by_interrupt = by_interrupt, .node = NUMA_NO_NODE, .own = heap_used, .others = SIZE_MAX };
	irqs_off = by_interrupt;
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

/* Run where the other process runs: only one of the two ever does, and a message to another processor takes longer. */
static void move_to(u32 processor)
{
	cpu_set_t set;

	if (processor >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* A new machine: nothing of an earlier pool is left. */
void reset(void)
{
	close_pages();
	forget_pools_file();
	forget_blocks();
	forget_order();
	heap_used = objects = frees = unused_pages = 0;
	destroyed = false;
	poolproof_page_size = request.d;
	peer_base = request.base;
	begin(GFP_KERNEL, false);
	device = allocate(device_bytes, GFP_KERNEL | __GFP_ZERO, CALLER);
	boot(device, DEVICE, request.flags & 1, request.flags & 2);
	run_initcalls();
	objects = 0;
}

static bool no_pool_is_listed(void)
{
	return pools_of(device)->next == pools_of(device);
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
}

bool create_pool(unsigned fails, const char *name, size_t size, size_t align, size_t boundary)
{
	size_t start = heap_used;

	begin(GFP_KERNEL, false);
	running.fails = fails;
	if (dma_pool_create_node)
		running.node = POOLS_NODE;
	pool = dma_pool_create_node ? dma_pool_create_node(name, device, size, align, boundary, POOLS_NODE) :
				      dma_pool_create(name, device, size, align, boundary);
	check_return();
	pool_bytes = heap_used - start;
	return pool;
}

static void create(void)
{
	unfailing = request.flags & UNFAILING;
	move_to((request.flags & ~(UNFAILING | DEBUG_BUILD)) >> 2);
	forget_what_goes_on();
	reset();
	for (unsigned fails = !unfailing;; fails++) {
		create_pool(fails, request.name, request.a, request.b, request.c);
		if (!running.failed)
			break;
		if (pool)
			fault("a pool is created although request %u for memory, or for the file pools, was refused", fails);
		if (objects || pools_file || !no_pool_is_listed())
			breaks("failed_create_leaves_nothing_behind", NULL, "no pool is created, as request %u was refused, but memory, the file pools, or a pool in the device's list "
			      "is left",
			      fails);
		reply.log_bytes = 0;
	}
	if (pool && !pools_file)
		breaks("pools_file_exists_while_pools_do", NULL, "a pool is created, and its device has no file pools");
	if (pool)
		create_other_pool();
	send_done(pool != NULL, 0);
}

void destroy_pools(void)
{
	destroyed = destroying = true;
	begin(GFP_KERNEL, false);
	dma_pool_destroy(pool);
	check_return();
	if (!pools_file || no_pool_is_listed() || pools_of(device)->next != pools_of(device)->prev)
		breaks("pools_file_exists_while_pools_do", NULL,
		       "the pool is gone, and the device's list has it still, or the file pools or another pool is gone as well");
	if (objects - objects_of_other_pool > unused_pages) /* a page that overlaps another is leaked, with its descriptor */
		fault("the pool is gone, and %lu of its objects of kmalloc are left", objects - objects_of_other_pool);
	begin(GFP_KERNEL, false);
	dma_pool_destroy(other_pool);
	check_return();
	destroying = false;
	if (pools_file || !no_pool_is_listed())
		breaks("pools_file_exists_while_pools_do", NULL, "the device's last pool is gone, and its list or its file pools still has it");
}

gfp_t flags_of_caller(unsigned kind)
{
	const gfp_t flags[CALLERS_FLAGS] = { GFP_KERNEL, gfp_atomic, GFP_NOIO };

	return flags[kind % CALLERS_FLAGS];
}

void *alloc_for(gfp_t allowed, unsigned fails, gfp_t zero, dma_addr_t *dma)
{
	void *vaddr;

	begin(allowed, allowed == gfp_atomic);
	running.fails = fails;
	running.is_alloc = true;
	if (dma_pool_create_node)
		running.node = POOLS_NODE;
	vaddr = dma_pool_alloc(pool, allowed | zero, dma);
	check_return();
	if (vaddr && (allowed & __GFP_DIRECT_RECLAIM) && !running.told)
		misuse((const char *)dma_pool_alloc + 1, "an alloc that may sleep does not say so where a block is free (might_alloc): who must not sleep is not warned");
	hand_over(vaddr);
	return vaddr;
}

static void alloc(void)
{
	unsigned turn = request.flags >> 1;
	size_t before = objects, log_before = reply.log_bytes;
	dma_addr_t dma = 0;
	void *vaddr;

	for (unsigned fails = !unfailing;; fails++) {
		gfp_t zero = request.flags & 1 ? __GFP_ZERO : 0;

		vaddr = alloc_for(flags_of_caller(turn), fails, zero, &dma);
		if (vaddr || running.page_requested || !running.failed || fails == running.allocations + CALLERS_FLAGS)
			break;
		if (objects != before)
			fault("no block is given, as request %u for memory was refused, but %ld objects of kmalloc are left", fails,
			      (long)(objects - before));
		turn += fails > running.allocations; /* a page was asked for with a lock held; for another caller, it may be dropped */
		reply.log_bytes = log_before;
	}
	if (!vaddr)
		unused_pages += running.pages;
	send_done(vaddr ? to_peer_address(vaddr) : 0, dma);
}

/* By a driver and by an interrupt handler, in turn. */
void free_block(u64 vaddr, u64 dma)
{
	begin(gfp_atomic, ++frees & 1);
	running.is_free = true;
	running.freed = from_peer_address(vaddr);
	dma_pool_free(pool, from_peer_address(vaddr), dma);
	check_return();
	take_back(from_peer_address(vaddr));
}

/* Returns how many allocations failed. */
static u64 run_batch(const struct batch_operation *operations, u64 number, struct block *blocks)
{
	u64 n, failed = 0, started = now();

	reply.basic_blocks = batch.nanoseconds = 0;
	for (n = 0; n < number; n++) {
		const struct batch_operation *operation = &operations[n];
		struct block *block = &blocks[operation->slot];
		dma_addr_t dma = 0;

		if (operation->what == FREE) {
			free_block(block->vaddr + operation->plus, block->dma + operation->plus);
		} else {
			void *vaddr = alloc_for(GFP_KERNEL, 0, 0, &dma);

			*block = (struct block){ vaddr ? to_peer_address(vaddr) : 0, dma };
			failed += !vaddr;
		}
		reply.basic_blocks += budget_of_operation - budget;
	}
	reply.nanoseconds = now() - started - batch.nanoseconds;
	return failed;
}

static void serve_batch(void)
{
	u64 failed;

	batch = (struct batch){ true, (const u64 *)(scratch + request.c), request.d, request.base, 0 };
	failed = run_batch((const struct batch_operation *)(scratch + request.a), request.b,
			   (struct block *)(scratch + request.flags));
	batch.runs = false;
	send_done(failed, 0);
}

bool serve_operation(u32 what)
{
	switch (what) {
	case CREATE:
		create();
		break;
	case ALLOC:
		alloc();
		break;
	case FREE:
		free_block(request.a, request.b);
		send_done(0, 0);
		break;
	case DESTROY:
		destroy_pools();
		try_managed_pools();
		send_done(0, 0);
		break;
	case BATCH:
		serve_batch();
		break;
	case CALLERS:
		serve_callers();
		break;
	case SWEEP:
		serve_sweep();
		break;
	default:
		return false;
	}
	return true;
}
