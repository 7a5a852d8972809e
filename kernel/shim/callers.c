/* SPDX-License-Identifier: MIT */
/*
 * Callers at once: several run operations, each on a processor of its own; of these one runs at a time.
 *
 * Stands for the processors, and for threads of kernel/sched/; or for interrupt handlers on the processor of the first caller, each of
 * which runs to its end while that one has interrupts on. A caller has a stack of its own. Before each event, which is
 * what another caller may see or be seen by (a lock, an access to memory that is on no stack, a page of the device, the file pools),
 * the schedule says who goes on; where it says nothing, the one that runs does, and after it the first that can.
 * Events are written down for hunt/interleavings.py, which chooses the next schedule. Memory is sequentially consistent.
 * Invariant: each caller but the one that runs is before its next event, and waits there for its turn, or for a lock too.
 */
#include "shim.h"

#define STACK_BYTES (1ul << 18)
#define MOST_EVENTS (1ul << 16)
#define HEAP_IN_EVENTS (1ul << 60)
#define PAGE_OF_CALLER 4096

/* What belongs to a processor, and not to the machine. */
struct processor {
	struct operation running;
	unsigned long irqs_off;
	long budget, budget_of_operation;
	unsigned held_of_kind[8];
	int races_meant;
	u8 held;
	bool reading_pools_file, destroying;
	char *content;
};

static struct caller {
	ucontext_t context;
	struct processor own;
	const u32 *waits_for; /* the state of a lock, which is all ones while nobody holds it */
	const void *pc; /* where it waits */
	struct dma_pool *pool; /* that it has created, of which it has a block */
	u8 *block;
	dma_addr_t dma;
	bool uses_its_pool;
	u32 call;
	bool in_atomic, begun, done; /* whether its accesses are parts of an atomic operation */
} callers[MOST_CALLERS], outside, *current = &outside;

bool at_once;
static bool started, interrupts; /* whether all but the first are interrupt handlers */
static u32 given[256]; /* by call: a lock that is free once an allocation is over whose block another caller frees */
static u8 *stacks;
static u8 own_pages[MOST_CALLERS][PAGE_OF_CALLER] __attribute__((aligned(PAGE_OF_CALLER))); /* for the pools that they create */
static u32 number_of_callers, number_of_calls;
static struct call *calls;
static struct turn *turn, *last_turn;
static struct event *events;
static u64 *number_of_events, enabled;

/* On which the code runs: that of a caller at once, or the first. */
u32 poolproof_processor(void)
{
	return current == &outside || interrupts ? 0 : current - callers;
}

static void exchange(struct processor *from)
{
	struct processor now = { running, irqs_off, budget, budget_of_operation, { 0 }, races_meant, held, reading_pools_file, destroying, content };

	memcpy(now.held_of_kind, held_of_kind, sizeof(held_of_kind));
	running = from->running;
	irqs_off = from->irqs_off;
	budget = from->budget;
	budget_of_operation = from->budget_of_operation;
	memcpy(held_of_kind, from->held_of_kind, sizeof(held_of_kind));
	races_meant = from->races_meant;
	held = from->held;
	reading_pools_file = from->reading_pools_file;
	destroying = from->destroying;
	content = from->content;
	*from = now;
}

static void go_on(struct caller *next)
{
	struct caller *before = current;

	if (next == before)
		return;
	exchange(&next->own); /* which holds the other's from here on */
	before->own = next->own;
	current = next;
	swapcontext(&before->context, &next->context);
}

static bool may_run(const struct caller *caller)
{
	const struct caller *first = callers;

	for (u32 n = 1; n < number_of_callers; n++)
		if (callers[n].begun && !callers[n].done)
			return caller == &callers[n];
	return caller == first || first->done || !(first == current ? irqs_off : first->own.irqs_off);
}

static u64 who_can(void)
{
	u64 can = 0;

	for (u32 n = 0; n < number_of_callers; n++)
		if (!callers[n].done && (!callers[n].waits_for || *callers[n].waits_for & FREE_LOCK) && (!interrupts || may_run(&callers[n])))
			can |= 1ul << n;
	return can;
}

static struct caller *chosen(void)
{
	enabled = who_can();
	while (turn < last_turn && (!turn->events || turn->caller >= number_of_callers || !(enabled & 1ul << turn->caller)))
		turn++;
	if (turn < last_turn) {
		turn->events--;
		return &callers[turn->caller];
	}
	if (enabled & 1ul << (current - callers))
		return current;
	if (enabled)
		return &callers[__builtin_ctzl(enabled)];
	for (u32 n = 0; n < number_of_callers; n++)
		if (!callers[n].done)
			misuse(callers[n].pc, "callers wait for each other: a deadlock");
	return &outside;
}

