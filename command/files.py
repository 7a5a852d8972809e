"""The files and folders that users name: tried out before the work; one that cannot be written is bad input."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.bad_input import BadInput
from model.trace import dumps, from_json
from report.files import write_whole


@contextmanager
def usable(name: str, advice: str = "name one that can be written") -> Iterator[None]:
    """Raises BadInput where reading or writing what has this name fails in the block."""
    if not name:
        raise BadInput(f"a file or folder without a name; {advice}")
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads the output has gone away
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror or error}; {advice}") from error


def try_out(file: str | None, *folders: str | None) -> None:
    """Make sure that a file, unless it is standard output, and some folders can be written. Raises BadInput."""
    if file not in (None, "-"):
        new = not Path(file).exists()
        with usable(file):
            Path(file).open("a").close()
        if new:
            Path(file).unlink()  # nothing half written is left where the work fails
    for folder in folders:
        if folder is not None:
            with usable(folder):
                Path(folder).mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()


def put(file: Path, text: str) -> None:
    """Write a file, whole or not at all. Raises BadInput."""
    with usable(str(file)):
        write_whole(file, text)


def put_json(file: str | None, results: Any) -> None:
    """Write results as JSON into a file, or print them if it is `-`; nothing if it is None. Raises BadInput."""
    text = json.dumps(results, indent=1)
    if file == "-":
        print(text)
    elif file is not None:
        put(Path(file), text + "\n")


def put_traces(folder: str | None, counterexamples: Mapping[str, dict[str, Any] | None]) -> None:
    """Write, if a folder is asked for, a file for each counterexample that has a trace. Raises BadInput."""
    for name, counterexample in counterexamples.items():
        if folder is not None and counterexample is not None and "trace" in counterexample:
            put(Path(folder) / f"{name}.json", dumps(from_json(counterexample["trace"])))
