"""Results of earlier runs, for as long as nothing that they depend on has changed.

A result is kept under a digest of everything that it depends on: the sources of the prover, of the module with the
proof and of whatever that imports, exactly as they were loaded into this process; the obligation's name; what was asked
for; and the versions of Python and of the solvers. A damaged file is as good as none.
"""

import functools
import hashlib
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from proofs.engine import sources
from proofs.engine.obligation import Obligation, Result, Settings

FOLDER = sources.ROOT / ".poolproof"
PROVER = ("proofs.engine.cache", "proofs.engine.obligation", "proofs.engine.second")
"""What makes a result of an obligation, with all that it imports."""


def key_of(asked: Obligation, settings: Settings) -> str | None:
    """What a result depends on, as a digest; None if that is not known, so that it may not be kept."""
    try:
        runs = what_runs(*PROVER, asked.module), hashlib.sha256(sources.source("proofs.catalogue") or b"").hexdigest()
    except sources.NotOurs:
        return None
    return digest_of([asked.name, asked.module, asdict(settings), runs])


def what_runs(*modules: str) -> str:
    """A digest of the sources of some modules and what they import, and of what they run on. Raises sources.NotOurs."""
    versions = {package: version_of(package) for package in ("z3-solver", "cvc5", "bitwuzla")}
    python = [platform.python_version(), sys.flags.optimize]
    return digest_of([sources.digest(modules), versions, python])


def find(key: str | None, asked: Obligation, folder: Path = FOLDER) -> Result | None:
    """The result that was kept under a key, marked as cached; None if there is none that is intact."""
    if key is None:
        return None
    try:
        kept = json.loads((folder / f"{key}.json").read_text())
        if kept["digest"] != digest_of([key, kept["result"]]):
            return None
        result = Result(**kept["result"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if result.obligation != asked.name or not result.may_be_kept:
        return None
    return replace(result, cached=True)


def keep(key: str | None, result: Result, folder: Path = FOLDER) -> None:
    """Keep a result, if it is a verdict as expected, and if JSON can tell it. Raises OSError if it can't be written."""
    if key is None or not result.may_be_kept:
        return
    told = asdict(result)
    text = json.dumps({"digest": digest_of([key, told]), "result": told})
    if json.loads(text)["result"] != told:
        return
    folder.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.replace(name, folder / f"{key}.json")


def digest_of(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


@functools.cache
def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
