"""Every obligation: the subjects register theirs when they are imported here."""

import threading

from proofs import (  # noqa: F401
    admission,
    balance,
    block_stack,
    counting,
    destroy,
    fills,
    free_list,
    interleaving,
    layout,
    struct_page,
    tree,
    walk,
)
from proofs.engine import cache, sources
from proofs.engine.obligation import OBLIGATIONS, Result, Settings, prove
from proofs.engine.solver import allow_any_thread

__all__ = ["OBLIGATIONS", "OtherSources", "Result", "Settings", "prove_elsewhere", "prove_named", "what_runs_here"]

ONE_AT_A_TIME = threading.Lock()
"""Neither Z3 nor Python's `ast` (in 3.11) can work for two threads at once."""


class OtherSources(Exception):
    """A worker runs other sources, or on another Python or other solvers, than the one who asks."""


def prove_named(name: str, seed: int, limit: int, second: bool = False, smt2: bool = False) -> Result:
    """Prove one obligation, in any thread."""
    with ONE_AT_A_TIME:
        if threading.current_thread() is not threading.main_thread():
            allow_any_thread()
        return prove(OBLIGATIONS[name], Settings(seed, limit, second, smt2))


def prove_elsewhere(name: str, settings: Settings, asker_runs: str) -> Result:
    """Prove one obligation in a worker, which has the whole catalogue by importing this function.

    Raises OtherSources if what runs here is not `asker_runs`, so that no verdict is about anything else.
    """
    with ONE_AT_A_TIME:
        if what_runs_here() != asker_runs:
            raise OtherSources(name)
    return prove_named(name, settings.seed, settings.limit, settings.second, settings.smt2)


def what_runs_here() -> str:
    """A digest of the catalogue with all that it imports, as it was loaded, of the version of Python, and the solvers'."""
    try:
        return cache.what_runs(__name__)
    except sources.NotOurs as unknown:
        raise OtherSources(f"nobody knows what {unknown} is") from unknown
