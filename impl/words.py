"""C's conversions between integer types, said explicitly wherever the kernel's code narrows a value.

A plain Python integer is truncated as C would. A symbolic number (see `proofs.engine.symbolic`) narrows itself, so the
same line of code is a run, a proof about machine words and a proof about the integers.
"""

INT_MAX = 2**31 - 1


def unsigned_int(value: int) -> int:
    """`value` converted to a 32-bit `unsigned int`."""
    return value % 2**32 if isinstance(value, int) else value.narrow(32)


def size_t(value: int) -> int:
    """`value` converted to a 64-bit `size_t`."""
    return value % 2**64 if isinstance(value, int) else value.narrow(64)
