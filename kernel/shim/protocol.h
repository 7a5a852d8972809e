/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The messages between kernel/pool.py, which has the same structures and numbers, and a server: server.c, or in a real kernel
 * kernel/real/server.c.
 */
#ifndef POOLPROOF_PROTOCOL_H
#define POOLPROOF_PROTOCOL_H

enum { CREATE = 1, ALLOC, FREE, DESTROY, PAGE, BATCH, SWEEP, GO_ON };
enum { DONE = 1, PAGE_WANTED, FAULT, HANG, MISUSE, MAY_GO_ON, BROKEN }; /* MISUSE of locks, of interrupts, of a caller; a claim is BROKEN */
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

#endif
