"""The sources that run: read once, and what was read is both what is run and what is digested.

Python's own import may run bytecode that is older than a source of the same size and second, and a file can change
between being loaded and being looked at. Hence importing `proofs` sees to it that every module of ours that is imported
after it is compiled from its source then and there; nothing is written or taken from `__pycache__`.
"""

import ast
import hashlib
import linecache
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import resolve_name
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("impl", "model", "proofs")


class NotOurs(Exception):
    """A module was not loaded from its source by this module, so that nobody knows what it runs."""


class FromSource(SourceFileLoader):
    """Compiles a module from its source, and remembers the source."""

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        data = self.get_data(path)
        loaded[fullname] = data
        lines = data.decode().splitlines(keepends=True)
        linecache.cache[path] = len(data), None, lines, path  # None: `inspect` is to see this text, not a newer one
        return self.source_to_code(data, path)


class Finder:
    """Finds the modules of our packages where Python would, for `FromSource` to load."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            spec.loader = FromSource(fullname, spec.origin)
            spec.cached = None
        return spec


loaded: dict[str, bytes] = {}
"""The sources of the modules that were loaded, by the names of the modules."""


def digest(roots: Iterable[str]) -> str:
    """A digest of the sources of some modules and of everything of ours that they import, directly or not.

    Raises NotOurs if one of them was loaded in another way.
    """
    found = hashlib.sha256()
    for name, data in sorted(closure(roots).items()):
        found.update(f"{name} {len(data)}\n".encode() + data)
    return found.hexdigest()


def closure(roots: Iterable[str]) -> dict[str, bytes]:
    """The sources of some modules and of everything of ours that they import, directly or not."""
    sources: dict[str, bytes] = {}
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name not in sources and (data := source(name)) is not None:
            sources[name] = data
            if name not in imported:
                imported[name] = list(imports(data, package_of(name)))
            pending += imported[name]
    return sources


imported: dict[str, list[str]] = {}


def source(name: str) -> bytes | None:
    """The source of a module as it was loaded, or as it would be now if it was not; None if it is no module of ours."""
    if name.partition(".")[0] not in PACKAGES:
        return None
    if name in loaded:
        return loaded[name]
    if name in sys.modules:
        raise NotOurs(name)
    spec_path = ROOT.joinpath(*name.split("."))
    for file in (spec_path.with_suffix(".py"), spec_path / "__init__.py"):
        if file.is_file():
            return file.read_bytes()
    return None  # a name inside a module


def package_of(name: str) -> str:
    """The package that a relative import in a module of ours starts from: its own, or that which it is."""
    return name if ROOT.joinpath(*name.split(".")).is_dir() else name.rpartition(".")[0]


def imports(data: bytes, package: str) -> Iterator[str]:
    """Whatever a source of a package imports anywhere in it; with `from a import b`, both a and a.b, which may be a module."""
    for node in ast.walk(ast.parse(data)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


if Finder not in sys.meta_path:
    sys.meta_path.insert(0, Finder)
    for name in ("proofs", "proofs.engine", "proofs.engine.sources"):  # which were loaded to get here
        loaded[name] = Path(sys.modules[name].__file__ or "").read_bytes()
