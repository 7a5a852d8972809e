/* SPDX-License-Identifier: MIT */
/*
 * Functions and objects of the kernel that are not modelled: what the code under test refers to, and neither its tree nor the shim
 * defines.
 *
 * Replaces the rest of the kernel. The linker puts each at an address that nothing can be read from, and a program is given the
 * list of their names (kernel/build.py), so that a run that uses one ends by saying which.
 */
#include "shim.h"

__attribute__((weak)) const char *const poolproof_missing[] = { NULL };

const char *missing_at(u64 address)
{
	u64 number = (address - MISSING_FIRST) / MISSING_STEP;

	if (address < MISSING_FIRST)
		return NULL;
	for (u64 n = 0; poolproof_missing[n]; n++)
		if (n == number)
			return poolproof_missing[n];
	return NULL;
}
