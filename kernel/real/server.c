// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Messages and operations: what kernel/shim/server.c and operations.c are in the shim; serve.h is the same for both.
 *
 * While dma_alloc_coherent waits for a page, other operations are served. Invariant: whatever goes wrong is sent once, and ends
 * the kernel.
 */
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/string.h>
#include "server.h"
#include "rows.h"

struct operation running;
unsigned long poolproof_page_size = PAGE_SIZE;
long poolproof_budget = LONG_MAX, poolproof_budget_of_operation;
bool poolproof_init_on_alloc, poolproof_init_on_free;
const void *poolproof_latest;
const struct poolproof_pool *code;
static int memory;
struct device *device;
static struct vfsmount *sysfs;
static struct dma_pool *pool, *other_pool; /* other_pool is NULL where neither is there */
static bool destroyed; /* a driver may use the pointer all the same */
static const size_t objects; /* of kmalloc: not counted, but looked at one by one, by leaks() and is_live() */
static bool reading_pools_file;
static unsigned long frees; /* how many there were: it decides who the next caller is */

void end_with(u32 what, u64 a, u64 b, const void *pc, const char *text)
{
	reply.row_bytes = 0;
	if (reading_pools_file) { /* the operation itself is done */
		reply.row_failed = what;
	} else {
		reply.what = what;
		reply.a = a;
		reply.b = b;
	}
	reply.pc = (u64)pc;
	reply.fault_bytes = scnprintf(reply.text + reply.log_bytes, sizeof(reply.text) - reply.log_bytes, "%s%s", text, report);
	send_reply();
	host_exit();
}

void ends(u32 what, const void *pc, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vscnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	end_with(what, 0, 0, pc, what == MISUSE && complaint[0] ? complaint : text); /* the kernel was first */
}

/* The compiler calls this at the start of each basic block of the code under test, which returns to an address in it. */
void notrace __sanitizer_cov_trace_pc(void)
{
	poolproof_latest = __builtin_return_address(0);
	if (--poolproof_budget < 0) {
		poolproof_budget = LONG_MAX;
		ends(HANG, poolproof_latest, "no end after %ld basic blocks", poolproof_budget_of_operation);
	}
}

/* The name of a function without what pool.c has added. */
const char *poolproof_name(const char *function)
{
	static char name[64];
	const char *added = strstr(function, "_poolproof");

	strscpy(name, function, min_t(size_t, sizeof(name), added ? added - function + 1 : sizeof(name)));
	return name;
}

/* Since the operation began. */
bool spinlock_held(void)
{
	for (int n = running.locks; n < current->lockdep_depth; n++)
		if (current->held_locks[n].instance->wait_type_inner < LD_WAIT_SLEEP)
			return true;
	return false;
}

void begin(gfp_t allowed, bool by_interrupt)
{
	poolproof_budget = poolproof_budget_of_operation = 1000000 + BASIC_BLOCKS(bytes_given, block_bytes);
	running = (struct operation){ allowed, by_interrupt, current->lockdep_depth, preempt_count(), NUMA_NO_NODE };
	if (by_interrupt)
		local_irq_disable();
}

void check_return(void)
{
	const char *what = reading_pools_file ? "the file pools" : "an operation";
	bool off = irqs_disabled();

	if (complaint[0]) {
		if (str_has_prefix(complaint, "WARNING: ") && strstr(complaint, "mm/poolproof/")) /* WARN of the file itself */
			breaks("reports_are_the_kernels", complaint_pc, "it says: %s", complaint);
		if (strstr(complaint, "sleeping function") || strstr(complaint, "lock"))
			end_with(MISUSE, 0, 0, complaint_pc, complaint);
		end_with(FAULT, 0, 0, complaint_pc, complaint);
	}
	if (current->lockdep_depth != running.locks || preempt_count() != running.preempt_count)
		misuse("%s returns with a lock held", what);
	if (off != running.by_interrupt)
		misuse("%s that is called with interrupts %s returns with interrupts %s", what, off ? "on" : "off", off ? "off" : "on");
	local_irq_enable();
}

/* The row in the device's file pools, as who reads it in sysfs sees it. */
void read_pools_file(void)
{
	static char content[4096];
	unsigned long page_size = poolproof_page_size;
	struct operation interrupted = running;
	struct file *file;
	loff_t at = 0;
	ssize_t nbytes;

	reading_pools_file = true;
	poolproof_page_size = sizeof(content); /* a smaller one would cut the file */
	begin(GFP_KERNEL, false);
	file = file_open_root_mnt(sysfs, "devices/" DEVICE "/pools", O_RDONLY, 0);
	if (IS_ERR(file))
		breaks("pools_file_exists_while_pools_do", NULL, "the device has no file pools");
	nbytes = kernel_read(file, content, sizeof(content) - 1, &at);
	__fput_sync(file);
	check_return();
	if (nbytes > 0 && nbytes < (ssize_t)sizeof(content) - 1 && content[nbytes - 1] != '\n')
		breaks("reports_are_the_kernels", NULL, "the file pools ends within a row, by the number of bytes that it returns");
	content[max_t(ssize_t, nbytes, 0)] = 0;
	running = interrupted;
	poolproof_page_size = page_size;
	if (!put_row(&reply, content))
		breaks("reports_are_the_kernels", NULL, "the file pools has no row of another pool of the device");
	reading_pools_file = false;
}

