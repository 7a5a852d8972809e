/* SPDX-License-Identifier: MIT */
/*
 * A process that runs one mm/dmapool.c: it serves the operations that kernel/target.py asks for, one message each way.
 *
 * Coherent memory is one arena that both processes see. Only the pages that were given out can be touched; what shares a page of
 * the machine with them is filled with a pattern, and looked at after every operation. While dma_alloc_coherent waits for the
 * page, other operations are served: that is what runs while the pool's lock is dropped.
 *
 * Whatever goes wrong is told once, and ends the process: what the kernel's code holds then is not worth keeping.
 */
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

#define OS_PAGE 4096ul
#define ARENA_BYTES (1ul << 30)
#define DESK_BYTES (1ul << 28)
#define MOST_FREED (1ul << 19) /* pages that one operation gives back */
#define ARENA_ADDRESS ((void *)0x200000000000)
#define HEAP_BYTES (1ul << 28)
#define MOST_PAGES (1ul << 17)
#define RED_ZONE 0xd5
#define UNWRITTEN 0x5a /* what kmalloc gives */
#define FREED 0x6b     /* what kfree leaves */

enum { CREATE = 1, ALLOC, FREE, DESTROY, PAGE, BATCH };
enum { DONE = 1, PAGE_WANTED, FAULT, HANG, MISUSE };

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
	u32 row_failed;
	u64 a, b, pc;
	u64 nanoseconds, basic_blocks; /* of a batch, but for what the device does */
	u32 freed, log_bytes, row_bytes, fault_bytes;
	char text[1 << 16];
};
struct operation { /* of a batch */
	u32 what, slot;
	u64 plus; /* to both addresses of a block that is freed */
};
struct block {
	u64 vaddr, dma;
};
struct range {
	u8 *start, *end;
};
struct page {
	struct range head, data, tail; /* head and tail are red zones */
	bool given_back;
};
struct object {
	u64 magic, nbytes;
};

unsigned long poolproof_page_size = 4096;
static bool init_on_alloc, init_on_free;
#define DEVICE "poolproof" /* its name */
#define BYSTANDER "bystander"
static struct device *device; /* at the start of the heap: what its list of pools is written under is looked at, too */
static const struct device_attribute *pools_file;
static u8 file_under; /* the locks that were held whenever it was made or removed */
static struct dma_pool *pool, *bystander; /* another pool of the device, which nobody uses */
static size_t bytes_of_the_pool;
static bool destroyed; /* then who calls it later has the pointer still */

static int channel;
static u8 *arena, *desk, *heap;
static u64 base; /* the virtual address that the other process sees at the start of the arena */
static size_t heap_used;
static struct page pages[MOST_PAGES];
static size_t number_of_pages;
static size_t bytes_given;
static struct block *freed;
static struct reply reply;
static struct request request;
static u8 held; /* the kinds of locks, a bit each: 0 for spinlocks, another one for each mutex */
#define SPINLOCK 1
static unsigned long irqs_off; /* no interrupt comes; who sleeps then, or returns with another value, is wrong */
static unsigned long allocs, frees; /* how many there were: callers take turns in what they may do */
static size_t objects, objects_of_bystander; /* of kmalloc, not freed */

static struct { /* of an operation; while it waits for a page, others have theirs */
	gfp_t allowed; /* what its caller may do for memory */
	bool by_interrupt; /* its caller may be an interrupt handler: interrupts are off */
	bool is_free;
	unsigned requests, refuse; /* for memory and the like; and the one that is refused, from 1 on */
	bool refused, served; /* whether one was; whether the device was asked in earnest */
	size_t own, others, again; /* where in the heap the objects begin that it makes, those of others while it waits, its own again */
	size_t pages; /* that the device has given for it, and that it has not given back */
	bool unlocked; /* it has released a spinlock, and taken none since */
	u64 late_write; /* the code that has written to a block after that, if it has */
} now_running;
static size_t unused; /* pages of coherent memory that no block was given of */
static long budget = LONG_MAX;
static long budget_of_an_operation;
static bool reading_the_row;
static char row[4096];

static struct { /* what is left of the pages that a batch may use */
	const u64 *dma;
	u64 left, vaddr;
} of_batch;
static bool in_batch;
static u64 nanoseconds_of_the_device;

/* Addresses: the other process has its own, at a constant distance. */

static void *here(u64 vaddr)
{
	return vaddr - base < ARENA_BYTES ? arena + (vaddr - base) : (void *)vaddr;
}

static u64 there(const void *pointer)
{
	u64 offset = (u64)pointer - (u64)arena;

	return offset < ARENA_BYTES ? base + offset : (u64)pointer;
}

/* The same for what can't be touched, a little before or behind the arena. */
static u64 there_or_near(const void *pointer)
{
	u64 offset = (u64)pointer - (u64)arena;

	return offset + ARENA_BYTES < 3 * ARENA_BYTES ? base + offset : (u64)pointer;
}

/* Messages to the other process */

static void *open_page(u64 vaddr, u64 nbytes);

static void send_reply(void)
{
	size_t nbytes = offsetof(struct reply, text) + reply.log_bytes + reply.row_bytes + reply.fault_bytes;

	if (send(channel, &reply, nbytes, MSG_NOSIGNAL) != (ssize_t)nbytes)
		_exit(1);
	reply.log_bytes = reply.row_bytes = reply.freed = 0;
}

