"""Objects of a kernel's C as views of those that proofs about impl/ use: a field of a struct is an attribute of such an object.

So a proof's body runs a kernel's own code on the states that it runs impl/ on. What stands for a function of the file or for a
loop is a lemma here, as it is of impl/ (`proofs.engine.path`): worth nothing unless its claim is PROVED of this very file.
"""

from collections.abc import Callable
from typing import Any

from kernel.execute import Interpreter
from model.claims import Claim


def by_contract(
    path: Any, interpreter: Interpreter, claim: Claim, function: str, stub: Callable[..., Any], *cases: str
) -> None:
    """Let a function of the file do what a claim says of it. Raises NotFollowed if there is no such function."""
    interpreter.module.function(function)
    interpreter.replaced[function] = path.lemma(claim, stub, *cases)


def cut_by_lemma(
    path: Any, interpreter: Interpreter, claim: Claim, function: str, loop: str, stub: Callable[..., Any], *cases: str
) -> None:
    """Let a loop of the file, by the block where a turn begins, do what a claim says of it. See `kernel.execute.Cut`."""
    interpreter.cuts[function, loop] = path.lemma(claim, stub, *cases)
