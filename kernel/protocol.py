"""The messages between this process and a server: the numbers and structures of kernel/shim/protocol.h."""

import struct

CREATE, ALLOC, FREE, DESTROY, PAGE, BATCH, SWEEP, GO_ON, CALLERS, POOLS_FILE = range(1, 11)
DONE, PAGE_WANTED, FAULT, HANG, MISUSE, MAY_GO_ON, BROKEN = range(1, 8)
UNFAILING, DEBUG_BUILD = 2**31, 2**30
REQUEST = struct.Struct("=IIQQQQQ")
REPLY = struct.Struct("=IIQQQQQIIII")
OPENED = struct.Struct("=QQ")
GIVEN_BACK = struct.Struct("=QQQQ")

BATCHES = 2**24
"""Where batches, sweeps and callers at once begin in the scratch memory; before are the pages that an operation gives back."""

BLOCK = struct.Struct("=QQ")
"""The virtual and the DMA address of a block, or of a page."""

OPERATION = struct.Struct("=IIq")
"""Of a batch: what, the block's slot, and what is added to both addresses of a block that is freed."""

NO_PAGE = 2**64 - 1

GEOMETRY = struct.Struct("=QQQQ")

ROW = struct.Struct("=9Q")
"""Of a sweep: whether the pool is admitted, and the last numbers of its row."""

CALL = struct.Struct("=IIIIQQ")
"""Of callers at once: the caller, what, the flags, the call that has given the block or NO_CALL, and the block."""

NO_CALL, INTERRUPTS = 2**32 - 1, 2**31
TURN = struct.Struct("=II")

READY = struct.Struct("=QQ")
"""How many pages are open, and the bytes of each; their addresses follow."""

EVENT = struct.Struct("=QQIBBBB")
