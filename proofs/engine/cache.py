"""Results of earlier runs, under a digest of all sources that a module imports and of the versions.

A damaged result is taken for absent."""

import ast
import functools
import hashlib
import json
import os
import sys
from importlib.metadata import distributions
from typing import Any

from kernel.once import ROOT

FOLDER = ROOT / ".poolproof" / "cache"


def digest_of(*what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


@functools.cache
def read_source(name: str) -> tuple[str, list[str]]:
    """The text of a module, and what it imports anywhere in it; nothing if it is no module of ours."""
    path = ROOT.joinpath(*name.split("."))
    text = "".join(file.read_text() for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file())
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return text, [f"{getattr(node, 'module', '')}.{alias.name}".lstrip(".") for node in imports for alias in node.names]


@functools.cache
def what_runs(*modules: str) -> str:
    """A digest of some modules and all that they import, of Python and of the solvers that are installed."""
    found, pending = {"": ""}, list(modules)
    while pending:
        if (name := pending.pop()) not in found:
            found[name], names = read_source(name)
            pending += [
                *names,
                name.rpartition(".")[0],
            ]  # which runs first: a package, or the module of an imported name
    versions = [[one.version for one in distributions(name=name)] for name in ("z3-solver", "cvc5", "bitwuzla")]
    return digest_of(found, versions, sys.version_info[:3], sys.flags.optimize)


def find(key: str) -> Any:
    """What was kept under a key; None if there is nothing that is intact."""
    try:
        digest, kept = json.loads((FOLDER / f"{key}.json").read_text())
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return kept if digest == digest_of(key, kept) else None


def keep(key: str, what: Any) -> None:
    """Keep what JSON can tell. Raises OSError if it can't be written, and TypeError for what would be read otherwise."""
    if json.loads(json.dumps(what)) != what:
        raise TypeError(f"a tuple, or a number as a key: JSON has neither, in {what}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    scratch = FOLDER / f"{key}.{os.getpid()}"
    scratch.write_text(json.dumps([digest_of(key, what), what]))
    scratch.replace(FOLDER / f"{key}.json")
