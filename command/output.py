"""Where the command lines write what they found: tried out before the work; a failure is one line.

And how far they are.
"""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from model.trace import dumps, loads


class Unwritable(Exception):
    """A file or a folder cannot be written; says in one line what to do."""


def show_progress(what: str) -> None:
    """One line on a terminal, in place of the one before; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Run a command line, and exit with its status. Whoever reads it may go away, as `head` does."""
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain once more
        status = 128 + signal.SIGPIPE
    sys.exit(status)


@contextmanager
def written_to(name: str) -> Iterator[None]:
    """Raises Unwritable where writing to what has this name fails in the block."""
    try:
        yield
    except OSError as error:
        raise Unwritable(f"{name}: {error.strerror or error}; name one that can be written") from error


def try_out(file: str | None, *folders: str | None) -> None:
    """Make sure that a file, unless it is standard output, and some folders can be written. Raises Unwritable."""
    if file not in (None, "-"):
        with written_to(file):
            Path(file).open("a").close()
    for folder in folders:
        if folder is not None:
            with written_to(folder):
                Path(folder).mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()


def put(file: Path, text: str) -> None:
    """Write a file. Raises Unwritable."""
    with written_to(str(file)):
        file.write_text(text)


def put_json(file: str | None, text: str) -> None:
    """Write a file, if one is asked for that is not standard output. Raises Unwritable."""
    if file not in (None, "-"):
        put(Path(file), text + "\n")


def put_traces(folder: str | None, counterexamples: Mapping[str, dict[str, Any] | None]) -> None:
    """Write, if a folder is asked for, a file for each counterexample that has a trace. Raises Unwritable."""
    for name, counterexample in counterexamples.items():
        if folder is not None and counterexample is not None and "trace" in counterexample:
            put(Path(folder) / f"{name}.json", dumps(loads(json.dumps(counterexample["trace"]))))
