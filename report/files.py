"""Files are written whole, or not at all: whoever interrupts a command never finds half of one."""

import os
from pathlib import Path


def write_whole(file: Path, text: str) -> None:
    """Write beside the file, and put that in its place; a pipe or a device is written to as it is. Raises OSError."""
    file = file.resolve()  # a link stays one
    if file.exists() and not file.is_file():
        file.write_text(text, encoding="utf-8")
        return
    beside = file.with_name(f".{file.name[:100]}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
