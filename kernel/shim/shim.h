/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the shim share: a process that runs one mm/dmapool.c. The code under test is compiled with the
 * headers of its tree; functions of the kernel's names, which it calls, are defined here, for all versions.
 *
 *   server.c      messages: serves the operations that kernel/pool.py requests, one message each way, as serve.h says
 *   operations.c  create, alloc, free and destroy
 *   callers.c     several callers at once, by a schedule
 *   device.c      coherent memory, in pages with red zones
 *   pools_file.c  the device's file `pools`, and what is read in it
 *   managed.c     the device's resources, and managed pools, which are some of them
 *   heap.c        kmalloc and kfree, which allocations fail, and what a caller allows for memory
 *   locks.c       spinlocks, mutexes, interrupts, and who may sleep
 *   sched.c       processes that wait, RCU, and lockdep's notes
 *   races.c       every read and write of the code under test
 *   faults.c      signals, BUG, and code that never ends
 *   text.c        messages
 *   missing.c     functions and objects of the kernel that are not modelled
 *   arch/         an architecture for the kernel's headers, and in tree.c what knows the kernel's types
 *
 * The first fault or misuse is sent, and ends the process: the state of the code under test is worth nothing after it. Only where a
 * caller's rules are broken, and nothing else, does it go on, if kernel/pool.py knows of that already.
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

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef uint64_t phys_addr_t;
typedef unsigned int gfp_t;
#ifdef POOLPROOF_DMA_32
typedef u32 dma_addr_t;
#else
typedef u64 dma_addr_t;
#endif

#define GFP_DMA 0x1u
#define __GFP_HIGH 0x20u
#define __GFP_IO 0x40u
#define __GFP_FS 0x80u
#define __GFP_ZERO 0x100u
#define __GFP_DIRECT_RECLAIM 0x400u
#define __GFP_NOWARN 0x2000u
#define GFP_KERNEL 0xcc0u
#define GFP_NOIO 0xc00u
#define NUMA_NO_NODE (-1)

#define noinline __attribute__((noinline))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define ALIGN(x, a) (((x) + (a) - 1) & ~((a) - 1))
#define container_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))
#define CALLER __builtin_return_address(0)

/* Messages (server.c) */

#include "protocol.h"

extern struct request request;
extern struct reply reply;

bool serve(void); /* one request; false if it gives the page that an operation waits for */
void send_reply(void);
void send_done(u64 a, u64 b);
_Noreturn void end_with(u32 what, u64 a, u64 b, const void *pc, const char *text);
bool goes_on(const void *pc); /* whether the other process knows of what this code does wrong, and wants to see what follows */
void forget_what_goes_on(void);

#define end_with_text(what, pc, ...)                                                        \
	do {                                                                                \
		char text[512];                                                             \
		snprintf(text, sizeof(text), __VA_ARGS__);                                  \
		end_with(what, 0, 0, pc, text);                                             \
	} while (0)
#define fault(...) end_with_text(FAULT, CALLER, __VA_ARGS__)
#define misuse(pc, ...) end_with_text(MISUSE, pc, __VA_ARGS__)
#define misuse_unless_known(pc, ...)                                                        \
	do {                                                                                \
		if (!goes_on(pc))                                                           \
			misuse(pc, __VA_ARGS__);                                            \
	} while (0)
#define breaks(claim, pc, ...) end_with_text(BROKEN, pc, claim ": " __VA_ARGS__)

/* What the kernel's types are needed for (arch/tree.c) */

struct device;
struct device_attribute;
struct list_head {
	struct list_head *next, *prev;
};
struct lockdep_map;
struct mutex;
struct raw_spinlock;

extern const size_t device_bytes;
extern const gfp_t gfp_atomic; /* GFP_ATOMIC, which is not the same in all versions */
extern unsigned long poolproof_page_size; /* PAGE_SIZE of the code under test */

void start_machine(struct device *device, const char *name, bool fills_on_alloc, bool fills_on_free);
void run_initcalls(void);
const char *option(size_t number); /* the name of one of the file's own boot options; NULL if there are fewer */
void set_options(void);
extern bool with_options;
struct list_head *pools_of(struct device *device);
ssize_t show_file(const struct device_attribute *attr, struct device *device, char *to);
const char *name_of_file(const struct device_attribute *attr);
unsigned mode_of_file(const struct device_attribute *attr);
void in_interrupt_handler(bool yes); /* what in_hardirq() says */
void init_mutex(struct mutex *lock);
u32 *state_of_spinlock(struct raw_spinlock *lock); /* all ones at first; NULL of a lock that is not initialised */
u32 *state_of_mutex(struct mutex *lock);
u32 *state_of_lock(const struct lockdep_map *map);