/* The heap is elsewhere in each process. */
static u64 same_in_all(const void *address)
{
	return is_in_heap(address) ? HEAP_IN_EVENTS + ((const u8 *)address - heap) : (u64)address;
}

static void happens_when(const u32 *waits_for, enum event_kind kind, const void *address, size_t nbytes, const void *pc)
{
	if (!at_once || current == &outside || current->in_atomic)
		return;
	current->waits_for = waits_for;
	current->pc = pc;
	go_on(started ? chosen() : &outside);
	current->waits_for = NULL;
	current->begun = true;
	if (kind == TRIES && !(*(const u32 *)address & FREE_LOCK))
		kind = TRIES_IN_VAIN;
	if (*number_of_events == MOST_EVENTS)
		fault("callers at once do more than %lu things", MOST_EVENTS);
	events[(*number_of_events)++] = (struct event){ same_in_all(address), (u64)pc, nbytes, current - callers, kind, current->call, enabled };
}

void happens(enum event_kind kind, const void *address, size_t nbytes, const void *pc)
{
	happens_when(NULL, kind, address, nbytes, pc);
}

void happens_when_free(const u32 *state, const void *pc)
{
	happens_when(state, LOCKS, state, sizeof(*state), pc);
}

/* The last moment for an interrupt. */
void turns_irqs_off(const void *pc)
{
	if (interrupts && current == callers && !irqs_off)
		happens(READS_ONCE, callers, sizeof(u64), pc);
}

bool happens_now_or_never(const u32 *state, const void *pc)
{
	happens_when(NULL, TRIES, state, sizeof(*state), pc);
	return *state & FREE_LOCK;
}

void begin_atomic(enum event_kind kind, const void *address, size_t nbytes, const void *pc)
{
	happens(kind, address, nbytes, pc);
	current->in_atomic = true;
}

void poolproof_atomic_ends(void)
{
	current->in_atomic = false;
}

void fence(const void *pc)
{
	happens(FENCES, current, sizeof(u64), pc); /* where no other is */
}

bool is_on_a_stack(const void *address)
{
	return (size_t)((const u8 *)address - stacks) < MOST_CALLERS * STACK_BYTES;
}

void *page_of_caller(size_t nbytes)
{
	return at_once && current->uses_its_pool && nbytes <= PAGE_OF_CALLER ? own_pages[current - callers] : NULL;
}

bool is_page_of_caller(const void *vaddr)
{
	return (size_t)((const u8 *)vaddr - own_pages[0]) < sizeof(own_pages);
}

static void create_own(void)
{
	const u8 *page = own_pages[current - callers];

	begin(GFP_KERNEL, false);
	current->pool = dma_pool_create(POOL_OF_CALLER, device, POOL_OF_CALLER_BYTES, 8, 0);
	check_return();
	if (!current->pool)
		/* not breaks(): that names what is held to in whatever is run */
		end_with_text(BROKEN, CALLER, "create_admits_what_is_promised: a caller gets no second pool");
	current->uses_its_pool = true;
	begin(GFP_KERNEL, false);
	current->block = dma_pool_alloc(current->pool, GFP_KERNEL, &current->dma);
	check_return();
	if (current->block && (current->block < page || current->block + POOL_OF_CALLER_BYTES > page + PAGE_OF_CALLER))
		end_with_text(BROKEN, CALLER, "pool_stays_in_its_memory: a caller is given a block of another pool than its own");
	if (current->block)
		memset(current->block, 0xa0 + (current - callers), POOL_OF_CALLER_BYTES);
	current->uses_its_pool = false;
}

static void destroy_own(struct caller *caller)
{
	if (caller->block) {
		for (size_t n = 0; n < POOL_OF_CALLER_BYTES; n++)
			if (caller->block[n] != 0xa0 + (caller - callers))
				end_with_text(BROKEN, CALLER, "pool_stays_in_its_memory: the block of a caller's own pool is written to");
		begin(GFP_KERNEL, false);
		dma_pool_free(caller->pool, caller->block, caller->dma);
		check_return();
	}
	begin(GFP_KERNEL, false);
	dma_pool_destroy(caller->pool);
	check_return();
	caller->pool = NULL;
}

static bool is_handed_over(const struct call *call)
{
	for (u32 n = 0; n < number_of_calls; n++)
		if (calls[n].what == FREE && calls[n].of == call - calls && calls[n].caller != call->caller)
			return true;
	return false;
}

