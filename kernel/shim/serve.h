/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What a server does of what it is asked for: included by server.c, and by kernel/real/server.c, which runs it in a real kernel.
 *
 * Fault injection: each request for memory that an operation makes is refused once, in turn, before the operation runs without
 * refusals. A failed operation must leak nothing; an alloc may do without. Whether the device gives a page, the test decides.
 */
#include "protocol.h"
#include "rows.h"

struct request request;
struct reply reply;
static int channel;
static bool unfailing; /* no request for memory is refused */

void send_reply(void)
{
	size_t nbytes = offsetof(struct reply, text) + reply.log_bytes + reply.row_bytes + reply.fault_bytes;

	if (host_send(channel, &reply, nbytes) != (long)nbytes)
		host_exit();
	reply.log_bytes = reply.row_bytes = reply.freed = 0;
}

/* An operation has returned. */
void send_done(u64 a, u64 b)
{
	check_red_zones();
	reply.what = DONE;
	reply.a = a;
	reply.b = b;
	if (pool && !destroyed)
		read_pools_file();
	send_reply();
}

static void receive(void)
{
	long nbytes = host_receive(channel, &request, sizeof(request) - 1);

	if (nbytes < (long)offsetof(struct request, name))
		host_exit();
	nbytes -= offsetof(struct request, name);
	if (request.what == CREATE)
		request.name[nbytes] = 0;
	else
		for (size_t n = 0; n < nbytes / sizeof(request.opened[0]); n++)
			open_page(request.opened[n].vaddr, request.opened[n].nbytes);
}

static void create(void)
{
	unfailing = request.flags & UNFAILING;
	reset();
	for (unsigned int fails = !unfailing;; fails++) {
		create_pool(fails, request.name, request.a, request.b, request.c);
		if (!running.failed)
			break;
		if (pool)
			fault("a pool is created although request %u for memory, or for the file pools, was refused", fails);
		if (leaks() || file_exists() || !no_pool_is_listed())
			breaks("failed_create_leaves_nothing_behind", NULL,
			       "no pool is created, as request %u was refused, but memory, the file pools, or a pool in the device's list is left",
			       fails);
		reply.log_bytes = 0;
	}
	if (!pool && (file_exists() || !no_pool_is_listed()))
		breaks("failed_create_leaves_nothing_behind", NULL,
		       "no pool is created, but the file pools, or a pool in the device's list is left");
	if (pool && !file_exists())
		breaks("pools_file_exists_while_pools_do", NULL, "a pool is created, and its device has no file pools");
	if (pool)
		create_other_pool();
	send_done(pool != NULL, 0);
}

gfp_t flags_of_caller(unsigned int kind)
{
	const gfp_t flags[CALLERS_FLAGS] = { GFP_KERNEL, gfp_atomic, GFP_NOIO, GFP_KERNEL | GFP_DMA, gfp_atomic | __GFP_NOWARN };

	return flags[kind % CALLERS_FLAGS];
}

static void alloc(void)
{
	unsigned int turn = request.flags >> 1;
	gfp_t zero = request.flags & 1 ? __GFP_ZERO : 0;
	size_t log_before = reply.log_bytes;
	dma_addr_t dma = 0;
	void *vaddr;

	for (unsigned int fails = !unfailing;; fails++) {
		vaddr = alloc_for(flags_of_caller(turn), fails, zero, &dma);
		if (vaddr || running.page_requested || !running.failed || fails == running.allocations + CALLERS_FLAGS)
			break;
		if (leaks())
			breaks("structs_are_freed", NULL, "no block is given, as request %u for memory was refused, but objects of kmalloc are left",
			       fails);
		turn += fails > running.allocations; /* a page was asked for with a lock held; for another caller, it may be dropped */
		reply.log_bytes = log_before;
	}
	send_done(vaddr ? to_peer_address(vaddr) : 0, dma);
}

static void serve_batch(void)
{
	const struct batch_operation *operation = (void *)(scratch + request.a), *end = operation + request.b;
	struct block *blocks = (void *)(scratch + request.flags);
	u64 failed = 0, started = now();

	reply.basic_blocks = 0;
	batch = (struct batch){ true, (const u64 *)(scratch + request.c), request.d, request.base, 0 };
	for (; operation < end; operation++) {
		struct block *block = &blocks[operation->slot];
		dma_addr_t dma = 0;

		if (operation->what == FREE) {
			free_block(block->vaddr + operation->plus, block->dma + operation->plus);
		} else {
			void *vaddr = alloc_for(GFP_KERNEL, 0, 0, &dma);

			*block = (struct block){ vaddr ? to_peer_address(vaddr) : 0, dma };
			failed += !vaddr;
		}
		reply.basic_blocks += basic_blocks_run();
	}
	reply.nanoseconds = now() - started - batch.nanoseconds;
	batch.runs = false;
	send_done(failed, 0);
}

