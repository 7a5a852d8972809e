"""Pools for hunts, where a kernel's own code may go another way: for each way through dma_pool_create, and through the first
turns of the loop that lays a page out, the smallest size and boundary that go there.

A hunt draws the constants of the code (`hunt.numbers`); what is compared with a sum or a product of the arguments is a constant
of nothing. The interpreter has the conditions of each way, and Z3 the numbers that meet them.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from kernel.build import Source
from kernel.compiler import BuildError
from model.trace import Create
from proofs.engine.explore import run_paths
from proofs.engine.path import Theory
from proofs.engine.solver import Solver
from proofs.engine.symbolic import AsIntegers
from proofs.subjects.c_loop import subject_of
from proofs.subjects.c_pool import compile_file
from proofs.subjects.subject import PAGE_SIZE

ANY = None
BOUNDARIES = ANY, PAGE_SIZE, 1 << 16
"""Bytes. Whether a number is a power of two is not decided over the integers: ways of any boundary end there."""

TURNS = 2
MOST_WAYS = 200
"""Of each of the boundaries."""
LIMIT = 300_000
"""Solver steps for a question: one that takes more is about no pool."""


def pools_at_edges(source: Source) -> tuple[Create, ...]:
    """Pools, each of which a kernel's file refuses or lays out in a way of its own; none where it cannot be followed."""
    try:
        subject = subject_of(compile_file(source))
    except (BuildError, NotImplementedError):
        return ()
    return tuple(dict.fromkeys(pool for boundary in BOUNDARIES for pool in pools_of(subject, boundary)))


def pools_of(subject: Any, any_or_boundary: int | None) -> Iterator[Create]:
    def body(path: Any) -> None:
        size = path.number("size")
        boundary = path.number("boundary") if any_or_boundary is ANY else any_or_boundary
        geometry = subject.create(size, 1, boundary, PAGE_SIZE)
        if geometry is None:
            return
        page = subject.page(path, geometry)
        at, last = page.first(), None
        for _ in range(TURNS):
            if at is not None:
                _, at, last = page.turn(at, last)

    solver = Solver(limit=LIMIT)
    for path in islice(run_paths(body, Theory.U64, AsIntegers, solver, None, set()), MOST_WAYS):
        _, model = solver.ask(path.constraints)
        if model is not None:
            wanted = [path.inputs[name].term for name in ("size", "boundary") if name in path.inputs]
            size, *boundary = solver.smallest(path.constraints, model, wanted)
            yield Create(size, 1, boundary[0] if boundary else any_or_boundary or 0)
