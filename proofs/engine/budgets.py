"""Budgets: of each proof about impl/, twice the solver's steps with the seed, of 20 and none, that takes most. A refutation has
none: how soon a counterexample turns up is a matter of luck.

A change that makes a proof take more is to be looked at, so that `make prove` fails. `make audit ARGS=--budgets` writes them
anew. The claims of one body have its steps, and its budget, in common.
"""

import functools
import json
from collections.abc import Collection

from kernel.once import ROOT

FILE = ROOT / "proofs" / "budgets.json"


@functools.cache
def budgets() -> dict[str, int]:
    """Steps, by obligation."""
    found: dict[str, int] = json.loads(FILE.read_text())
    return found


def put_budgets(steps: dict[str, int], known: Collection[str]) -> None:
    """Of these obligations, which took so many steps; the others that are `known` keep theirs."""
    of_all = budgets() | {name: 2 * most for name, most in steps.items()}
    FILE.write_text(json.dumps({name: of_all[name] for name in known if name in of_all}, indent=1) + "\n")
