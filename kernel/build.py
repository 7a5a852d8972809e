"""Compiles a kernel's mm/dmapool.c, unmodified, into a program for userspace: `kernel.pool` runs it.

What the file includes leads to the shim (`kernel/shim/kernel.h`), but for the headers that are taken from the kernel tree as
they are. A program is built once for what it is built from, in `.poolproof/builds/`.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from model.bad_input import BadInput

ROOT = Path(__file__).parent.parent
SHIM = Path(__file__).parent / "shim"
BUILDS = ROOT / ".poolproof" / "builds"
KERNELS = ROOT / ".poolproof" / "kernels"
"""Where `make kernels` puts what it fetches."""

FROM_THE_TREE = ("list.h", "poison.h", "rbtree.h", "rbtree_types.h", "rbtree_augmented.h")
"""Headers of include/linux/ that are used as they are."""

LINUX = """
align atomic bug build_bug cache cleanup compiler const container_of debugfs device dma-map-ops dma-mapping dmapool err errno
export gfp init kernel limits log2 math minmax mm module mutex overflow page-flags printk rcupdate sched sched/mm
seq_file slab spinlock stat stddef string sysfs types wait
"""
SHIMMED = [*(f"linux/{name}.h" for name in LINUX.split()), "asm/barrier.h", "asm/page.h"]
"""Headers that lead to kernel/shim/kernel.h."""

MEANING = ["-std=gnu11", "-g", "-fno-strict-aliasing", "-fwrapv", "-fno-delete-null-pointer-checks", "-funsigned-char"]
"""As the kernel is compiled, where it decides what the code means."""

FLAGS = [*MEANING, "-O2", "-fno-pie"]
MISTAKES = ["-Werror=implicit-function-declaration", "-Werror=int-conversion", "-Werror=undef"]
COUNTED = "-fsanitize-coverage=trace-pc"  # each basic block of the code under test: a hang is the same everywhere
RACES = {  # the compiler calls __tsan_… at every read and write, and others for READ_ONCE and WRITE_ONCE
    "clang": "-Xclang -fsanitize=thread -mllvm -tsan-distinguish-volatile=1 -mllvm -tsan-instrument-func-entry-exit=0",
    "gcc": "-fsanitize=thread --param tsan-distinguish-volatile=1 --param tsan-instrument-func-entry-exit=0",
}
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize=alignment", "-fno-sanitize-recover=all"]

UNKNOWN_NAME = (
    r"(?:implicit declaration of|call to undeclared) function '(\w+)'",
    r"^'(\w+)' undeclared|use of undeclared identifier '(\w+)'|^[\"'](\w+)[\"'] is not defined",
    r"unknown type name '(\w+)'",
    r"(?:undefined|incomplete) (?:type|typedef) '([\w ]+)'|tentative definition has type '([\w ]+)'",
    r"storage size of '(\w+)' isn't known|has (?:initializer but )?incomplete type '?([\w ]+)",
    r"'([\w ]+)' has no member named|no member named '\w+' in '([\w ]+)'",
)
"""What compilers say of a name that nothing declares, or that is declared otherwise."""


OPERATIONS = ("dma_pool_create", "dma_pool_alloc", "dma_pool_free", "dma_pool_destroy")
"""What is run of a file."""


class BuildError(BadInput):
    """A program that cannot be built, or no kernel; says in one line why, and what to do."""


@dataclass(frozen=True)
class Source:
    """A dmapool.c, and the kernel tree whose headers it is compiled with; None if there is none."""

    file: Path
    tree: Path | None

    def text(self) -> str:
        """The code, without comments."""
        return re.sub(r"/\*.*?\*/|//[^\n]*", " ", self.file.read_text(errors="replace"), flags=re.S)

    def digest(self) -> str:
        """The first eight hexadecimal digits of the content's SHA-256."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()[:8]

    def version(self) -> str:
        """The kernel's version, by its Makefile, or by the folder that it was fetched into; "" where there is neither."""
        if self.tree is None or self.tree not in self.file.parents:
            return ""
        try:
            makefile = (self.tree / "Makefile").read_text(errors="replace")
        except OSError:
            return self.tree.name if self.tree.parent == KERNELS else ""
        numbers: dict[str, str] = dict(
            re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)", makefile, re.M)
        )
        named = [numbers.get(name, "") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
        return "v" + ".".join(filter(None, named)) + numbers.get("EXTRAVERSION", "")

    def label(self) -> str:
        """The version and the content, for names of files."""
        return "-".join(filter(None, [self.version(), self.digest()]))

    def __str__(self) -> str:
        return f"{self.file} ({', '.join(filter(None, [self.version(), f'SHA-256 {self.digest()}']))})"

    def rbtree(self) -> Path | None:
        """lib/rbtree.c of the tree, if it has that."""
        file = None if self.tree is None else self.tree / "lib" / "rbtree.c"
        return file if file is not None and file.is_file() else None

    def uses_rbtree(self) -> bool:
        return re.search(r"^\s*#\s*include\s*<linux/rbtree\w*\.h>", self.text(), re.M) is not None


@dataclass(frozen=True)
class Variant:
    """How the file is compiled: with DMAPOOL_DEBUG, with a `dma_addr_t` of 32 bits, with the compiler's sanitizers; not
    optimised, so that each line is in the program; or bare, with nothing that watches it, to measure how long it takes."""

    debug: bool = False
    dma_bits: int = 64
    sanitized: bool = False
    bare: bool = False
    optimised: bool = True

    def flags(self) -> list[str]:
        flags = ["-DDMAPOOL_DEBUG=1", "-DCONFIG_DEBUG_SLAB=1", "-DCONFIG_SLUB_DEBUG_ON=1"] if self.debug else []
        return flags + ["-O0"] * (not self.optimised) + self.shim_flags()

    def shim_flags(self) -> list[str]:
        """The flags that the shim is compiled with, too."""
        return ["-DPOOLPROOF_DMA_32"] * (self.dma_bits == 32) + SANITIZED * self.sanitized


def find(kernel: str | Path) -> Source:
    """The source that a path names: a kernel tree, or a single file.

    A file that is in no tree is compiled with the headers of the newest kernel that `make kernels` has fetched. Raises
    BuildError.
    """
    if not str(kernel):
        raise BuildError("the path of the kernel is empty; a kernel tree is expected, or a single dmapool.c")
    path = Path(kernel).expanduser().absolute()
    if path.is_dir():
        if not (path / "mm" / "dmapool.c").is_file():
            raise BuildError(f"{kernel}: there is no mm/dmapool.c; a kernel tree is expected, or a single dmapool.c")
        return with_a_pool(Source(path / "mm" / "dmapool.c", path if is_a_tree(path) else newest()))
    if not path.is_file():
        fetched = "; `make kernels` fetches what is in there" if path.is_relative_to(KERNELS) else ""
        raise BuildError(f"{kernel}: there is no such file; a kernel tree is expected, or a single dmapool.c{fetched}")
    if path.suffix != ".c":
        raise BuildError(f"{kernel}: not a C file; a kernel tree is expected, or a single dmapool.c")
    above = path.parent.parent
    return with_a_pool(Source(path, above if is_a_tree(above) else newest()))


def with_a_pool(source: Source) -> Source:
    """The source, if it defines what is run. Raises BuildError."""
    try:
        text = source.text()
    except OSError as error:
        raise BuildError(f"{source.file}: {error.strerror}") from error
    missing = [name for name in OPERATIONS if not re.search(rf"\b{name}\b", text)]
    if missing:
        raise BuildError(f"{source.file} has no {missing[0]}: is it a mm/dmapool.c?")
    return source


def is_a_tree(folder: Path) -> bool:
    return (folder / "include" / "linux" / "list.h").is_file()


def newest() -> Path | None:
    """Of the kernels that were fetched."""
    fetched = [folder for folder in KERNELS.glob("v*") if is_a_tree(folder)]
    return max(fetched, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.name)], default=None)


