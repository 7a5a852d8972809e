"""What a file may call of its kernel: functions of headers, of lib/, and of the environment do what the kernel's do; what is
not modelled is said where a run gets there."""

from pathlib import Path

import pytest

from kernel.worker import KernelFault
from model.revision import RuleError
from tests.kernels import created, needs_a_compiler, tiny

needs_a_compiler()


def includes(*names: str) -> str:
    return "".join(f"#include <linux/{name}.h>\n" for name in names)


USES = {
    "guards": (
        includes("cleanup", "spinlock", "mutex"),
        "if (gfpflags_allow_blocking(flags)) { guard(mutex)(&list_lock); }"
        " scoped_guard(spinlock_irqsave, &pool->lock) pool->used += 0;",
    ),
    "freed at the end of a block": (
        includes("cleanup"),
        "{ char *one __free(kfree) = kzalloc(8, flags); if (!one) return NULL; if (one[7]) BUG(); }",
    ),
    "a cache": (
        "struct small { long a, b; };",
        "if (flags == GFP_KERNEL) { struct kmem_cache *all = KMEM_CACHE(small, 0);"
        " struct small *one = all ? kmem_cache_alloc(all, flags) : NULL; if (!one) { kmem_cache_destroy(all); return NULL; }"
        " one->b = 1; kmem_cache_free(all, one); kmem_cache_destroy(all); }",
    ),
    "arrays": (
        includes("overflow"),
        "{ long *all = kcalloc(4, sizeof(long), flags), *more; if (!all) return NULL; all[3] = 7;"
        " more = krealloc(all, 80, flags); if (!more) { kfree(all); return NULL; } if (more[3] != 7) BUG(); kfree(more);"
        " if (kmalloc_array(SIZE_MAX, 2, flags)) BUG(); }",
    ),
    "resources of a device": (
        "static void gone(struct device *dev, void *what) { BUG(); }"
        "static int same(struct device *dev, void *what, void *other) { return what == other; }",
        "if (flags == GFP_KERNEL) { void *one = devres_alloc(gone, 8, flags), *other = devres_alloc(gone, 8, flags);"
        " if (!one || !other) { devres_free(one); devres_free(other); return NULL; }"
        " devres_add(pool->dev, one); devres_add(pool->dev, other);"
        " if (devres_remove(pool->dev, gone, same, one) != one || devres_remove(pool->dev, gone, same, one)) BUG();"
        " devres_free(one); if (devres_destroy(pool->dev, gone, same, other)) BUG();"
        " if (devres_destroy(pool->dev, gone, same, other) != -ENOENT) BUG(); }",
    ),
    "lib/xarray.c": (
        includes("xarray") + "static DEFINE_XARRAY(known);",
        "if (flags == GFP_KERNEL) { if (xa_is_err(xa_store(&known, 5, pool, flags))) return NULL;"
        " if (xa_load(&known, 5) != pool || xa_load(&known, 6)) BUG(); xa_erase(&known, 5); }",
    ),
    "lib/list_sort.c": (
        includes("list_sort") + "struct item { struct list_head at; int n; };"
        "static int less(void *_, const struct list_head *a, const struct list_head *b)"
        "{ return list_entry(a, struct item, at)->n > list_entry(b, struct item, at)->n; }",
        "{ struct item one = { .n = 2 }, two = { .n = 1 }; LIST_HEAD(all); list_add_tail(&one.at, &all);"
        " list_add_tail(&two.at, &all); list_sort(NULL, &all, less); if (all.next != &two.at) BUG(); }",
    ),
    "lib/bitmap.c": (
        includes("bitmap"),
        "{ unsigned long *bits = bitmap_zalloc(70, flags); if (!bits) return NULL; bitmap_set(bits, 0, 66);"
        " if (find_first_zero_bit(bits, 70) != 66 || bitmap_weight(bits, 70) != 66) BUG(); bitmap_free(bits); }",
    ),
    "lib/kasprintf.c": (
        "",
        '{ char *text = kasprintf(flags, "%s-%03d", "a", 7); if (!text) return NULL;'
        ' if (strcmp(text, "a-007")) BUG(); kfree(text); }',
    ),
    "atomic numbers": (
        includes("refcount", "atomic"),
        "{ static atomic_t n; static refcount_t uses = REFCOUNT_INIT(1); if (atomic_inc_return(&n) < 1) BUG();"
        " refcount_inc(&uses); if (refcount_dec_and_test(&uses) || cmpxchg(&n.counter, -1, 3) == -1) BUG(); }",
    ),
    "each processor's own": (
        includes("percpu") + "static DEFINE_PER_CPU(int, taken);",
        "this_cpu_inc(taken); if (this_cpu_read(taken) < 1) BUG();",
    ),
    "RCU": (
        includes("rculist"),
        "{ struct dma_pool *one; int n = 0; rcu_read_lock(); list_for_each_entry_rcu(one, &pool->dev->dma_pools, pools) n++;"
        " rcu_read_unlock(); if (n != 2) BUG(); }",
    ),
    "static keys": (
        includes("jump_label") + "static DEFINE_STATIC_KEY_FALSE(on);",
        "if (static_branch_unlikely(&on)) BUG();",
    ),
    "initcalls": (
        includes("init")
        + "static int started; static int __init start(void) { started = 1; return 0; } core_initcall(start);",
        "if (!started) BUG();",
    ),
    "arithmetic": (
        includes("log2", "minmax", "math64", "sizes"),
        "if (roundup_pow_of_two(pool->size + 1) != 128 || clamp(pool->size, SZ_4, SZ_8) != SZ_8 || div_u64(7, 2) != 3) BUG();",
    ),
    "lockdep": (
        includes("lockdep"),
        "{ unsigned long irqs; spin_lock_irqsave(&pool->lock, irqs); lockdep_assert_held(&pool->lock);"
        " spin_unlock_irqrestore(&pool->lock, irqs); lockdep_assert_not_held(&pool->lock); }",
    ),
}


@pytest.mark.parametrize("use", USES)
def test_what_a_file_may_use_behaves(tmp_path: Path, use: str) -> None:
    more, here = USES[use]
    source = tiny(tmp_path, here, more)
    pool = created(source)
    for _ in range(6):  # by callers that may sleep, and that may not
        assert pool.alloc()


@pytest.mark.parametrize(
    ("more", "here", "words"),
    [
        (
            "#include <linux/random.h>",
            "pool->used += get_random_u32() & 0;",
            "it uses get_random_u32, which is not modelled",
        ),
        ("void of_others(void *);", "of_others(&of_others);", "it uses of_others, which is not modelled"),
        ("int in_none(void);", "in_none();", "it uses in_none, which is not modelled"),
        ("#include <linux/lockdep.h>", "lockdep_assert_held(&pool->lock);", "a lock is expected to be held"),
        ("#include <linux/mutex.h>", "mutex_lock(&list_lock); mutex_lock(&list_lock);", "held already: a deadlock"),
    ],
)
def test_what_is_not_modelled_or_not_so_is_said_with_the_line(tmp_path: Path, more: str, here: str, words: str) -> None:
    pool = created(tiny(tmp_path, here, more))
    with pytest.raises((KernelFault, RuleError), match=rf"{words}.*, in dma_pool_alloc \(tiny\.c:\d+\)"):
        pool.alloc()