/*
 * The sweep: pools of many geometries, one after the other; each is filled, emptied and destroyed. The device gives it two pages: one
 * to fill, and one for the block that finds it full. What the pools gave is written down for hunt/sweep.py, which compares it with
 * the oracle. No request for memory is refused. Invariant: `swept` counts the pools that are done, so that the one that a fault is
 * about is known.
 */
static void sweep_one(const u64 dma[2], const struct geometry *arguments, struct row *row, struct block *blocks)
{
	reset();
	*row = (struct row){ create_pool(0, "pool", arguments->size, arguments->align, arguments->boundary), { 0 } };
	if (!row->admitted)
		return;
	create_other_pool();
	batch = (struct batch){ true, dma, 2, peer_base, 0 };
	for (u64 n = 0; n < arguments->blocks; n++) {
		dma_addr_t at = 0;
		void *vaddr = alloc_for(GFP_KERNEL, 0, 0, &at);

		blocks[n] = vaddr ? (struct block){ to_peer_address(vaddr) - peer_base, at } : (struct block){ NO_BLOCK, 0 };
	}
	read_pools_file();
	numbers_of_row(&reply, row->numbers);
	for (u64 n = 0; n < arguments->blocks; n++)
		if (blocks[n].vaddr != NO_BLOCK)
			free_block(peer_base + blocks[n].vaddr, blocks[n].dma);
	batch.runs = false;
	destroy_pools();
	reply.freed = 0;
	check_red_zones();
}

/* a: the place of what is wanted in the scratch memory, b: how many geometries, c: the place of `swept`, the rows, and the blocks. */
static void serve_sweep(void)
{
	const struct wanted *wanted = (void *)(scratch + request.a);
	const struct geometry *arguments = wanted->geometries;
	u64 number = request.b, *swept = (u64 *)(scratch + request.c);
	struct row *rows = (struct row *)(swept + 1);
	struct block *blocks = (struct block *)(rows + number);

	for (*swept = 0; *swept < number; ++*swept) {
		sweep_one(wanted->dma, arguments, rows++, blocks);
		blocks += arguments++->blocks;
	}
	destroyed = true; /* there is no row to be read */
	send_done(0, 0);
}

static struct dma_pool *create_one_managed(void)
{
	size_t resources = resources_of_the_device(), pools = pools_of_the_device();
	struct dma_pool *made;

	for (unsigned int fails = 1;; fails++) {
		begin(GFP_KERNEL, false);
		running.fails = fails;
		made = create_managed();
		check_return();
		if (!running.failed)
			break;
		if (made || leaks() || resources_of_the_device() != resources || pools_of_the_device() != pools)
			breaks("failed_create_leaves_nothing_behind", NULL,
			       "request %u was refused as a managed pool was to be created, but there is one, or memory, a resource or a pool in the device's list is left",
			       fails);
	}
	if (!made || resources_of_the_device() != resources + 1)
		breaks("managed_pool_is_destroyed_once", NULL, "a managed pool is not created, or the device does not have it as a resource");
	return made;
}

/* A driver makes two, and destroys the first; the device gives up the other with its resources. */
static void try_managed_pools(void)
{
	struct dma_pool *first, *second;
	size_t before = objects;
	u32 said = reply.log_bytes;

	if (!has_managed_pools())
		return;
	first = create_one_managed();
	begin(GFP_KERNEL, false);
	check_managed(first);
	check_return();
	second = create_one_managed();
	begin(GFP_KERNEL, false);
	destroy_managed(first);
	check_return();
	if (is_live(first) || !is_live(second) || resources_of_the_device() != 1)
		breaks("managed_pool_is_destroyed_once", NULL, "dmam_pool_destroy leaves its pool, or destroys another");
	give_up_resources();
	if (is_live(second) || objects != before || !no_pool_is_listed() || file_exists())
		breaks("managed_pool_is_destroyed_once", NULL,
		       "the device has given up its resources, and a managed pool, its memory or the file pools is left");
	if (reply.log_bytes != said)
		fault("managed pools are created and destroyed, and something is said");
}

/* False if there is no such operation. */
static bool serve_operation(u32 what)
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
	case SWEEP:
		serve_sweep();
		break;
	default:
		return false;
	}
	return true;
}