static bool no_pool_is_listed(void)
{
	return list_empty(&device->dma_pools);
}

static bool file_exists(void)
{
	struct file *file = file_open_root_mnt(sysfs, "devices/" DEVICE "/pools", O_RDONLY, 0);

	if (!IS_ERR(file))
		__fput_sync(file);
	return !IS_ERR(file);
}

/* A new device, unless the last run has destroyed its pools: those that it left are given up with the device. */
void reset(void)
{
	cond_resched();
	close_pages();
	forget_file();
	peer_base = request.base;
	poolproof_page_size = request.d;
	code = request.flags & DEBUG_BUILD ? &poolproof_debug : &poolproof_plain;
	poolproof_init_on_alloc = request.flags & 1;
	poolproof_init_on_free = request.flags & 2;
	frees = 0;
	destroyed = false;
	if (device && (pool || other_pool)) {
		root_device_unregister(device);
		device = NULL;
	}
	pool = other_pool = NULL;
	if (!device)
		device = root_device_register(DEVICE);
	if (IS_ERR(device))
		panic("there is no device");
	reply.log_bytes = 0;
}

void create_other_pool(void)
{
	begin(GFP_KERNEL, false);
	other_pool = code->create(OTHER_POOL, device, 64, 8, 0, NUMA_NO_NODE);
	check_return();
	if (!other_pool)
		fault("the device gets no second pool");
}

/* The node that pools are created for, where a version has any. */
static int node_of_pools(void)
{
	return code->has_nodes() ? 0 : NUMA_NO_NODE;
}

bool create_pool(unsigned int fails, const char *name, size_t size, size_t align, size_t boundary)
{
	block_bytes = size;
	begin(GFP_KERNEL, false);
	running.fails = fails;
	running.node = node_of_pools();
	pool = code->create(name, device, size, align, boundary, running.node);
	check_return();
	return pool;
}

void destroy_pools(void)
{
	destroyed = true;
	begin(GFP_KERNEL, false);
	code->destroy(pool);
	check_return();
	if (!file_exists() || !list_is_singular(&device->dma_pools))
		breaks("pools_file_exists_while_pools_do", NULL,
		       "the pool is gone, and the device's list has it still, or the file pools or another pool is gone as well");
	begin(GFP_KERNEL, false);
	code->destroy(other_pool);
	check_return();
	other_pool = NULL;
	if (file_exists() || !no_pool_is_listed())
		breaks("pools_file_exists_while_pools_do", NULL, "the device's last pool is gone, and its list or its file pools still has it");
}

void *alloc_for(gfp_t allowed, unsigned int fails, gfp_t zero, dma_addr_t *dma)
{
	void *vaddr;

	begin(allowed, !(allowed & __GFP_DIRECT_RECLAIM));
	running.fails = fails;
	running.node = node_of_pools();
	vaddr = code->alloc(pool, allowed | zero, dma);
	check_return();
	if (vaddr && (allowed & __GFP_DIRECT_RECLAIM) && !running.told)
		misuse("an alloc that may sleep does not say so where a block is free (might_alloc): who must not sleep is not warned");
	return vaddr;
}

/* By a driver and by an interrupt handler, in turn. */
void free_block(u64 vaddr, u64 dma)
{
	begin(GFP_ATOMIC, ++frees & 1);
	code->free(pool, from_peer_address(vaddr), dma);
	check_return();
}

static void check_red_zones(void)
{
	/* KASAN sees each write. */
}

static u64 now(void)
{
	return ktime_get_ns();
}

static u64 basic_blocks_run(void)
{
	return poolproof_budget_of_operation - poolproof_budget;
}

#include "serve.h"

bool serve(void)
{
	receive();
	return serve_operation(request.what);
}

static int run(void *unused)
{
	struct file_system_type *type = get_fs_type("sysfs");

	sysfs = type ? kern_mount(type) : ERR_PTR(-ENODEV);
	if (IS_ERR(sysfs) || host_map(memory, ARENA_ADDRESS, 0, ARENA_BYTES, false) ||
	    host_map(memory, SCRATCH_ADDRESS, ARENA_BYTES, SCRATCH_BYTES, true))
		panic("there is no sysfs, or no memory that is shared");
	listen();
	host_catch();
	for (;;) {
		serve();
		cond_resched();
	}
}

/* poolproof=CHANNEL,MEMORY: file descriptors. */
static int __init options(char *text)
{
	return sscanf(text, "%d,%d", &channel, &memory) == 2;
}
__setup("poolproof=", options);

static int __init start(void)
{
	static DECLARE_COMPLETION(never);

	if (!channel)
		return 0;
	if (IS_ERR(kthread_run(run, NULL, DEVICE)))
		panic("there is no thread");
	wait_for_completion(&never);
	return 0;
}
late_initcall(start);
