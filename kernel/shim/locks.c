/* SPDX-License-Identifier: MIT */
/*
 * Locks, interrupts, and who may sleep.
 *
 * Replaces linux/spinlock.h, linux/mutex.h, local_irq_save and might_sleep, lockdep_assert_held, and linux/atomic.h.
 * There is one thread: a lock that is taken twice is a deadlock. Invariant: bit 0 of `held` is set while any
 * spinlock is held, and one of the other bits while a mutex is.
 */
#include "shim.h"

u8 held, held_by_readers;
unsigned long irqs_off;
static unsigned held_of_kind[8];

void check_may_sleep(const char *what, const void *pc)
{
	if (held & SPINLOCK)
		misuse(pc, "%s may sleep, and is called with a lock held", what);
	if (irqs_off)
		misuse(pc, "%s may sleep, and is called with interrupts off", what);
}

void might_sleep(void)
{
	check_may_sleep("might_sleep", CALLER);
}

unsigned long poolproof_irqs(unsigned long off)
{
	unsigned long before = irqs_off;

	irqs_off = off;
	return before;
}

static __always_inline void take(u32 magic, u32 *taken, size_t kind)
{
	if (magic != POOLPROOF_LOCK)
		fault("a lock is taken that is not initialised, or gone");
	if (*taken)
		misuse(CALLER, "a lock is taken that is held already: a deadlock");
	*taken = 1;
	held_of_kind[kind]++;
	held |= 1 << kind;
	if (reading_pools_file)
		held_by_readers |= 1 << kind;
}

static __always_inline void release(u32 magic, u32 *taken, size_t kind)
{
	if (magic != POOLPROOF_LOCK)
		fault("a lock is released that is not initialised, or gone");
	if (!*taken)
		misuse(CALLER, "a lock is released that is not held");
	*taken = 0;
	if (!--held_of_kind[kind])
		held &= ~(1 << kind);
}

/* Mutexes that no bit is left for share the last one. */
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
	*lock = (spinlock_t){ POOLPROOF_LOCK, 0, 0 };
}

void spin_lock(spinlock_t *lock)
{
	take(lock->magic, &lock->held, 0);
	lock->taken_by_interrupts |= running.by_interrupt;
	if (lock->taken_by_interrupts && !irqs_off)
		misuse(CALLER, "a spinlock is taken with interrupts on that an interrupt handler takes as well: a deadlock");
	running.unlocked = false;
	running.late_write = NULL;
}

void spin_unlock(spinlock_t *lock)
{
	release(lock->magic, &lock->held, 0);
	running.unlocked = !(held & SPINLOCK);
}

void mutex_init(struct mutex *lock)
{
	*lock = (struct mutex){ POOLPROOF_LOCK, 0 };
}

void mutex_lock(struct mutex *lock)
{
	check_may_sleep("mutex_lock", CALLER);
	take(lock->magic, &lock->held, kind_of(lock));
}

void mutex_unlock(struct mutex *lock)
{
	release(lock->magic, &lock->held, kind_of(lock));
}

void poolproof_assert_held(u32 taken)
{
	if (!taken)
		misuse(CALLER, "a lock is expected to be held");
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
