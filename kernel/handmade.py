"""Headers of our own in place of the kernel's, for the IR that proofs are about: all lead to `kernel/shim/kernel.h`, but for
the few of the tree that are used as they are.

A program is compiled with the tree's own headers instead, see `kernel.headers`.
"""

from pathlib import Path

from kernel.build import Source
from kernel.compiler import BuildError, explained, run
from kernel.headers import SHIM

FROM_THE_TREE = ("list.h", "poison.h", "rbtree.h", "rbtree_types.h", "rbtree_augmented.h")
"""Headers of include/linux/ that are used as they are."""

LINUX = """
align atomic bug build_bug cache cleanup compiler const container_of debugfs device dma-map-ops dma-mapping dmapool err errno
export gfp init kernel limits log2 math minmax mm module mutex overflow page-flags printk rcupdate sched sched/mm
seq_file slab spinlock stat stddef string sysfs types wait
"""
SHIMMED = [*(f"linux/{name}.h" for name in LINUX.split()), "asm/barrier.h", "asm/page.h"]
"""Headers that lead to kernel/shim/kernel.h."""


MISTAKES = ["-Werror=implicit-function-declaration", "-Werror=implicit-int", "-Werror=int-conversion", "-Werror=undef"]


def tree_files(source: Source) -> list[Path]:
    """The files of the kernel tree that are compiled in, as far as they are there."""
    if source.tree is None:
        return []
    files = [source.tree / "include" / "linux" / name for name in FROM_THE_TREE]
    files += [source.tree / "lib" / "rbtree.c"] if source.uses_rbtree() else []
    return [file for file in files if file.is_file()]


def write_headers(source: Source, folder: Path) -> None:
    """Write headers of the names that the kernel's code includes; each leads to the shim, or into the tree."""
    leads_to = dict.fromkeys(SHIMMED, SHIM / "kernel.h")
    leads_to |= {f"linux/{file.name}": file for file in tree_files(source) if file.suffix == ".h"}
    for name, file in leads_to.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f'#include "{file}"\n')


def checked(command: list[str], arguments: list[str], source: Source) -> None:
    """Raises BuildError, in the compiler's words."""
    done = run([*command, *arguments])
    if done.returncode:
        raise BuildError(explained(done.stderr, source.file, SHIM / "kernel.h"))
