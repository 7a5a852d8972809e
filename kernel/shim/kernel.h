/* SPDX-License-Identifier: MIT */
/*
 * What mm/dmapool.c expects of the kernel, for the LLVM IR that proofs are about. kernel/handmade.py has every header that the file
 * includes lead here, but for those of the kernel tree that are used as they are. Programs are compiled with the tree's own headers.
 */
#ifndef POOLPROOF_KERNEL_H
#define POOLPROOF_KERNEL_H

/* Types: no header of a libc is at hand, only shim.h includes them. */

typedef __UINT8_TYPE__ u8;
typedef __UINT16_TYPE__ u16;
typedef __UINT32_TYPE__ u32;
typedef __UINT64_TYPE__ u64;
typedef __INT8_TYPE__ s8;
typedef __INT16_TYPE__ s16;
typedef __INT32_TYPE__ s32;
typedef __INT64_TYPE__ s64;
typedef __SIZE_TYPE__ size_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef long ssize_t;
typedef unsigned int gfp_t;
typedef unsigned short umode_t;
typedef u64 phys_addr_t;
#ifdef POOLPROOF_DMA_32
typedef u32 dma_addr_t;
#else
typedef u64 dma_addr_t;
#endif

struct list_head {
	struct list_head *next, *prev;
};
struct hlist_head {
	struct hlist_node *first;
};
struct hlist_node {
	struct hlist_node *next, **pprev;
};

/* The compiler */

#ifndef NULL
#define NULL ((void *)0)
#define bool _Bool
#define true 1
#define false 0
#define INT_MAX __INT_MAX__
#define INT_MIN (-INT_MAX - 1)
#define UINT_MAX (INT_MAX * 2u + 1)
#define LONG_MAX __LONG_MAX__
#define ULONG_MAX (LONG_MAX * 2ul + 1)
#define SIZE_MAX __SIZE_MAX__
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define __maybe_unused __attribute__((unused))
#define __must_check
#define __init
#define __exit
#define __read_mostly
#define __rcu
#define __user
#define __iomem
#define fallthrough __attribute__((fallthrough))
#define barrier() __asm__ __volatile__("" ::: "memory")
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) ((void)(*(volatile __typeof__(x) *)&(x) = (value)))
#define smp_store_release(p, value) WRITE_ONCE(*(p), value)
#define smp_load_acquire(p) READ_ONCE(*(p))
#define smp_mb() barrier()
#define smp_rmb() barrier()
#define smp_wmb() barrier()
void poolproof_races(int meant);
#define data_race(x) ({ poolproof_races(1); __typeof__(x) __value = (x); poolproof_races(-1); __value; })
#define rcu_assign_pointer(p, value) WRITE_ONCE(p, value)
#define rcu_dereference_raw(p) READ_ONCE(p)
#define IS_ENABLED(option) 0
#define BUILD_BUG_ON(condition) ((void)sizeof(char[1 - 2 * !!(condition)]))
#define _AC(number, suffix) (number##suffix)

/* Arithmetic */

#define max_t(type, a, b) ({ type __a = (a), __b = (b); __a > __b ? __a : __b; })
#define min_t(type, a, b) ({ type __a = (a), __b = (b); __a < __b ? __a : __b; })
#define max(a, b) ({ __typeof__(a) __a = (a); __typeof__(b) __b = (b); __a > __b ? __a : __b; })
#define min(a, b) ({ __typeof__(a) __a = (a); __typeof__(b) __b = (b); __a < __b ? __a : __b; })
#define ALIGN(x, a) (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a) - 1)) == 0)
#define round_up(x, a) ALIGN(x, a)
#define round_down(x, a) ((x) & ~((__typeof__(x))(a) - 1))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define is_power_of_2(n) ((n) != 0 && ((n) & ((n) - 1)) == 0)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define swap(a, b) ({ __typeof__(a) __swapped = (a); (a) = (b); (b) = __swapped; })
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* A page of the machine: chosen for each pool, so that one build serves them all. */
extern unsigned long poolproof_page_size;
#define PAGE_SIZE poolproof_page_size
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(x) ALIGN(x, PAGE_SIZE)
#define offset_in_page(p) ((unsigned long)(p) & ~PAGE_MASK)

