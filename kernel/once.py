"""Folders that are filled once, for all processes, from what they are made of: in `.poolproof/builds/`."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILDS = ROOT / ".poolproof" / "builds"


def built_once(options: object, inputs: list[Path], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills from these options and files: filled once, for all processes. Raises what `make` raises."""
    digest = hashlib.sha256(repr((options, [file.name for file in inputs])).encode())
    for file in inputs:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    folder = BUILDS / digest.hexdigest()[:20]
    if not folder.exists():
        BUILDS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILDS) as scratch:
            make(Path(scratch))
            try:
                os.rename(scratch, folder)
                os.mkdir(scratch)  # for the context to remove
            except OSError:
                if not folder.exists():  # unless somebody else has built it meanwhile
                    raise
    return folder
