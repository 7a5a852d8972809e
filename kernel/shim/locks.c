/* SPDX-License-Identifier: MIT */
/*
 * Locks, interrupts, and who may sleep.
 *
 * Replaces kernel/locking/ (spinlocks, reader-writer spinlocks, mutexes, lockdep's assertions), local_irq_save and
 * might_sleep.
 * A lock that is taken twice is a deadlock, and so are two that are taken in one order here and in the other there. Invariant: a
 * bit of `held` is set while a lock of its kind is held: a spinlock in an object of kmalloc, one in none, or a mutex. A lock's state has a bit cleared for each of FREE_LOCK and BY_INTERRUPTS.
 */
#include "shim.h"

#define MUTEXES 5 /* that are told apart; others share a bit */
#define OTHER_FLAGS 0x246ul /* of a processor, besides that interrupts are off */
#define BY_INTERRUPTS 2u /* an interrupt handler takes it as well */

u8 held, held_by_readers;
unsigned long irqs_off;
int debug_locks = 1; /* lockdep's assertions are made */
unsigned held_of_kind[8];
static u8 taken_under[8]; /* what was held when a lock of a kind was taken */

void check_may_sleep(const char *what, const void *pc)
{
	if (held & SPINLOCKS)
		misuse_unless_known(pc, "%s may sleep, and is called with a lock held", what);
	if (irqs_off)
		misuse_unless_known(pc, "%s may sleep, and is called with interrupts off", what);
}

void __might_sleep(const char *file, int line)
{
	(void)file, (void)line;
	running.told = true;
	check_may_sleep("might_sleep", CALLER);
}

int __might_resched(const char *file, int line, unsigned offsets)
{
	(void)file, (void)line, (void)offsets;
	running.told = true;
	check_may_sleep("cond_resched", CALLER);
	return 0;
}

unsigned long poolproof_flags(void)
{
	return OTHER_FLAGS | irqs_off;
}

unsigned long poolproof_irqs(unsigned long flags)
{
	unsigned long before = poolproof_flags();

	if (flags & 1)
		turns_irqs_off(CALLER);
	irqs_off = flags & 1;
	return before;
}

void forget_order(void)
{
	memset(taken_under, 0, sizeof(taken_under));
}

/* Of mutexes each; of spinlocks, there may be one for each pool or page. */
static void check_order(size_t kind, const void *pc)
{
	for (size_t n = 1; n <= MUTEXES; n++)
		if (n != kind && held & 1 << n && taken_under[n] & 1 << kind)
			misuse(pc, "two mutexes are taken in one order here, and in the other elsewhere: a deadlock");
	taken_under[kind] |= held;
}

static bool take(u32 *state, size_t kind, bool tries, const void *pc)
{
	if (!state)
		end_with_text(FAULT, pc, "a lock is taken that is not initialised, or gone");
	if (tries) {
		if (!happens_now_or_never(state, pc))
			return false;
	} else {
		happens_when_free(state, pc);
	}
	if (!(*state & FREE_LOCK))
		misuse(pc, "a lock is taken that is held already: a deadlock");
	*state &= ~FREE_LOCK;
	if (kind >= 1 && kind <= MUTEXES)
		check_order(kind, pc);
	held_of_kind[kind]++;
	held |= 1 << kind;
	if (reading_pools_file)
		held_by_readers |= 1 << kind;
	return true;
}

static void release(u32 *state, size_t kind, const void *pc)
{
	if (!state)
		end_with_text(FAULT, pc, "a lock is released that is not initialised, or gone");
	happens(UNLOCKS, state, sizeof(*state), pc);
	if (*state & FREE_LOCK)
		misuse(pc, "a lock is released that is not held");
	*state |= FREE_LOCK;
	if (!--held_of_kind[kind])
		held &= ~(1 << kind);
}

static size_t kind_of_spinlock(const struct raw_spinlock *lock)
{
	return (size_t)((u8 *)lock - heap) < heap_used ? 0 : 7;
}

