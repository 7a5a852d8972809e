// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The same, as CONFIG_SLUB_DEBUG_ON has it. The headers do not see that: the rest of the kernel is built without. */
#include <linux/slab.h>
#define CONFIG_SLUB_DEBUG_ON 1
#define OF_THIS_BUILD(name) name##_poolproof_in_debug
#define poolproof_pool poolproof_debug
#include "pool.c"
