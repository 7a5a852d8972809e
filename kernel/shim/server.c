/* SPDX-License-Identifier: MIT */
/*
 * Messages: a request from kernel/pool.py, and a reply, one each way. Replaces nothing of the kernel.
 *
 * While dma_alloc_coherent waits for a page, other operations are served: they run while the pool's lock is dropped.
 * Invariant: whatever goes wrong is sent once, and ends the process.
 */
#include "shim.h"

static long host_receive(int channel, void *message, size_t nbytes)
{
	return recv(channel, message, nbytes, 0);
}

static long host_send(int channel, const void *message, size_t nbytes)
{
	return send(channel, message, nbytes, MSG_NOSIGNAL);
}

static _Noreturn void host_exit(void)
{
	_exit(0);
}

static bool file_exists(void)
{
	return pools_file;
}

static u64 basic_blocks_run(void)
{
	return budget_of_operation - budget;
}

#include "serve.h"

static const void *known[64]; /* code that goes on */
static size_t number_known;

_Noreturn void end_with(u32 what, u64 a, u64 b, const void *pc, const char *text)
{
	if (reading_pools_file && !at_once) { /* the operation itself is done */
		reply.row_failed = what;
	} else {
		reply.what = what;
		reply.a = a;
		reply.b = b;
	}
	reply.pc = (u64)pc;
	reply.fault_bytes = strlen(text);
	memcpy(reply.text + reply.log_bytes, text, reply.fault_bytes);
	send_reply();
	host_exit();
}

bool goes_on(const void *pc)
{
	static struct reply question;
	static struct request interrupted;
	bool is_known;

	for (size_t n = 0; n < number_known; n++)
		if (known[n] == pc)
			return true;
	question.what = MAY_GO_ON;
	question.a = (u64)pc;
	if (host_send(channel, &question, offsetof(struct reply, text)) < 0)
		host_exit();
	interrupted = request;
	receive();
	is_known = request.what == GO_ON && request.flags && number_known < ARRAY_SIZE(known);
	request = interrupted;
	if (is_known)
		known[number_known++] = pc;
	return is_known;
}

void forget_what_goes_on(void)
{
	number_known = 0;
}

/* Run where the other process runs: only one of the two ever does, and a message to another processor takes longer. */
static void move_to(u32 processor)
{
	cpu_set_t set;

	if (processor >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

bool serve(void)
{
	receive();
	if (request.what == CREATE)
		move_to((request.flags & ~(UNFAILING | DEBUG_BUILD)) >> 2);
	if (request.what == CREATE || request.what == SWEEP)
		forget_what_goes_on();
	if (request.what == CALLERS) {
		serve_callers();
		return true;
	}
	return serve_operation(request.what);
}

int main(int count, char **arguments)
{
	int file;

	if (count == 1) {
		for (size_t n = 0; option(n); n++)
			puts(option(n));
		return 0;
	}
	with_options = count == 4;
	channel = atoi(arguments[1]);
	file = atoi(arguments[2]);
	if (!map_arena(file) || !map_heap())
		return 2;
	catch_signals();
	for (;;)
		serve();
}
