"""Compiles a kernel's mm/dmapool.c, unmodified, into a program for userspace: `kernel.pool` runs it.

It is compiled with the headers of its tree (`kernel.headers`), and linked with the shim, which stands for the rest of the
kernel, and with what it calls of the tree's lib/. A program is built once for what it is built from, in `.poolproof/builds/`.
"""

import hashlib
import re
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from kernel.commits import tree_of
from kernel.compiler import BuildError, compiler, explained, run, version_of
from kernel.headers import ARCH, SHIM, defined_in_lib, flags, is_whole, stamp, wrapped
from kernel.once import BUILDS, ROOT, built_once
from kernel.places import COPY

KERNELS = ROOT / ".poolproof" / "kernels"
"""Where `make kernels` puts what it fetches."""

MEANING = ["-std=gnu11", "-g", "-fno-strict-aliasing", "-fwrapv", "-fno-delete-null-pointer-checks", "-funsigned-char"]
"""As the kernel is compiled, where it decides what the code means."""

AS_THE_KERNEL = ["-fms-extensions", "-fshort-wchar", "-Wno-everything"]
"""The same, of the kernel's own files."""

PLAIN = ["-D__builtin_constant_p(value)=0"]
"""Where code is executed: it is compiled without what headers have for constants only, which does the same faster. So is all
of a kernel before Linux 6.1, where kmalloc() of a constant asks a cache of the kernel's."""

FLAGS = [*MEANING, "-O2", "-fno-pie"]
LIBRARY = [*MEANING, "-O2", "-fPIC", "-shared"]
"""Instead of these, what is loaded into this process is compiled with."""

MISTAKES = [
    f"-Werror={mistake}"
    for mistake in ("implicit-function-declaration", "implicit-int", "int-conversion", "incompatible-pointer-types")
]
SECTIONS = ["-ffunction-sections", "-fdata-sections"]  # what is not needed is not linked, nor is what only that needs
MISSING_FIRST, MISSING_STEP = 0x8000, 16  # as in kernel/shim/shim.h
COUNTED = "-fsanitize-coverage=trace-pc"  # each basic block of the code under test: a hang is the same everywhere
RACES = {  # the compiler calls __tsan_… at every read and write, and others for READ_ONCE and WRITE_ONCE
    "clang": "-Xclang -fsanitize=thread -mllvm -tsan-distinguish-volatile=1 -mllvm -tsan-instrument-func-entry-exit=0",
    "gcc": "-fsanitize=thread --param tsan-distinguish-volatile=1 --param tsan-instrument-func-entry-exit=0",
}
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize=alignment", "-fno-sanitize-recover=all"]

OPERATIONS = ("dma_pool_create", "dma_pool_alloc", "dma_pool_free", "dma_pool_destroy")
"""What is run of a file."""


