/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A server in the kernel: it runs a dmapool.c for kernel/pool.py as kernel/shim/ does, with the same messages (protocol.h), but
 * the kernel's own locks, slab, sysfs and messages. Only the device's memory is ours.
 *
 *   server.c    messages and operations, with kernel/shim/serve.h
 *   pages.c     the device: coherent memory, which the other process sees as well
 *   memory.c    the kernel's memory, which may be refused; the device's resources
 *   console.c   the kernel's messages, and what is a complaint among them
 *   pool.c      the dmapool.c under test, with redirected.h; debug.c: the same in a debug build
 *   host_user.c what of the host is needed
 */
#ifndef POOLPROOF_SERVER_H
#define POOLPROOF_SERVER_H

#include <linux/device.h>
#include <linux/gfp.h>
#include <linux/types.h>
#include "host.h"
#include "protocol.h"

#define DEVICE "poolproof"
#define gfp_atomic GFP_ATOMIC
#define scratch ((u8 *)SCRATCH_ADDRESS) /* the pages that an operation gives back, and behind these the batches */

struct dma_pool;
/* dma_pool_create and so on, of one build of the dmapool.c. */
struct poolproof_pool {
	struct dma_pool *(*create)(const char *name, struct device *dev, size_t size, size_t align, size_t boundary, int node);
	void *(*alloc)(struct dma_pool *pool, gfp_t flags, dma_addr_t *dma);
	void (*free)(struct dma_pool *pool, void *vaddr, dma_addr_t dma);
	void (*destroy)(struct dma_pool *pool);
	struct dma_pool *(*create_managed)(const char *name, struct device *dev, size_t size, size_t align, size_t boundary);
	void (*destroy_managed)(struct dma_pool *pool);
	bool (*has_nodes)(void); /* a pool's structs may have to be on a node */
};
extern const struct poolproof_pool poolproof_plain, poolproof_debug;
extern const struct poolproof_pool *code; /* the build that is run */

extern struct request request;
extern struct reply reply;
extern unsigned long poolproof_page_size; /* PAGE_SIZE of the code under test */
extern bool poolproof_init_on_alloc, poolproof_init_on_free; /* as the boot options of these names */
extern const void *poolproof_latest; /* basic block of the code under test */
extern long poolproof_budget_of_operation;
const char *poolproof_name(const char *function);
void __sanitizer_cov_trace_pc(void);

struct operation { /* while it waits for a page, other operations run */
	gfp_t allowed; /* what its caller may do for memory */
	bool by_interrupt; /* its caller may be an interrupt handler: interrupts are off */
	int locks, preempt_count; /* as they were before */
	int node; /* where its structs have to be */
	bool told; /* whether it has told what it may do for memory, whether or not it does it */
	unsigned int allocations, fails; /* how many it has requested so far; and which one fails, from 1 on */
	bool failed, page_requested; /* whether that one has failed; whether a page was requested of the device */
	void *given[16]; /* objects that it was given, the first ones */
	unsigned int number_given;
};
extern struct operation running;

bool serve(void); /* one request; false if it gives the page that an operation waits for */
void send_reply(void);
void send_done(u64 a, u64 b);
void __noreturn end_with(u32 what, u64 a, u64 b, const void *pc, const char *text);
void read_pools_file(void);
void begin(gfp_t allowed, bool by_interrupt);
void check_return(void);
bool spinlock_held(void);
void __printf(3, 4) __noreturn ends(u32 what, const void *pc, const char *format, ...);
#define fault(...) ends(FAULT, poolproof_latest, __VA_ARGS__)
#define misuse(...) ends(MISUSE, poolproof_latest, __VA_ARGS__)
#define breaks(claim, pc, ...) ends(BROKEN, poolproof_latest, claim ": " __VA_ARGS__) /* the shim knows the pc in part */

extern struct device *device;
gfp_t flags_of_caller(unsigned int kind);
void reset(void);
bool create_pool(unsigned int fails, const char *name, size_t size, size_t align, size_t boundary);
void create_other_pool(void);
void *alloc_for(gfp_t allowed, unsigned int fails, gfp_t zero, dma_addr_t *dma);
void free_block(u64 vaddr, u64 dma);
void destroy_pools(void);

/* pages.c */
extern struct batch batch;
extern size_t bytes_given, block_bytes; /* of the pool: what its pages have, and what a block was asked to have */
void *open_page(u64 vaddr, u64 nbytes);
void close_pages(void);
void *from_peer_address(u64 vaddr);
u64 to_peer_address(const void *pointer);
u8 *shadow(unsigned long address);

/* memory.c */
bool fails_by_injection(void);
bool leaks(void); /* whether an object that the operation was given is not freed */
void forget_file(void);
void poolproof_told(void);
bool is_live(const void *object);
size_t resources_of_the_device(void);
size_t pools_of_the_device(void);
bool has_managed_pools(void);
struct dma_pool *create_managed(void);
static inline void check_managed(const struct dma_pool *managed)
{
	(void)managed; /* what a pool keeps is not known here */
}
void destroy_managed(struct dma_pool *managed);
void give_up_resources(void);

/* console.c */
extern const void *complaint_pc; /* the code under test that ran then */
extern char complaint[512]; /* the kernel's first words on what is wrong; "" if there are none */
extern char report[1 << 14]; /* all of them */
void listen(void);

#endif
