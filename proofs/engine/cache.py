"""Results of earlier runs, for as long as nothing that they depend on has changed.

They are kept under a digest of all sources that a module imports, and of the versions. A damaged file is as good as none.
"""

import ast
import functools
import hashlib
import json
import os
import platform
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def digest_of(*what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


@functools.cache
def read_source(name: str) -> tuple[str, list[str]] | None:
    """The digest of a module's source, and the names that it imports anywhere in it; None if it is no module of ours."""
    path = ROOT.joinpath(*name.split("."))
    file = next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
    if file is None:
        return None
    data, names = file.read_bytes(), [name.rpartition(".")[0] or name]  # a package runs before what is in it
    for node in ast.walk(ast.parse(data)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return hashlib.sha256(data).hexdigest(), names


@functools.cache
def what_runs(*modules: str) -> str:
    """A digest of some modules and all that they import, of Python and of the solvers."""
    found, pending = {}, list(modules)
    while pending:
        name = pending.pop()
        if name not in found and (read := read_source(name)) is not None:
            found[name], names = read
            pending += names
    solvers = ("z3-solver", "cvc5", "bitwuzla")  # one that is not installed has no version
    versions = [[solver.version for solver in distributions(name=package)] for package in solvers]
    return digest_of(found, versions, platform.python_version(), sys.flags.optimize)


FOLDER = ROOT / ".poolproof" / "cache"


def find(key: str) -> Any:
    """What was kept under a key; None if there is nothing that is intact."""
    try:
        digest, kept = json.loads((FOLDER / f"{key}.json").read_text())
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return kept if digest == digest_of(key, kept) else None


def keep(key: str, what: Any) -> None:
    """Keep what JSON can tell. Raises OSError if it can't be written."""
    if json.loads(json.dumps(what)) != what:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    scratch = FOLDER / f"{key}.{os.getpid()}"
    scratch.write_text(json.dumps([digest_of(key, what), what]))
    scratch.replace(FOLDER / f"{key}.json")
