/* SPDX-License-Identifier: MIT */
/*
 * The device's files: of `pools`, and of any other, all is read after every operation, and while an operation waits for a page.
 *
 * Replaces drivers/base/core.c (device_create_file, device_remove_file) and fs/sysfs/file.c (sysfs_emit, sysfs_emit_at). There is one
 * device.
 * Invariant: `file_under` has the locks that were held every time that the file was created or removed; at least one has to be
 * common to all.
 */
#include "shim.h"
#include "rows.h"

const struct device_attribute *pools_file;
bool reading_pools_file;
unsigned long poolproof_page_size = 4096;
static u8 file_under;
#define CONTENT_BYTES 4096
static char contents[MOST_CALLERS + 1][CONTENT_BYTES]; /* of callers at once, and of others */
char *content = contents[MOST_CALLERS];
static u32 readers, no_reader = -1; /* whom the file's removal waits for */

static const struct device_attribute *others[8]; /* files that the device has as well */

static const struct device_attribute **place_of(const struct device_attribute *attr)
{
	for (size_t n = 0; n < ARRAY_SIZE(others); n++)
		if (others[n] == attr)
			return &others[n];
	return NULL;
}

void forget_pools_file(void)
{
	memset(others, 0, sizeof(others));
	file_under = -1;
	pools_file = NULL;
	held_by_readers = readers = 0;
	no_reader = -1;
}

static void check_device(const struct device *dev, const void *pc)
{
	if (dev != device)
		breaks("pools_file_exists_while_pools_do", pc, "the file pools is made for, or removed from, another device");
}

int device_create_file(struct device *dev, const struct device_attribute *attr)
{
	check_may_sleep("device_create_file", CALLER);
	check_device(dev, CALLER);
	if (fails_by_injection())
		return -ENOMEM;
	if (strcmp(name_of_file(attr), "pools")) {
		const struct device_attribute **place = place_of(attr) ? NULL : place_of(NULL);

		if (place)
			*place = attr;
		return place ? 0 : -EEXIST;
	}
	if (mode_of_file(attr) != 0444)
		breaks("pools_file_exists_while_pools_do", CALLER, "the file pools has mode %#o, and all may read it: 0444",
		       mode_of_file(attr));
	happens(ATOMIC, &pools_file, sizeof(pools_file), CALLER);
	if (pools_file)
		return -EEXIST;
	file_under &= held;
	pools_file = attr;
	return 0;
}

void device_remove_file(struct device *dev, const struct device_attribute *attr)
{
	check_may_sleep("device_remove_file", CALLER);
	check_device(dev, CALLER);
	if (strcmp(name_of_file(attr), "pools")) {
		if (place_of(attr))
			*place_of(attr) = NULL;
		return;
	}
	file_under &= held;
	if (!file_under)
		breaks("pools_file_exists_while_pools_do", CALLER,
		       "the file pools is created and removed under no common lock: of two creates or destroys at once, one undoes the other's");
	if (held & held_by_readers)
		misuse(CALLER, "device_remove_file waits for readers of the file pools, who wait for a mutex that is held: a deadlock");
	happens(ATOMIC, &pools_file, sizeof(pools_file), CALLER);
	if (pools_file == attr)
		pools_file = NULL;
	happens_when_free(&no_reader, CALLER);
}

int sysfs_emit(char *to, const char *format, ...)
{
	va_list arguments;
	int nbytes;

	if (to != content)
		fault("sysfs_emit is given a place that is not the start of a page, and writes nothing");
	va_start(arguments, format);
	nbytes = format_cut(to, CONTENT_BYTES, format, arguments);
	va_end(arguments);
	return nbytes;
}

int sysfs_emit_at(char *to, int at, const char *format, ...)
{
	va_list arguments;
	int nbytes;

	va_start(arguments, format);
	nbytes = at < 0 || at >= CONTENT_BYTES ? 0 : format_cut(to + at, CONTENT_BYTES - at, format, arguments);
	va_end(arguments);
	return nbytes;
}

/* Have the file say what it holds: as many bytes as it returns, as sysfs gives to a reader. */
static void show(void)
{
	ssize_t nbytes = show_file(pools_file, device, content);
	bool fits = poolproof_page_size >= CONTENT_BYTES; /* a smaller page cuts what callers at once read */

	if (fits && nbytes > 0 && nbytes < CONTENT_BYTES - 1 && content[nbytes - 1] != '\n')
		breaks("reports_are_the_kernels", NULL, "the file pools ends within a row, by the number of bytes that it returns");
	content[nbytes < 0 ? 0 : nbytes < CONTENT_BYTES ? nbytes : CONTENT_BYTES - 1] = 0;
}

/* Read the file, and put the pool's own row into the reply. */
void read_pools_file(void)
{
	unsigned long page_size = poolproof_page_size, were_off = irqs_off;
	struct operation interrupted = running;

	reading_pools_file = true;
	if (!pools_file)
		breaks("pools_file_exists_while_pools_do", NULL, "the device has no file pools");
	poolproof_page_size = CONTENT_BYTES; /* a smaller one would cut the file */
	begin(GFP_KERNEL, false);
	for (size_t n = 0; n < ARRAY_SIZE(others); n++)
		if (others[n])
			show_file(others[n], device, content);
	content[0] = 0;
	show();
	check_return();
	running = interrupted;
	irqs_off = were_off;
	poolproof_page_size = page_size;
	if (!put_row(&reply, content))
		breaks("reports_are_the_kernels", NULL, "the file pools has no row of another pool of the device");
	reading_pools_file = false;
}

char *content_of(size_t caller)
{
	return contents[caller];
}

bool read_pools_file_at_once(u64 *in_use, u64 *number_of_pages)
{
	bool found = false;

	happens(ATOMIC, &pools_file, sizeof(pools_file), CALLER);
	if (!pools_file)
		return false;
	readers++;
	no_reader = 0;
	begin(GFP_KERNEL, false);
	reading_pools_file = true;
	show();
	check_return();
	reading_pools_file = false;
	happens(UNLOCKS, &no_reader, sizeof(no_reader), CALLER);
	no_reader = --readers ? 0 : -1;
	for (const char *line = strchr(content, '\n'); line && !found; line = strchr(line + 1, '\n'))
		found = strncmp(line + 1, OTHER_POOL " ", sizeof(OTHER_POOL)) && strncmp(line + 1, POOL_OF_CALLER " ", sizeof(POOL_OF_CALLER)) &&
			sscanf(line + 1, "%*s %lu %*u %*u %lu", in_use, number_of_pages) == 2;
	return found;
}
