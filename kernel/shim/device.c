/* SPDX-License-Identifier: MIT */
/*
 * Coherent memory: one arena that both processes see, at addresses that differ by a constant.
 *
 * Replaces dma_alloc_attrs and dma_free_attrs of kernel/dma/mapping.c, to which dma_alloc_coherent and dma_free_coherent lead.
 * Only the pages that were given out can be touched. Invariant: what shares a page of the machine with them, and every page that
 * was given back, holds RED_ZONE; check_red_zones() finds a byte that was written.
 */
#include "shim.h"

#define OS_PAGE 4096ul
#define ARENA_ADDRESS ((void *)0x200000000000)
#define MOST_PAGES (1ul << 17)
#define DMA_ATTR_NO_WARN 0x100ul /* of linux/dma-mapping.h: dma_alloc_coherent() passes it on for __GFP_NOWARN */

struct page {
	struct range head, data, tail; /* head and tail are red zones */
	bool given_back;
};

struct batch batch;
u8 *arena, *scratch;
u64 peer_base;
size_t bytes_given, block_bytes;
static struct block *freed; /* two for each page: its addresses, and its size */
static struct page pages[MOST_PAGES];
static size_t number_of_pages;

bool map_arena(int file)
{
	arena = mmap(ARENA_ADDRESS, ARENA_BYTES, PROT_NONE, MAP_SHARED, file, 0);
	scratch = mmap(NULL, SCRATCH_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, ARENA_BYTES);
	freed = (struct block *)scratch;
	times_run = mmap(NULL, 4 * TEXT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, ARENA_BYTES + SCRATCH_BYTES);
	if (arena == MAP_FAILED || scratch == MAP_FAILED || times_run == MAP_FAILED)
		return false;
	((u64 *)times_run)[0] = (u64)__executable_start; /* no code is there: the file's header is */
	((u64 *)times_run)[1] = etext - __executable_start;
	return true;
}

void *from_peer_address(u64 vaddr)
{
	return vaddr - peer_base < ARENA_BYTES ? arena + (vaddr - peer_base) : (void *)vaddr;
}

/* Also of what can't be touched, a little before or behind the arena. */
u64 to_peer_address(const void *pointer)
{
	u64 offset = (u64)pointer - (u64)arena;

	return offset + ARENA_BYTES < 3 * ARENA_BYTES ? peer_base + offset : (u64)pointer;
}

static u8 *down(u8 *address)
{
	return (u8 *)((u64)address & ~(OS_PAGE - 1));
}

static u8 *up(u8 *address)
{
	return down(address + OS_PAGE - 1);
}

static void fill(struct range range, int byte)
{
	if (range.end > range.start)
		memset(range.start, byte, range.end - range.start);
}

/* Make memory accessible that starts behind all that already is; its bytes are the device's. */
void *open_page(u64 vaddr, u64 nbytes)
{
	struct page *page = &pages[number_of_pages], *before = page - 1;
	u8 *start = from_peer_address(vaddr), *end = start + nbytes;

	if (vaddr - peer_base >= ARENA_BYTES || nbytes > ARENA_BYTES - (vaddr - peer_base) || number_of_pages == MOST_PAGES)
		fault("the device has no %lu bytes at %#lx", nbytes, vaddr);
	*page = (struct page){ { down(start), start }, { start, end }, { end, up(end) }, false };
	if (page->tail.end == page->head.start) /* even 0 bytes are somewhere */
		page->tail.end += OS_PAGE;
	if (mprotect(page->head.start, page->tail.end - page->head.start, PROT_READ | PROT_WRITE))
		fault("mprotect: %s", strerror(errno));
	if (number_of_pages && before->tail.end > page->head.start) {
		before->tail.end = start;
		page->head.start = start;
	}
	fill(page->head, RED_ZONE);
	fill(page->tail, RED_ZONE);
	number_of_pages++;
	bytes_given += nbytes;
	return start;
}

void close_pages(void)
{
	if (number_of_pages)
		mprotect(arena, pages[number_of_pages - 1].tail.end - arena, PROT_NONE);
	number_of_pages = bytes_given = 0;
}

static u8 *first_changed(struct range range)
{
	for (u8 *byte = range.start; byte < range.end; byte++)
		if (*byte != RED_ZONE)
			return byte;
	return NULL;
}

bool intact(struct range range)
{
	size_t nbytes = range.end - range.start;

	return range.end <= range.start || (range.start[0] == RED_ZONE && !memcmp(range.start, range.start + 1, nbytes - 1));
}

