// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The device: coherent memory is one arena that both processes see, at addresses that differ by a constant.
 *
 * Only the pages that were given out can be touched. What shares a page of the machine with them, and every page that was given
 * back, is poisoned in KASAN's shadow, so that the first read or write of it is reported.
 */
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/sched/mm.h>
#include <linux/string.h>
#include "server.h"

#define REDZONE 0xfc /* as KASAN_SLAB_REDZONE: out of bounds */
#define FREED 0xff /* as KASAN_PAGE_FREE: use after free */
#define GRANULE 8ul /* bytes that a byte of the shadow stands for */
#define MOST_FREED (1ul << 19) /* pages that one operation gives back */

struct batch batch;
size_t bytes_given, block_bytes;
static unsigned long opened = ARENA_ADDRESS; /* all memory below was */

void *from_peer_address(u64 vaddr)
{
	return (void *)(vaddr - peer_base < ARENA_BYTES ? ARENA_ADDRESS + (vaddr - peer_base) : vaddr);
}

/* Also of what can't be touched, a little before or behind the arena. */
u64 to_peer_address(const void *pointer)
{
	u64 offset = (u64)pointer - ARENA_ADDRESS;

	return offset + ARENA_BYTES < 3 * ARENA_BYTES ? peer_base + offset : (u64)pointer;
}

u8 *shadow(unsigned long address)
{
	return (u8 *)(address / GRANULE + SHADOW_OFFSET);
}

static void poison(unsigned long start, unsigned long end, u8 with)
{
	if (ALIGN(end, GRANULE) > ALIGN(start, GRANULE))
		memset(shadow(ALIGN(start, GRANULE)), with, shadow(ALIGN(end, GRANULE)) - shadow(ALIGN(start, GRANULE)));
}

/* Make memory accessible that starts behind all that already is; its bytes are the device's. */
void *open_page(u64 vaddr, u64 nbytes)
{
	unsigned long start = (unsigned long)from_peer_address(vaddr), end = start + nbytes;
	unsigned long from = max(ALIGN_DOWN(start, 4096), opened), to = max(ALIGN(end, 4096), ALIGN_DOWN(start, 4096) + 4096);

	if (vaddr - peer_base >= ARENA_BYTES || nbytes > ARENA_BYTES - (vaddr - peer_base))
		fault("the device has no %llu bytes at %#llx", nbytes, vaddr);
	if (to > from) {
		if (host_protect(from, to - from, true))
			fault("the host refuses memory");
		poison(from, to, nbytes ? REDZONE : 0); /* even 0 bytes are somewhere */
		opened = to;
	}
	memset(shadow(start), 0, (end - ALIGN_DOWN(start, GRANULE)) / GRANULE);
	if (nbytes && end % GRANULE)
		*shadow(end) = end % GRANULE;
	bytes_given += nbytes;
	return (void *)start;
}

void close_pages(void)
{
	if (opened > ARENA_ADDRESS)
		host_protect(ARENA_ADDRESS, opened - ARENA_ADDRESS, false);
	opened = ARENA_ADDRESS;
	bytes_given = 0;
}

static void *page_of_batch(size_t nbytes, dma_addr_t *dma)
{
	u64 vaddr = batch.vaddr, started = ktime_get_ns();

	if (!batch.pages)
		return NULL;
	batch.pages--;
	if (*batch.dma++ == U64_MAX)
		return NULL;
	*dma = batch.dma[-1];
	batch.vaddr += ALIGN(2 * nbytes, GRANULE);
	memset(open_page(vaddr, nbytes), 0, nbytes);
	batch.nanoseconds += ktime_get_ns() - started;
	return from_peer_address(vaddr);
}

static const char *name_of_flags(gfp_t flags, char number[24])
{
	snprintf(number, 24, "flags of %#x", (__force unsigned int)flags);
	return flags == GFP_KERNEL ? "GFP_KERNEL" : flags == GFP_NOIO ? "GFP_NOIO" : flags == GFP_ATOMIC ? "GFP_ATOMIC" : number;
}

void *poolproof_dma_alloc(struct device *dev, size_t nbytes, dma_addr_t *dma, gfp_t flags, unsigned long attributes);
void *poolproof_dma_alloc(struct device *dev, size_t nbytes, dma_addr_t *dma, gfp_t flags, unsigned long attributes)
{
	long rest = poolproof_budget, of_all = poolproof_budget_of_operation;
	char asked[24], allowed[24];
	struct operation waiting;
	unsigned long irqs;

	if (flags & __GFP_DIRECT_RECLAIM && (spinlock_held() || irqs_disabled()))
		misuse("dma_alloc_coherent may sleep, and is called with %s: it has %s, the caller %s",
		       spinlock_held() ? "a lock held" : "interrupts off", name_of_flags(flags, asked),
		       name_of_flags(running.allowed, allowed));
	might_alloc(flags);
	if ((flags & ~__GFP_ZERO) != running.allowed)
		breaks("flags_reach_the_device", NULL, "a page is asked for with %s, and the caller allows %s",
		       name_of_flags(flags & ~__GFP_ZERO, asked), name_of_flags(running.allowed, allowed));
	if (fails_by_injection())
		return NULL;
	if (spinlock_held()) { /* others have to wait; a caller for whom the lock is dropped may come, and gets the page */
		running.failed = true;
		return NULL;
	}
	running.page_requested = true;
	if (batch.runs)
		return page_of_batch(nbytes, dma);
	local_save_flags(irqs);
	local_irq_enable(); /* for others */
	reply.what = PAGE_WANTED;
	reply.a = nbytes;
	reply.b = (__force u64)flags;
	waiting = running;
	read_pools_file(); /* as others see it meanwhile */
	send_reply();
	while (serve())
		;
	running = waiting;
	local_irq_restore(irqs);
	poolproof_budget = rest + BASIC_BLOCKS(nbytes, block_bytes);
	poolproof_budget_of_operation = of_all + BASIC_BLOCKS(nbytes, block_bytes);
	if (!request.flags)
		return NULL;
	*dma = request.b;
	return from_peer_address(request.a); /* which was opened before */
}

void poolproof_dma_free(struct device *dev, size_t nbytes, void *vaddr, dma_addr_t dma, unsigned long attributes);
void poolproof_dma_free(struct device *dev, size_t nbytes, void *vaddr, dma_addr_t dma, unsigned long attributes)
{
	u64 *given_back = (u64 *)SCRATCH_ADDRESS + 4 * reply.freed++; /* two blocks for each page: its addresses, and its size */
	unsigned long start = (unsigned long)vaddr;

	might_sleep();
	if (reply.freed > MOST_FREED)
		fault("more pages are given back than there can be");
	given_back[0] = to_peer_address(vaddr);
	given_back[1] = dma;
	given_back[2] = nbytes;
	given_back[3] = 0;
	if (start >= ARENA_ADDRESS && start < opened && nbytes <= opened - start)
		poison(start, start + nbytes, FREED);
}