static void receive(void)
{
	ssize_t nbytes = recv(channel, &request, sizeof(request) - 1, 0);

	if (nbytes < (ssize_t)offsetof(struct request, name))
		_exit(0);
	nbytes -= offsetof(struct request, name);
	if (request.what == CREATE)
		request.name[nbytes] = 0;
	else
		for (size_t n = 0; n < nbytes / sizeof(request.opened[0]); n++)
			open_page(request.opened[n].vaddr, request.opened[n].nbytes);
}

static _Noreturn void tell(u32 what, u64 a, u64 b, u64 pc, const char *text)
{
	if (reading_the_row) { /* the operation itself has been done */
		reply.row_failed = what;
		reply.fault_bytes = strlen(text);
	} else {
		reply.what = what;
		reply.a = a;
		reply.b = b;
		reply.fault_bytes = strlen(text);
	}
	reply.pc = pc;
	memcpy(reply.text + reply.log_bytes, text, reply.fault_bytes);
	send_reply();
	_exit(0);
}

#define tell_of(what, pc, ...)                                                              \
	do {                                                                                \
		char text[512];                                                             \
		snprintf(text, sizeof(text), __VA_ARGS__);                                  \
		tell(what, 0, 0, (u64)(pc), text);                                          \
	} while (0)
#define fault(...) tell_of(FAULT, __builtin_return_address(0), __VA_ARGS__)
#define misuse(...) tell_of(MISUSE, __builtin_return_address(0), __VA_ARGS__) /* of locks, of interrupts, of a caller */

_Noreturn void poolproof_bug(const char *where)
{
	char text[64];

	snprintf(text, sizeof(text), "BUG at line %s", where);
	tell(FAULT, 0, 0, (u64)__builtin_return_address(0), text);
}

/* Every basic block of the code under test comes by here. */
void __sanitizer_cov_trace_pc(void)
{
	if (--budget < 0) {
		char text[64];

		snprintf(text, sizeof(text), "no end after %ld basic blocks", budget_of_an_operation);
		tell(HANG, 0, 0, (u64)__builtin_return_address(0), text);
	}
}

#ifdef __x86_64__
/*
 * A driver that writes a pointer into a free block writes the address that it knows. Where the code under test follows it, the
 * registers that hold such an address get the one that it has here.
 */
static bool translated(greg_t *registers, u64 address)
{
	static const int names[] = { REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
				     REG_RDI, REG_RSI, REG_RBP, REG_RBX, REG_RDX, REG_RAX, REG_RCX };
	bool found = false;

	if (address - base >= ARENA_BYTES)
		return false;
	for (size_t n = 0; n < ARRAY_SIZE(names); n++)
		if ((u64)registers[names[n]] - base < ARENA_BYTES) {
			registers[names[n]] = (greg_t)here((u64)registers[names[n]]);
			found = true;
		}
	return found;
}
#endif

static void on_signal(int number, siginfo_t *info, void *context)
{
	u64 pc = 0;
	char text[64];

#ifdef __x86_64__
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (number == SIGSEGV && translated(registers, (u64)info->si_addr)) {
		budget -= 1000; /* which takes as long, where a list runs in a circle */
		return;
	}
	pc = registers[REG_RIP];
#else
	(void)context;
#endif
	snprintf(text, sizeof(text), "%s",
		 number == SIGFPE ? "division by zero" : number == SIGSEGV ? "SIGSEGV" : number == SIGBUS ? "SIGBUS" : "SIGILL");
	tell(FAULT, number, number == SIGFPE || number == SIGILL ? 0 : there_or_near(info->si_addr), pc, text);
}

static u64 now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ul + time.tv_nsec;
}

/* The device's memory */

static u8 *down(u8 *address)
{
	return (u8 *)((u64)address & ~(OS_PAGE - 1));
}

static u8 *up(u8 *address)
{
	return down(address + OS_PAGE - 1);
}

static void fill(struct range range, int byte)
{
	if (range.end > range.start)
		memset(range.start, byte, range.end - range.start);
}

/* Make memory accessible that starts behind all that already is; its bytes are the device's. */
static void *open_page(u64 vaddr, u64 nbytes)
{
	struct page *page = &pages[number_of_pages], *before = page - 1;
	u8 *start = here(vaddr), *end = start + nbytes;

	if (vaddr - base >= ARENA_BYTES || nbytes > ARENA_BYTES - (vaddr - base) || number_of_pages == MOST_PAGES)
		fault("the device has no %lu bytes at %#lx", nbytes, vaddr);
	*page = (struct page){ { down(start), start }, { start, end }, { end, up(end) }, false };
	if (page->tail.end == page->head.start) /* even 0 bytes are somewhere */
		page->tail.end += OS_PAGE;
	if (mprotect(page->head.start, page->tail.end - page->head.start, PROT_READ | PROT_WRITE))
		fault("mprotect: %s", strerror(errno));
	if (number_of_pages && before->tail.end > page->head.start) {
		before->tail.end = start;
		page->head.start = start;
	}
	fill(page->head, RED_ZONE);
	fill(page->tail, RED_ZONE);
	number_of_pages++;
	bytes_given += nbytes;
	return start;
}

