/* SPDX-License-Identifier: MIT */
/*
 * Text: the kernel's messages, its format specifiers, and its functions for strings.
 *
 * Replaces linux/printk.h and linux/dev_printk.h, lib/vsprintf.c (scnprintf, %p, %pad), and strscpy, strlcpy and memchr_inv of
 * linux/string.h.
 * Invariant: addresses are printed as the other process knows them, at full length, as with no_hash_pointers.
 */
#include "shim.h"

static size_t put_pointer(char *to, size_t size, const char **format, const void *pointer)
{
	if (**format == 'a') { /* %pad, %pap, %pa: an address behind the pointer */
		bool dma = *++*format == 'd';

		*format += dma || **format == 'p';
		return snprintf(to, size, "0x%016lx", dma ? (u64) * (const dma_addr_t *)pointer : *(const phys_addr_t *)pointer);
	}
	*format += **format == 'x' || **format == 'K';
	return snprintf(to, size, "%016lx", to_peer_address(pointer));
}

/* As vsnprintf: the bytes that it would write, if there were room. */
static size_t format_all(char *to, size_t size, const char *format, va_list arguments)
{
	size_t at = 0;

#define ROOM (at < size ? to + at : NULL), (at < size ? size - at : 0)
	while (*format) {
		char spec[32], *end = spec;
		int longs = 0, stars[2], number = 0;

		if (*format != '%') {
			if (at + 1 < size)
				to[at] = *format;
			at++;
			format++;
			continue;
		}
		do {
			if (*format == '*')
				stars[number++ % 2] = va_arg(arguments, int);
			*end++ = *format++;
		} while (*format && strchr("-+ #0123456789.*", *format) && end < spec + 24);
		for (; *format && strchr("hlzt", *format); format++)
			longs += *format == 'h' ? 0 : *format == 'l' ? 1 : 2;
		if (*format == 'p') {
			format++;
			at += put_pointer(ROOM, &format, va_arg(arguments, void *));
		} else if (*format == '%') {
			at += (snprintf)(ROOM, "%%");
			format++;
		} else if (*format == 's' || *format == 'c') {
			bool text = *format++ == 's';

			strcpy(end, text ? "s" : "c");
			if (text) {
				const char *what = va_arg(arguments, char *);

				at += number ? (snprintf)(ROOM, spec, stars[0], what) : (snprintf)(ROOM, spec, what);
			} else {
				at += (snprintf)(ROOM, spec, va_arg(arguments, int));
			}
		} else {
			char conversion[3] = { 'l', *format ? *format++ : 'd', 0 };
			bool is_signed = conversion[1] == 'd' || conversion[1] == 'i';
			long value = longs ? va_arg(arguments, long) :
				     is_signed ? (long)va_arg(arguments, int) : (long)va_arg(arguments, unsigned);

			strcpy(end, conversion);
			at += number == 2 ? (snprintf)(ROOM, spec, stars[0], stars[1], value) :
			      number	  ? (snprintf)(ROOM, spec, stars[0], value) :
					    (snprintf)(ROOM, spec, value);
		}
	}
#undef ROOM
	if (size)
		to[at < size ? at : size - 1] = 0;
	return at;
}

int format_cut(char *to, size_t size, const char *format, va_list arguments)
{
	size_t wanted = format_all(to, size, format, arguments);

	return size == 0 ? 0 : wanted < size ? wanted : size - 1;
}

int scnprintf(char *to, size_t size, const char *format, ...)
{
	va_list arguments;
	int nbytes;

	va_start(arguments, format);
	nbytes = format_cut(to, size, format, arguments);
	va_end(arguments);
	return nbytes;
}

void poolproof_log(const char *format, ...)
{
	static char text[1024], prefix[64];
	char *start = text;
	va_list arguments;
	size_t nbytes;

	va_start(arguments, format);
	format_cut(text, sizeof(text), format, arguments);
	va_end(arguments);
	snprintf(prefix, sizeof(prefix), "%s: ", device->name); /* which the message may begin with, where dev_err is not used */
	if (!strncmp(start, prefix, strlen(prefix)))
		start += strlen(prefix);
	nbytes = strlen(start);
	if (nbytes && start[nbytes - 1] == '\n')
		nbytes--;
	if (reply.log_bytes + nbytes + 1 > sizeof(reply.text) / 2)
		return;
	memcpy(reply.text + reply.log_bytes, start, nbytes);
	reply.text[reply.log_bytes + nbytes] = '\n';
	reply.log_bytes += nbytes + 1;
}

ssize_t strscpy(char *to, const char *from, size_t size)
{
	size_t nbytes = strnlen(from, size);

	if (!size)
		return -E2BIG;
	memcpy(to, from, nbytes < size ? nbytes : size - 1);
	to[nbytes < size ? nbytes : size - 1] = 0;
	return nbytes < size ? (ssize_t)nbytes : -E2BIG;
}

size_t strlcpy(char *to, const char *from, size_t size)
{
	strscpy(to, from, size);
	return strlen(from);
}

void *memchr_inv(const void *start, int byte, size_t nbytes)
{
	for (const u8 *at = start; nbytes--; at++)
		if (*at != (u8)byte)
			return (void *)at;
	return NULL;
}
