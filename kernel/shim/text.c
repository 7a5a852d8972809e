/* SPDX-License-Identifier: MIT */
/*
 * Text: the kernel's messages, and its format specifiers.
 *
 * Replaces kernel/printk/printk.c, dev_printk of drivers/base/core.c, WARN of kernel/panic.c, and lib/vsprintf.c (%p, %pad).
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
	if (**format == 'x')
		breaks("reports_are_the_kernels", NULL, "a message shows an address as it is, by %%px");
	*format += **format == 'K';
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

/* The kernel's functions of these names, as arch/names.h calls them. */

int vscnprintf(char *to, size_t size, const char *format, va_list arguments)
{
	return format_cut(to, size, format, arguments);
}

int kernel_vsnprintf(char *to, size_t size, const char *format, va_list arguments)
{
	return format_all(to, size, format, arguments);
}

#define FORMATS(name, sized, ...)                                  \
	int name(char *to, __VA_ARGS__ const char *format, ...)    \
	{                                                          \
		va_list arguments;                                 \
		int nbytes;                                        \
                                                                   \
		va_start(arguments, format);                       \
		nbytes = sized;                                    \
		va_end(arguments);                                 \
		return nbytes;                                     \
	}
#define COMMA ,
FORMATS(scnprintf, format_cut(to, size, format, arguments), size_t size COMMA)
FORMATS(kernel_snprintf, format_all(to, size, format, arguments), size_t size COMMA)
FORMATS(kernel_sprintf, format_all(to, INT_MAX, format, arguments), )

static void log_message(const char *format, va_list arguments)
{
	static char text[1024];
	char *start = text;
	size_t nbytes;

	format_cut(text, sizeof(text), format, arguments);
	if (!strncmp(start, DEVICE ": ", sizeof(DEVICE ": ") - 1)) /* which the message may begin with, where dev_err is not used */
		start += sizeof(DEVICE ": ") - 1;
	nbytes = strlen(start);
	if (nbytes && start[nbytes - 1] == '\n')
		nbytes--;
	if (reply.log_bytes + nbytes + 1 > sizeof(reply.text) / 2)
		return;
	memcpy(reply.text + reply.log_bytes, start, nbytes);
	reply.text[reply.log_bytes + nbytes] = '\n';
	reply.log_bytes += nbytes + 1;
}

/* A warning or worse; a message may begin with a byte of 1 and its level. */
int _printk(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (format[0] != 1)
		log_message(format, arguments);
	else if (format[1] <= '4')
		log_message(format + 2, arguments);
	va_end(arguments);
	return 0;
}

int printk(const char *format, ...) __attribute__((alias("_printk"))); /* as Linux 5.10 calls it */

#define LOGS(name)                                                  \
	void name(const struct device *dev, const char *format, ...) \
	{                                                           \
		va_list arguments;                                  \
                                                                    \
		(void)dev;                                          \
		va_start(arguments, format);                        \
		log_message(format, arguments);                     \
		va_end(arguments);                                  \
	}
LOGS(_dev_emerg)
LOGS(_dev_alert)
LOGS(_dev_crit)
LOGS(_dev_err)
LOGS(_dev_warn)

void _dev_notice(const struct device *dev, const char *format, ...)
{
	(void)dev, (void)format;
}

void _dev_info(const struct device *dev, const char *format, ...)
{
	(void)dev, (void)format;
}

int ___ratelimit(void *state, const char *function)
{
	(void)state, (void)function;
	return 1;
}

const char *dev_driver_string(const struct device *dev)
{
	(void)dev;
	return "driver";
}

void warn_slowpath_fmt(const char *file, int line, unsigned taint, const char *format, ...)
{
	char without[64];
	va_list arguments;

	(void)taint;
	snprintf(without, sizeof(without), "WARN_ON at %s:%d", strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line);
	va_start(arguments, format);
	log_message(format ? format : without, arguments);
	va_end(arguments);
}

void print_hex_dump(const char *level, const char *prefix, int type, int row, int group, const void *from, size_t nbytes, bool text)
{
	(void)level, (void)prefix, (void)type, (void)row, (void)group, (void)text;
	if (!ends_in_its_page(from, nbytes))
		fault("a message shows what lies behind a page");
}

void dump_stack(void)
{
}
