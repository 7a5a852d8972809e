/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The messages between kernel/pool.py, which has the same structures and numbers, and a server: server.c, or in a real kernel
 * kernel/real/server.c.
 */
#ifndef POOLPROOF_PROTOCOL_H
#define POOLPROOF_PROTOCOL_H

enum { CREATE = 1, ALLOC, FREE, DESTROY, PAGE, BATCH, SWEEP, GO_ON, CALLERS, POOLS_FILE };
#define CALLERS_FLAGS 5u /* FLAGS of model/trace.py */
enum { DONE = 1, PAGE_WANTED, FAULT, HANG, MISUSE, MAY_GO_ON, BROKEN }; /* FAULT breaks
 * pool_stays_in_its_memory, HANG operations_end, and MISUSE locking_rules_are_kept; where a claim is BROKEN, the text names it */
/*
 * An operation HANGs once it has run more basic blocks than a million, and these for the pool's memory: far more than honest
 * code needs, which looks at each byte a few times, and stores each block in an xarray.
 */
#define BASIC_BLOCKS(nbytes, block_bytes) (64l * (nbytes) + 512l * ((nbytes) / ((block_bytes) ? (block_bytes) : 1)))
/* Of a create's flags; the lowest two are init_on_alloc and init_on_free, and the others the processor. */
#define UNFAILING (1u << 31) /* no allocation of this pool fails by injection */
#define DEBUG_BUILD (1u << 30) /* CONFIG_SLUB_DEBUG_ON, where one program has both builds */

struct request {
	u32 what, flags;
	u64 a, b, c, d, base;
	union {
		char name[256]; /* of a pool that is created */
		struct {
			u64 vaddr, nbytes;
		} opened[64]; /* memory that the device has given out since the last message */
	};
};
struct reply {
	u32 what;
	u32 row_failed; /* FAULT, HANG, MISUSE or BROKEN while the file `pools` was read, after the operation was done */
	u64 a, b, pc;
	u64 nanoseconds, basic_blocks; /* of a batch, without the device's */
	u32 freed, log_bytes, row_bytes, fault_bytes;
	char text[1 << 16]; /* the kernel's messages, the row, the fault */
};

/* In the scratch memory: a batch of operations, with a block in each slot; and the pools of a sweep, with what became of them. */
struct block {
	u64 vaddr, dma;
};
struct batch_operation {
	u32 what, slot;
	u64 plus; /* to both addresses of a block that is freed */
};
#define NO_BLOCK ((u64)-1) /* an address */
#define MOST_COLUMNS 8
struct wanted {
	u64 dma[2]; /* of the pages */
	struct geometry {
		u64 size, align, boundary, blocks; /* the arguments of dma_pool_create, and how many blocks to allocate */
	} geometries[];
};
struct row {
	u64 admitted, numbers[MOST_COLUMNS]; /* whether there is a pool; its row in the file pools with all blocks in use */
};

/* Callers at once, in the scratch memory: what each calls, one after the other; whose turn it is, for so many events; what happened. */
struct call {
	u32 caller, what, flags, of; /* flags of a caller for memory; of a free: the call that has given the block, or NO_CALL */
	u64 vaddr, dma; /* of the block */
};
#define NO_CALL UINT32_MAX
#define INTERRUPTS (1u << 31) /* all callers but the first are interrupt handlers on its processor */
struct turn {
	u32 caller, events;
};
struct event {
	u64 address, pc;
	u32 nbytes;
	u8 caller, kind, call, enabled; /* a bit for each caller that could have gone on instead */
};

/* The pages that a device gives while many operations run. */
struct batch {
	bool runs;
	const u64 *dma; /* of the pages that are left, all ones for a failure */
	u64 pages, vaddr;
	u64 nanoseconds; /* that the device has taken */
	const struct block *opened; /* they are open already, and of so many bytes */
	u64 bytes_of_opened;
};

#define OTHER_POOL "other_pool" /* the name of another pool of the device, which nobody uses */

#endif
