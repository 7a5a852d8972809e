"""Fetches the kernels to run against, once, into `.poolproof/kernels/`.

They come in Debian's source packages; of each, what a build needs is kept: the file, and the headers and lib/ that it is
compiled with. The machine's own lists of packages stay as they are.
"""

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from kernel.build import KERNELS, newest
from kernel.headers import is_whole
from model.bad_input import BadInput

NEWEST = "newest"
"""Of the kernels that Debian has: which one that is, changes; it is fetched into a folder of its version."""

RC = "rc"
"""The one that is not released yet, if Debian has it: fetched only by this name."""

SUITES = {"v5.10": "bullseye", "v6.1": "bookworm", "v6.12": "trixie", NEWEST: "sid", RC: "experimental"}
"""The releases of Debian whose kernels these are."""

WANTED = re.compile(r"include/(?!dt-bindings/).*|lib/(math/)?[^/]*\.[ch]|mm/dmapool(_test)?\.c|COPYING")
"""The files of a kernel that are kept."""

FULL = KERNELS.parent / "kernels-full"
"""Where full trees are, from which a kernel can be built."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class UnavailableError(BadInput):
    """A kernel that cannot be had; says in one line what is missing."""


def fetch(version: str, full: bool = False) -> Path:
    """The folder of a kernel's files, which are fetched if they are not there; `full`, with all of its files, in `FULL`. Raises
    UnavailableError."""
    kernels, has_all = (FULL, is_full) if full else (KERNELS, is_whole)
    folder = newer_than_the_others(kernels) if version == NEWEST else None if version == RC else kernels / version
    if folder is not None and has_all(folder):
        return folder
    kernels.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kernels) as scratch:
        try:
            wanted = "linux-source" if version in (NEWEST, RC) else f"linux-source-{version.removeprefix('v')}"
            package = download(wanted, SUITES[version], Path(scratch))
            files = Path(scratch) / "tree"
            unpack(package, files, full)
        except UnavailableError as error:
            by_hand = folder or kernels / "vX.Y"
            raise UnavailableError(
                f"no {version}: {error}; or lay the files of a kernel tree there by hand: {by_hand}"
            ) from error
        folder = kernels / f"v{package.name.partition('_')[0].removeprefix('linux-source-')}"
        if folder.is_dir():  # of which something is missing
            folder.rename(Path(scratch) / "before")
        files.rename(folder)
    print(f"kernels: {package.name.replace('%3a', ':')} → {os.path.relpath(folder)}")
    return folder


def is_full(tree: Path) -> bool:
    """Whether a folder is a kernel tree that can be built."""
    return all((tree / name).is_file() for name in ("Makefile", "Kconfig", "arch/um/Makefile", "mm/Makefile"))


def newer_than_the_others(kernels: Path = KERNELS) -> Path | None:
    """The newest kernel that was fetched or laid there by hand, if it is none of those that `SUITES` names."""
    folder = newest(kernels)
    return folder if folder is not None and folder.name not in SUITES else None


def download(package: str, suite: str, folder: Path) -> Path:
    """A package of a release, or the one that it only refers to, whatever release this machine runs."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise UnavailableError(f"there is no {tool}, which gets Debian's packages")
    if not KEYRING.is_file():
        raise UnavailableError(f"there is no {KEYRING}: install debian-archive-keyring")
    known = run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], folder).split()
    mirrors = [address for address in known if address.rstrip("/").endswith("/debian")]
    if not mirrors:
        raise UnavailableError("no mirror of Debian is among the sources of apt-get")
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirrors[0]} {suite} main\n")
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    own = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",  # the folder is not for others
    }
    options = [f"-o{name}={value}" for name, value in own.items()]
    run(["apt-get", "-qq", *options, "update"], folder)
    if package == "linux-source":
        said = run(["apt-cache", *options, "depends", package], folder)
        package = next(iter(re.findall(r"Depends: (linux-source-[\d.]+)$", said, re.M)), package)
    run(["apt-get", "-qq", *options, "download", package], folder)
    found = list(folder.glob("*.deb"))
    if not found:
        raise UnavailableError(f"{suite} has no package {package}")
    return found[0]


def extract(tree: tarfile.TarFile, into: Path) -> None:
    """All files of an archive that has one folder."""
    tree.extractall(into, filter="tar")
    (only,) = into.iterdir()
    for file in list(only.iterdir()):
        file.rename(into / file.name)
    only.rmdir()
    if not is_full(into):
        raise UnavailableError("the archive lacks files of a kernel tree")


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")] or ["no reason is given"]
        raise UnavailableError(f"{' '.join(command[:2])} …: {said[0]}")
    return done.stdout


def unpack(package: Path, into: Path, full: bool) -> None:
    """The wanted files of a source package, or all: its archive has another one inside, which is read as far as necessary."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as contents:
        try:
            with tarfile.open(fileobj=contents.stdout, mode="r|") as outer:
                member = next(member for member in outer if member.name.endswith(".tar.xz"))
                with tarfile.open(fileobj=outer.extractfile(member), mode="r|xz") as tree:
                    if full:
                        extract(tree, into)
                        return
                    for file in tree:
                        name = file.name.partition("/")[2]
                        if file.isfile() and WANTED.fullmatch(name):
                            (into / name).parent.mkdir(parents=True, exist_ok=True)
                            (into / name).write_bytes(tree.extractfile(file).read())  # type: ignore[union-attr]
                        if name > "mm/dmapool_test.c" and is_whole(into) and (into / "mm" / "dmapool.c").is_file():
                            break  # the archive is in the order of names
        except (StopIteration, tarfile.TarError, EOFError) as error:
            raise UnavailableError(f"{package.name} cannot be read: {error}") from error
        finally:
            contents.kill()
    if not is_whole(into) or not (into / "mm" / "dmapool.c").is_file():
        raise UnavailableError(f"{package.name} lacks mm/dmapool.c, or what that is compiled with")