@dataclass(frozen=True)
class Source:
    """A dmapool.c, and the kernel tree whose headers it is compiled with; None stands for the newest fetched one that fits.

    In errors, the file is called `shown`, unless that is "". A `real` one is run in a kernel that is built from that tree
    (kernel/real/), and not in the shim.
    """

    file: Path
    tree: Path | None
    shown: str = ""
    real: bool = False

    def text(self) -> str:
        """The code, without comments."""
        return re.sub(r"/\*.*?\*/|//[^\n]*", " ", self.file.read_text(errors="replace"), flags=re.S)

    def exports(self) -> list[str]:
        """The functions that modules may call."""
        return re.findall(r"^EXPORT_SYMBOL\w*\((\w+)", self.text(), re.M)

    def defined(self, function: str) -> re.Match[str] | None:
        """Where the file defines a function."""
        text = self.file.read_text(errors="replace")
        return re.search(rf"^[^\n;]*\b{function}\([^;{{]*\)\s*\{{.*?^\}}", text, re.M | re.S)

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
        how = "in User Mode Linux" if self.real else ""
        file = self.file.relative_to(Path.cwd()) if Path.cwd() in self.file.parents else self.file
        return f"{file} ({', '.join(filter(None, [self.version(), f'SHA-256 {self.digest()}', how]))})"

    def blamed(self, error: str) -> str:
        return error.replace(str(self.file), self.shown) if self.shown else error

    def whole_tree(self) -> Path:
        """The tree of the headers. Raises BuildError if there is none."""
        tree = self.tree or fitting(self.file)
        if tree is None:
            raise BuildError(
                f"{self.file} needs the headers of a kernel: name a whole kernel tree, or run `make kernels`"
            )
        linked = (tree / "include").is_symlink() and (tree / "lib").is_symlink()
        return (tree / "include").resolve().parent if linked else tree

    def compiles_like(self, other: "Source") -> bool:
        """Whether it is the same file as another one, with the same headers."""
        same = self.file.read_bytes() == other.file.read_bytes()
        return same and self.whole_tree().resolve() == other.whole_tree().resolve()

    def rbtree(self) -> Path | None:
        """lib/rbtree.c of the tree, if there is one."""
        tree = self.tree or fitting(self.file)
        file = None if tree is None else tree / "lib" / "rbtree.c"
        return file if file is not None and file.is_file() else None

    def uses_rbtree(self) -> bool:
        return re.search(r"^\s*#\s*include\s*<linux/rbtree\w*\.h>", self.text(), re.M) is not None


@dataclass(frozen=True)
class Variant:
    """How the file is compiled: with CONFIG_SLUB_DEBUG_ON, with a `dma_addr_t` of 32 bits, with the compiler's sanitizers; not
    optimised, so that each line is in the program; or bare, with nothing that watches it, to measure how long it takes."""

    debug: bool = False
    dma_bits: int = 64
    sanitized: bool = False
    bare: bool = False
    optimised: bool = True

    def flags(self) -> list[str]:
        flags = ["-DCONFIG_SLUB_DEBUG_ON=1"] if self.debug else []
        return flags + ["-O0"] * (not self.optimised) + self.shim_flags()

    def shim_flags(self) -> list[str]:
        """The flags that the shim is compiled with, too."""
        return ["-DPOOLPROOF_DMA_32"] * (self.dma_bits == 32) + SANITIZED * self.sanitized


def find(kernel: str | Path) -> Source:
    """The source that a path names: a kernel tree, TREE@COMMIT for a commit of a git tree, or a single file.

    A file that is in no whole tree is compiled with the headers of the newest kernel that fits, of what `make kernels` has
    fetched. Raises BuildError.
    """
    if not str(kernel):
        raise BuildError("the path of the kernel is empty; a kernel tree is expected, or a single dmapool.c")
    path = Path(kernel).expanduser().absolute()
    if "@" in str(kernel) and not path.exists():
        path = tree_of(str(kernel))
    if path.is_dir():
        if not (path / "mm" / "dmapool.c").is_file():
            raise BuildError(f"{kernel}: there is no mm/dmapool.c; a kernel tree is expected, or a single dmapool.c")
        return with_a_pool(
            Source(path / "mm" / "dmapool.c", path if is_whole(path) else fitting(path / "mm" / "dmapool.c"))
        )
    if not path.is_file():
        if path.exists():
            raise BuildError(f"{kernel}: this is no file with text; a kernel tree is expected, or a single dmapool.c")
        fetched = "; `make kernels` fetches v5.10, v6.1, v6.12 and the newest" if path.is_relative_to(KERNELS) else ""
        raise BuildError(f"{kernel}: there is no such file; a kernel tree is expected, or a single dmapool.c{fetched}")
    if path.suffix != ".c":
        raise BuildError(f"{kernel}: not a C file; a kernel tree is expected, or a single dmapool.c")
    above = path.parent.parent
    return with_a_pool(Source(path, above if is_whole(above) else fitting(path)))


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


def fetched(kernels: Path = KERNELS) -> list[Path]:
    """The kernels that are there whole, the newest first."""
    folders = [folder for folder in kernels.glob("v*") if is_whole(folder)]
    return sorted(folders, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.name)], reverse=True)


