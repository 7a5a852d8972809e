/* Of the compiler, which linux/kernel.h of before Linux 5.15 includes. */
#ifndef POOLPROOF_STDARG_H
#define POOLPROOF_STDARG_H

typedef __builtin_va_list va_list;
#define va_start(list, last) __builtin_va_start(list, last)
#define va_end(list) __builtin_va_end(list)
#define va_arg(list, type) __builtin_va_arg(list, type)
#define va_copy(to, from) __builtin_va_copy(to, from)

#endif
