"""The pools that can be put beside the oracle, by the name of their revision."""

import os
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import Any

from hunt.inside import inside_of_pages, inside_of_stack, look
from impl.block_stack import BlockStackPool
from impl.history import OriginalPool
from impl.lock import LockingError
from impl.pool import Options
from impl.pool import Pool as SeriesPool
from kernel.build import BuildError, Source, Variant, find
from kernel.pool import program_of, revision_of
from model.lockstep import KERNEL, Revision
from model.pool import Pool as ModelPool
from model.promises import SERIES, V6_1, V6_12, Promises


def python(pool: Any, promises: Promises = SERIES, **views: Any) -> Revision:
    """A pool of impl/, created with the options of the kernel that a trace names."""

    def create(name: str, memory: Any, size: int, align: int, boundary: int, **options: Any) -> Any:
        return pool.create(name, memory, size, align, boundary, Options(**options))

    return Revision(create, promises, locking_error=LockingError, **views)


TARGETS: dict[str, Revision] = {
    "model": Revision(ModelPool.create),
    "series": python(SeriesPool, look=look, inside=inside_of_pages),
    # Held to what v6.1 was meant to promise, which it breaks; and to what it keeps in fact.
    "v6.1": python(
        OriginalPool,
        replace(SERIES, notices_overlap=False, keeps_in_debug_builds=V6_1.keeps_in_debug_builds),
        inside=inside_of_pages,
    ),
    "v6.1-as-it-is": python(OriginalPool, V6_1, inside=inside_of_pages),
    "v6.12": python(BlockStackPool, V6_12, inside=inside_of_stack),
}


def twin_of(promises: Promises) -> str:
    """The revision of impl/ that is sound, and promises the same as a kernel's own file."""
    return "series" if promises is SERIES else "v6.12" if promises is V6_12 else "v6.1-as-it-is"


def add_kernel(path: str, promises: str | None = None) -> Source:
    """Have a kernel tree, or a single dmapool.c, be the revision `kernel`; in processes that are started from now on, too.

    It is held to what it promises by its features, or to what another revision promises. Raises BuildError.
    """
    if promises is not None and promises not in TARGETS:
        raise BuildError(f"there are no promises {promises!r}; there are those of {', '.join(TARGETS)}")
    source = find(path)
    for debug in (False, True):
        program_of(source, Variant(debug))
    TARGETS[KERNEL] = revision_of(source, None if promises is None else TARGETS[promises].promises)
    os.environ |= {"POOLPROOF_KERNEL": str(path), "POOLPROOF_PROMISES": promises or ""}
    return source


def kernel_options(parser: ArgumentParser, what: str, *, required: bool = False) -> None:
    """The options of a command line that can be about a kernel's own file."""
    parser.add_argument(
        "--kernel", metavar="PATH", required=required, help=f"{what} a kernel tree's mm/dmapool.c, or a single file"
    )
    parser.add_argument("--promises", metavar="REVISION", help="hold the kernel to what this revision promises")


def kernel_of(options: Namespace) -> Source | None:
    """The kernel that these options name, which is a revision from now on. Raises BuildError."""
    if options.kernel is not None:
        return add_kernel(options.kernel, options.promises)
    if options.promises is not None:
        raise BuildError("--promises is about a kernel: name one with --kernel")
    return None


if os.environ.get("POOLPROOF_KERNEL"):
    try:
        add_kernel(os.environ["POOLPROOF_KERNEL"], os.environ.get("POOLPROOF_PROMISES") or None)
    except BuildError as error:
        print(f"kernel: {error}", file=sys.stderr)
        raise SystemExit(2) from None
