"""Numbers from the code under test: where its comparisons may go another way.

A constant in the code is a hint at a size, a boundary or a count that decides something. Hunts draw these numbers and their
neighbours more often than others, create pools of such sizes, and fill pools with so many blocks.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType

import impl
from kernel.build import Source
from kernel.compiler import BuildError
from kernel.ir import Module, ir_of

COMPARE_OR_COMPUTE = {
    *("icmp", "switch", "select", "phi", "and", "or", "xor", "add", "sub", "mul"),
    *("udiv", "sdiv", "urem", "srem", "shl", "lshr"),
}
"""Instructions of LLVM whose constants are collected: those that decide a branch, and those that compute what is compared."""

MOST = 2**64
"""Numbers are below: those of a machine word."""


def of_kernel(source: Source) -> frozenset[int]:
    """The constants of a kernel's file, from its LLVM IR, with and without debugging code; none where no IR can be had."""
    return _of_kernel(source, source.digest())[0]


def why_none(source: Source) -> str:
    """Why no IR of a kernel's file can be had, and so no constants; "" if it can."""
    return _of_kernel(source, source.digest())[1]


@lru_cache(maxsize=16)
def _of_kernel(source: Source, _: str) -> tuple[frozenset[int], str]:
    try:
        return frozenset().union(*(plain(constants_of(ir_of(source, debug))) for debug in (False, True))), ""
    except (BuildError, NotImplementedError) as failure:  # the hunt needs no IR
        return frozenset(), str(failure)


def constants_of(module: Module) -> Iterator[int]:
    for function in module.functions.values():
        for block in function.blocks.values():
            for instruction in block:
                if instruction.operation in COMPARE_OR_COMPUTE:
                    shifts = instruction.operation in ("shl", "lshr")
                    for width, value in instruction.operands:
                        if isinstance(value, int) and width > 1:
                            yield 1 << value if shifts and value < 64 else min(value, 2**width - value)


@lru_cache(maxsize=1)
def of_python() -> frozenset[int]:
    """The constants of impl/, folded as Python's compiler folds them."""
    files = sorted(Path(next(iter(impl.__path__))).glob("*.py"))
    return frozenset().union(*(plain(folded(compile(file.read_text(), str(file), "exec"))) for file in files))


def folded(code: CodeType) -> Iterator[int]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from folded(constant)
        elif type(constant) is int:
            yield constant


def plain(numbers: Iterable[int]) -> frozenset[int]:
    """Without a sign, and without what says nothing."""
    return frozenset(abs(number) for number in numbers if 2 <= abs(number) < MOST)


def with_neighbours(numbers: Iterable[int], most: int = MOST - 1) -> tuple[int, ...]:
    """Both sides of each comparison with one of the numbers, ascending, from 1 to `most`."""
    return tuple(sorted({near for number in numbers for near in (number - 1, number, number + 1) if 1 <= near <= most}))
