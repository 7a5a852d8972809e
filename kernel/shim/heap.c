/* SPDX-License-Identifier: MIT */
/*
 * The heap.
 *
 * Replaces mm/slub.c (kmalloc with its variants, caches, kfree), mm/util.c (kvmalloc, kstrdup), mm/percpu.c, and
 * fs_reclaim_acquire of mm/page_alloc.c, which might_alloc calls. Versions have names of their own for the same.
 * Invariant: no byte is used twice before the next pool, so that a use after kfree is found; behind each object are at least 16
 * bytes of RED_ZONE.
 *
 * Fault injection: the allocation of an operation whose number is `running.fails` fails; see serve.h.
 */
#include "shim.h"

#define HEAP_BYTES (1ul << 28)
#define COPY_BYTES 4096ul /* from one processor's copy to the next one's */
#define COPIES_AT (HEAP_BYTES - (1ul << 24)) /* where memory for each processor is; no lock is expected there */
#define MOST_NODE 1
#define UNWRITTEN 0x5a /* what kmalloc gives */
#define FREED 0x6b     /* what kfree leaves */
#define LIVE 0x6c69766531323334ul
#define DEAD 0x6465616431323334ul

struct object {
	u64 magic, nbytes;
};

u8 *heap;
size_t heap_used, copies_used, objects, kernels_bytes;

