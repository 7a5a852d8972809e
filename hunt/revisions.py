"""The versions of the allocator whose pools can be put beside the oracle, by the name of their revision."""

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import Any

from hunt.callers_in_python import run_callers
from hunt.inside import inside_of_pages, inside_of_stack, look
from impl.pool import Options
from impl.pool import Pool as SeriesPool
from impl.v6_1 import V6_1Pool
from impl.v6_12 import V6_12Pool
from kernel.build import Source, Variant, find
from kernel.compiler import BuildError
from kernel.pool import program_of
from kernel.promises import promises_of, revision_of
from model.claims import CLAIMS
from model.pool import Oracle
from model.promises import SERIES, V6_1, V6_12, Promises
from model.revision import KERNEL, Revision


def python(pool: Any, promises: Promises = SERIES, **views: Any) -> Revision:
    """A pool of impl/, created with the options of the kernel that a trace names."""

    def create(name: str, memory: Any, size: int, align: int, boundary: int, **options: Any) -> Any:
        options.pop("with_options", None)  # it has no boot options of its own
        return pool.create(name, memory, size, align, boundary, Options(**options))

    return Revision(create, promises, together=run_callers, **views)


REVISIONS: Mapping[str, Revision] = MappingProxyType(
    {
        # It has no free lists.
        "oracle": Revision(Oracle.create, replace(SERIES, keeps_in_debug_builds=SERIES.keeps)),
        "series": python(SeriesPool, look=look, inside=inside_of_pages),
        # Held to what v6.1 was meant to promise, which it breaks; and to what it keeps in fact.
        "v6.1": python(
            V6_1Pool,
            replace(
                SERIES, like="v6.1-as-it-is", notices_overlap=False, keeps_in_debug_builds=V6_1.keeps_in_debug_builds
            ),
            inside=inside_of_pages,
        ),
        "v6.1-as-it-is": python(V6_1Pool, V6_1, inside=inside_of_pages),
        "v6.12": python(V6_12Pool, V6_12, inside=inside_of_stack),
    }
)


@dataclass(frozen=True)
class KernelFile:
    """A kernel's own file, as the user names it. It is held to what was found by trying it, or to other `promises`: those of a
    revision, or of a TOML file. `announced` are claims that it is meant to break: these are no findings."""

    path: str
    source: Source
    promises: str | None = None
    announced: tuple[str, ...] = ()
    variant: Variant = field(default_factory=Variant)

    @property
    def promised(self) -> tuple[Promises, tuple[str, ...]]:
        """What it is held to, and the claims that a TOML file says it is meant to break."""
        return promised(self.source, self.promises)

    def revision(self) -> Revision:
        return revision_of(self.source, self.promised[0], self.variant)

    def is_announced(self, claim: str | None) -> bool:
        return claim in (*self.announced, *self.promised[1])

    def in_words(self, brief: bool = False) -> str:
        """What the file is held to, and how that is known; `brief` says what is otherwise than in the version it is like."""
        promises, announced = self.promised
        how = "as trying it shows" if self.promises is None else f"as {self.promises} says"
        meant = [*announced, *self.announced]
        said = promises.in_brief() if brief else promises
        return f"held to this, {how}: {said}" + (f"; meant to change: {', '.join(meant)}" if meant else "")

    def as_make_takes_it(self) -> str:
        real = " REAL=1" if self.source.real else ""
        return f"KERNEL={quote(self.path)}" + (f" PROMISES={quote(self.promises)}" if self.promises else "") + real


BOUNDS: dict[str, Callable[[Any], bool]] = {
    "smallest_block": lambda nbytes: 1 <= nbytes <= 2**20,
    "columns": lambda columns: len(columns) == 4 and all(type(one) is int and -16 <= one <= -1 for one in columns),
}
"""What may be promised, of what has bounds: bytes, and places of four numbers in a row, from its end."""


def promised(source: Source, named: str | None) -> tuple[Promises, tuple[str, ...]]:
    """What a file is held to, and the claims that it is meant to break. Of a TOML file, `announced` is a list of these, `like`
    names a revision, and each other key is a field of `Promises`. Raises BuildError."""
    if named is None or named in REVISIONS:
        return (promises_of(source) if named is None else REVISIONS[named].promises), ()
    try:
        said = tomllib.loads(Path(named).read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BuildError(f"{named}: {error}") from error
    announced, like = said.pop("announced", []), said.pop("like", None)
    promises = REVISIONS[like].promises if like in REVISIONS else promises_of(source)
    allowed = {one.name: type(getattr(promises, one.name)) for one in fields(Promises)}
    of_tuples = {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
    wrong = [name for name, value in (said | of_tuples).items() if type(value) is not allowed.get(name)]
    wrong += [name for name, allows in BOUNDS.items() if name in said and name not in wrong and not allows(said[name])]
    wrong += ["like"] if like is not None and like not in REVISIONS else []
    claims = [str(claim).partition("@")[0] for claim in announced] if isinstance(announced, list) else [""]
    wrong += [f"announced: {claim!r}" for claim in claims if claim not in CLAIMS]
    if wrong:
        known = ", ".join(["announced", *(name for name in allowed if not name.startswith("keeps"))])
        value = f" = {said[wrong[0]]!r}" if wrong[0] in said else ""
        raise BuildError(f"{named}: {wrong[0]}{value} is nothing that can be promised so; known are {known}")
    return replace(promises, **(said | of_tuples)), tuple(announced)


def revisions(kernel: KernelFile | None = None) -> Mapping[str, Revision]:
    """The pools of impl/ and model/, and a kernel's own file as the revision `kernel`, where there is one."""
    return REVISIONS if kernel is None else {**REVISIONS, KERNEL: kernel.revision()}


def check_promises(promises: str | None) -> None:
    """Raises BuildError for promises that are neither a revision's nor in a file."""
    if promises is not None and promises not in REVISIONS and not Path(promises).is_file():
        absent = f"there is no file {promises}" if Path(promises).suffix else f"there are no promises {promises!r}"
        raise BuildError(f"{absent}; promises are those of {', '.join(REVISIONS)}, or of a TOML file")


def kernel_file(
    path: str, promises: str | None = None, announced: Iterable[str] = (), real: bool = False
) -> KernelFile:
    """A kernel tree, or a single dmapool.c, compiled, or built into a `real` kernel; beside the file, a `dmapool.toml` may say
    what it promises. Raises BuildError."""
    check_promises(promises)
    source = replace(find(path), real=real)
    beside = source.file.with_suffix(".toml")
    if promises is None and beside.is_file():
        promises = os.path.relpath(beside)
    for debug in (False, True):
        program_of(source, Variant(debug))
    kernel = KernelFile(path, source, promises, tuple(announced))
    kernel.promised  # noqa: B018 - so that a TOML file that cannot be read is said before any work
    return kernel