/* Strings and memory */

void *memset(void *to, int byte, size_t nbytes);
void *memcpy(void *to, const void *from, size_t nbytes);
void *memmove(void *to, const void *from, size_t nbytes);
int memcmp(const void *one, const void *other, size_t nbytes);
void *memchr_inv(const void *start, int byte, size_t nbytes);
size_t strlen(const char *text);
int strcmp(const char *one, const char *other);
ssize_t strscpy(char *to, const char *from, size_t size);
size_t strlcpy(char *to, const char *from, size_t size);
int scnprintf(char *to, size_t size, const char *format, ...);
int sysfs_emit(char *to, const char *format, ...);
int sysfs_emit_at(char *to, int at, const char *format, ...);

#define __GFP_HIGH 0x20u
#define __GFP_IO 0x40u
#define __GFP_FS 0x80u
#define __GFP_ZERO 0x100u
#define __GFP_DIRECT_RECLAIM 0x400u
#define __GFP_KSWAPD_RECLAIM 0x800u
#define __GFP_NOWARN 0x2000u
#define __GFP_RECLAIM (__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
#define GFP_KERNEL (__GFP_RECLAIM | __GFP_IO | __GFP_FS)
#define GFP_ATOMIC (__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
#define GFP_NOWAIT __GFP_KSWAPD_RECLAIM
#define GFP_NOIO __GFP_RECLAIM
#define GFP_NOFS (__GFP_RECLAIM | __GFP_IO)
#define gfpflags_allow_blocking(flags) (((flags) & __GFP_DIRECT_RECLAIM) != 0)

void *kmalloc(size_t nbytes, gfp_t flags, int node);
void *kzalloc(size_t nbytes, gfp_t flags, int node);
void kfree(const void *object);
#define kcalloc(n, nbytes, flags) kzalloc((n) * (nbytes), flags)
#define kmalloc_node(nbytes, flags, node) (kmalloc)(nbytes, flags, node)
#define kzalloc_node(nbytes, flags, node) (kzalloc)(nbytes, flags, node)
#define kmalloc(nbytes, flags) kmalloc_node(nbytes, flags, NUMA_NO_NODE)
#define kzalloc(nbytes, flags) kzalloc_node(nbytes, flags, NUMA_NO_NODE)
#define POOLPROOF_SECOND(first, second, ...) second
#define kmalloc_obj(object, ...) ((__typeof__(object) *)kmalloc(sizeof(object), POOLPROOF_SECOND(, ##__VA_ARGS__, GFP_KERNEL)))
#define kzalloc_obj(object, ...) ((__typeof__(object) *)kzalloc(sizeof(object), POOLPROOF_SECOND(, ##__VA_ARGS__, GFP_KERNEL)))
void might_alloc(gfp_t flags);
void might_sleep(void);
#define might_sleep_if(condition) ({ if (condition) might_sleep(); })
bool want_init_on_alloc(gfp_t flags);
bool want_init_on_free(void);

/* Locks */

