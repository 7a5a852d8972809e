/* SPDX-License-Identifier: MIT */
/*
 * Races: what the code under test reads and writes.
 *
 * Replaces kernel/kcsan/core.c, the kernel's own race detector: the code is compiled as for that one, so that the compiler calls a
 * function below for each access.
 * Only objects of kmalloc are watched; a block belongs to its caller, or lies in a list whose head is watched. Invariant:
 * `written_under` has, for each byte of the heap, the locks that were held at every write to it by an operation that was not
 * alone with it; 0 if there were none. An access without one of them is a race (as in Eraser, SOSP 1997). But what an allocation reads
 * of an object after it has released its lock may be its block's own, which it hands over: that is a race once another operation
 * writes it while that block is in use.
 */
#include "shim.h"

bool destroying;
static u8 *written_under;
int races_meant;
static struct handed {
	size_t offset, nbytes; /* what was read */
	const void *pc, *vaddr; /* by whom, and the block that it gave; NULL as long as it gives none */
	u8 under;
} handed[32]; /* the latest ones */
static size_t number_handed;

bool map_races(size_t nbytes)
{
	written_under = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return written_under != MAP_FAILED;
}

void forget_locks_of(size_t offset, size_t nbytes)
{
	memset(written_under + offset, 0, nbytes);
}

static noinline void report_race(size_t offset, size_t nbytes, bool writes, u8 under, const void *pc)
{
	size_t object_bytes, object = object_of(offset, &object_bytes);

	misuse_unless_known(pc, "%s %lu bytes at offset %lu of an object of %lu bytes of kmalloc, without the %s that others hold",
	       writes ? "it writes" : "it reads", nbytes, offset - object, object_bytes,
	       under & SPINLOCKS ? "spinlock" : under ? "mutex" : "lock");
}

static void read_after_unlock(size_t offset, size_t nbytes, u8 under, const void *pc)
{
	handed[number_handed++ % ARRAY_SIZE(handed)] = (struct handed){ offset, nbytes, pc, NULL, under };
}

void hand_over(const void *vaddr)
{
	for (struct handed *one = handed; one < handed + ARRAY_SIZE(handed); one++)
		if (one->nbytes && !one->vaddr) {
			one->vaddr = vaddr;
			one->nbytes *= vaddr != NULL;
		}
}

void take_back(const void *vaddr)
{
	for (struct handed *one = handed; one < handed + ARRAY_SIZE(handed); one++)
		if (one->vaddr == vaddr)
			one->nbytes = 0;
}

void forget_blocks(void)
{
	memset(handed, 0, sizeof(handed));
	number_handed = 0;
}

/* A free of what is no block may well free one, and write to what describes it: of such a free, no race is told. */
static bool frees_no_block(void)
{
	if (!running.is_free)
		return false;
	for (struct handed *one = handed; one < handed + ARRAY_SIZE(handed); one++)
		if (one->vaddr && one->vaddr == running.freed)
			return false;
	return true;
}

static void check_handed(size_t offset, size_t nbytes)
{
	if (frees_no_block())
		return;
	for (struct handed *one = handed; one < handed + ARRAY_SIZE(handed); one++)
		if (offset < one->offset + one->nbytes && one->offset < offset + nbytes && one->vaddr &&
		    (!running.is_free || running.freed != one->vaddr))
			report_race(one->offset, one->nbytes, false, one->under, one->pc);
}

static bool only_spinlocks(u8 under)
{
	return under && !(under & ~SPINLOCKS);
}

/* Of the pool itself, or of one that a caller at once has created. */
static bool is_of_a_pool(const void *address)
{
	size_t nbytes = 0, as_many = 0;

	if ((size_t)((u8 *)address - (u8 *)pool) < pool_bytes)
		return true;
	if (!at_once || (size_t)((u8 *)address - heap) >= heap_used)
		return false;
	object_of((u8 *)address - heap, &nbytes);
	object_of((u8 *)pool - heap, &as_many);
	return nbytes == as_many;
}

/* Numbers of pools, which v6.12 reads as they are, and those of each processor. */
static bool is_for_people(const void *address, bool writes)
{
	return reading_pools_file && !writes && (is_of_a_pool(address) || is_per_processor(address));
}