static void close_pages(void)
{
	if (number_of_pages)
		mprotect(arena, pages[number_of_pages - 1].tail.end - arena, PROT_NONE);
	number_of_pages = bytes_given = 0;
}

static u8 *first_changed(struct range range)
{
	for (u8 *byte = range.start; byte < range.end; byte++)
		if (*byte != RED_ZONE)
			return byte;
	return NULL;
}

static bool intact(struct range range)
{
	size_t nbytes = range.end - range.start;

	return range.end <= range.start || (range.start[0] == RED_ZONE && !memcmp(range.start, range.start + 1, nbytes - 1));
}

static void check_red_zones(void)
{
	for (struct page *page = pages; page < pages + number_of_pages; page++) {
		size_t nbytes = page->data.end - page->data.start;

		if (!intact(page->head))
			fault("a write of %#x, %ld bytes before a page of %lu bytes", *first_changed(page->head),
			      page->data.start - first_changed(page->head), nbytes);
		if (!intact(page->tail))
			fault("a write of %#x, %ld bytes past the end of a page of %lu bytes", *first_changed(page->tail),
			      first_changed(page->tail) - page->data.end, nbytes);
		if (page->given_back && !intact(page->data))
			fault("a write to a page that was given back");
	}
}

static void might_sleep_in(const char *what)
{
	if (held & SPINLOCK)
		misuse("%s may sleep, and is called with a lock held", what);
	if (irqs_off)
		misuse("%s may sleep, and is called with interrupts off", what);
}

unsigned long poolproof_irqs(unsigned long off)
{
	unsigned long before = irqs_off;

	irqs_off = off;
	return before;
}

/*
 * What the code under test reads and writes: it is compiled as for the kernel's own search for races, KCSAN. Only what kmalloc
 * gave is looked at; a block is its caller's, or lies in a list whose head is looked at.
 */

static u8 *written_under; /* for each byte of the heap, the locks that were held whenever it was written; 0 if there were none */
static bool alone; /* in dma_pool_destroy, nobody else uses the pool */
static int races_meant;

static noinline void told_of_a_race(size_t offset, size_t nbytes, bool writes, u8 under, void *pc)
{
	size_t start = 0, next = 0;

	while (next <= offset) {
		start = next;
		next += sizeof(struct object) + ALIGN(((struct object *)(heap + start))->nbytes, 16) + 16;
	}
	tell_of(MISUSE, pc, "%s %lu bytes at offset %lu of an object of %lu bytes of kmalloc, without the %s that others hold",
		writes ? "it writes" : "it reads", nbytes, offset - start - sizeof(struct object),
		((struct object *)(heap + start))->nbytes, under & SPINLOCK ? "spinlock" : under ? "mutex" : "lock");
}

enum how { READS, WRITES, READS_ONCE, WRITES_ONCE }; /* by READ_ONCE and WRITE_ONCE, nothing is wrong */

static __always_inline void touched(const void *address, size_t nbytes, enum how how, void *pc)
{
	bool writes = how == WRITES || how == WRITES_ONCE;
	size_t offset = (u8 *)address - heap;
	u8 under;

	if (now_running.is_free && writes && now_running.unlocked && (size_t)((u8 *)address - arena) < ARENA_BYTES)
		now_running.late_write = (u64)pc;
	if (offset >= heap_used || nbytes > heap_used - offset || !nbytes)
		return;
	if (offset >= now_running.own && (offset < now_running.others || offset >= now_running.again))
		return; /* what this operation has made, nobody else can know yet */
	under = written_under[offset];
	if (writes && held && (!under || (under & held)))
		memset(written_under + offset, under ? under & held : held, nbytes);
	if ((under & held) || how == READS_ONCE || how == WRITES_ONCE || races_meant || (under == SPINLOCK && alone))
		return;
	if (under == SPINLOCK && reading_the_row && !writes && (size_t)((u8 *)address - (u8 *)pool) < bytes_of_the_pool)
		return; /* numbers for people, which v6.12 reads as they are */
	if (under || (writes && !held && !alone))
		told_of_a_race(offset, nbytes, writes, under, pc);
}

#define LOOKED_AT(name, nbytes, how)                                                        \
	void name(const void *address)                                                      \
	{                                                                                   \
		touched(address, nbytes, how, __builtin_return_address(0));                 \
	}
