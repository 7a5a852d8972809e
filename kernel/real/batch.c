// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Many operations in one message: batches, and sweeps over pools of many geometries. What is where is as in the shim. */
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/string.h>
#include "server.h"
#include "rows.h"

void serve_batch(void)
{
	const struct batch_operation *operation = (void *)(SCRATCH_ADDRESS + request.a), *end = operation + request.b;
	struct block *blocks = (void *)(SCRATCH_ADDRESS + request.flags);
	u64 failed = 0, started = ktime_get_ns();

	reply.basic_blocks = 0;
	batch = (struct batch){ true, (const u64 *)(SCRATCH_ADDRESS + request.c), request.d, request.base, 0 };
	for (; operation < end; operation++) {
		struct block *block = &blocks[operation->slot];
		dma_addr_t dma = 0;
		void *vaddr;

		if (operation->what == FREE) {
			free_block(block->vaddr + operation->plus, block->dma + operation->plus);
		} else {
			vaddr = alloc_for(GFP_KERNEL, 0, 0, &dma);
			*block = (struct block){ vaddr ? to_peer_address(vaddr) : 0, dma };
			failed += !vaddr;
		}
		reply.basic_blocks += poolproof_budget_of_operation - poolproof_budget;
	}
	reply.nanoseconds = ktime_get_ns() - started - batch.nanoseconds;
	batch.runs = false;
	send_done(failed, 0);
}

static void sweep_one(const u64 dma[2], const struct geometry *arguments, struct row *row, struct block *blocks)
{
	reset();
	*row = (struct row){ create_pool(0, "pool", arguments->size, arguments->align, arguments->boundary), { 0 } };
	if (!row->admitted)
		return;
	create_other_pool();
	batch = (struct batch){ true, dma, 2, host_peer_base, 0 };
	for (u64 n = 0; n < arguments->blocks; n++) {
		dma_addr_t at = 0;
		void *vaddr = alloc_for(GFP_KERNEL, 0, 0, &at);

		blocks[n].vaddr = vaddr ? to_peer_address(vaddr) - host_peer_base : U64_MAX;
		blocks[n].dma = vaddr ? at : 0;
	}
	read_pools_file();
	numbers_of_row(&reply, row->numbers);
	for (u64 n = 0; n < arguments->blocks; n++)
		if (blocks[n].vaddr != U64_MAX)
			free_block(host_peer_base + blocks[n].vaddr, blocks[n].dma);
	batch.runs = false;
	destroy_pools();
	reply.freed = 0;
}

/* a: the place of what is wanted in the scratch memory, b: how many geometries, c: the place of `swept`, the rows, and the blocks. */
void serve_sweep(void)
{
	const struct wanted *wanted = (void *)(SCRATCH_ADDRESS + request.a);
	const struct geometry *arguments = wanted->geometries;
	u64 number = request.b, *swept = (u64 *)(SCRATCH_ADDRESS + request.c);
	struct row *rows = (struct row *)(swept + 1);
	struct block *blocks = (struct block *)(rows + number);

	for (*swept = 0; *swept < number; ++*swept) {
		sweep_one(wanted->dma, arguments, rows++, blocks);
		blocks += arguments++->blocks;
		cond_resched();
	}
}