static bool take_spinlock(struct raw_spinlock *lock, bool tries, const void *pc)
{
	u32 *state = state_of_spinlock(lock);

	if (!take(state, kind_of_spinlock(lock), tries, pc))
		return false;
	if (running.by_interrupt)
		*state &= ~BY_INTERRUPTS;
	if (!(*state & BY_INTERRUPTS) && !irqs_off)
		misuse(pc, "a spinlock is taken with interrupts on that an interrupt handler takes as well: a deadlock");
	running.unlocked = false;
	running.late_write = NULL;
	return true;
}

static void release_spinlock(struct raw_spinlock *lock, const void *pc)
{
	release(state_of_spinlock(lock), kind_of_spinlock(lock), pc);
	running.unlocked = !(held & SPINLOCKS);
}

#define LOCKS(name, before)                                       \
	void name(struct raw_spinlock *lock)                      \
	{                                                         \
		before;                                           \
		take_spinlock(lock, false, CALLER);                      \
	}                                                         \
	void name##_nested(struct raw_spinlock *lock, int class)  \
	{                                                         \
		(void)class;                                      \
		before;                                           \
		take_spinlock(lock, false, CALLER);                      \
	}
LOCKS(_raw_spin_lock, )
LOCKS(_raw_spin_lock_bh, )
LOCKS(_raw_spin_lock_irq, poolproof_irqs(1))

unsigned long _raw_spin_lock_irqsave(struct raw_spinlock *lock)
{
	unsigned long flags = poolproof_irqs(1);

	take_spinlock(lock, false, CALLER);
	return flags;
}

unsigned long _raw_spin_lock_irqsave_nested(struct raw_spinlock *lock, int class)
{
	unsigned long flags = poolproof_irqs(1);

	(void)class;
	take_spinlock(lock, false, CALLER);
	return flags;
}

int _raw_spin_trylock(struct raw_spinlock *lock)
{
	return take_spinlock(lock, true, CALLER);
}

int _raw_spin_trylock_bh(struct raw_spinlock *lock)
{
	return take_spinlock(lock, true, CALLER);
}

void _raw_spin_unlock(struct raw_spinlock *lock)
{
	release_spinlock(lock, CALLER);
}

void _raw_spin_unlock_bh(struct raw_spinlock *lock)
{
	release_spinlock(lock, CALLER);
}

void _raw_spin_unlock_irq(struct raw_spinlock *lock)
{
	release_spinlock(lock, CALLER);
	irqs_off = 0;
}

void _raw_spin_unlock_irqrestore(struct raw_spinlock *lock, unsigned long flags)
{
	release_spinlock(lock, CALLER);
	irqs_off = flags & 1;
}

/* Mutexes that no bit is left for share the last one. */
static size_t kind_of(const struct mutex *lock)
{
	static const struct mutex *known[MUTEXES];
	size_t n = 0;

	while (n < ARRAY_SIZE(known) && known[n] && known[n] != lock)
		n++;
	if (n < ARRAY_SIZE(known))
		known[n] = lock;
	return n + 1;
}

void __mutex_init(struct mutex *lock, const char *name, void *key)
{
	(void)name, (void)key;
	init_mutex(lock);
}

void mutex_init_lockdep(struct mutex *lock, const char *name, void *key)
{
	__mutex_init(lock, name, key);
}

void mutex_lock_nested(struct mutex *lock, unsigned class)
{
	(void)class;
	check_may_sleep("mutex_lock", CALLER);
	take(state_of_mutex(lock), kind_of(lock), false, CALLER);
}

int mutex_trylock(struct mutex *lock)
{
	return take(state_of_mutex(lock), kind_of(lock), true, CALLER);
}

int _mutex_trylock_nest_lock(struct mutex *lock, void *outer)
{
	(void)outer;
	return take(state_of_mutex(lock), kind_of(lock), true, CALLER);
}

void mutex_unlock(struct mutex *lock)
{
	release(state_of_mutex(lock), kind_of(lock), CALLER);
	if (!held)
		note_newest_pool();
}

/* lockdep_assert_held() and lockdep_assert_not_held() ask the first, and call the other where it is otherwise. */
int lock_is_held_type(const struct lockdep_map *map, int reading)
{
	u32 *state = state_of_lock(map);

	(void)reading;
	return state && !(*state & FREE_LOCK);
}

void poolproof_lockdep(void)
{
	misuse(CALLER, "a lock is expected to be held, or not to be, and it is otherwise");
}