static __always_inline void on_access(const void *address, size_t nbytes, enum event_kind access, const void *pc)
{
	bool writes = access == WRITES || access == WRITES_ONCE;
	size_t offset = (u8 *)address - heap;
	u8 under;

	if (running.is_free && writes && running.unlocked && (size_t)((u8 *)address - arena) < ARENA_BYTES)
		running.late_write = pc;
	if (at_once) {
		if (!is_on_a_stack(address))
			happens(access | (races_meant || is_for_people(address, writes) ? 2 : 0), address, nbytes, pc);
		return;
	}
	if (offset >= heap_used || nbytes > heap_used - offset || !nbytes)
		return;
	if (offset - running.seen < running.seen_bytes) {
		if (writes && !held && !destroying)
			report_race(offset, nbytes, true, 0, pc);
		return;
	}
	if (offset >= running.own && (offset < running.others || offset >= running.own_again))
		return; /* an object of this operation, which nobody else can know yet */
	under = written_under[offset];
	if (writes && number_handed && !destroying)
		check_handed(offset, nbytes);
	if (writes && held && (!under || (under & held)))
		memset(written_under + offset, under ? under & held : held, nbytes);
	if ((under & held) || access == READS_ONCE || access == WRITES_ONCE || races_meant || (only_spinlocks(under) && destroying))
		return;
	if (only_spinlocks(under) && is_for_people(address, writes))
		return;
	if (under && !writes && running.is_alloc && running.unlocked &&
	    (size_t)((u8 *)address - (u8 *)pool) >= pool_bytes)
		read_after_unlock(offset, nbytes, under, pc);
	else if (under || (writes && !held && !destroying))
		report_race(offset, nbytes, writes, under, pc);
}

#define WATCH(name, nbytes, access)                              \
	void name(const void *address)                           \
	{                                                        \
		on_access(address, nbytes, access, CALLER);      \
	}
#define WATCH_ALL(nbytes)                                                                \
	WATCH(__tsan_read##nbytes, nbytes, READS)                                        \
	WATCH(__tsan_write##nbytes, nbytes, WRITES)                                      \
	WATCH(__tsan_unaligned_read##nbytes, nbytes, READS)                              \
	WATCH(__tsan_unaligned_write##nbytes, nbytes, WRITES)                            \
	WATCH(__tsan_volatile_read##nbytes, nbytes, READS_ONCE)                          \
	WATCH(__tsan_volatile_write##nbytes, nbytes, WRITES_ONCE)                        \
	WATCH(__tsan_unaligned_volatile_read##nbytes, nbytes, READS_ONCE)                \
	WATCH(__tsan_unaligned_volatile_write##nbytes, nbytes, WRITES_ONCE)
WATCH_ALL(1)
WATCH_ALL(2)
WATCH_ALL(4)
WATCH_ALL(8)
WATCH_ALL(16)

void __tsan_read_range(const void *address, size_t nbytes)
{
	on_access(address, nbytes, READS, CALLER);
}

void __tsan_write_range(const void *address, size_t nbytes)
{
	on_access(address, nbytes, WRITES, CALLER);
}

void *__tsan_memset(void *to, int byte, size_t nbytes)
{
	on_access(to, nbytes, WRITES, CALLER);
	return memset(to, byte, nbytes);
}

void *__tsan_memcpy(void *to, const void *from, size_t nbytes)
{
	on_access(from, nbytes, READS, CALLER);
	on_access(to, nbytes, WRITES, CALLER);
	return memcpy(to, from, nbytes);
}

void *__tsan_memmove(void *to, const void *from, size_t nbytes)
{
	on_access(from, nbytes, READS, CALLER);
	on_access(to, nbytes, WRITES, CALLER);
	return memmove(to, from, nbytes);
}

void __tsan_init(void)
{
}

/* data_race() of linux/compiler.h */
void kcsan_disable_current(void)
{
	races_meant++;
}

void kcsan_enable_current_nowarn(void)
{
	races_meant--;
}

void kcsan_enable_current(void)
{
	races_meant--;
}

/* The kernel's atomic operations announce themselves before their arguments are known; they never race. */
void __kcsan_check_access(const volatile void *address, size_t nbytes, int type)
{
	(void)address, (void)nbytes, (void)type;
}

void poolproof_atomic(const volatile void *address, size_t nbytes, bool orders)
{
	running.late_write = NULL; /* that may be of a block that nobody else knew until now */
	begin_atomic(orders ? ATOMIC : UPDATES, (const void *)address, nbytes, CALLER);
}

/* smp_mb(), smp_wmb(), and what is before the write of smp_store_release() */
void poolproof_fence(void)
{
	fence(CALLER);
}