def newest(kernels: Path = KERNELS) -> Path | None:
    """Of the kernels that were fetched."""
    return next(iter(fetched(kernels)), None)


@lru_cache(maxsize=64)
def fitting(file: Path) -> Path | None:
    """Of the fetched kernels the newest with whose headers a file compiles, or has the fewest errors; None if there is none."""
    errors: dict[Path, int] = {}
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "wrapped.c"
        for tree in fetched() if file.is_file() else []:
            whole.write_text(wrapped(file, tree))
            options = [*FLAGS, *kernel_flags(Source(file, tree)), *MISTAKES, "-fsyntax-only"]
            errors[tree] = run([*compiler(), *options, str(whole)]).stderr.count("error:")
            if not errors[tree]:
                return tree
    return min(errors, key=lambda tree: errors[tree], default=None)


OLDEST = 5, 10
"""Of the kernels whose trees are known to build."""


def said_of_an_old_tree(source: Source) -> str:
    """What may be the reason if it does not build."""
    numbers = [int(number) for number in re.findall(r"\d+", source.version())[:2]]
    too_old = bool(numbers) and tuple(numbers) < OLDEST
    return f"; the tree is of {source.version()}, and v5.10 is the oldest that is known to build" if too_old else ""


def build(source: Source, variant: Variant) -> Path:
    """The program that runs the source's pool. Raises BuildError."""
    if sys.platform != "linux":
        raise BuildError(
            f"a kernel's file runs on Linux only, not on {sys.platform}: its memory is shared by memfd_create"
        )
    compiling = Compiling(compiler(), source, variant)

    def make(folder: Path) -> None:
        compile_all(compiling, folder)

    try:
        return built_once(("program", COPY, compiling.options, variant, MISTAKES), [source.file], make) / "worker"
    except BuildError as error:
        raise BuildError(f"{error}{said_of_an_old_tree(source)}") from error
    except OSError as error:
        raise BuildError(f"{error.filename or BUILDS}: {error.strerror}; programs are built in {BUILDS}") from error


@dataclass(frozen=True)
class Compiling:
    """What is compiled for a program, by which compiler."""

    command: list[str]
    source: Source
    variant: Variant

    @cached_property
    def options(self) -> object:
        """All that decides what a file of lib/ is compiled to, but the file."""
        files = [(file, file.read_bytes()) for file in sorted(SHIM.rglob("*.[ch]"))]
        return self.command, version_of(self.command), self.flags, stamp(self.tree), files

    @cached_property
    def tree(self) -> Path:
        return self.source.whole_tree()

    @cached_property
    def flags(self) -> list[str]:
        """Those of a file of the kernel that is watched."""
        family = "clang" if "clang" in version_of(self.command) else "gcc"
        watched = [] if self.variant.bare else watching(family, self.variant.sanitized)
        return [*FLAGS, *kernel_flags(self.source), *self.variant.shim_flags(), *SECTIONS, *watched]

    def compile(self, file: Path, to: Path, *flags: str) -> Path:
        done = run([*self.command, *(flags or self.flags), "-c", str(file), "-o", str(to)])
        if done.returncode:
            raise BuildError(explained(done.stderr, file, self.tree))
        return to

    def file(self, folder: Path) -> Path:
        """The source's file. Raises BuildError, which names it as the source is shown."""
        whole = folder / "wrapped.c"
        whole.write_text(wrapped(self.source.file, self.tree))
        (folder / COPY).write_bytes(self.source.file.read_bytes())
        done = run(
            [*self.command, *self.flags, *self.variant.flags(), *MISTAKES, "-c", str(whole), "-o", f"{folder}/file.o"]
        )
        if done.returncode:
            raise BuildError(self.source.blamed(explained(done.stderr, self.source.file, self.tree)))
        return folder / "file.o"

    def shim(self) -> list[Path]:
        """What stands for the rest of the kernel: compiled once."""
        files = sorted(SHIM.glob("*.c"))
        flags = [*FLAGS, *self.variant.shim_flags()]

        def make(folder: Path) -> None:
            for file in files:
                self.compile(file, folder / f"{file.stem}.o", *flags)

        built = built_once(("shim", self.command, version_of(self.command), flags), sorted(SHIM.glob("*.[ch]")), make)
        return [built / f"{file.stem}.o" for file in files] + [self.of_the_tree(ARCH / "tree.c", watched=False)]

    def of_the_tree(self, file: Path, watched: bool = True) -> Path:
        """A file that is compiled once with the headers of the tree."""
        flags = self.flags if watched else [*FLAGS, *kernel_flags(self.source), *self.variant.shim_flags()]

        def make(folder: Path) -> None:
            self.compile(file, folder / "file.o", *flags, f"-I{file.parent}")

        return built_once((file, self.options, watched), [file], make) / "file.o"

    def link(self, objects: list[Path], folder: Path) -> set[str]:
        """Make the program: what is undefined, for which there is none yet. Raises BuildError for another reason."""
        flags = [*FLAGS, *self.variant.shim_flags(), "-no-pie", "-Wl,--gc-sections"]
        done = run([*self.command, *flags, *map(str, objects), "-o", str(folder / "worker")])
        undefined = set(
            re.findall(r"undefined (?:reference to [`']|symbol: )(\w+)", done.stderr.replace("\u2018", "'"))
        )
        if done.returncode and (not undefined or any(re.match("__(a|ub)san", name) for name in undefined)):
            raise BuildError(self.source.blamed(explained(done.stderr, self.source.file, self.tree)))
        return undefined if done.returncode else set()