static void do_call(struct call *call)
{
	bool is_interrupt = interrupts && current != callers;
	u64 in_use, number_of_pages;
	dma_addr_t dma = 0;
	void *vaddr;

	switch (call->what) {
	case ALLOC:
		vaddr = alloc_for(is_interrupt ? gfp_atomic : flags_of_caller(call->flags), 0, 0, &dma);
		call->vaddr = vaddr ? to_peer_address(vaddr) : 0;
		call->dma = dma;
		if (is_handed_over(call)) {
			happens(UNLOCKS, &given[call - calls], sizeof(*given), CALLER);
			given[call - calls] = FREE_LOCK;
		}
		break;
	case FREE:
		if (call->of != NO_CALL && calls[call->of].caller != call->caller)
			happens_when_free(&given[call->of], CALLER);
		if (call->of != NO_CALL)
			*call = (struct call){ call->caller, FREE, 0, call->of, calls[call->of].vaddr, calls[call->of].dma };
		if (call->vaddr && interrupts)
			free_by(is_interrupt, call->vaddr, call->dma);
		else if (call->vaddr)
			free_block(call->vaddr, call->dma);
		break;
	case CREATE:
		create_own();
		break;
	case DESTROY:
		destroy_own(current);
		break;
	case POOLS_FILE:
		if (read_pools_file_at_once(&in_use, &number_of_pages))
			*call = (struct call){ call->caller, POOLS_FILE, 1, NO_CALL, in_use, number_of_pages };
	}
}

static void run_caller(void)
{
	for (u32 n = 0; n < number_of_calls; n++)
		if (calls[n].caller == current - callers) {
			current->call = n;
			do_call(&calls[n]);
		}
	current->done = true;
	go_on(started ? chosen() : &outside);
}

static void start_callers(void)
{
	stacks = stacks ? stacks : mmap(NULL, MOST_CALLERS * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(given, 0, sizeof(given));
	for (u32 n = 0; n < number_of_callers; n++) {
		struct caller *caller = &callers[n];

		*caller = (struct caller){ .own = { .content = content_of(n) } };
		getcontext(&caller->context);
		caller->context.uc_stack = (stack_t){ .ss_sp = stacks + n * STACK_BYTES, .ss_size = STACK_BYTES };
		makecontext(&caller->context, run_caller, 0);
		go_on(caller); /* to its first event */
	}
	started = true;
	go_on(chosen());
}

/* What callers have created, they may have left. */
static void destroy_their_pools(void)
{
	size_t listed = 0, created = destroyed ? 0 : 2;

	for (u32 n = 0; n < number_of_callers; n++)
		created += callers[n].pool != NULL;
	for (struct list_head *link = pools_of(device)->next; link != pools_of(device) && listed <= created; link = link->next)
		listed++;
	if (listed != created || !pools_file != !created)
		breaks("pools_file_exists_while_pools_do", NULL, "callers at once have created and destroyed pools: %lu are left, %lu are listed, and the file pools %s",
		       created, listed, pools_file ? "is there" : "is not there");
	destroying = true;
	for (u32 n = 0; n < number_of_callers; n++)
		if (callers[n].pool)
			destroy_own(&callers[n]);
	destroying = false;
}

/* a: the place of the calls in the scratch memory; b: their number; c: the place of the turns; d: their number; base: the place of the
 * number of pages that are open, their bytes, and the addresses of each, behind which is written how many events there were, and each; flags: how many callers, and INTERRUPTS. */
void serve_callers(void)
{
	u64 *pages = (u64 *)(scratch + request.base);

	forget_what_goes_on();
	interrupts = request.flags & INTERRUPTS;
	number_of_callers = request.flags & ~INTERRUPTS;
	if (number_of_callers > MOST_CALLERS)
		number_of_callers = MOST_CALLERS;
	calls = (struct call *)(scratch + request.a);
	number_of_calls = request.b;
	turn = (struct turn *)(scratch + request.c);
	last_turn = turn + request.d;
	batch = (struct batch){ .runs = true, .opened = (struct block *)(pages + 2), .pages = pages[0], .bytes_of_opened = pages[1] };
	number_of_events = (u64 *)(batch.opened + batch.pages);
	*number_of_events = 0;
	events = (struct event *)(number_of_events + 1);
	at_once = true;
	started = false;
	start_callers();
	at_once = batch.runs = interrupts = false;
	do_postponed();
	destroy_their_pools();
	send_done(batch.pages, 0);
}
