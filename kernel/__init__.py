"""Your own kernel: an unmodified mm/dmapool.c, compiled for userspace, as a target of the same machine, traces and reports."""
