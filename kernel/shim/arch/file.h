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

/* Callers at once are on a processor each, and memory for each processor has a copy for each. */
void *poolproof_copy_of(const void *object, unsigned processor);
#undef NR_CPUS
#undef raw_smp_processor_id
#define NR_CPUS POOLPROOF_PROCESSORS
#define raw_smp_processor_id() poolproof_processor()
#ifdef raw_cpu_ptr
#undef per_cpu_ptr
#undef raw_cpu_ptr
#undef for_each_possible_cpu
#undef for_each_online_cpu
#undef for_each_present_cpu
#undef num_possible_cpus
#undef num_online_cpus
#define per_cpu_ptr(pointer, cpu)                                                                                  \
	({                                                                                                         \
		__verify_pcpu_ptr(pointer);                                                                        \
		(typeof(*(pointer)) __kernel __force *)poolproof_copy_of((const void __force *)(pointer), cpu);    \
	})
#define raw_cpu_ptr(pointer) per_cpu_ptr(pointer, poolproof_processor())
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < NR_CPUS; (cpu)++)
#define for_each_online_cpu(cpu) for_each_possible_cpu(cpu)
#define for_each_present_cpu(cpu) for_each_possible_cpu(cpu)
#define num_possible_cpus() NR_CPUS
#define num_online_cpus() NR_CPUS
#endif

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

/* Boot options are looked for in a section of ours: the kernel's linker script is not used. */
#ifdef __setup_param
#undef __setup_param
#define __setup_param(str, unique_id, fn, early)                                                                   \
	static const char __setup_str_##unique_id[] = str;                                                         \
	static struct obs_kernel_param __attribute__((__used__, __section__("poolproof_options")))                 \
	__setup_##unique_id = { __setup_str_##unique_id, fn, early }
#endif

#pragma GCC diagnostic error "-Wundef"
