// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The kernel's messages: a console that puts them into the reply, as the other process knows their addresses. What KASAN,
 * lockdep, WARN, BUG and a panic say is a complaint, which ends the run.
 */
#include <linux/console.h>
#include <linux/ctype.h>
#include <linux/panic_notifier.h>
#include <linux/string.h>
#include "server.h"

const void *complaint_pc;
char complaint[512], report[1 << 14];
static size_t report_bytes;
static bool cut_here;

/* Bytes of a block or of a stack, and what may have been called. */
static bool is_noise(const char *line)
{
	size_t n = strspn(line, "0123456789abcdef");

	return (n == 8 && line[8] == ':') || (line[0] == ' ' && strspn(line + 1, "0123456789abcdef") == 8) || strstr(line, "] ? ");
}

/* Pointers, which are printed with 16 digits and no prefix, to the other process' addresses; and functions to their names. */
static void translate(char *line)
{
	static const char added[] = "_poolproof";
	char *named = strstr(line, added);

	if (named)
		memmove(named, named + strlen(added), strlen(named + strlen(added)) + 1);
	for (char *at = line; *at; at++) {
		size_t n = strspn(at, "0123456789abcdef");
		char digits[17];
		u64 value;

		if (n == 16 && (at == line || !isalnum(at[-1])) && !isalnum(at[16])) {
			memcpy(digits, at, 16);
			digits[16] = 0;
			if (!kstrtou64(digits, 16, &value)) {
				snprintf(digits, sizeof(digits), "%016llx", to_peer_address((void *)value));
				memcpy(at, digits, 16);
			}
		}
		at += n ? n - 1 : 0;
	}
}

static void take_line(const char *line, size_t nbytes)
{
	static const char *const prefixes[] = { " " DEVICE ": ", DEVICE " " DEVICE ": ", DEVICE ": " };
	char text[1024];

	if (nbytes >= sizeof(text))
		return;
	memcpy(text, line, nbytes);
	text[nbytes] = 0;
	if (is_noise(text))
		return;
	translate(text);
	line = text;
	for (size_t n = 0; n < ARRAY_SIZE(prefixes); n++)
		if (str_has_prefix(line, prefixes[n])) {
			line += strlen(prefixes[n]);
			break;
		}
	if (!complaint[0] && nbytes &&
	    (cut_here || str_has_prefix(line, "BUG: ") || str_has_prefix(line, "WARNING: ") || str_has_prefix(line, "INFO: ") ||
	     str_has_prefix(line, "Kernel panic"))) {
		strscpy(complaint, line, sizeof(complaint));
		complaint_pc = poolproof_latest;
	}
	cut_here = strstr(line, "[ cut here ]");
	if (str_has_prefix(complaint, "BUG: KASAN") && !strstr(complaint, " of size ") &&
	    (str_has_prefix(line, "Read of size ") || str_has_prefix(line, "Write of size ")))
		scnprintf(complaint + strlen(complaint), sizeof(complaint) - strlen(complaint), ": %.*s",
			  (int)(strstr(line, " at ") - line), line);
	nbytes = strlen(line);
	if (complaint[0]) { /* no message of the pool */
		report_bytes += scnprintf(report + report_bytes, sizeof(report) - report_bytes, "\n%s", line);
		return;
	}
	if (!nbytes || cut_here || str_has_prefix(line, "====")) /* the words come next */
		return;
	if (reply.log_bytes + nbytes + 1 > sizeof(reply.text) / 2)
		return;
	memcpy(reply.text + reply.log_bytes, line, nbytes);
	reply.text[reply.log_bytes + nbytes] = '\n';
	reply.log_bytes += nbytes + 1;
}

static void take(struct console *console, const char *text, unsigned int nbytes)
{
	const char *end = text + nbytes, *newline;

	while (text < end && (newline = memchr(text, '\n', end - text))) {
		take_line(text, newline - text);
		text = newline + 1;
	}
	if (text < end)
		take_line(text, end - text);
}

static struct console console = { .name = DEVICE, .write = take, .flags = CON_ENABLED, .index = -1 };

static int on_panic(struct notifier_block *block, unsigned long event, void *text)
{
	unsigned long distance = host_fault_pc - (unsigned long)poolproof_latest + 0x10000;
	const void *pc = distance < 0x20000 ? (void *)host_fault_pc : poolproof_latest;

	if (strstr(text, "Segfault") || strstr(text, "fault at addr") || strstr(text, "access user memory"))
		end_with(FAULT, 11, to_peer_address((void *)host_fault_address), pc, "SIGSEGV");
	if (strstr(text, "signal 8")) /* SIGFPE */
		end_with(FAULT, 0, 0, pc, "division by zero");
	end_with(FAULT, 0, 0, pc, complaint[0] ? complaint : text);
}

static struct notifier_block block = { .notifier_call = on_panic, .priority = INT_MAX };

void listen(void)
{
	register_console(&console);
	atomic_notifier_chain_register(&panic_notifier_list, &block);
	reply.log_bytes = 0;
}