#define LOOKED_AT_ALL(nbytes)                                                               \
	LOOKED_AT(__tsan_read##nbytes, nbytes, READS)                                       \
	LOOKED_AT(__tsan_write##nbytes, nbytes, WRITES)                                     \
	LOOKED_AT(__tsan_unaligned_read##nbytes, nbytes, READS)                             \
	LOOKED_AT(__tsan_unaligned_write##nbytes, nbytes, WRITES)                           \
	LOOKED_AT(__tsan_volatile_read##nbytes, nbytes, READS_ONCE)                         \
	LOOKED_AT(__tsan_volatile_write##nbytes, nbytes, WRITES_ONCE)                       \
	LOOKED_AT(__tsan_unaligned_volatile_read##nbytes, nbytes, READS_ONCE)               \
	LOOKED_AT(__tsan_unaligned_volatile_write##nbytes, nbytes, WRITES_ONCE)
LOOKED_AT_ALL(1)
LOOKED_AT_ALL(2)
LOOKED_AT_ALL(4)
LOOKED_AT_ALL(8)
LOOKED_AT_ALL(16)

void __tsan_read_range(const void *address, size_t nbytes)
{
	touched(address, nbytes, READS, __builtin_return_address(0));
}

void __tsan_write_range(const void *address, size_t nbytes)
{
	touched(address, nbytes, WRITES, __builtin_return_address(0));
}

void *__tsan_memset(void *to, int byte, size_t nbytes)
{
	touched(to, nbytes, WRITES, __builtin_return_address(0));
	return memset(to, byte, nbytes);
}

void *__tsan_memcpy(void *to, const void *from, size_t nbytes)
{
	touched(from, nbytes, READS, __builtin_return_address(0));
	touched(to, nbytes, WRITES, __builtin_return_address(0));
	return memcpy(to, from, nbytes);
}

void *__tsan_memmove(void *to, const void *from, size_t nbytes)
{
	touched(from, nbytes, READS, __builtin_return_address(0));
	touched(to, nbytes, WRITES, __builtin_return_address(0));
	return memmove(to, from, nbytes);
}

void __tsan_init(void)
{
}

void poolproof_races(int meant)
{
	races_meant += meant;
}

/* Whether the kernel refuses what an operation asks for: every request is refused once, unless the device has given a page. */
static bool refused(void)
{
	if (now_running.served || ++now_running.requests != now_running.refuse)
		return false;
	return now_running.refused = true;
}

/* Who gets memory may sleep, write to a file system or a disk, only where the operation's own caller may. */
static void asked_with(gfp_t flags, const char *what)
{
	if (gfpflags_allow_blocking(flags))
		might_sleep_in(what);
	if (flags & ~now_running.allowed & (__GFP_DIRECT_RECLAIM | __GFP_IO | __GFP_FS))
		misuse("%s may do more for memory than the caller allows", what);
}

static bool serve(void);
static void read_the_row(void);

void *dma_alloc_coherent(struct device *dev, size_t nbytes, dma_addr_t *dma, gfp_t flags)
{
	long rest = budget, of_all = budget_of_an_operation;
	unsigned long off = irqs_off;
	u8 held_before = held;
	typeof(now_running) waiting;

	(void)dev;
	asked_with(flags, "dma_alloc_coherent");
	if (refused())
		return NULL;
	if (held & SPINLOCK) { /* others have to wait; a caller for whom the lock is dropped may come, and gets the page */
		now_running.refused = true;
		return NULL;
	}
	now_running.served = true;
	if (in_batch) {
		u64 vaddr = of_batch.vaddr, started = now();

		if (!of_batch.left || *of_batch.dma == UINT64_MAX) {
			of_batch.dma += of_batch.left != 0;
			of_batch.left -= of_batch.left != 0;
			return NULL;
		}
		*dma = *of_batch.dma++;
		of_batch.left--;
		of_batch.vaddr += 2 * nbytes;
		memset(open_page(vaddr, nbytes), 0, nbytes);
		nanoseconds_of_the_device += now() - started;
		return here(vaddr);
	}
	irqs_off = held = 0; /* for others */
	reply.what = PAGE_WANTED;
	reply.a = nbytes;
	reply.b = flags;
	read_the_row(); /* as others see it meanwhile */
	send_reply();
	waiting = now_running;
	waiting.others = heap_used;
	while (serve())
		;
	now_running = waiting;
	now_running.again = heap_used;
	irqs_off = off;
	held = held_before;
	budget = rest + 64 * (long)nbytes;
	budget_of_an_operation = of_all + 64 * (long)nbytes;
	if (!request.flags)
		return NULL;
	now_running.pages++;
	*dma = request.b;
	return here(request.a); /* which was opened before */
}

void dma_free_coherent(struct device *dev, size_t nbytes, void *vaddr, dma_addr_t dma)
{
	(void)dev;
	might_sleep_in("dma_free_coherent");
	if (reply.freed == MOST_FREED)
		fault("more pages are given back than there can be");
	freed[2 * reply.freed] = (struct block){ there(vaddr), dma };
	freed[2 * reply.freed++ + 1] = (struct block){ nbytes, 0 };
	for (struct page *page = pages; page < pages + number_of_pages; page++)
		if (page->data.start == vaddr && !page->given_back) {
			page->given_back = true;
			now_running.pages -= now_running.pages != 0;
			fill(page->data, RED_ZONE);
			return;
		}
}

/* The kernel's heap: nothing is used twice before the next pool, so that every mistake is seen. */

#define LIVE 0x6c69766531323334ul
#define DEAD 0x6465616431323334ul

void *kmalloc(size_t nbytes, gfp_t flags)
{
	size_t room = sizeof(struct object) + ALIGN(nbytes, 16) + 16;
	struct object *object = (struct object *)(heap + heap_used);

	might_alloc(flags);
	if (refused() || nbytes > HEAP_BYTES || heap_used + room > HEAP_BYTES)
		return NULL;
	memset(written_under + heap_used, 0, room);
	heap_used += room;
	objects++;
	*object = (struct object){ LIVE, nbytes };
	memset(object + 1, UNWRITTEN, nbytes);
	memset((u8 *)(object + 1) + nbytes, RED_ZONE, room - sizeof(*object) - nbytes);
	return object + 1;
}

void *kzalloc(size_t nbytes, gfp_t flags)
{
	void *object = kmalloc(nbytes, flags);

	return object ? memset(object, 0, nbytes) : NULL;
}

void kfree(const void *given)
{
	struct object *object = (struct object *)given - 1;
	u8 *end;

	if (!given)
		return;
	if ((u8 *)given <= heap || (u8 *)given >= heap + heap_used || (u64)given % 16 || (object->magic != LIVE && object->magic != DEAD))
		fault("kfree of what kmalloc did not give");
	if (object->magic == DEAD)
		fault("kfree of an object that was freed before");
	end = (u8 *)given + object->nbytes;
	if (!intact((struct range){ end, (u8 *)given + ALIGN(object->nbytes, 16) + 16 }))
		fault("a write past the end of an object of %lu bytes of kmalloc", object->nbytes);
	object->magic = DEAD;
	objects--;
	memset(written_under + ((u8 *)given - heap), 0, object->nbytes);
	memset((void *)given, FREED, object->nbytes);
}

void might_alloc(gfp_t flags)
{
	asked_with(flags, "an allocation");
}

void might_sleep(void)
{
	might_sleep_in("might_sleep");
}

bool want_init_on_alloc(gfp_t flags)
{
	return init_on_alloc || (flags & __GFP_ZERO);
}

bool want_init_on_free(void)
{
	return init_on_free;
}

/* Locks */

static unsigned held_of_kind[8];
static u8 held_by_readers; /* of the file pools */

static void take(u32 magic, u32 *taken, size_t kind)
{
	if (magic != POOLPROOF_LOCK)
		fault("a lock is taken that is not initialised, or gone");
	if (*taken)
		misuse("a lock is taken that is held already: a deadlock");
	*taken = 1;
	held_of_kind[kind]++;
	held |= 1 << kind;
	if (reading_the_row)
		held_by_readers |= 1 << kind;
}

static void release(u32 magic, u32 *taken, size_t kind)
{
	if (magic != POOLPROOF_LOCK)
		fault("a lock is released that is not initialised, or gone");
	if (!*taken)
		misuse("a lock is released that is not held");
	*taken = 0;
	if (!--held_of_kind[kind])
		held &= ~(1 << kind);
}

/* Mutexes that there is no bit left for share the last one. */
static size_t kind_of(const struct mutex *lock)
{
	static const struct mutex *known[6];
	size_t n = 0;

	while (n < ARRAY_SIZE(known) && known[n] && known[n] != lock)
		n++;
	if (n < ARRAY_SIZE(known))
		known[n] = lock;
	return n + 1;
}

void spin_lock_init(spinlock_t *lock)
{
	*lock = (spinlock_t){ POOLPROOF_LOCK };
}

void spin_lock(spinlock_t *lock)
{
	take(lock->magic, &lock->held, 0);
	lock->taken_by_interrupts |= now_running.by_interrupt;
	if (lock->taken_by_interrupts && !irqs_off)
		misuse("a spinlock is taken with interrupts on that an interrupt handler takes as well: a deadlock");
	now_running.unlocked = false;
	now_running.late_write = 0;
}

void spin_unlock(spinlock_t *lock)
{
	release(lock->magic, &lock->held, 0);
	now_running.unlocked = !(held & SPINLOCK);
}

void mutex_init(struct mutex *lock)
{
	*lock = (struct mutex){ POOLPROOF_LOCK, 0 };
}

void mutex_lock(struct mutex *lock)
{
	might_sleep_in("mutex_lock");
	take(lock->magic, &lock->held, kind_of(lock));
}

void mutex_unlock(struct mutex *lock)
{
	release(lock->magic, &lock->held, kind_of(lock));
}

void poolproof_assert_held(u32 taken)
{
	if (!taken)
		misuse("a lock is expected to be held");
}

#define ATOMIC(name, type)                            \
	type name##_read(const name##_t *number)      \
	{                                             \
		return number->counter;               \
	}                                             \
	void name##_set(name##_t *number, type value) \
	{                                             \
		number->counter = value;              \
	}                                             \
	void name##_add(type value, name##_t *number) \
	{                                             \
		number->counter += value;             \
	}                                             \
	void name##_sub(type value, name##_t *number) \
	{                                             \
		number->counter -= value;             \
	}                                             \
	void name##_inc(name##_t *number)             \
	{                                             \
		number->counter++;                    \
	}                                             \
	void name##_dec(name##_t *number)             \
	{                                             \
		number->counter--;                    \
	}
ATOMIC(atomic, int)
ATOMIC(atomic_long, long)

/* Devices: there is one, and its file `pools`. What drivers detach from is not there. */

int device_create_file(struct device *dev, const struct device_attribute *attr)
{
	(void)dev;
	might_sleep_in("device_create_file");
	if (refused())
		return -ENOMEM;
	if (pools_file)
		return -EEXIST;
	file_under &= held;
	pools_file = attr;
	return 0;
}

void device_remove_file(struct device *dev, const struct device_attribute *attr)
{
	(void)dev;
	might_sleep_in("device_remove_file");
	file_under &= held;
	if (!file_under)
		misuse("the file pools is made and removed under no common lock");
	if (held & held_by_readers)
		misuse("device_remove_file waits for readers of the file pools, who wait for a mutex that is held: a deadlock");
	if (pools_file == attr)
		pools_file = NULL;
}

const char *dev_name(const struct device *dev)
{
	return dev->name;
}

void *devres_alloc(dr_release_t release, size_t nbytes, gfp_t flags)
{
	(void)release, (void)nbytes, (void)flags;
	return NULL;
}

void devres_add(struct device *dev, void *res)
{
	(void)dev, (void)res;
}

void devres_free(void *res)
{
	(void)res;
}

int devres_release(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)
{
	(void)dev, (void)release, (void)match, (void)match_data;
	return -ENOENT;
}

/* Strings */

static size_t put_pointer(char *to, size_t size, const char **format, const void *pointer)
{
	if (**format == 'a') { /* %pad, %pap, %pa: an address behind the pointer */
		bool dma = *++*format == 'd';

		*format += dma || **format == 'p';
		return snprintf(to, size, "0x%016lx", dma ? (u64) * (const dma_addr_t *)pointer : *(const phys_addr_t *)pointer);
	}
	*format += **format == 'x' || **format == 'K';
	return snprintf(to, size, "%016lx", there(pointer));
}

/* As the kernel's: what it would write, if there were room. */
static size_t put(char *to, size_t size, const char *format, va_list arguments)
{
	size_t at = 0;

#define ROOM (at < size ? to + at : NULL), (at < size ? size - at : 0)
	while (*format) {
		char spec[32], *end = spec;
		int longs = 0, stars[2], number = 0;

		if (*format != '%') {
			if (at + 1 < size)
				to[at] = *format;
			at++;
			format++;
			continue;
		}
		do {
			if (*format == '*')
				stars[number++ % 2] = va_arg(arguments, int);
			*end++ = *format++;
		} while (*format && strchr("-+ #0123456789.*", *format) && end < spec + 24);
		for (; *format && strchr("hlzt", *format); format++)
			longs += *format == 'h' ? 0 : *format == 'l' ? 1 : 2;
		if (*format == 'p') {
			format++;
			at += put_pointer(ROOM, &format, va_arg(arguments, void *));
		} else if (*format == '%') {
			at += (snprintf)(ROOM, "%%");
			format++;
		} else if (*format == 's' || *format == 'c') {
			bool text = *format++ == 's';

			strcpy(end, text ? "s" : "c");
			if (text) {
				const char *what = va_arg(arguments, char *);

				at += number ? (snprintf)(ROOM, spec, stars[0], what) : (snprintf)(ROOM, spec, what);
			} else {
				at += (snprintf)(ROOM, spec, va_arg(arguments, int));
			}
		} else {
			char conversion[3] = { 'l', *format ? *format++ : 'd', 0 };
			bool is_signed = conversion[1] == 'd' || conversion[1] == 'i';
			long value = longs ? va_arg(arguments, long) :
				     is_signed ? (long)va_arg(arguments, int) : (long)va_arg(arguments, unsigned);

			strcpy(end, conversion);
			at += number == 2 ? (snprintf)(ROOM, spec, stars[0], stars[1], value) :
			      number	  ? (snprintf)(ROOM, spec, stars[0], value) :
					    (snprintf)(ROOM, spec, value);
		}
	}
#undef ROOM
	if (size)
		to[at < size ? at : size - 1] = 0;
	return at;
}

static int put_all_that_fits(char *to, size_t size, const char *format, va_list arguments)
{
	size_t wanted = put(to, size, format, arguments);

	return size == 0 ? 0 : wanted < size ? wanted : size - 1;
}

int scnprintf(char *to, size_t size, const char *format, ...)
{
	va_list arguments;
	int nbytes;

	va_start(arguments, format);
	nbytes = put_all_that_fits(to, size, format, arguments);
	va_end(arguments);
	return nbytes;
}

int sysfs_emit(char *to, const char *format, ...)
{
	va_list arguments;
	int nbytes;

	if (to != row)
		fault("sysfs_emit is given a place that is not the start of a page, and writes nothing");
	va_start(arguments, format);
	nbytes = put_all_that_fits(to, sizeof(row), format, arguments);
	va_end(arguments);
	return nbytes;
}

int sysfs_emit_at(char *to, int at, const char *format, ...)
{
	va_list arguments;
	int nbytes;

	va_start(arguments, format);
	nbytes = at < 0 || at >= (int)sizeof(row) ? 0 : put_all_that_fits(to + at, sizeof(row) - at, format, arguments);
	va_end(arguments);
	return nbytes;
}

void poolproof_log(const char *format, ...)
{
	static char text[1024], prefix[64];
	char *start = text;
	va_list arguments;
	size_t nbytes;

	va_start(arguments, format);
	put_all_that_fits(text, sizeof(text), format, arguments);
	va_end(arguments);
	snprintf(prefix, sizeof(prefix), "%s: ", DEVICE); /* which dev_err writes, or the message itself */
	if (!strncmp(start, prefix, strlen(prefix)))
		start += strlen(prefix);
	nbytes = strlen(start);
	if (nbytes && start[nbytes - 1] == '\n')
		nbytes--;
	if (reply.log_bytes + nbytes + 1 > sizeof(reply.text) / 2)
		return;
	memcpy(reply.text + reply.log_bytes, start, nbytes);
	reply.text[reply.log_bytes + nbytes] = '\n';
	reply.log_bytes += nbytes + 1;
}

ssize_t strscpy(char *to, const char *from, size_t size)
{
	size_t nbytes = strnlen(from, size);

	if (!size)
		return -E2BIG;
	memcpy(to, from, nbytes < size ? nbytes : size - 1);
	to[nbytes < size ? nbytes : size - 1] = 0;
	return nbytes < size ? (ssize_t)nbytes : -E2BIG;
}

size_t strlcpy(char *to, const char *from, size_t size)
{
	strscpy(to, from, size);
	return strlen(from);
}

void *memchr_inv(const void *start, int byte, size_t nbytes)
{
	for (const u8 *at = start; nbytes--; at++)
		if (*at != (u8)byte)
			return (void *)at;
	return NULL;
}

/* Operations */

#pragma weak dma_pool_create_node

/* In later kernels, a header has this one. */
__attribute__((weak)) struct dma_pool *dma_pool_create(const char *name, struct device *dev, size_t size, size_t align,
							size_t boundary)
{
	return dma_pool_create_node(name, dev, size, align, boundary, NUMA_NO_NODE);
}

static void begin(gfp_t allowed, bool by_interrupt)
{
	/* Far more than honest code needs, which looks at each byte of the pool's pages a few times. */
	budget = budget_of_an_operation = 1000000 + 64 * (long)bytes_given;
	now_running = (typeof(now_running)){ .allowed = allowed, .by_interrupt = by_interrupt, .own = heap_used, .others = SIZE_MAX };
	irqs_off = by_interrupt;
}

static void returned(void)
{
	bool were_off = now_running.by_interrupt;

	if (held)
		misuse("%s returns with a lock held", reading_the_row ? "the file pools" : "an operation");
	if (irqs_off != were_off)
		misuse("%s that is called with interrupts %s returns with interrupts %s",
		       reading_the_row ? "the file pools" : "an operation", were_off ? "off" : "on", irqs_off ? "off" : "on");
	irqs_off = 0;
	if (now_running.late_write)
		tell_of(MISUSE, now_running.late_write, "a free writes to its block after it has released the lock, when it may be another's");
}

static void read_the_row(void)
{
	static const char header[] = "poolinfo - 0.1\n";
	unsigned long page_size = poolproof_page_size, were_off = irqs_off;
	typeof(now_running) interrupted = now_running;
	char *line = row, *end;

	reading_the_row = true;
	if (!pools_file)
		fault("the device has no file pools");
	poolproof_page_size = sizeof(row); /* a smaller one would cut the file */
	begin(GFP_KERNEL, false);
	row[0] = 0;
	pools_file->show(device, (struct device_attribute *)pools_file, row);
	returned();
	now_running = interrupted;
	irqs_off = were_off;
	poolproof_page_size = page_size;
	if (!strncmp(line, header, sizeof(header) - 1))
		line += sizeof(header) - 1;
	if (!strncmp(line, BYSTANDER " ", sizeof(BYSTANDER)) && (end = strchr(line, '\n')))
		line = end + 1;
	else if ((end = strstr(line, "\n" BYSTANDER " ")))
		*end = 0;
	else
		fault("the file pools has no row of another pool of the device");
	reply.row_bytes = strlen(line);
	if (reply.row_bytes && line[reply.row_bytes - 1] == '\n')
		reply.row_bytes--;
	memcpy(reply.text + reply.log_bytes, line, reply.row_bytes);
	reading_the_row = false;
}

static void finish(u64 a, u64 b)
{
	check_red_zones();
	reply.what = DONE;
	reply.a = a;
	reply.b = b;
	if (pool && !destroyed)
		read_the_row();
	send_reply();
}

/* Run where the other process runs: of the two, only one ever does, and a message across processors takes longer. */
static void move_to(u32 processor)
{
	cpu_set_t set;

	if (processor >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/*
 * Whatever an operation asks the kernel for is refused once, one after the other, before it is given all. An alloc may do
 * without; what fails has to leave nothing behind. What the device refuses is not among it.
 */

static void create(void)
{
	move_to(request.flags >> 2);
	close_pages();
	heap_used = objects = allocs = frees = unused = held_by_readers = 0;
	file_under = -1;
	pools_file = NULL;
	destroyed = false;
	poolproof_page_size = request.d;
	init_on_alloc = request.flags & 1;
	init_on_free = request.flags & 2;
	base = request.base;
	begin(GFP_KERNEL, false);
	device = kzalloc(sizeof(*device), GFP_KERNEL);
	objects = 0;
	device->name = DEVICE;
	device->dma_pools.next = device->dma_pools.prev = &device->dma_pools;
	for (unsigned refuse = 1;; refuse++) {
		size_t start = heap_used;

		begin(GFP_KERNEL, false);
		now_running.refuse = refuse;
		pool = dma_pool_create(request.name, device, request.a, request.b, request.c);
		returned();
		if (!now_running.refused) {
			bytes_of_the_pool = heap_used - start;
			break;
		}
		if (pool)
			fault("a pool is created although request %u for memory, or for the file pools, was refused", refuse);
		if (objects || pools_file || device->dma_pools.next != &device->dma_pools)
			fault("no pool is created, as request %u was refused, but memory, the file pools, or a pool in the device's list "
			      "is left",
			      refuse);
		reply.log_bytes = 0;
	}
	if (pool) {
		size_t before = objects;

		begin(GFP_KERNEL, false);
		bystander = dma_pool_create(BYSTANDER, device, 64, 8, 0);
		returned();
		objects_of_bystander = objects - before;
		if (!bystander)
			fault("the device gets no second pool");
	}
	finish(pool != NULL, 0);
}

static void destroy(void)
{
	destroyed = alone = true;
	begin(GFP_KERNEL, false);
	dma_pool_destroy(pool);
	returned();
	if (!pools_file || device->dma_pools.next == &device->dma_pools || device->dma_pools.next != device->dma_pools.prev)
		fault("the pool is gone, and the device's list has it still, or the file pools or another pool is gone as well");
	if (objects - objects_of_bystander > unused) /* a page that overlaps another is leaked, with its descriptor */
		fault("the pool is gone, and %lu of its objects of kmalloc are left", objects - objects_of_bystander);
	begin(GFP_KERNEL, false);
	dma_pool_destroy(bystander);
	returned();
	alone = false;
	if (pools_file || device->dma_pools.next != &device->dma_pools)
		fault("the device's last pool is gone, and its list or its file pools still has it");
	finish(0, 0);
}

static void *alloc_for(gfp_t allowed, unsigned refuse, gfp_t zero, dma_addr_t *dma)
{
	void *vaddr;

	begin(allowed, allowed == GFP_ATOMIC);
	now_running.refuse = refuse;
	vaddr = dma_pool_alloc(pool, allowed | zero, dma);
	returned();
	return vaddr;
}

static void alloc(void)
{
	static const gfp_t turns[] = { GFP_KERNEL, GFP_ATOMIC, GFP_NOIO }; /* an interrupt handler, and who writes to a disk */
	size_t before = objects, log_before = reply.log_bytes;
	dma_addr_t dma = 0;
	void *vaddr;

	allocs++;
	for (unsigned refuse = 1;; refuse++) {
		gfp_t allowed = turns[(allocs + refuse - 1) % ARRAY_SIZE(turns)];

		vaddr = alloc_for(allowed, refuse, request.flags ? __GFP_ZERO : 0, &dma);
		if (vaddr || now_running.served || !now_running.refused || refuse == now_running.requests + ARRAY_SIZE(turns))
			break;
		if (objects != before)
			fault("no block is given, as request %u for memory was refused, but %ld objects of kmalloc are left", refuse,
			      (long)(objects - before));
		reply.log_bytes = log_before;
	}
	if (!vaddr)
		unused += now_running.pages;
	finish(vaddr ? there(vaddr) : 0, dma);
}

/* A driver's, or an interrupt handler's, in turn. */
static void free_for(bool by_interrupt, u64 vaddr, u64 dma)
{
	begin(GFP_ATOMIC, by_interrupt);
	now_running.is_free = true;
	dma_pool_free(pool, here(vaddr), dma);
	returned();
}

static u64 run_batch(const struct operation *operations, u64 number, struct block *blocks)
{
	u64 n, failed = 0, started = now();

	reply.basic_blocks = nanoseconds_of_the_device = 0;
	for (n = 0; n < number; n++) {
		const struct operation *operation = &operations[n];
		struct block *block = &blocks[operation->slot];
		dma_addr_t dma = 0;

		if (operation->what == FREE) {
			free_for(++frees & 1, block->vaddr + operation->plus, block->dma + operation->plus);
		} else {
			void *vaddr = alloc_for(GFP_KERNEL, 0, operation->what == ALLOC ? 0 : __GFP_ZERO, &dma);

			*block = (struct block){ vaddr ? there(vaddr) : 0, dma };
			failed += !vaddr;
		}
		reply.basic_blocks += budget_of_an_operation - budget;
	}
	reply.nanoseconds = now() - started - nanoseconds_of_the_device;
	return failed;
}

static void batch(void)
{
	u64 failed;

	in_batch = true;
	of_batch.dma = (const u64 *)(desk + request.c);
	of_batch.left = request.d;
	of_batch.vaddr = request.base;
	failed = run_batch((const struct operation *)(desk + request.a), request.b, (struct block *)(desk + request.flags));
	in_batch = false;
	finish(failed, of_batch.left);
}

/* Whether it was an operation, and not the page that one waits for. */
static bool serve(void)
{
	receive();
	switch (request.what) {
	case CREATE:
		create();
		break;
	case ALLOC:
		alloc();
		break;
	case FREE:
		free_for(++frees & 1, request.a, request.b);
		finish(0, 0);
		break;
	case DESTROY:
		destroy();
		break;
	case BATCH:
		batch();
		break;
	default:
		return false;
	}
	return true;
}

int main(int count, char **arguments)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	static char stack[1 << 16];
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	int file;

	if (count != 3)
		return 2;
	channel = atoi(arguments[1]);
	file = atoi(arguments[2]);
	arena = mmap(ARENA_ADDRESS, ARENA_BYTES, PROT_NONE, MAP_SHARED, file, 0);
	desk = mmap(NULL, DESK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, ARENA_BYTES);
	heap = mmap(NULL, HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	written_under = mmap(NULL, HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED || desk == MAP_FAILED || heap == MAP_FAILED || written_under == MAP_FAILED)
		return 2;
	freed = (struct block *)desk;
	sigaltstack(&other, NULL);
	for (size_t n = 0; n < ARRAY_SIZE(signals); n++)
		sigaction(signals[n], &action, NULL);
	for (;;)
		serve();
}
