"""Runs KUnit tests in the kernel that is built from a tree; the tree's own tools/testing/kunit/kunit.py reads what they say."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from kernel.build import Source
from kernel.compiler import BuildError
from kernel.real.build import REAL, alone, build, full_tree, key

SECONDS = 60
"""That the tests may take; one of a loop without an end does not end by itself."""

COMMAND_LINE = ("mem=256M", "loglevel=7", "stderr=1", "printk.time=0", "no_hash_pointers", "kasan_multi_shot")
TESTS = ("kunit.enable=1", "kunit.autorun=1", "kunit_shutdown=halt")


def run_kunit(
    source: Source, test: str, told: Callable[[str], None] = lambda _: None, debug: bool = False
) -> tuple[bool, list[str]]:
    """Whether the tests of a file in C pass with a source's file, in a `debug` build if that is asked for; and what is said of
    those that do not. Raises BuildError."""
    tree = full_tree(source)
    parser = tree / "tools" / "testing" / "kunit" / "kunit.py"
    if not parser.is_file():
        raise BuildError(f"{tree} has no tools/testing/kunit/kunit.py, which reads what tests say")
    folder = REAL / key(tree)
    with alone(folder), tempfile.TemporaryDirectory() as scratch:
        linux, log = build(source, tree, folder, told, test, debug), Path(scratch) / "log"
        ended = ""
        with log.open("wb") as output:
            command = [str(linux), *COMMAND_LINE, *TESTS, f"uml_dir={scratch}/"]
            try:
                subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=SECONDS, check=False
                )
            except subprocess.TimeoutExpired:
                ended = f"no end after {SECONDS} seconds"
        said = log.read_text(errors="replace")
        if "# Subtest: " not in said:
            last = next((line for line in reversed(said.splitlines()) if line), "it says nothing")
            raise BuildError(f"the kernel of {tree} does not run the test: {last}")
        read = subprocess.run(
            [sys.executable, str(parser), "parse", str(log)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # the tree is only read
        )
    if "Testing complete." not in read.stdout:
        why = next((line for line in reversed(read.stderr.splitlines()) if line), "it says nothing")
        raise BuildError(f"{parser} does not read what the tests say: {why}")
    lines = [re.sub(r"^\[[\d:]+\] ", "", line) for line in read.stdout.splitlines()]
    told_of = [line for line in lines if not re.search(r"^=+|\[(PASSED|SKIPPED)\]|^$|^\[[\d:]+\]$", line)]
    return read.returncode == 0 and not ended, told_of + [ended] * bool(ended)
