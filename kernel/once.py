"""Folders that are filled once, for all processes; in `.poolproof/builds/`, from what they are made of."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILDS = ROOT / ".poolproof" / "builds"


def built_once(options: object, inputs: list[Path], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills from these options and files; a copy of this repository with the same files has the same.
    Raises what `make` raises."""
    digest = hashlib.sha256(repr((options, [file.name for file in inputs])).replace(str(ROOT), "").encode())
    for file in inputs:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return filled_once(BUILDS / digest.hexdigest()[:20], make)


def filled_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder, filled by `make`, whole or not at all, unless another process has done that. Raises what `make` raises."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            make(Path(scratch))
            try:
                os.rename(scratch, folder)
                os.mkdir(scratch)  # for the context to remove
            except OSError:
                if not folder.exists():  # unless somebody else has filled it meanwhile
                    raise
    return folder
