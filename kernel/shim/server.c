/* SPDX-License-Identifier: MIT */
/*
 * Messages: a request from kernel/pool.py, and a reply, one each way. Replaces nothing of the kernel.
 *
 * While dma_alloc_coherent waits for a page, other operations are served: they run while the pool's lock is dropped.
 * Invariant: whatever goes wrong is sent once, and ends the process.
 */
#include "shim.h"

struct request request;
struct reply reply;
static int channel;
static const void *known[64]; /* code that goes on */
static size_t number_known;

void send_reply(void)
{
	size_t nbytes = offsetof(struct reply, text) + reply.log_bytes + reply.row_bytes + reply.fault_bytes;

	if (send(channel, &reply, nbytes, MSG_NOSIGNAL) != (ssize_t)nbytes)
		_exit(1);
	reply.log_bytes = reply.row_bytes = reply.freed = 0;
}

/* An operation has returned. */
void send_done(u64 a, u64 b)
{
	check_red_zones();
	reply.what = DONE;
	reply.a = a;
	reply.b = b;
	if (pool && !destroyed)
		read_pools_file();
	send_reply();
}

_Noreturn void end_with(u32 what, u64 a, u64 b, const void *pc, const char *text)
{
	if (reading_pools_file) { /* the operation itself is done */
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
	_exit(0);
}

static void receive(void)
{
	ssize_t nbytes = recv(channel, &request, sizeof(request) - 1, 0);

	if (nbytes < (ssize_t)offsetof(struct request, name))
		_exit(0);
	nbytes -= offsetof(struct request, name);
	if (request.what == CREATE)
		request.name[nbytes] = 0;
	else
		for (size_t n = 0; n < nbytes / sizeof(request.opened[0]); n++)
			open_page(request.opened[n].vaddr, request.opened[n].nbytes);
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
	if (send(channel, &question, offsetof(struct reply, text), MSG_NOSIGNAL) < 0)
		_exit(1);
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

bool serve(void)
{
	receive();
	return serve_operation(request.what);
}

int main(int count, char **arguments)
{
	int file;

	if (count != 3)
		return 2;
	channel = atoi(arguments[1]);
	file = atoi(arguments[2]);
	if (!map_arena(file) || !map_heap())
		return 2;
	catch_signals();
	for (;;)
		serve();
}
