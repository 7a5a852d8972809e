/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What host_user.c, which is compiled with the host's headers, and the server share. */
#ifndef POOLPROOF_HOST_H
#define POOLPROOF_HOST_H

#define ARENA_ADDRESS 0x200000000000ul /* just behind KASAN's shadow */
#define ARENA_BYTES (1ul << 30)
#define SCRATCH_ADDRESS (ARENA_ADDRESS + 2 * ARENA_BYTES)
#define SCRATCH_BYTES (1ul << 28)
#define SHADOW_OFFSET 0x100000000000ul /* CONFIG_KASAN_SHADOW_OFFSET */

extern long poolproof_budget; /* basic blocks of the code under test that are left to an operation */
extern unsigned long host_fault_pc, host_fault_address; /* of the latest SIGSEGV */
extern unsigned long peer_base; /* the virtual address that the other process gives to the start of the arena */

long host_receive(int channel, void *message, unsigned long nbytes);
long host_send(int channel, const void *message, unsigned long nbytes);
int host_map(int file, unsigned long address, unsigned long from, unsigned long nbytes, int writable);
int host_protect(unsigned long address, unsigned long nbytes, int writable);
void host_catch(void);
void host_exit(void) __attribute__((noreturn));

#endif
