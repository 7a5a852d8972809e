// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What the server wants of the host: messages, shared memory, and addresses of the other process that the code under test
 * follows. Compiled with the host's headers, as arch/um/os-Linux/ is.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>
#include "host.h"

#define GENERAL_PROTECTION 13 /* of x86 */

static struct sigaction of_the_kernel;
unsigned long host_fault_pc, host_fault_address, peer_base;

long host_receive(int channel, void *message, unsigned long nbytes)
{
	long received;

	do
		received = recv(channel, message, nbytes, 0);
	while (received < 0 && errno == EINTR);
	return received;
}

long host_send(int channel, const void *message, unsigned long nbytes)
{
	long sent;

	do
		sent = send(channel, message, nbytes, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

int host_map(int file, unsigned long address, unsigned long from, unsigned long nbytes, int writable)
{
	int protection = writable ? PROT_READ | PROT_WRITE : PROT_NONE;

	return mmap((void *)address, nbytes, protection, MAP_SHARED | MAP_FIXED, file, from) == (void *)address ? 0 : -1;
}

int host_protect(unsigned long address, unsigned long nbytes, int writable)
{
	return mprotect((void *)address, nbytes, writable ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void host_exit(void)
{
	_exit(0);
}

/*
 * A driver that writes a pointer into a free block writes an address of the other process. Where the kernel follows it, the
 * registers that hold such an address, or KASAN's shadow of one, are changed to what the byte has here.
 */
static int translated(greg_t *registers)
{
	static const int names[] = { REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
				     REG_RDI, REG_RSI, REG_RBP, REG_RBX, REG_RDX, REG_RAX, REG_RCX };
	unsigned long unscaled = peer_base >> 3, scaled = unscaled + SHADOW_OFFSET;
	int found = 0;

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		unsigned long value = registers[names[n]];

		if (value - peer_base < ARENA_BYTES)
			value += ARENA_ADDRESS - peer_base;
		else if (value - scaled < ARENA_BYTES >> 3)
			value += (ARENA_ADDRESS >> 3) - unscaled;
		else if (value - unscaled < ARENA_BYTES >> 3) /* before the offset is added */
			value += (ARENA_ADDRESS >> 3) - unscaled;
		else
			continue;
		registers[names[n]] = value;
		found = 1;
	}
	return found;
}

/* KASAN's shadow of what no address can be; what can be one has a shadow. */
static int is_shadow_of_none(const greg_t *registers, unsigned long address)
{
	return (((unsigned long)registers[REG_RDI] >> 3) + SHADOW_OFFSET ^ address) >> 1 == 0 && registers[REG_RDI] >> 47;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (translated(registers)) {
		poolproof_budget -= 1000; /* a list may run in a circle */
		return;
	}
	host_fault_pc = registers[REG_RIP];
	host_fault_address = (unsigned long)info->si_addr;
	if (is_shadow_of_none(registers, host_fault_address))
		host_fault_address = 0;
	/* Where it is the shadow that no address can be of, KASAN was called with one that may be. */
	if (registers[REG_TRAPNO] == GENERAL_PROTECTION && registers[REG_RDI] << 16 >> 16 == registers[REG_RDI])
		host_fault_address = registers[REG_RDI];
	of_the_kernel.sa_sigaction(number, info, context);
}

void host_catch(void)
{
	struct sigaction action;

	sigaction(SIGSEGV, NULL, &of_the_kernel);
	action = of_the_kernel;
	action.sa_sigaction = on_fault;
	sigaction(SIGSEGV, &action, NULL);
}