def compiler() -> list[str]:
    """$CC, or the system's C compiler, or that of the package ziglang. Raises BuildError if there is none."""
    if wanted := os.environ.get("CC"):
        command = shlex.split(wanted)
        if not command or shutil.which(command[0]) is None:
            raise BuildError(f"there is no compiler {wanted!r}, which CC names")
        return command
    if system := shutil.which("cc") or shutil.which("gcc") or shutil.which("clang"):
        return [system]
    if find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise BuildError(
        "there is no C compiler: install gcc or clang, or say which with CC=…, or run .venv/bin/pip install ziglang"
    )


def build(source: Source, variant: Variant) -> Path:
    """The program that runs the source's pool. Raises BuildError."""
    if sys.platform != "linux":
        raise BuildError(
            f"a kernel's file runs on Linux only, not on {sys.platform}: its memory is shared by memfd_create"
        )
    command = compiler()
    version = version_of(command)
    inputs = [*sorted(SHIM.iterdir()), source.file, *tree_files(source)]
    options = (command, version, FLAGS, MISTAKES, COUNTED, RACES, variant, variant.flags(), SHIMMED)
    shim_flags = [*FLAGS, *variant.shim_flags()]

    def make_program(folder: Path) -> None:
        shim = built_once((command, version, shim_flags), sorted(SHIM.iterdir()), make_shim)
        compile_all(command, source, variant, sorted(shim.glob("*.o")), folder)

    def make_shim(folder: Path) -> None:
        for file in sorted(SHIM.glob("*.c")):
            checked(command, [*shim_flags, "-c", str(file), "-o", str(folder / f"{file.stem}.o")], source)

    try:
        return built_once(options, inputs, make_program) / "worker"
    except OSError as error:
        raise BuildError(f"{error.filename or BUILDS}: {error.strerror}; programs are built in {BUILDS}") from error


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