/* mm/dmapool.c, and linux/dmapool.h */

struct dma_pool;
struct dma_pool *dma_pool_create(const char *name, struct device *dev, size_t size, size_t align, size_t boundary);
struct dma_pool *dma_pool_create_node(const char *name, struct device *dev, size_t size, size_t align, size_t boundary, int node);
void dma_pool_destroy(struct dma_pool *pool);
void *dma_pool_alloc(struct dma_pool *pool, gfp_t flags, dma_addr_t *dma);
void dma_pool_free(struct dma_pool *pool, void *vaddr, dma_addr_t dma);
struct dma_pool *dmam_pool_create(const char *name, struct device *dev, size_t size, size_t align, size_t boundary);
void dmam_pool_destroy(struct dma_pool *pool);

/* Operations (operations.c) */

#define DEVICE "poolproof" /* the device's name */

struct operation { /* while it waits for a page, other operations run */
	gfp_t allowed; /* what its caller may do for memory */
	bool told; /* whether it has told what it may do for memory, whether or not it does it: might_alloc, might_sleep */
	int node; /* where its structs have to be */
	bool by_interrupt; /* its caller may be an interrupt handler: interrupts are off */
	bool is_alloc, is_free, of_null; /* the last: it destroys no pool */
	const void *freed; /* the block that it frees */
	unsigned allocations, fails; /* how many it has requested so far; and which one fails, from 1 on */
	bool failed, page_requested; /* whether that one has failed; whether a page was requested of the device, which fault injection did not refuse */
	size_t objects; /* how many there were when it began */
	size_t seen, seen_bytes; /* of its objects, the pool that others have seen */
	size_t own, others, own_again; /* offsets in the heap: where its objects begin, those of operations meanwhile, its own again */
	size_t pages; /* that the device has given for it, and that it has not given back */
	bool refused; /* a request without need was, and the next one is not */
	bool unlocked; /* it has released a spinlock, and taken none since */
	const void *late_write; /* the code that has written to a block after that, if any has */
};
extern struct operation running;
extern struct device *device;
extern struct dma_pool *pool;
extern size_t pool_bytes;
extern bool destroyed;
extern bool destroying; /* nobody else uses the pool */

void begin(gfp_t allowed, bool by_interrupt);
void note_newest_pool(void);
void check_return(void);
gfp_t flags_of_caller(unsigned kind);
void *alloc_for(gfp_t allowed, unsigned fails, gfp_t zero, dma_addr_t *dma);
void free_block(u64 vaddr, u64 dma);
void free_by(bool by_interrupt, u64 vaddr, u64 dma);
void reset(void);
#define NAME_ROOM (1ul << 16)
extern char *behind_the_name; /* so many bytes that nobody can read */
bool create_pool(unsigned fails, const char *name, size_t size, size_t align, size_t boundary);
void create_other_pool(void);
void destroy_pools(void);
bool leaks(void); /* whether objects of the operation are left */
bool no_pool_is_listed(void);
size_t pools_of_the_device(void); /* as its list has them */

/* Callers at once (callers.c) */

/* ONCE: by READ_ONCE and WRITE_ONCE. UPDATES: atomically, without an order, which ATOMIC has. ASKS: for a page. A lock is waited for, tried and taken, or tried in vain. */
enum event_kind { READS, WRITES, READS_ONCE, WRITES_ONCE, UPDATES, ATOMIC, FENCES, LOCKS, TRIES, TRIES_IN_VAIN, UNLOCKS, ASKS };
#define MOST_CALLERS 4
#define POOL_OF_CALLER "another" /* the name of what a caller creates */
#define POOL_OF_CALLER_BYTES 64 /* of its blocks */
extern bool at_once;

void happens(enum event_kind kind, const void *address, size_t nbytes, const void *pc);
void happens_when_free(const u32 *state, const void *pc); /* somebody takes a lock, and waits for it if it is held */
bool happens_now_or_never(const u32 *state, const void *pc); /* somebody tries to take a lock; whether it is free */
void begin_atomic(enum event_kind kind, const void *address, size_t nbytes, const void *pc); /* up to poolproof_atomic_ends(), all is one event */
void fence(const void *pc);
void turns_irqs_off(const void *pc);
bool is_on_a_stack(const void *address);
void *page_of_caller(size_t nbytes); /* for the pool that the one that runs has created; NULL if it uses another */
bool is_page_of_caller(const void *vaddr);
void serve_callers(void);

