"""Your own kernel: an unmodified mm/dmapool.c, compiled for userspace, to be run by the same machine, traces and reports."""
