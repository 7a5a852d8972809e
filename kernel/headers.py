"""A kernel tree's own headers and lib/, for a program in userspace.

An architecture of ours stands where a machine's would be: `kernel/shim/arch/` has its headers of asm/, and a configuration. The
headers of asm/ that the tree has in asm-generic only are led to from a folder made for each tree, as
scripts/Makefile.asm-generic does it.
"""

import os
import re
from functools import lru_cache
from pathlib import Path

from kernel.once import built_once

SHIM = Path(__file__).parent / "shim"
ARCH = SHIM / "arch"
GENERIC = ("include/asm-generic", "include/uapi/asm-generic")
NAMES = ("BASENAME", "MODNAME", "MODFILE")


def is_whole(tree: Path) -> bool:
    """Whether a folder has the headers and the lib/ of a kernel."""
    return all((tree / name).is_file() for name in ("include/linux/slab.h", f"{GENERIC[0]}/Kbuild", "lib/string.c"))


@lru_cache(maxsize=64)
def generic_headers(tree: Path) -> Path:
    """The folder with a header of asm/ for each that is not ours, which leads to that of asm-generic, if there is one."""
    wanted = {file.name for folder in GENERIC for file in (tree / folder).glob("*.h")}
    for folder in GENERIC:
        kbuild = (tree / folder / "Kbuild").read_text(errors="replace")
        wanted |= set(re.findall(r"^mandatory-y\s*\+=\s*(\S+)", kbuild, re.M))
    wanted -= {file.name for file in (ARCH / "asm").iterdir()}
    leads = {name: any((tree / folder / name).is_file() for folder in GENERIC) for name in sorted(wanted)}

    def make(folder: Path) -> None:
        for name, there in leads.items():
            (folder / "asm" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "asm" / name).write_text(f"#include <asm-generic/{name}>\n" if there else "/* none */\n")

    return built_once(("generic headers", leads), [], make)


def folders(tree: Path) -> list[Path]:
    """Where headers are looked for."""
    return [ARCH, generic_headers(tree), tree / "include", tree / "include" / "uapi"]


def flags(tree: Path) -> list[str]:
    """What leads a compiler to the tree's headers."""
    included = ["linux/kconfig.h", "linux/compiler_types.h", str(ARCH / "names.h")]
    return [
        "-nostdinc",
        *(f"-I{folder}" for folder in folders(tree)),
        "-D__KERNEL__",
        "-D__DISABLE_EXPORTS",
        *(f'-DKBUILD_{name}="dmapool"' for name in NAMES),
        *(word for name in included for word in ("-include", name)),
    ]


def wrapped(file: Path, tree: Path) -> str:
    """C that has the headers a file includes, then what is otherwise for it than for them, then the file."""
    included = re.findall(r"^\s*#\s*include\s*<([\w./-]+)>", file.read_text(errors="replace"), re.M)
    there = [name for name in included if any((folder / name).is_file() for folder in folders(tree))]
    headers = "".join(f"#include <{name}>\n" for name in there)
    return f'{headers}#include "{ARCH / "file.h"}"\n#include "{file}"\n'


def stamp(tree: Path) -> list[tuple[str, int, int]]:
    """What changes if a header or a file of lib/ does: the name, the size and the time of each."""
    places = [(folder, name) for folder, _, names in os.walk(tree / "include", followlinks=True) for name in names]
    places += [(str(file.parent), file.name) for file in (tree / "lib").glob("*.c")]
    status = [(f"{folder}/{name}", os.stat(f"{folder}/{name}")) for folder, name in sorted(places)]
    return [(file, known.st_size, known.st_mtime_ns) for file, known in status]


@lru_cache(maxsize=8)
def defined_in_lib(tree: Path) -> dict[str, Path]:
    """The file of lib/ that defines a function or an object, by its name."""
    found: dict[str, Path] = {}
    for file in sorted([*(tree / "lib").glob("*.c"), *(tree / "lib" / "math").glob("*.c")]):
        text = file.read_text(errors="replace")
        names = re.findall(r"^EXPORT_SYMBOL\w*\((\w+)", text, re.M)
        names += re.findall(r"^(?!static|typedef)[a-z_][\w \t*]*?\b(\w+)\([^;{}()]*\)\s*\{", text, re.M)
        for name in names:
            found.setdefault(name, file)
    return found
