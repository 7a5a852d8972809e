/* asm-generic of Linux 5.10 takes any machine that says nothing for one of 32 bits. */
#ifndef POOLPROOF_ASM_BITSPERLONG_H
#define POOLPROOF_ASM_BITSPERLONG_H
#define __BITS_PER_LONG 64
#include <asm-generic/bitsperlong.h>
#endif
