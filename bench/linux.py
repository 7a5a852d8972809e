"""The cover letter's workload in a real kernel without checks, Linux 6.1, whose device gives pages by `dma_alloc_coherent`.

Its mm/dmapool.c is v6.1's, or one that is like the series': the letter's two sides.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from zlib import crc32

from kernel.build import Source
from kernel.compiler import BuildError
from kernel.promises import promises_of
from kernel.real.build import HERE, REAL, alone, build, full_tree, key
from report.text import show_progress

WORKLOAD = Path(__file__).with_name("workload.c")
CHECKS = "KASAN", "PROVE_LOCKING", "DEBUG_ATOMIC_SLEEP", "DEBUG_LIST"
SECONDS = 300
"""That a run may take."""


def kernels(named: Mapping[str, Source]) -> dict[str, Path]:
    """The kernels to run, by name, built; none where none is like the series, or v6.1 is not there or does not build."""
    sides = {name: source for name, source in named.items() if name == "v6.1" or promises_of(source).like == "series"}
    if "v6.1" not in sides or len(sides) == 1:
        return {}
    try:
        return {name: built_without_checks(source, full_tree(sides["v6.1"])) for name, source in sides.items()}
    except BuildError as error:
        print(f"headline: Linux is not measured: {error}", file=sys.stderr)
        return {}


def built_without_checks(source: Source, tree: Path) -> Path:
    """The kernel of a tree with a source's file. Raises BuildError."""
    folder = REAL / f"{key(tree)}-without-checks"
    with alone(folder):
        config = folder / "config"
        lines = (HERE / "config").read_text().splitlines(keepends=True)
        config.write_text("".join(line for line in lines if not any(check in line for check in CHECKS)))
        linux = build(source, tree, folder, show_progress, WORKLOAD.read_text(), config=config)
        return Path(shutil.copy2(linux, folder / f"linux-{crc32(source.file.read_bytes()):08x}"))


def seconds(linux: Path) -> dict[str, float]:
    """Seconds of the allocs, and of the frees with the destruction; and of the device's pages, given and given back: medians of
    one boot's rounds, without the first one, in which the host has yet to give memory. Raises BuildError."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [str(linux), "mem=512M", "loglevel=7", "stderr=1", f"uml_dir={scratch}/"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise BuildError(f"{linux}: the workload has not ended after {SECONDS} s") from None
    rounds = re.findall(rb"workload: (\d+) (\d+) (\d+) (\d+)", done.stdout + done.stderr)
    if len(rounds) < 2:
        raise BuildError(f"{linux} does not run the workload")
    alloc, free, given, back = (median(int(time) / 1e9 for time in times) for times in zip(*rounds[1:], strict=True))
    return {"alloc": alloc, "free": free, "pages": given, "pages back": back, "first alloc": int(rounds[0][0]) / 1e9}
