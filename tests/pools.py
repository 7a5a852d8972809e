"""Pools of impl/ and of the oracle for tests, with the device that they ask for memory; and runs beside the oracle."""

from typing import Any

import pytest

from hunt.revisions import REVISIONS
from impl.pool import Options
from model.checks import BrokenClaim
from model.lockstep import Lockstep, replay
from model.memory import Memory
from model.revision import Revision
from model.trace import Kernel, Step, Trace


def pool_of(
    kind: Any, size: int = 1024, align: int = 1, boundary: int = 0, memory: Memory | None = None, **options: bool
) -> tuple[Any, Memory]:
    """A pool that its arguments are admitted for, and its device's memory; a page has four blocks unless others are wanted."""
    memory = memory or Memory()
    pool = kind.create("pool", memory, size, align, boundary, Options(**options))
    assert pool is not None, "the arguments are refused"
    return pool, memory


def ran(*steps: Step, revision: str = "series", kernel: Kernel | None = None, **surroundings: Any) -> Lockstep:
    """The steps of a run, taken one after the other."""
    lockstep = Lockstep(REVISIONS[revision], kernel or Kernel(), **surroundings)
    for step in steps:
        lockstep.run(step)
    return lockstep


def broken_by(run: Trace, revision: Revision) -> BrokenClaim:
    """What a run breaks, which it has to."""
    with pytest.raises(BrokenClaim) as broken:
        replay(run, revision)
    return broken.value