def compile_all(compiling: Compiling, folder: Path) -> None:
    """Compile what is the kernel's, and link it with the shim; with files of lib/, as far as it calls what these define.

    What nothing defines gets an address that cannot be read, and its name is told when a run gets there. Raises BuildError.
    """
    in_lib = [compiling.tree / "lib" / "string.c"]
    in_lib += [compiling.tree / "lib" / "rbtree.c"] if compiling.source.uses_rbtree() else []
    objects = [compiling.file(folder), *compiling.shim()]
    while undefined := compiling.link([*objects, *map(compiling.of_the_tree, in_lib)], folder):
        known = defined_in_lib(compiling.tree)
        more = {known[name] for name in undefined if name in known} - {*in_lib}
        if not more:
            missing = sorted(undefined)
            if undefined & {*OPERATIONS}:
                why = f"{compiling.source.file} defines no {min(undefined & {*OPERATIONS})}"
                raise BuildError(compiling.source.blamed(why))
            (folder / "missing.c").write_text(placed(missing))
            objects.append(compiling.compile(folder / "missing.c", folder / "missing.o", *FLAGS))
        in_lib += sorted(more)


def placed(missing: list[str]) -> str:
    """C that puts names where kernel/shim/missing.c looks for them."""
    names = "".join(f'"{name}", ' for name in missing)
    places = "".join(
        f'__asm__(".globl {name}\\n.set {name}, {MISSING_FIRST + MISSING_STEP * place:#x}");\n'
        for place, name in enumerate(missing)
    )
    return f"const char *const poolproof_missing[] = {{ {names}0 }};\n{places}"


def kernel_flags(source: Source) -> list[str]:
    """Those that lead a compiler to the headers of the source's tree. Raises BuildError if there is none."""
    tree = source.whole_tree()
    by_cache = "kmem_cache_alloc_trace(" in (tree / "include" / "linux" / "slab.h").read_text(errors="replace")
    return [*flags(tree), *AS_THE_KERNEL, *(PLAIN if by_cache else [])]


def watching(family: str, sanitized: bool) -> list[str]:
    """What has a compiler tell of each basic block, and of each read and write, unless its sanitizers look at these."""
    counted = COUNTED + ",no-prune" * (family == "clang")  # which leaves blocks out otherwise
    named = [f"-D{name}=__tsan_{name}" for name in ("memset", "memcpy", "memmove")]
    return [counted] if sanitized else [counted, *RACES[family].split(), *named, "-DCONFIG_KCSAN=1"]
