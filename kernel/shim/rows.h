/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A pool's row in the device's file pools, as a reply has it: of the shim and of a real kernel, which have string.h alike. */
#ifndef POOLPROOF_ROWS_H
#define POOLPROOF_ROWS_H

#include "protocol.h"

/* Put the pool's own row into the reply; false if the file has no row of the device's other pool. */
static inline bool put_row(struct reply *reply, char *content)
{
	static const char header[] = "poolinfo - 0.1\n";
	char *line = content, *end;

	if (!strncmp(line, header, sizeof(header) - 1))
		line += sizeof(header) - 1;
	if (!strncmp(line, OTHER_POOL " ", sizeof(OTHER_POOL)) && (end = strchr(line, '\n')))
		line = end + 1;
	else if ((end = strstr(line, "\n" OTHER_POOL " ")))
		*end = 0;
	else
		return false;
	reply->row_bytes = strlen(line);
	if (reply->row_bytes && line[reply->row_bytes - 1] == '\n')
		reply->row_bytes--;
	memcpy(reply->text + reply->log_bytes, line, reply->row_bytes);
	return true;
}

/* The numbers at the row's end. */
static inline void numbers_of_row(const struct reply *reply, u64 numbers[MOST_COLUMNS])
{
	const char *row = reply->text + reply->log_bytes, *at = row + reply->row_bytes;

	for (int n = MOST_COLUMNS - 1; n >= 0; n--) {
		const char *end = at;

		while (at > row && at[-1] != ' ')
			at--;
		numbers[n] = 0;
		for (const char *digit = at; digit < end && *digit >= '0' && *digit <= '9'; digit++)
			numbers[n] = 10 * numbers[n] + *digit - '0';
		while (at > row && at[-1] == ' ')
			at--;
	}
}

#endif