void check_red_zones(void)
{
	for (struct page *page = pages; page < pages + number_of_pages; page++) {
		size_t nbytes = page->data.end - page->data.start;

		if (!intact(page->head))
			fault("a write of %#x, %ld bytes before a page of %lu bytes", *first_changed(page->head),
			      page->data.start - first_changed(page->head), nbytes);
		if (!intact(page->tail))
			fault("a write of %#x, %ld bytes past the end of a page of %lu bytes", *first_changed(page->tail),
			      first_changed(page->tail) - page->data.end, nbytes);
		if (page->given_back && !intact(page->data))
			fault("a write to a page that was given back");
	}
}

/* The next page of a batch, whose DMA addresses are known before it begins. */
static void *page_of_batch(size_t nbytes, dma_addr_t *dma)
{
	u64 vaddr = batch.vaddr, started = now();
	void *own = page_of_caller(nbytes);

	if (own) {
		*dma = (u64)own;
		return own;
	}
	happens(ASKS, &batch, sizeof(batch), CALLER); /* who asks first gets the first page */
	if (!batch.pages)
		return NULL;
	batch.pages--;
	if (batch.opened) {
		if (nbytes != batch.bytes_of_opened)
			fault("a page of %lu bytes is asked for by callers at once, and others are of %lu", nbytes, batch.bytes_of_opened);
		*dma = batch.opened->dma;
		return from_peer_address(batch.opened++->vaddr);
	}
	if (*batch.dma++ == UINT64_MAX)
		return NULL;
	*dma = batch.dma[-1];
	batch.vaddr += ALIGN(2 * nbytes, 8ul); /* as model/memory.py does */
	memset(open_page(vaddr, nbytes), 0, nbytes);
	batch.nanoseconds += now() - started;
	return from_peer_address(vaddr);
}

void *dma_alloc_attrs(struct device *dev, size_t nbytes, dma_addr_t *dma, gfp_t flags, unsigned long attributes)
{
	long rest = budget, of_all = budget_of_operation;
	unsigned long off = irqs_off;
	u8 held_before = held;
	struct operation waiting;

	if (dev != device)
		breaks("flags_reach_the_device", CALLER, "a page is asked of another device than the pool's");
	if (attributes & ~DMA_ATTR_NO_WARN)
		breaks("flags_reach_the_device", CALLER, "a page is asked for with the attributes %#lx", attributes);
	check_gfp(flags, "dma_alloc_coherent", CALLER);
	if ((flags & ~__GFP_ZERO) != running.allowed)
		breaks("flags_reach_the_device", CALLER, "a page is asked for with %s, and the caller allows %s",
		       name_of_flags(flags & ~__GFP_ZERO), name_of_flags(running.allowed));
	if (fails_by_injection())
		return NULL;
	if (held & SPINLOCKS && !at_once) { /* others have to wait; a caller for whom the lock is dropped may come, and gets the page */
		running.failed = true;
		return NULL;
	}
	running.page_requested = true;
	if (batch.runs)
		return page_of_batch(nbytes, dma);
	irqs_off = held = 0; /* for others */
	reply.what = PAGE_WANTED;
	reply.a = nbytes;
	reply.b = flags;
	read_pools_file(); /* as others see it meanwhile */
	send_reply();
	waiting = running;
	waiting.others = heap_used;
	while (serve())
		;
	running = waiting;
	in_interrupt_handler(running.by_interrupt);
	running.own_again = heap_used;
	irqs_off = off;
	held = held_before;
	budget = rest + BASIC_BLOCKS(nbytes, block_bytes);
	budget_of_operation = of_all + BASIC_BLOCKS(nbytes, block_bytes);
	if (!request.flags)
		return NULL;
	running.pages++;
	*dma = request.b;
	return from_peer_address(request.a); /* which was opened before */
}

bool ends_in_its_page(const void *from, size_t nbytes)
{
	for (struct page *page = pages; page < pages + number_of_pages; page++)
		if ((const u8 *)from >= page->data.start && (const u8 *)from < page->data.end)
			return nbytes <= (size_t)(page->data.end - (const u8 *)from);
	return true;
}

void dma_free_attrs(struct device *dev, size_t nbytes, void *vaddr, dma_addr_t dma, unsigned long attributes)
{
	check_may_sleep("dma_free_coherent", CALLER);
	if (dev != device || attributes)
		breaks("destroy_leaks_exactly_the_busy_pages", CALLER, "a page is given back %s",
		       attributes ? "with attributes that it was not got with" : "to another device than the pool's");
	if (is_page_of_caller(vaddr))
		return;
	if (reply.freed == MOST_FREED)
		fault("more pages are given back than there can be");
	freed[2 * reply.freed] = (struct block){ to_peer_address(vaddr), dma };
	freed[2 * reply.freed++ + 1] = (struct block){ nbytes, 0 };
	for (struct page *page = pages; page < pages + number_of_pages; page++)
		if (page->data.start == vaddr && !page->given_back) {
			page->given_back = true;
			running.pages -= running.pages != 0;
			fill(page->data, RED_ZONE);
			return;
		}
}
