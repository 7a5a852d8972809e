/* SPDX-License-Identifier: MIT */
/*
 * Faults: BUG, signals, and code that never ends.
 *
 * Replaces linux/bug.h, and what the kernel's page fault handler and its watchdog of soft lockups report.
 * Invariant: every basic block of the code under test takes one from the budget of its operation, so that a loop without an end
 * is found after the same number of blocks on every machine.
 */
#include "shim.h"

long budget = LONG_MAX, budget_of_operation;
static const void *latest; /* basic block of the code under test */
u32 *times_run;

_Noreturn void poolproof_bug(int line)
{
	fault("BUG at line %d", line);
}

static noinline void never_ends(const void *pc)
{
	end_with_text(HANG, pc, "no end after %ld basic blocks", budget_of_operation);
}

/* The compiler calls this at the start of each basic block of the code under test, which returns to an address in it. */
void __sanitizer_cov_trace_pc(void)
{
	size_t at = (const char *)CALLER - __executable_start;

	latest = CALLER;
	if (times_run && at < TEXT_BYTES) /* not before main */
		times_run[at]++;
	if (--budget < 0)
		never_ends(CALLER);
}

u64 now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ul + time.tv_nsec;
}

#ifdef __x86_64__
static void translate_in_the_heap(u64 from, u64 to)
{
	for (u64 *word = (u64 *)heap; word < (u64 *)(heap + heap_used); word++)
		if (*word == from)
			*word = to;
}

/*
 * A driver that writes a pointer into a free block writes an address of the other process. Where the code under test follows
 * it, the registers and the pools' fields that hold such an address are changed to the address that the byte has here.
 */
static bool translated(greg_t *registers, u64 address)
{
	static const int names[] = { REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
				     REG_RDI, REG_RSI, REG_RBP, REG_RBX, REG_RDX, REG_RAX, REG_RCX };
	bool found = false;

	if (address - peer_base >= ARENA_BYTES)
		return false;
	for (size_t n = 0; n < ARRAY_SIZE(names); n++)
		if ((u64)registers[names[n]] - peer_base < ARENA_BYTES) {
			u64 from = (u64)registers[names[n]];

			registers[names[n]] = (greg_t)from_peer_address(from);
			translate_in_the_heap(from, (u64)registers[names[n]]);
			found = true;
		}
	return found;
}
#endif

static void on_signal(int number, siginfo_t *info, void *context)
{
	const void *pc = NULL;
	bool has_address = number == SIGSEGV || number == SIGBUS;

#ifdef __x86_64__
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (number == SIGSEGV && translated(registers, (u64)info->si_addr)) {
		budget -= 1000; /* a signal takes as long as so many blocks, and a list may run in a circle */
		return;
	}
	pc = (void *)registers[REG_RIP];
	if (missing_at((u64)pc)) /* it was called: on the stack is where from */
		pc = *(void **)registers[REG_RSP];
#else
	(void)context;
#endif
	if ((u64)pc - (u64)__executable_start >= (u64)(etext - __executable_start)) /* in a function of libc, or nowhere */
		pc = latest;
	if (running.of_null)
		end_with_text(FAULT, pc, "dma_pool_destroy(NULL) crashes, with which drivers that have no pool do nothing");
	if (has_address && missing_at((u64)info->si_addr))
		end_with_text(FAULT, pc, "it uses %s, which is not modelled", missing_at((u64)info->si_addr));
	if (has_address && behind_the_name && (u64)info->si_addr - (u64)behind_the_name < NAME_ROOM)
		end_with_text(FAULT, pc, "it reads or writes behind the end of the pool's name");
	/* Which of SIGSEGV and SIGBUS a wild address gives depends on the register that it is in. */
	end_with(FAULT, number, has_address ? to_peer_address(info->si_addr) : 0, pc,
		 number == SIGFPE ? "division by zero" : number == SIGILL ? "SIGILL" : "SIGSEGV");
}

void catch_signals(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	static char stack[1 << 16];
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };

	sigaltstack(&other, NULL);
	for (size_t n = 0; n < ARRAY_SIZE(signals); n++)
		sigaction(signals[n], &action, NULL);
}
