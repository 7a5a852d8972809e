#ifndef POOLPROOF_ASM_BUG_H
#define POOLPROOF_ASM_BUG_H
void poolproof_bug(int line) __attribute__((noreturn));
#define HAVE_ARCH_BUG
#define BUG() poolproof_bug(__LINE__)
#include <asm-generic/bug.h>
#endif