def version_of(command: list[str]) -> str:
    return run([*command, "--version"]).stdout


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


def compile_all(command: list[str], source: Source, variant: Variant, shim: list[Path], folder: Path) -> None:
    """Compile what is the kernel's, and link it with the shim. Raises BuildError."""
    write_headers(source, folder / "include")
    flags = [*FLAGS, *variant.flags()]
    family = "clang" if "clang" in version_of(command) else "gcc"
    watched = [] if variant.bare else watching(family, variant.sanitized)
    objects: list[Path] = []
    for file in [source.file, *tree_files(source)]:
        if file.suffix == ".c":
            objects.append(folder / f"{len(objects)}-{file.stem}.o")
            includes = ["-nostdinc", "-I", str(folder / "include")]  # a libc has headers of the same names
            includes += ["-DPOOLPROOF_TREE"] if source.tree is not None else []
            counted = [*flags, *includes, *watched, *MISTAKES, "-c", str(file), "-o", str(objects[-1])]
            checked(command, counted, source)
    checked(command, [*flags, "-no-pie", *map(str, [*shim, *objects]), "-o", str(folder / "worker")], source)


def watching(family: str, sanitized: bool) -> list[str]:
    """What has a compiler tell of each basic block, and of each read and write, unless its sanitizers look at these."""
    counted = COUNTED + ",no-prune" * (family == "clang")  # which leaves blocks out otherwise
    named = [f"-D{name}=__tsan_{name}" for name in ("memset", "memcpy", "memmove")]
    return [counted] if sanitized else [counted, *RACES[family].split(), *named]


def checked(command: list[str], arguments: list[str], source: Source) -> None:
    done = run([*command, *arguments])
    if done.returncode:
        raise BuildError(explained(done.stderr, source))


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error.strerror}") from error


def explained(said: str, source: Source) -> str:
    """A compiler's first error, in one line that begins with the place in the file; and where a kernel's name would belong."""
    said = said.replace("\u2018", "'").replace("\u2019", "'")
    file, shim = source.file, "kernel/shim/kernel.h"
    if header := re.search(r"fatal error: '?([\w./-]+\.h)'?(?:: No such file| file not found)", said):
        name = header[1]
        if name.removeprefix("linux/") in FROM_THE_TREE:
            return f"{file} needs {name} of a kernel tree: name a tree that has it, or run `make kernels`"
        how = f"add it to LINUX or SHIMMED in kernel/build.py, and what it declares to {shim}"
        return f"{file} includes {name}, which the shim lacks: {how}"
    if re.search(r"undefined (?:reference to [`']|symbol: )__(?:a|ub)san", said):
        return "this compiler has nothing to run sanitizers with: take gcc or clang"
    if undefined := re.search(r"undefined (?:reference to [`']|symbol: )(\w+)", said):
        return f"{file} uses {undefined[1]}, which nothing defines; if it is the kernel's, define it in kernel/shim/"
    found = re.search(r"^(.*?): (?:fatal )?error: (.*)$", said, re.M)
    if found is None:
        lines = [line for line in said.splitlines() if line.strip()] or ["the compiler says nothing"]
        return f"{file} does not compile: {lines[-1]}"
    where, message = found[1], re.sub(r"\s*\[-W[^]]*\]$", "", found[2])
    if not where.startswith(str(file)):  # in a macro of the shim: where the file uses it
        used = re.search(rf"^\s*({re.escape(str(file))}:\d+:\d+): ", said[found.end() :], re.M)
        where = used[1] if used else where
    error = f"{where}: it does not compile: {message}"
    if re.search(r"poolproof_page_size|variably modified|variable.length array|is not constant", message):
        return f"{error}; PAGE_SIZE is no constant here: it is chosen for each pool, see {shim}"
    for pattern in UNKNOWN_NAME:
        if missing := re.search(pattern, message):
            name = next(filter(None, missing.groups())).strip()
            own = re.search(rf"\b{name}\s*\{{", source.text())  # a struct of the file itself
            return error if own else f"{error}; if {name} is the kernel's, declare it in {shim}"
    return error