bool map_heap(void)
{
	heap = mmap(NULL, HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return heap != MAP_FAILED && map_races(HEAP_BYTES);
}

static size_t room_for(size_t nbytes)
{
	return sizeof(struct object) + ALIGN(nbytes, 16) + 16;
}

bool is_per_processor(const void *address)
{
	return (size_t)((u8 *)address - heap - COPIES_AT) < copies_used;
}

bool is_in_heap(const void *address)
{
	return (size_t)((u8 *)address - heap) < heap_used || is_per_processor(address);
}

void *poolproof_copy_of(const void *object, unsigned processor)
{
	return (u8 *)object + (is_per_processor(object) ? processor * COPY_BYTES : 0);
}

size_t object_of(size_t offset, size_t *nbytes)
{
	size_t start = 0, next = 0;

	while (next <= offset) {
		start = next;
		*nbytes = ((struct object *)(heap + start))->nbytes;
		next += room_for(*nbytes);
	}
	return start + sizeof(struct object);
}

/* Whether an allocation fails. Once a page was requested of the device, the rest succeeds: the test decides about that page. */
bool fails_by_injection(void)
{
	if (running.page_requested || ++running.allocations != running.fails)
		return false;
	return running.failed = true;
}

const char *name_of_flags(gfp_t flags)
{
	static char number[2][24];
	static bool which;
	gfp_t kind = flags & ~__GFP_ZERO;

	which = !which;
	snprintf(number[which], sizeof(number[which]), "flags of %#x", flags);
	return kind == GFP_KERNEL ? "GFP_KERNEL" : kind == GFP_NOIO ? "GFP_NOIO" : kind == gfp_atomic ? "GFP_ATOMIC" : number[which];
}

/* An allocation may sleep, or write to a file system or a disk, only where the operation's own caller may. */
void check_gfp(gfp_t flags, const char *what, const void *pc)
{
	bool sleeps = flags & __GFP_DIRECT_RECLAIM;
	const char *how = sleeps && held & SPINLOCKS ? "may sleep, and is called with a lock held" :
			  sleeps && irqs_off ? "may sleep, and is called with interrupts off" :
			  flags & ~running.allowed & (__GFP_DIRECT_RECLAIM | __GFP_IO | __GFP_FS) ?
					       "may do more for memory than the caller allows" : NULL;

	running.told = true;
	if (how)
		misuse_unless_known(pc, "%s %s: it has %s, the caller %s", what, how, name_of_flags(flags),
				    name_of_flags(running.allowed));
}

/* A new object in a part of the heap; NULL if that is full. */
static void *object_in(size_t start, size_t end, size_t *used, size_t nbytes, gfp_t flags)
{
	size_t room = room_for(nbytes);
	struct object *object = (struct object *)(heap + start + *used);

	if (nbytes > end - start || *used + room > end - start)
		return NULL;
	forget_locks_of(start + *used, room);
	*used += room;
	objects++;
	*object = (struct object){ LIVE, nbytes };
	memset(object + 1, flags & __GFP_ZERO ? 0 : UNWRITTEN, nbytes);
	memset((u8 *)(object + 1) + nbytes, RED_ZONE, room - sizeof(*object) - nbytes);
	return object + 1;
}

static void *allocate_on(int node, size_t nbytes, gfp_t flags, const void *pc)
{
	check_gfp(flags, "an allocation", pc);
	if (node < NUMA_NO_NODE || node > MOST_NODE)
		end_with_text(FAULT, pc, "memory is asked for on node %d, which is not there", node);
	if (running.node != NUMA_NO_NODE && node != running.node)
		breaks("structs_are_on_the_node", pc, "%lu bytes are allocated on %s, of a pool for node %d", nbytes,
		       node == NUMA_NO_NODE ? "any node" : "another node", running.node);
	return fails_by_injection() ? NULL : object_in(0, COPIES_AT, &heap_used, nbytes, flags);
}

void *allocate(size_t nbytes, gfp_t flags, const void *pc)
{
	return allocate_on(NUMA_NO_NODE, nbytes, flags, pc);
}

void kfree(const void *given)
{
	struct object *object = (struct object *)given - 1;
	u8 *end;

	if (!given)
		return;
	if ((u8 *)given == heap || !is_in_heap(given) || (u64)given % 16 || (object->magic != LIVE && object->magic != DEAD))
		fault("kfree of what kmalloc did not give");
	if (object->magic == DEAD)
		fault("kfree of an object that was freed before");
	happens(WRITES, given, object->nbytes, CALLER);
	end = (u8 *)given + object->nbytes;
	if (!intact((struct range){ end, (u8 *)given + ALIGN(object->nbytes, 16) + 16 }))
		fault("a write past the end of an object of %lu bytes of kmalloc", object->nbytes);
	object->magic = DEAD;
	objects--;
	forget_locks_of((u8 *)given - heap, object->nbytes);
	memset((void *)given, FREED, object->nbytes);
}

void check_freed(void)
{
	for (size_t next = 0; next < heap_used;) {
		struct object *object = (struct object *)(heap + next);

		for (u8 *at = (u8 *)(object + 1); object->magic == DEAD && at < (u8 *)(object + 1) + object->nbytes; at++)
			if (*at != FREED)
				fault("an object of %lu bytes of kmalloc is written to after it was freed, at its byte %ld", object->nbytes,
				      at - (u8 *)(object + 1));
		next += room_for(object->nbytes);
	}
}

bool is_live(const void *given)
{
	return ((struct object *)given - 1)->magic == LIVE;
}

/* What calls them names the parameters that count; another is a cache. */
#define ALLOCATES_ON(node, name, ...)                             \
	void *name(__VA_ARGS__)                                   \
	{                                                         \
		return allocate_on(node, nbytes, flags, CALLER);  \
	}
#define ALLOCATES(name, ...) ALLOCATES_ON(NUMA_NO_NODE, name, __VA_ARGS__)
#pragma GCC diagnostic ignored "-Wunused-parameter"
ALLOCATES(__kmalloc, size_t nbytes, gfp_t flags)
ALLOCATES(__kmalloc_noprof, size_t nbytes, gfp_t flags)
ALLOCATES(kmalloc_large, size_t nbytes, gfp_t flags)
ALLOCATES(__kmalloc_large_noprof, size_t nbytes, gfp_t flags)
ALLOCATES_ON(node, __kmalloc_node, size_t nbytes, gfp_t flags, int node)
ALLOCATES_ON(node, __kmalloc_node_noprof, size_t nbytes, gfp_t flags, int node)
ALLOCATES_ON(node, kmalloc_large_node, size_t nbytes, gfp_t flags, int node)
ALLOCATES_ON(node, __kmalloc_large_node_noprof, size_t nbytes, gfp_t flags, int node)
ALLOCATES_ON(node, kvmalloc_node, size_t nbytes, gfp_t flags, int node)
ALLOCATES_ON(node, __kmalloc_node_track_caller, size_t nbytes, gfp_t flags, int node, unsigned long from)
ALLOCATES_ON(node, __kmalloc_node_track_caller_noprof, size_t nbytes, gfp_t flags, int node, unsigned long from)
ALLOCATES(kmalloc_trace, void *cache, gfp_t flags, size_t nbytes)
ALLOCATES(__kmalloc_cache_noprof, void *cache, gfp_t flags, size_t nbytes)
ALLOCATES_ON(node, kmalloc_node_trace, void *cache, gfp_t flags, int node, size_t nbytes)
ALLOCATES_ON(node, __kmalloc_cache_node_noprof, void *cache, gfp_t flags, int node, size_t nbytes)
void *kmalloc_caches[64 * 32]; /* of which kmalloc chooses one, which is not looked at */

#define FREES(name)                       \
	void name(const void *object)     \
	{                                 \
		kfree(object);            \
	}
FREES(kvfree)
FREES(kfree_const)
FREES(kfree_sensitive)
FREES(kmem_cache_destroy)
FREES(free_percpu)

static char *duplicate(const char *text, gfp_t flags, const void *pc)
{
	char *copy = text ? allocate(strlen(text) + 1, flags, pc) : NULL;

	return copy ? strcpy(copy, text) : NULL;
}

#define DUPLICATES(name)                               \
	char *name(const char *text, gfp_t flags)      \
	{                                              \
		return duplicate(text, flags, CALLER); \
	}
DUPLICATES(kstrdup)
DUPLICATES(kstrdup_noprof)
DUPLICATES(kstrdup_const)

static void *reallocate(const void *object, size_t nbytes, gfp_t flags, const void *pc)
{
	void *larger = allocate(nbytes, flags, pc);
	size_t before = object ? ((struct object *)object - 1)->nbytes : 0;

	if (larger) {
		memcpy(larger, object, before < nbytes ? before : nbytes);
		kfree(object);
	}
	return larger;
}

void *krealloc(const void *object, size_t nbytes, gfp_t flags)
{
	return reallocate(object, nbytes, flags, CALLER);
}

void *krealloc_noprof(const void *object, size_t nbytes, gfp_t flags)
{
	return reallocate(object, nbytes, flags, CALLER);
}

void *krealloc_node_align_noprof(const void *object, size_t nbytes, unsigned long align, gfp_t flags, int node)
{
	return reallocate(object, nbytes, flags, CALLER);
}

/* Caches: an object of the heap that says how large theirs are, and what makes one of them. */
struct kmem_cache {
	size_t nbytes;
	void (*construct)(void *object);
};

struct kmem_cache *create_cache(size_t nbytes, void (*construct)(void *object), const void *pc)
{
	struct kmem_cache *cache = allocate(sizeof(*cache), GFP_KERNEL, pc);

	if (cache)
		*cache = (struct kmem_cache){ nbytes, construct };
	return cache;
}

static void *allocate_from(int node, struct kmem_cache *cache, gfp_t flags, const void *pc)
{
	void *object = allocate_on(node, cache->nbytes, flags, pc);

	if (object && cache->construct)
		cache->construct(object);
	return object;
}

/*
 * The first request that may neither sleep nor use reserves is refused, as it may always be, where the kernel's own lists make it:
 * xa_store() asks again with its caller's flags. One of the file's own is refused by fault injection only, which takes it back.
 */
static bool asks_again(const struct kmem_cache *cache, gfp_t flags)
{
	bool is_kernels = (size_t)((const u8 *)cache - heap) < kernels_bytes;

	return running.refused = is_kernels && !running.refused && !(flags & (__GFP_DIRECT_RECLAIM | __GFP_HIGH));
}

#define FROM_A_CACHE(node, name, ...)                                  \
	void *name(struct kmem_cache *cache, __VA_ARGS__)              \
	{                                                              \
		return asks_again(cache, flags) ? NULL : allocate_from(node, cache, flags, CALLER); \
	}
FROM_A_CACHE(NUMA_NO_NODE, kmem_cache_alloc, gfp_t flags)
FROM_A_CACHE(NUMA_NO_NODE, kmem_cache_alloc_noprof, gfp_t flags)
FROM_A_CACHE(NUMA_NO_NODE, kmem_cache_alloc_lru, void *lru, gfp_t flags)
FROM_A_CACHE(NUMA_NO_NODE, kmem_cache_alloc_lru_noprof, void *lru, gfp_t flags)
FROM_A_CACHE(node, kmem_cache_alloc_node, gfp_t flags, int node)
FROM_A_CACHE(node, kmem_cache_alloc_node_noprof, gfp_t flags, int node)

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	kfree(object);
}

static void *allocate_copies(size_t nbytes, gfp_t flags, const void *pc)
{
	check_gfp(flags, "an allocation", pc);
	if (fails_by_injection() || nbytes > COPY_BYTES)
		return NULL;
	return object_in(COPIES_AT, HEAP_BYTES, &copies_used, (MOST_CALLERS - 1) * COPY_BYTES + nbytes, __GFP_ZERO);
}

void *pcpu_alloc_noprof(size_t nbytes, size_t align, bool reserved, gfp_t flags)
{
	return allocate_copies(nbytes, flags, CALLER);
}

void *__alloc_percpu(size_t nbytes, size_t align)
{
	return allocate_copies(nbytes, GFP_KERNEL, CALLER);
}

void *__alloc_percpu_gfp(size_t nbytes, size_t align, gfp_t flags)
{
	return allocate_copies(nbytes, flags, CALLER);
}

void fs_reclaim_acquire(gfp_t flags)
{
	check_gfp(flags, "an allocation", CALLER);
}

void fs_reclaim_release(gfp_t flags)
{
}
