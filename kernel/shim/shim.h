/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the shim share: a process that runs one mm/dmapool.c. The code under test sees kernel.h only.
 *
 *   server.c      messages: serves the operations that kernel/pool.py requests, one message each way
 *   operations.c  create, alloc, free, destroy and batches, with fault injection
 *   sweep.c       pools of many geometries, one after the other, filled and emptied
 *   device.c      coherent memory, in pages with red zones
 *   pools_file.c  the device's file `pools`, and what is read in it
 *   managed.c     the device's resources, and managed pools, which are some of them
 *   heap.c        kmalloc and kfree, which allocations fail, and what a caller allows for memory
 *   locks.c       spinlocks, mutexes, interrupts, and who may sleep
 *   races.c       every read and write of the code under test
 *   faults.c      signals, BUG, and code that never ends
 *   text.c        messages and strings
 *
 * The first fault or misuse is sent, and ends the process: the state of the code under test is worth nothing after it.
 */
#ifndef POOLPROOF_SHIM_H
#define POOLPROOF_SHIM_H

#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "kernel.h"
#undef memset

#define CALLER __builtin_return_address(0)

/* Messages (server.c). kernel/pool.py has the same structures and numbers. */

enum { CREATE = 1, ALLOC, FREE, DESTROY, PAGE, BATCH, SWEEP };
enum { DONE = 1, PAGE_WANTED, FAULT, HANG, MISUSE }; /* MISUSE of locks, of interrupts, of a caller */

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
	u32 row_failed; /* FAULT, HANG or MISUSE while the file `pools` was read, after the operation was done */
	u64 a, b, pc;
	u64 nanoseconds, basic_blocks; /* of a batch, without the device's */
	u32 freed, log_bytes, row_bytes, fault_bytes;
	char text[1 << 16]; /* the kernel's messages, the row, the fault */
};
extern struct request request;
extern struct reply reply;

bool serve(void); /* one request; false if it gives the page that an operation waits for */
void send_reply(void);
void send_done(u64 a, u64 b);
_Noreturn void end_with(u32 what, u64 a, u64 b, const void *pc, const char *text);

#define end_with_text(what, pc, ...)                                                        \
	do {                                                                                \
		char text[512];                                                             \
		snprintf(text, sizeof(text), __VA_ARGS__);                                  \
		end_with(what, 0, 0, pc, text);                                             \
	} while (0)
#define fault(...) end_with_text(FAULT, CALLER, __VA_ARGS__)
#define misuse(pc, ...) end_with_text(MISUSE, pc, __VA_ARGS__)

/* Operations (operations.c) */

struct block {
	u64 vaddr, dma;
};
struct operation { /* while it waits for a page, other operations run */
	gfp_t allowed; /* what its caller may do for memory */
	bool by_interrupt; /* its caller may be an interrupt handler: interrupts are off */
	bool is_free;
	unsigned allocations, fails; /* how many it has requested so far; and which one fails, from 1 on */
	bool failed, page_requested; /* whether that one has failed; whether a page was requested of the device, which fault injection did not refuse */
	size_t own, others, own_again; /* offsets in the heap: where its objects begin, those of operations meanwhile, its own again */
	size_t pages; /* that the device has given for it, and that it has not given back */
	bool unlocked; /* it has released a spinlock, and taken none since */
	const void *late_write; /* the code that has written to a block after that, if any has */
};
extern struct operation running;
extern struct device *device;
extern struct dma_pool *pool;
extern size_t pool_bytes;
extern bool destroyed;
extern bool destroying; /* nobody else uses the pool */
#define OTHER_POOL "other_pool" /* the name of another pool of the device, which nobody uses */

void begin(gfp_t allowed, bool by_interrupt);
void check_return(void);
void *alloc_for(gfp_t allowed, unsigned fails, gfp_t zero, dma_addr_t *dma);
void free_block(u64 vaddr, u64 dma);
void reset(void);
bool create_pool(unsigned fails, const char *name, size_t size, size_t align, size_t boundary);
void create_other_pool(void);
void destroy_pools(void);
bool serve_operation(u32 what); /* false if there is none of that number */

/* Sweeps (sweep.c) */

void serve_sweep(void);

/* Coherent memory (device.c) */

#define ARENA_BYTES (1ul << 30)
#define SCRATCH_BYTES (1ul << 28)
#define MOST_FREED (1ul << 19) /* pages that one operation gives back */
#define RED_ZONE 0xd5

struct range {
	u8 *start, *end;
};
struct batch {
	bool runs;
	const u64 *dma; /* of the pages that are left, UINT64_MAX for a failure */
	u64 pages, vaddr;
	u64 nanoseconds; /* that the device has taken */
};
extern struct batch batch;
extern u8 *arena;
extern u8 *scratch; /* shared memory: the pages that an operation gives back, and behind these the batches */
extern u64 peer_base; /* the virtual address that the other process gives to the start of the arena */
extern size_t bytes_given;

bool map_arena(int file);
void *open_page(u64 vaddr, u64 nbytes);
void close_pages(void);
void check_red_zones(void);
bool intact(struct range range);
void *from_peer_address(u64 vaddr);
u64 to_peer_address(const void *pointer);

/* The file `pools` (pools_file.c) */

extern const struct device_attribute *pools_file; /* as long as it is there */
extern bool reading_pools_file;

void forget_pools_file(void);
void read_pools_file(void);
void read_row(u64 numbers[4]); /* blocks in use, blocks, size in bytes, pages */

/* Managed pools (managed.c) */

void try_managed_pools(void);

/* The heap (heap.c) */

extern u8 *heap;
extern size_t heap_used, objects; /* bytes; objects that are not freed */
extern bool init_on_alloc, init_on_free;

bool map_heap(void);
bool is_live(const void *given); /* an object of kmalloc that is not freed */
bool fails_by_injection(void);
void check_gfp(gfp_t flags, const char *what, const void *pc);
size_t object_of(size_t offset, size_t *nbytes); /* the offset in the heap of the object that has a byte, and its size */

/* Locks and interrupts (locks.c) */

#define SPINLOCK 1
extern u8 held; /* a bit for each kind of lock: spinlocks, and each mutex */
extern u8 held_by_readers; /* those that were taken while the file `pools` was read */
extern unsigned long irqs_off; /* no interrupt comes */

void check_may_sleep(const char *what, const void *pc);

/* Reads and writes (races.c) */

bool map_races(size_t nbytes);
void forget_locks_of(size_t offset, size_t nbytes); /* of bytes of the heap that are new, or freed */

/* Text (text.c) */

int format_cut(char *to, size_t size, const char *format, va_list arguments); /* the bytes written, without the 0 at the end */

/* Faults (faults.c) */

#define TEXT_BYTES (1ul << 20) /* of a program: of this many, it is known how often they are run */

extern long budget, budget_of_operation; /* basic blocks that are left, and that there were */
extern const char __executable_start[], etext[]; /* where the linker has put the program, and its code ends */
extern u32 *times_run; /* shared memory: how often each basic block was, by its place in the program */

void catch_signals(void);
u64 now(void); /* nanoseconds */

#endif
