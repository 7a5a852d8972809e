"""The versions of the allocator whose pools can be put beside the oracle, by the name of their revision."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from hunt.inside import inside_of_pages, inside_of_stack, look
from impl.lock import LockingError
from impl.pool import Options
from impl.pool import Pool as SeriesPool
from impl.v6_1 import V6_1Pool
from impl.v6_12 import V6_12Pool
from kernel.build import BuildError, Source, Variant, find
from kernel.pool import program_of, revision_of
from model.pool import SimplePool
from model.promises import SERIES, V6_1, V6_12, Promises
from model.revision import KERNEL, Revision


def python(pool: Any, promises: Promises = SERIES, **views: Any) -> Revision:
    """A pool of impl/, created with the options of the kernel that a trace names."""

    def create(name: str, memory: Any, size: int, align: int, boundary: int, **options: Any) -> Any:
        return pool.create(name, memory, size, align, boundary, Options(**options))

    return Revision(create, promises, locking_error=LockingError, **views)


REVISIONS: Mapping[str, Revision] = MappingProxyType(
    {
        "model": Revision(SimplePool.create),
        "series": python(SeriesPool, look=look, inside=inside_of_pages),
        # Held to what v6.1 was meant to promise, which it breaks; and to what it keeps in fact.
        "v6.1": python(
            V6_1Pool,
            replace(SERIES, notices_overlap=False, keeps_in_debug_builds=V6_1.keeps_in_debug_builds),
            inside=inside_of_pages,
        ),
        "v6.1-as-it-is": python(V6_1Pool, V6_1, inside=inside_of_pages),
        "v6.12": python(V6_12Pool, V6_12, inside=inside_of_stack),
    }
)


def twin_of(promises: Promises) -> str:
    """The revision of impl/ that is sound, and promises the same as a kernel's own file."""
    return "series" if promises is SERIES else "v6.12" if promises is V6_12 else "v6.1-as-it-is"


@dataclass(frozen=True)
class KernelFile:
    """A kernel's own file, as the user names it; it is held to what its features say, or to what another revision promises."""

    path: str
    source: Source
    promises: str | None = None
    variant: Variant = field(default_factory=Variant)

    def revision(self) -> Revision:
        promises = None if self.promises is None else REVISIONS[self.promises].promises
        return revision_of(self.source, promises, self.variant)

    def as_make_takes_it(self) -> str:
        return f"KERNEL={self.path}" + (f" PROMISES={self.promises}" if self.promises else "")


def revisions(kernel: KernelFile | None = None) -> Mapping[str, Revision]:
    """The pools of impl/ and model/, and a kernel's own file as the revision `kernel`, where there is one."""
    return REVISIONS if kernel is None else {**REVISIONS, KERNEL: kernel.revision()}


def kernel_file(path: str, promises: str | None = None) -> KernelFile:
    """A kernel tree, or a single dmapool.c, compiled. Raises BuildError."""
    if promises is not None and promises not in REVISIONS:
        raise BuildError(f"there are no promises {promises!r}; there are those of {', '.join(REVISIONS)}")
    source = find(path)
    for debug in (False, True):
        program_of(source, Variant(debug))
    return KernelFile(path, source, promises)