/* Coherent memory (device.c) */

#define ARENA_BYTES (1ul << 30)
#define SCRATCH_BYTES (1ul << 28)
#define MOST_FREED (1ul << 19) /* pages that one operation gives back */
#define RED_ZONE 0xd5

struct range {
	u8 *start, *end;
};
extern struct batch batch;
extern u8 *arena;
extern u8 *scratch; /* shared memory: the pages that an operation gives back, and behind these the batches */
extern u64 peer_base; /* the virtual address that the other process gives to the start of the arena */
extern size_t bytes_given, block_bytes; /* of the pool: what its pages have, and what a block was asked to have */

bool map_arena(int file);
void *open_page(u64 vaddr, u64 nbytes);
void close_pages(void);
void check_red_zones(void);
bool intact(struct range range);
bool ends_in_its_page(const void *from, size_t nbytes); /* as it begins in one */
void *from_peer_address(u64 vaddr);
u64 to_peer_address(const void *pointer);

/* The file `pools` (pools_file.c) */

extern const struct device_attribute *pools_file; /* as long as it is there */
extern bool reading_pools_file;
extern char *content; /* of the file, as it is read */

void forget_pools_file(void);
void read_pools_file(void);
bool read_pools_file_at_once(u64 *in_use, u64 *number_of_pages); /* by one of several callers; whether it is there, with a row of the pool */
char *content_of(size_t caller);

/* Managed pools (managed.c) */

void forget_resources(void);
size_t resources_of_the_device(void);
void check_managed(const struct dma_pool *managed);
bool has_managed_pools(void);
struct dma_pool *create_managed(void);
void destroy_managed(struct dma_pool *managed);
void give_up_resources(void);

/* The heap (heap.c) */

extern u8 *heap;
extern size_t heap_used, copies_used, objects; /* bytes; those of memory for each processor; objects that are not freed */
extern size_t kernels_bytes; /* of the heap: what the kernel has allocated before the file's own code runs */

bool map_heap(void);
bool is_in_heap(const void *address);
bool is_per_processor(const void *address);
void check_freed(void); /* nobody writes to an object that is freed */
bool is_live(const void *given); /* an object of kmalloc that is not freed */
void *allocate(size_t nbytes, gfp_t flags, const void *pc);
void kfree(const void *object);
bool fails_by_injection(void);
void check_gfp(gfp_t flags, const char *what, const void *pc);
const char *name_of_flags(gfp_t flags);
size_t object_of(size_t offset, size_t *nbytes); /* the offset in the heap of the object that has a byte, and its size */

/* Locks and interrupts (locks.c) */

#define SPINLOCK 1 /* one in an object of kmalloc, as pool->lock is */
#define STATIC_SPINLOCK 0x80 /* one that is in none */
#define SPINLOCKS (SPINLOCK | STATIC_SPINLOCK)
#define FREE_LOCK 1u /* of a lock's state: nobody holds it */
extern unsigned held_of_kind[8];
extern u8 held; /* a bit for each kind of lock: the two above, and each mutex */
extern u8 held_by_readers; /* those that were taken while the file `pools` was read */
extern unsigned long irqs_off; /* no interrupt comes */

void check_may_sleep(const char *what, const void *pc);
void do_postponed(void); /* what RCU does once its readers are gone (sched.c) */
void forget_order(void); /* in which locks were taken */

/* Reads and writes (races.c) */

bool map_races(size_t nbytes);
void forget_locks_of(size_t offset, size_t nbytes); /* of bytes of the heap that are new, or freed */
void hand_over(const void *vaddr); /* an allocation gives a block, or NULL */
void take_back(const void *vaddr);
void forget_blocks(void);
extern int races_meant; /* depth of data_race() */

/* Text (text.c) */

int format_cut(char *to, size_t size, const char *format, va_list arguments); /* the bytes written, without the 0 at the end */

/* Faults (faults.c) */

#define TEXT_BYTES (1ul << 20) /* of a program: of this many, it is known how often they are run */

extern long budget, budget_of_operation; /* basic blocks that are left, and that there were */
extern const char __executable_start[], etext[]; /* where the linker has put the program, and its code ends */
extern u32 *times_run; /* shared memory: how often each basic block was, by its place in the program */

void catch_signals(void);
u64 now(void); /* nanoseconds */

/* What is not modelled (missing.c) */

#define MISSING_FIRST 0x8000ul /* the address of the first that a program refers to; the others follow, MISSING_STEP bytes apart */
#define MISSING_STEP 16ul
const char *missing_at(u64 address); /* the name of one; NULL where none is */

#endif
