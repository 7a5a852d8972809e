"""Every obligation: the subjects register theirs when they are imported here."""

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
from proofs.obligation import OBLIGATIONS, Result, Settings, prove

__all__ = ["OBLIGATIONS", "Result", "Settings", "prove_named"]


def prove_named(name: str, seed: int, limit: int, second: bool = False, smt2: bool = False) -> Result:
    """Prove one obligation; a worker process that imports this function has the whole catalogue."""
    return prove(OBLIGATIONS[name], Settings(seed, limit, second, smt2))
