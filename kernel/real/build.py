"""Builds the kernel that runs a mm/dmapool.c: User Mode Linux, out of the user's tree, in `.poolproof/real/`.

The tree is only read: `source/` of a build is an overlay of links to it, with our server in mm/poolproof/. A build is kept, and
make builds again what has changed; what it made of a dmapool.c is kept beside it, by the content of that file.
"""

import atexit
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kernel.build import Source, fetched
from kernel.compiler import BuildError, compiler, version_of
from kernel.fetch import FULL, is_full
from kernel.headers import SHIM, stamp
from kernel.once import ROOT, filled_once

HERE = Path(__file__).parent
REAL = (ROOT / ".poolproof" / "real").resolve()
SERVER = sorted(
    [HERE / "Makefile", HERE / "config", HERE / "mm.Kbuild", *HERE.glob("*.[ch]")]
    + [SHIM / name for name in ("protocol.h", "rows.h", "serve.h")]
)
TOOLS = ("make", "flex", "bison", "bc")
"""What a build needs besides a compiler; as packages of Debian are called."""
NEEDED = ("64BIT", "SYSFS", "PRINTK", "UML_PCI_OVER_VIRTIO", "KASAN", "PROVE_LOCKING")
"""Options without which the server does not build, or sees too little."""
OLDEST = [6, 1]
"""The version that User Mode Linux has KASAN from."""


class OtherOptions(BuildError):
    """A tree has options of which it was not said whether they are on: another commit of it is checked out."""


def real_kernel(source: Source, told: Callable[[str], None] = lambda _: None) -> Path:
    """The kernel that runs a source's file; `told` is given what a build is at, which takes minutes the first time. Raises
    BuildError."""
    tree = full_tree(source)
    digest = hashlib.sha256(repr(stamp(tree)).encode() + source.file.read_bytes())
    for file in SERVER:
        digest.update(file.read_bytes())
    folder = REAL / key(tree)

    def make(program: Path) -> None:
        with alone(folder):
            shutil.copy2(build(source, tree, folder, told), program / "linux")

    try:
        return filled_once(folder / "programs" / digest.hexdigest()[:20], make) / "linux"
    except OSError as error:
        raise BuildError(f"{error.filename or folder}: {error.strerror}; kernels are built in {REAL}") from error


def is_built(source: Source) -> bool:
    """Whether the kernel of a source's tree has been built, so that its file takes seconds. Raises BuildError."""
    return any((REAL / key(full_tree(source)) / "programs").glob("*/linux"))


def full_tree(source: Source) -> Path:
    """The tree that a source's kernel is built from: its own, or the full one of the same version. Raises BuildError."""
    tree = source.whole_tree().resolve()
    if is_full(tree):
        version = Source(tree / "mm" / "dmapool.c", tree).version()
        if [int(number) for number in re.findall(r"\d+", version)[:2]] < OLDEST:
            raise BuildError(
                f"{tree} is Linux {version[1:] or 'of no version'}: User Mode Linux has KASAN from 6.1 on only"
            )
        return tree
    version = ".".join(Source(tree / "mm" / "dmapool.c", tree).version().split(".")[:2]) or tree.name
    if is_full(FULL / version):
        return (FULL / version).resolve()
    full = ", ".join(f"KERNEL={os.path.relpath(one)}" for one in fetched(FULL)) or "`make kernels FULL=1` fetches some"
    raise BuildError(
        f"{tree} lacks one of Makefile, Kconfig, arch/um/ and mm/Makefile: a full tree is needed to build a kernel; {full}"
    )


