/* SPDX-License-Identifier: MIT */
/*
 * What one thread on one processor makes easy: processes that wait, RCU, whose readers are in between only where callers run at once,
 * and lockdep's notes.
 *
 * Replaces kernel/sched/, kernel/rcu/, and of kernel/locking/lockdep.c what notes the order of locks.
 */
#include "shim.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

unsigned long jiffies; /* time stands still */
char rcu_lock_map[256], rcu_bh_lock_map[256], rcu_sched_lock_map[256], rcu_callback_map[256]; /* of which only addresses are used */

void preempt_schedule(void)
{
}

void preempt_schedule_notrace(void)
{
}

int __cpuhp_setup_state(int state, const char *name, bool invoke, void *start, void *stop, bool several)
{
	return 0;
}

int __wake_up(void *queue, unsigned mode, int number, void *key)
{
	return 0;
}

void __rcu_read_lock(void)
{
}

void __rcu_read_unlock(void)
{
}

int rcu_read_lock_held(void)
{
	return 1;
}

int debug_lockdep_rcu_enabled(void)
{
	return 0;
}

void synchronize_rcu(void)
{
	check_may_sleep("synchronize_rcu", CALLER);
}

static struct {
	void (*function)(void *object);
	void *object;
} postponed[64];
static size_t number_postponed;

/* Callers at once may read until all are done. */
static void postpone(void (*function)(void *object), void *object)
{
	if (!at_once)
		function(object);
	else if (number_postponed == ARRAY_SIZE(postponed))
		fault("callers at once leave more than %lu things to RCU", ARRAY_SIZE(postponed));
	else {
		postponed[number_postponed].function = function;
		postponed[number_postponed++].object = object;
	}
}

void do_postponed(void)
{
	for (size_t n = 0; n < number_postponed; n++)
		postponed[n].function(postponed[n].object);
	number_postponed = 0;
}

void call_rcu(void *head, void (*function)(void *head))
{
	postpone(function, head);
}

static void free_object(void *object)
{
	kfree(object);
}

void kvfree_call_rcu(void *head, void *object)
{
	postpone(free_object, object);
}

void lock_acquire(void *map, unsigned class, int try, int read, int check, void *outer, unsigned long pc)
{
}

void lock_release(void *map, unsigned long pc)
{
}

void lockdep_init_map_type(void *map, const char *name, void *key, int class, u8 inner, u8 outer, u8 type)
{
}
