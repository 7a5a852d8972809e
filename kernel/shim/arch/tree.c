/* SPDX-License-Identifier: MIT */
/*
 * The part of the environment that knows the kernel's types: compiled with the headers of each tree. shim.h declares what the other
 * parts use of it.
 */
#include <linux/device.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/jump_label.h>
#include <linux/lockdep.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

void *allocate(size_t nbytes, gfp_t flags, const void *pc);
const char *missing_at(u64 address);
extern size_t heap_used, kernels_bytes;

static_assert(__GFP_ZERO == 0x100 && GFP_KERNEL == 0xcc0 && GFP_NOIO == 0xc00 && GFP_DMA == 1 && __GFP_NOWARN == 0x2000, "the flags for memory are as in shim.h");
const gfp_t gfp_atomic = GFP_ATOMIC;

/* The machine: the boot options, the process that runs, and a device. */

struct static_key_false init_on_alloc, init_on_free;
static struct task_struct tasks[POOLPROOF_PROCESSORS]; /* one on each */
const size_t device_bytes = sizeof(struct device);
extern initcall_t __start_poolproof_initcalls[] __weak, __stop_poolproof_initcalls[] __weak;

struct task_struct *poolproof_current(void)
{
	return &tasks[poolproof_processor()];
}

void in_interrupt_handler(bool yes)
{
	tasks[poolproof_processor()].thread_info.preempt_count = yes ? HARDIRQ_OFFSET : 0;
}

void start_machine(struct device *device, const char *name, bool fills_on_alloc, bool fills_on_free)
{
	atomic_set(&init_on_alloc.key.enabled, fills_on_alloc);
	atomic_set(&init_on_free.key.enabled, fills_on_free);
	for (size_t n = 0; n < ARRAY_SIZE(tasks); n++)
		tasks[n].thread_info.preempt_count = 0;
	device->init_name = name;
	INIT_LIST_HEAD(&device->dma_pools);
}

/* What the kernel starts before: where the program has it, as the file needs it. */
extern void radix_tree_init(void) __weak;
extern void maple_tree_init(void) __weak;

void run_initcalls(void)
{
	if (radix_tree_init)
		radix_tree_init();
	if (maple_tree_init)
		maple_tree_init();
	kernels_bytes = heap_used;
	for (initcall_t *call = __start_poolproof_initcalls; call < __stop_poolproof_initcalls; call++)
		(*call)();
}

/* The file's own boot options: of __setup() and early_param(), and of module_param() and core_param(). */

extern struct obs_kernel_param __start_poolproof_options[] __weak, __stop_poolproof_options[] __weak;
extern const struct kernel_param __start___param[] __weak, __stop___param[] __weak;
bool static_key_initialized = true; /* as it is when options are read */

#define PARAMETER(name, parse)                                               \
	int param_set_##name(const char *value, const struct kernel_param *parameter) \
	{                                                                    \
		return parse;                                                \
	}                                                                    \
	const struct kernel_param_ops param_ops_##name = { .set = param_set_##name }
PARAMETER(bool, kstrtobool(value, parameter->arg));
PARAMETER(int, kstrtoint(value, 0, parameter->arg));
PARAMETER(uint, kstrtouint(value, 0, parameter->arg));

const char *option(size_t number)
{
	size_t before = __stop_poolproof_options - __start_poolproof_options;

	if (number < before)
		return __start_poolproof_options[number].str;
	return number - before < __stop___param - __start___param ? __start___param[number - before].name : NULL;
}

/* Each as who wants it would: a flag by its name alone, and what has a value with one that means yes. */
void set_options(void)
{
	static const char texts[][4] = { "", "on", "1" };
	static char text[sizeof(*texts)]; /* which may be written to, and kept, as the command line may */

	for (struct obs_kernel_param *one = __start_poolproof_options; one < __stop_poolproof_options; one++)
		for (size_t n = 0; n < ARRAY_SIZE(texts); n++)
			if ((n == 0) == (!one->early && !strchr(one->str, '=')))
				one->setup_func(memcpy(text, texts[n], sizeof(text)));
	for (const struct kernel_param *one = __start___param; one < __stop___param; one++)
		for (size_t n = 1; n < ARRAY_SIZE(texts) && !missing_at((u64)one->ops); n++)
			one->ops->set(memcpy(text, texts[n], sizeof(text)), one);
}

struct list_head *pools_of(struct device *device)
{
	return &device->dma_pools;
}

ssize_t show_file(const struct device_attribute *attr, struct device *device, char *to)
{
	return attr->show(device, (struct device_attribute *)attr, to);
}

const char *name_of_file(const struct device_attribute *attr)
{
	return attr->attr.name;
}

unsigned mode_of_file(const struct device_attribute *attr)
{
	return attr->attr.mode;
}

/* Locks: the environment keeps their state in a word of theirs that is all ones where the kernel has initialised one. */

u32 *state_of_spinlock(raw_spinlock_t *lock)
{
	return lock->magic == SPINLOCK_MAGIC ? &lock->owner_cpu : NULL;
}

u32 *state_of_mutex(struct mutex *lock)
{
	raw_spinlock_t *own = (raw_spinlock_t *)&lock->wait_lock; /* in a spinlock_t in Linux 5.10 */

	return lock->magic == lock ? &own->owner_cpu : NULL;
}

u32 *state_of_lock(const struct lockdep_map *map)
{
	if (map->wait_type_inner == LD_WAIT_SLEEP)
		return state_of_mutex(container_of(map, struct mutex, dep_map));
	return state_of_spinlock(container_of(map, raw_spinlock_t, dep_map));
}

void __raw_spin_lock_init(raw_spinlock_t *lock, const char *name, struct lock_class_key *key, short inner)
{
	*lock = __RAW_SPIN_LOCK_UNLOCKED(*lock);
	lock->dep_map.wait_type_inner = inner;
}

void init_mutex(struct mutex *lock)
{
	*lock = (struct mutex)__MUTEX_INITIALIZER((*lock));
}

/* Functions whose parameters are not the same in all versions. */

struct kmem_cache *create_cache(size_t nbytes, void (*construct)(void *object), const void *pc);

#ifdef kmem_cache_create
struct kmem_cache *__kmem_cache_create_args(const char *name, unsigned int size, struct kmem_cache_args *args,
					    slab_flags_t flags)
{
	return create_cache(size, args->ctor, __builtin_return_address(0));
}
#else
struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align, slab_flags_t flags,
				     void (*ctor)(void *))
{
	return create_cache(size, ctor, __builtin_return_address(0));
}
#endif

#ifdef kvmalloc_node_align_noprof
void *__kvmalloc_node_noprof(DECL_BUCKET_PARAMS(size, b), unsigned long align, gfp_t flags, int node)
#else
void *__kvmalloc_node_noprof(size_t size, gfp_t flags, int node)
#endif
{
	return allocate(size, flags, __builtin_return_address(0));
}
