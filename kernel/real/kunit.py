"""Runs a KUnit test in the kernel that is built from a tree, as tools/testing/kunit/kunit.py would."""

import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from kernel.build import Source
from kernel.compiler import BuildError
from kernel.real.build import REAL, alone, build, full_tree, key
from kernel.worker import BOOT

SECONDS = 60
"""That a test may take; one of a loop without an end does not end by itself."""


def run_kunit(source: Source, test: str, told: Callable[[str], None] = lambda _: None) -> tuple[bool, list[str]]:
    """Whether a test, in C, passes with a source's file, and what the kernel said of it. Raises BuildError."""
    tree = full_tree(source)
    folder = REAL / key(tree)
    with alone(folder), tempfile.TemporaryDirectory() as scratch:
        linux = build(source, tree, folder, told, test)
        command = [str(linux), *BOOT, "loglevel=7", "kunit.enable=1", "kunit_shutdown=halt", f"uml_dir={scratch}/"]
        log = Path(scratch) / "log"
        try:
            with log.open("wb") as output:
                subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=SECONDS, check=False
                )
        except subprocess.TimeoutExpired:
            return False, [f"no end after {SECONDS} seconds"]
        said = log.read_text(errors="replace").splitlines()
    lines = [line for line in said if re.match(r"\s*(#|ok |not ok |Expected|\w.* == |BUG: |Kernel panic)", line)]
    if not any(re.match(r"(not )?ok 1 ", line) for line in lines):
        raise BuildError(f"the kernel of {tree} does not run the test: {(said or ['it says nothing'])[-1]}")
    return any(line.startswith("ok 1 ") for line in lines), lines