def key(tree: Path) -> str:
    """The name of a tree's build: another tree, or another compiler, has another one. make itself sees what else changes."""
    command = compiler()
    made_of = (str(tree), command, version_of(command))
    version = Source(tree / "mm" / "dmapool.c", tree).version()
    return f"{version}-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:8]}"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """No other process builds there meanwhile, nor a make that has outlived the process that ran it. Raises BuildError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            os.set_inheritable(lock.fileno(), True)
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise BuildError(f"{error.filename or folder}: {error.strerror}; kernels are built in {REAL}") from error


def build(
    source: Source,
    tree: Path,
    folder: Path,
    told: Callable[[str], None],
    test: str = "",
    debug: bool = False,
    config: Path = HERE / "config",
) -> Path:
    """Have make build the kernel in `folder`; with a KUnit `test`, in C, its own mm/dmapool.c is the source's file, too, and a
    `debug` build if that is asked for. A `config` without KASAN has no server. Raises BuildError."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise BuildError(f"a kernel cannot be built without {', '.join(missing)}: apt-get install {' '.join(missing)}")
    overlay, objects = folder / "source", folder / "objects"
    lay_over(tree, overlay)
    put(overlay / "mm" / "poolproof" / "dmapool.c", source.file.read_bytes())
    put(overlay / "mm" / "dmapool.c", (source.file if test else tree / "mm" / "dmapool.c").read_bytes())
    laid = overlay / "mm" / "poolproof" / "test_kunit.c"
    put(laid, test.encode()) if test else laid.unlink(missing_ok=True)
    objects.mkdir(exist_ok=True)
    make = ["make", "-C", str(overlay), f"O={objects}", "ARCH=um", f"CC={' '.join(compiler())}"]
    make += ["POOLPROOF_DEBUG=y"] * debug
    configured = folder / "configured"

    def configure() -> None:
        told("it is configured")
        configured.unlink(missing_ok=True)
        run([*make, f"KCONFIG_ALLCONFIG={config}", "allnoconfig"], source, overlay, tree)
        if missing := sorted({*NEEDED} & {*lacking(objects, config)}):
            raise BuildError(f"{tree} cannot have CONFIG_{missing[0]} in User Mode Linux")
        put(configured, config.read_bytes())

    def compile_all() -> None:
        run([*make, f"-j{os.cpu_count() or 1}", "linux"], source, overlay, tree, told)

    if not configured.exists() or configured.read_bytes() != config.read_bytes():
        configure()
    try:
        compile_all()
    except OtherOptions:
        configure()
        compile_all()
    return objects / "linux"


def lacking(objects: Path, config: Path = HERE / "config") -> list[str]:
    """The options that a build does not have, since the tree's version has none such, of those that were asked for."""
    has = (objects / ".config").read_text().splitlines()
    wanted = re.findall(r"^(CONFIG_(\w+)=.*)$", config.read_text(), re.M)
    return [name for line, name in wanted if line not in has]


def put(file: Path, content: bytes) -> None:
    """Write a file, unless it has that content already: make would build it again."""
    if not file.exists() or file.read_bytes() != content:
        file.write_bytes(content)


def lay_over(tree: Path, overlay: Path) -> None:
    """Make the overlay: links to what is in the tree, and in mm/ our server. Raises BuildError."""
    if any((tree / made).exists() for made in (".config", "include/config")):
        raise BuildError(
            f"{tree} was built in place, which hinders any other build: run `make mrproper` there, or name a worktree"
        )
    link_all(tree, overlay, leaving_out={"mm", ".git"})
    link_all(tree / "mm", overlay / "mm", leaving_out={"Kbuild", "dmapool.c"})
    ours = overlay / "mm" / "poolproof"
    ours.mkdir(exist_ok=True)
    put(overlay / "mm" / "Kbuild", (HERE / "mm.Kbuild").read_bytes())
    for file in SERVER:
        if file.name not in ("config", "mm.Kbuild"):
            put(ours / file.name, file.read_bytes())


def link_all(folder: Path, into: Path, leaving_out: set[str]) -> None:
    into.mkdir(parents=True, exist_ok=True)
    wanted = {one.name for one in folder.iterdir()} - leaving_out
    for link in into.iterdir():
        if link.is_symlink() and link.name not in wanted:
            link.unlink()
    for name in wanted:
        if not (into / name).is_symlink():
            (into / name).symlink_to(folder / name)


def run(
    command: list[str], source: Source, overlay: Path, tree: Path, told: Callable[[str], None] = lambda _: None
) -> None:
    """Run make. Raises BuildError with the compiler's first error, in the user's file where it is in the copy of it."""
    environment = {**os.environ, "LC_ALL": "C"}
    said: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        close_fds=False,  # it holds the lock as well
    ) as process:
        assert process.stdout is not None
        atexit.register(process.terminate)  # where this process is interrupted
        for number, line in enumerate(process.stdout):
            if re.match(r"  [A-Z]+ ", line):
                told(f"{number} files: {line.split()[-1]}")
            else:
                said.append(line.rstrip())
        status = process.wait()
        atexit.unregister(process.terminate)
    told("")
    if status:
        text = "\n".join(said).replace(f"{overlay}/mm/poolproof/dmapool.c", source.shown or str(source.file))
        text = text.replace(str(overlay), str(tree))
        if "Console input/output is redirected" in text:
            raise OtherOptions(f"{tree} has other options than when it was configured")
        if "No space left on device" in text:
            raise BuildError(
                f"no space is left in {REAL}, where a kernel takes half a gigabyte, or in {tempfile.gettempdir()}"
            )
        error = re.search(
            r"^\S.*?: (?:(?:fatal )?error: .*|(?:multiple definition of|undefined reference to) \S+)", text, re.M
        )
        of_make = [line for line in said if line and not re.match(r"make.*: (?:Entering|Leaving) directory", line)]
        words = error[0] if error else of_make[-1] if of_make else "make says nothing"
        words = re.sub(r"\s*\[-W[^]]*\]$", "", words)
        raise BuildError(f"the kernel does not build: {words}")
