/* SPDX-License-Identifier: MIT */
/*
 * What is otherwise for the code under test than for the kernel's headers. Included behind all headers that the file includes, and
 * before the file.
 */
extern unsigned long poolproof_page_size; /* chosen for each pool, so that one program serves them all */
#undef PAGE_SHIFT
#undef PAGE_SIZE
#undef PAGE_MASK
#define PAGE_SIZE poolproof_page_size
#define PAGE_SHIFT __builtin_ctzl(PAGE_SIZE)
#define PAGE_MASK (~(PAGE_SIZE - 1))

/* What lockdep asserts is a rule of locks. */
#ifdef lockdep_assert
void poolproof_lockdep(void);
#undef lockdep_assert
#define lockdep_assert(condition) ((condition) ? (void)0 : poolproof_lockdep())
#endif

/* Initcalls run when the program starts. */
#ifdef ____define_initcall
#undef ____define_initcall
#define ____define_initcall(__function, __stub, __name, __place) \
	static initcall_t __attribute__((__used__, __section__("poolproof_initcalls"))) __name = __function
#endif

#pragma GCC diagnostic error "-Wundef"