typedef struct {
	u32 magic, held, taken_by_interrupts;
} spinlock_t, raw_spinlock_t;
struct mutex {
	u32 magic, held;
};
#define POOLPROOF_LOCK 0x10c6u
#define __SPIN_LOCK_UNLOCKED(name) { POOLPROOF_LOCK, 0, 0 }
#define DEFINE_SPINLOCK(name) spinlock_t name = __SPIN_LOCK_UNLOCKED(name)
#define DEFINE_MUTEX(name) struct mutex name = { POOLPROOF_LOCK, 0 }
void spin_lock_init(spinlock_t *lock);
void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);
unsigned long poolproof_irqs(unsigned long off); /* returns whether they were off before */
#define spin_lock_irq(lock) ((void)poolproof_irqs(1), spin_lock(lock))
#define spin_unlock_irq(lock) (spin_unlock(lock), (void)poolproof_irqs(0))
#define spin_lock_bh(lock) spin_lock(lock)
#define spin_unlock_bh(lock) spin_unlock(lock)
#define spin_lock_irqsave(lock, flags) ((flags) = poolproof_irqs(1), spin_lock(lock))
#define spin_unlock_irqrestore(lock, flags) (spin_unlock(lock), (void)poolproof_irqs(flags))
#define lockdep_assert_held(lock) poolproof_assert_held((lock)->held)
void poolproof_assert_held(u32 held);
void mutex_init(struct mutex *lock);
void mutex_lock(struct mutex *lock);
void mutex_unlock(struct mutex *lock);

/* Atomic numbers: nothing races on them. */
#define POOLPROOF_ATOMIC(name, type)                   \
	typedef struct {                               \
		type counter;                          \
	} name##_t;                                    \
	type name##_read(const name##_t *number);      \
	void name##_set(name##_t *number, type value); \
	void name##_add(type value, name##_t *number); \
	void name##_sub(type value, name##_t *number); \
	void name##_inc(name##_t *number);             \
	void name##_dec(name##_t *number);
POOLPROOF_ATOMIC(atomic, int)
POOLPROOF_ATOMIC(atomic_long, long)
#define ATOMIC_INIT(value) { value }
#define ATOMIC_LONG_INIT(value) { value }

/* Released at the end of a block, as linux/cleanup.h does. */
#define POOLPROOF_GUARD(kind, type, enter, exit)                                                       \
	struct poolproof_##kind {                                                                      \
		type *lock;                                                                            \
		unsigned long flags;                                                                   \
	};                                                                                             \
	static __always_inline struct poolproof_##kind poolproof_enter_##kind(type *lock)              \
	{                                                                                              \
		struct poolproof_##kind guard = { lock, 0 };                                           \
		enter;                                                                                 \
		return guard;                                                                          \
	}                                                                                              \
	static __always_inline void poolproof_exit_##kind(struct poolproof_##kind *guard)              \
	{                                                                                              \
		exit;                                                                                  \
	}
POOLPROOF_GUARD(spinlock, spinlock_t, spin_lock(lock), spin_unlock(guard->lock))
POOLPROOF_GUARD(spinlock_irq, spinlock_t, spin_lock_irq(lock), spin_unlock_irq(guard->lock))
POOLPROOF_GUARD(spinlock_irqsave, spinlock_t, spin_lock_irqsave(lock, guard.flags),
		spin_unlock_irqrestore(guard->lock, guard->flags))
