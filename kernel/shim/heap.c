/* SPDX-License-Identifier: MIT */
/*
 * The heap.
 *
 * Replaces linux/slab.h (kmalloc, kzalloc, kfree), might_alloc of linux/sched/mm.h, and want_init_on_alloc and
 * want_init_on_free of linux/mm.h.
 * Invariant: no byte is used twice before the next pool, so that a use after kfree is found; behind each object are at least 16
 * bytes of RED_ZONE.
 *
 * Fault injection: the allocation of an operation whose number is `running.fails` fails; see operations.c.
 */
#include "shim.h"

#define HEAP_BYTES (1ul << 28)
#define UNWRITTEN 0x5a /* what kmalloc gives */
#define FREED 0x6b     /* what kfree leaves */
#define LIVE 0x6c69766531323334ul
#define DEAD 0x6465616431323334ul

struct object {
	u64 magic, nbytes;
};

u8 *heap;
size_t heap_used, objects;
bool init_on_alloc, init_on_free;

bool map_heap(void)
{
	heap = mmap(NULL, HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return heap != MAP_FAILED && map_races(HEAP_BYTES);
}

static size_t room_for(size_t nbytes)
{
	return sizeof(struct object) + ALIGN(nbytes, 16) + 16;
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

/* An allocation may sleep, or write to a file system or a disk, only where the operation's own caller may. */
void check_gfp(gfp_t flags, const char *what, const void *pc)
{
	if (gfpflags_allow_blocking(flags))
		check_may_sleep(what, pc);
	if (flags & ~running.allowed & (__GFP_DIRECT_RECLAIM | __GFP_IO | __GFP_FS))
		misuse(pc, "%s may do more for memory than the caller allows", what);
}

static void *allocate(size_t nbytes, gfp_t flags, const void *pc)
{
	size_t room = room_for(nbytes);
	struct object *object = (struct object *)(heap + heap_used);

	check_gfp(flags, "an allocation", pc);
	if (fails_by_injection() || nbytes > HEAP_BYTES || heap_used + room > HEAP_BYTES)
		return NULL;
	forget_locks_of(heap_used, room);
	heap_used += room;
	objects++;
	*object = (struct object){ LIVE, nbytes };
	memset(object + 1, UNWRITTEN, nbytes);
	memset((u8 *)(object + 1) + nbytes, RED_ZONE, room - sizeof(*object) - nbytes);
	return object + 1;
}

void *kmalloc(size_t nbytes, gfp_t flags)
{
	return allocate(nbytes, flags, CALLER);
}

void *kzalloc(size_t nbytes, gfp_t flags)
{
	void *object = allocate(nbytes, flags, CALLER);

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
	forget_locks_of((u8 *)given - heap, object->nbytes);
	memset((void *)given, FREED, object->nbytes);
}

bool is_live(const void *given)
{
	return ((struct object *)given - 1)->magic == LIVE;
}

void might_alloc(gfp_t flags)
{
	check_gfp(flags, "an allocation", CALLER);
}

bool want_init_on_alloc(gfp_t flags)
{
	return init_on_alloc || (flags & __GFP_ZERO);
}

bool want_init_on_free(void)
{
	return init_on_free;
}
