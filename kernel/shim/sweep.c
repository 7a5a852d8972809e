/* SPDX-License-Identifier: MIT */
/*
 * The sweep: pools of many geometries, one after the other; each is filled, emptied and destroyed.
 *
 * The device gives each pool two pages: one to fill, and one for the block that finds it full. What the pools gave is written
 * down for hunt/sweep.py, which compares it with the model. No allocation fails by injection.
 * Invariant: `swept` counts the pools that are done, so that the one that a fault is about is known.
 */
#include "shim.h"
#include "rows.h"

static void sweep_one(const u64 dma[2], const struct geometry *arguments, struct row *row, struct block *blocks)
{
	reset();
	*row = (struct row){ create_pool(0, "pool", arguments->size, arguments->align, arguments->boundary), { 0 } };
	if (!row->admitted)
		return;
	create_other_pool();
	batch = (struct batch){ true, dma, 2, peer_base, 0 };
	for (u64 n = 0; n < arguments->blocks; n++) {
		void *vaddr = alloc_for(GFP_KERNEL, 0, 0, &blocks[n].dma);

		blocks[n].vaddr = vaddr ? to_peer_address(vaddr) - peer_base : UINT64_MAX;
		if (!vaddr)
			blocks[n].dma = 0;
	}
	read_pools_file();
	numbers_of_row(&reply, row->numbers);
	for (u64 n = 0; n < arguments->blocks; n++)
		if (blocks[n].vaddr != UINT64_MAX)
			free_block(peer_base + blocks[n].vaddr, blocks[n].dma);
	batch.runs = false;
	destroy_pools();
	reply.freed = 0;
	check_red_zones();
}

/* a: the place of what is wanted in the scratch memory, b: how many geometries, c: the place of `swept`, the rows, and the blocks. */
void serve_sweep(void)
{
	const struct wanted *wanted = (const struct wanted *)(scratch + request.a);
	const struct geometry *arguments = wanted->geometries;
	u64 number = request.b, *swept = (u64 *)(scratch + request.c);
	struct row *rows = (struct row *)(swept + 1);
	struct block *blocks = (struct block *)(rows + number);

	forget_what_goes_on();
	for (*swept = 0; *swept < number; ++*swept) {
		sweep_one(wanted->dma, arguments, rows++, blocks);
		blocks += arguments++->blocks;
	}
	destroyed = true; /* there is no row to be read */
	send_done(0, 0);
}
