"""Seeded bugs: small changes of the code, each with the claims that have to be seen broken. `make bugs` plants them all.

The table is a TOML file for each file that is changed; an entry may name another. `old` occurs in the file exactly once,
and becomes `new`. Of a bug it says

- `refuted`: what the prover must refute, where it proves the unchanged code. A claim is to be refuted in one of its cases
  at least, and CLAIM/REVISION or CLAIM/REVISION/CASE in each of its theories (Z, u32, u64);
- `hunted`: claims of which a hunt must see at least one broken: which one it meets first is a matter of luck;
- `contracts`: what CrossHair must refute;
- `revision`: the one that is proved and hunted;
- `kernel`: the version whose mm/dmapool.c is changed, where it is not a file of ours;
- `not_in_a_kernel`: why a hunt in a real kernel does not notice it, where that is so;
- `like`: another entry, from which it has what it does not say itself.

A bug of history (`bugs/history.toml`) has a `year` as well: `what` it was, how it was `found`, and the `source` that says so.
"""

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel.build import KERNELS
from kernel.once import BUILDS, ROOT

PACKAGES = ("model", "impl", "kernel", "bugs", "hunt", "proofs", "report", "command")


@dataclass(frozen=True)
class Bug:
    """One seeded bug; `name` begins with the name of its part of the table."""

    name: str
    file: str
    old: str
    new: str
    refuted: tuple[str, ...] = ()
    hunted: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()
    revision: str = "series"
    kernel: str = ""
    not_in_a_kernel: str = ""
    year: str = ""
    what: str = ""
    found: str = ""
    source: str = ""

    @property
    def changes_nothing(self) -> bool:
        """Whether the file is left as it is."""
        return self.old == self.new

    @property
    def original(self) -> Path:
        """The file that is changed. A kernel's is there once it is fetched."""
        return (KERNELS / self.kernel if self.kernel else ROOT) / self.file

    def text(self) -> str:
        """The changed file. Raises ValueError if `old` does not occur exactly once."""
        text = self.original.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.old!r} occurs {text.count(self.old)} times in {self.file}, not once")
        return text.replace(self.old, self.new)


def copy_to(folder: Path) -> None:
    """Copy the Python of the repository into `folder`."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))


def plant(bug: Bug, folder: Path) -> None:
    """Copy the repository's Python into `folder`, with the bug in it. A kernel's is in a tree beside the Python, `linux`. What
    was built from the same files is there already."""
    text = bug.text()
    copy_to(folder)
    BUILDS.mkdir(parents=True, exist_ok=True)
    (folder / BUILDS.parent.name).mkdir()
    (folder / BUILDS.relative_to(ROOT)).symlink_to(BUILDS.resolve())
    if bug.kernel:
        link_but(KERNELS / bug.kernel, folder / "linux", bug.file)
    (folder / "linux" / bug.file if bug.kernel else folder / bug.file).write_text(text)


def link_but(tree: Path, here: Path, file: str) -> None:
    """A kernel tree by links to its folders, but for the one that a file is in, which is copied."""
    here.mkdir()
    for entry in tree.iterdir():
        if entry.name == Path(file).parts[0]:
            shutil.copytree(entry, here / entry.name)
        else:
            (here / entry.name).symlink_to(entry.resolve())


def table() -> dict[str, Bug]:
    """Every seeded bug by its name."""
    entries: dict[str, dict[str, Any]] = {}
    for file in sorted(Path(__file__).parent.glob("*.toml")):
        read = tomllib.loads(file.read_text())
        common = {key: value for key, value in read.items() if not isinstance(value, dict)}
        for name, entry in read.items():
            if isinstance(entry, dict):
                entries[f"{file.stem}/{name}"] = ({} if "like" in entry else common) | entry
    bugs = {}
    for name, entry in entries.items():
        fields = entries.get(entry.pop("like", ""), {}) | entry
        lists = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
        bugs[name] = Bug(name, **fields | lists)
    return bugs


BUGS = table()