POOLPROOF_GUARD(mutex, struct mutex, mutex_lock(lock), mutex_unlock(guard->lock))
#define POOLPROOF_SCOPE(kind, name) \
	__attribute__((cleanup(poolproof_exit_##kind))) struct poolproof_##kind name = poolproof_enter_##kind
#define POOLPROOF_JOINED(one, other) one##other
#define POOLPROOF_NAME(one, other) POOLPROOF_JOINED(one, other)
#define guard(kind) __maybe_unused POOLPROOF_SCOPE(kind, POOLPROOF_NAME(poolproof_guard_, __LINE__))
#define scoped_guard(kind, lock)                                                                       \
	for (struct poolproof_##kind __scope __attribute__((cleanup(poolproof_exit_##kind))) =         \
		     poolproof_enter_##kind(lock), *__done = NULL;                                     \
	     !__done; __done = (void *)1)

/* Devices */

struct device {
	const char *name;
	struct list_head dma_pools;
};
struct device_attribute {
	struct {
		const char *name;
		umode_t mode;
	} attr;
	ssize_t (*show)(struct device *dev, struct device_attribute *attr, char *buf);
};
#define DEVICE_ATTR_RO(name) struct device_attribute dev_attr_##name = { { #name, 0444 }, name##_show }
int device_create_file(struct device *dev, const struct device_attribute *attr);
void device_remove_file(struct device *dev, const struct device_attribute *attr);
const char *dev_name(const struct device *dev);
#define dev_to_node(dev) 0
#define NUMA_NO_NODE (-1)

typedef void (*dr_release_t)(struct device *dev, void *res);
typedef int (*dr_match_t)(struct device *dev, void *res, void *match_data);
void *devres_alloc(dr_release_t release, size_t nbytes, gfp_t flags);
void devres_add(struct device *dev, void *res);
void devres_free(void *res);
int devres_release(struct device *dev, dr_release_t release, dr_match_t match, void *match_data);

void *dma_alloc_coherent(struct device *dev, size_t nbytes, dma_addr_t *dma, gfp_t flags);
void dma_free_coherent(struct device *dev, size_t nbytes, void *vaddr, dma_addr_t dma);

/* Messages and faults */

#define KERN_ERR ""
#define KERN_WARNING ""
#define KERN_INFO ""
#define KERN_DEBUG ""
enum { DUMP_PREFIX_NONE, DUMP_PREFIX_ADDRESS, DUMP_PREFIX_OFFSET };
void poolproof_log(const char *format, ...);
_Noreturn void poolproof_bug(const char *where);
#define POOLPROOF_TEXT(x) #x
#define POOLPROOF_LINE(x) POOLPROOF_TEXT(x)
#define printk(...) poolproof_log(__VA_ARGS__)
#define pr_err(...) poolproof_log(__VA_ARGS__)
#define pr_warn(...) poolproof_log(__VA_ARGS__)
#define pr_err_once(...) pr_err(__VA_ARGS__)
#define pr_warn_once(...) pr_warn(__VA_ARGS__)
#define dev_err(dev, ...) ((void)(dev), poolproof_log(__VA_ARGS__))
#define dev_warn(dev, ...) ((void)(dev), poolproof_log(__VA_ARGS__))
#define pr_info(...) ((void)0)
#define pr_debug(...) ((void)0)
#define dev_info(dev, ...) ((void)(dev))
#define dev_dbg(dev, ...) ((void)(dev))
#define print_hex_dump(...) ((void)0)
#define dump_stack() ((void)0)
#define WARN(condition, ...) ({ bool __warns = !!(condition); if (__warns) poolproof_log(__VA_ARGS__); __warns; })
#define WARN_ONCE(condition, ...) WARN(condition, __VA_ARGS__)
#define WARN_ON(condition) WARN(condition, "WARN_ON(%s)", #condition)
#define WARN_ON_ONCE(condition) WARN_ON(condition)
#define BUG() poolproof_bug(POOLPROOF_LINE(__LINE__))
#define BUG_ON(condition) ({ if (condition) BUG(); })
#define EXPORT_SYMBOL(name) extern int poolproof_exported_##name
#define EXPORT_SYMBOL_GPL(name) EXPORT_SYMBOL(name)
#define MODULE_LICENSE(name) extern int poolproof_licence

#ifndef EINVAL
#define E2BIG 7
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define ENOENT 2
#define ENOMEM 12
#endif

/* linux/dmapool.h */

struct dma_pool;
struct dma_pool *dma_pool_create(const char *name, struct device *dev, size_t size, size_t align, size_t boundary);
struct dma_pool *dma_pool_create_node(const char *name, struct device *dev, size_t size, size_t align, size_t boundary,
				      int node);
void dma_pool_destroy(struct dma_pool *pool);
void *dma_pool_alloc(struct dma_pool *pool, gfp_t flags, dma_addr_t *dma);
void dma_pool_free(struct dma_pool *pool, void *vaddr, dma_addr_t dma);
struct dma_pool *dmam_pool_create(const char *name, struct device *dev, size_t size, size_t align, size_t boundary);
void dmam_pool_destroy(struct dma_pool *pool);

#ifdef POOLPROOF_TREE
#include <linux/list.h>
#endif

#endif
