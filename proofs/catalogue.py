"""What there is to prove: of Python, the obligations that the modules of proofs/ state; of a kernel, those about its file."""

import functools
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from hashlib import sha256
from shlex import quote

from kernel.build import find
from kernel.compiler import version_of
from kernel.execute import RUN
from kernel.headers import SHIM, stamp
from kernel.ir import NotFollowed, clang
from model.bad_input import BadInput
from proofs import (
    admission,
    balance,
    block_stack,
    corrupted,
    counting,
    destroy,
    fills,
    free_list,
    interleaving,
    layout,
    lookup,
    operations,
    page_scan,
    struct_page,
    tree,
    walk,
)
from proofs.engine import cache
from proofs.engine.obligation import Obligation, Result, Settings, prove_body
from proofs.engine.solver import allow_any_thread

Catalogue = dict[str, Obligation]
"""Obligations by name."""

STATED_BY = (
    admission,
    layout,
    counting,
    lookup,
    tree,
    balance,
    block_stack,
    destroy,
    fills,
    free_list,
    corrupted,
    interleaving,
    operations,
    page_scan,
    struct_page,
    walk,
)

PROVER = ("proofs.engine.obligation", "proofs.engine.second")
"""What makes a result of an obligation, with all that it imports."""

ONE_AT_A_TIME = threading.Lock()
"""Neither Z3 nor Python's `ast` (in 3.11) can work for two threads at once."""


class OtherSources(Exception):
    """A worker runs other sources, or on another Python or other solvers, than the one who asks."""


def catalogue_of_python() -> Catalogue:
    """The obligations about impl/."""
    return by_name(one for module in STATED_BY for one in module.obligation.stated)


def catalogue_of_kernel(path: str) -> Catalogue:
    """The obligations about a kernel's own file, compiled. Raises BuildError, and BadInput for a file of another shape."""
    try:
        return compiled(path, digest_of_kernel(path))
    except NotFollowed as not_followed:
        raise BadInput(
            f"{path}: the prover cannot follow it: {not_followed}; hunt only: make fuzz KERNEL={quote(path)}"
        ) from not_followed


@functools.cache
def compiled(path: str, digest: str) -> Catalogue:
    """Compiles the file that has this digest, once in each process."""
    from proofs.compiled import obligations_of  # here, since only who asks for it needs a compiler

    del digest
    return by_name(obligations_of(find(path)).values())


def by_name(stated: Iterable[Obligation]) -> Catalogue:
    catalogue: Catalogue = {}
    for one in stated:
        assert one.name not in catalogue, one.name
        catalogue[one.name] = one
    return catalogue


OBLIGATIONS = catalogue_of_python()


def catalogue_of(kernel: str | None) -> Catalogue:
    return OBLIGATIONS if kernel is None else catalogue_of_kernel(kernel)


def digest_of_kernel(path: str) -> str:
    """Of all that is compiled: the file, with its name, which results have beside the lines of C; its tree's headers and lib/,
    the shim; and of the compiler. Raises BuildError."""
    source = find(path)
    contents = [sha256(file.read_bytes()).hexdigest() for file in (source.file, *sorted(SHIM.rglob("*.[ch]")))]
    return cache.digest_of(source.file.name, contents, stamp(source.whole_tree()), clang(), version_of_clang())


@functools.cache
def version_of_clang() -> str:
    return version_of(clang())


def key_of(obligation: Obligation, settings: Settings, compiled_from: str | None = None) -> str:
    """What a result depends on, as a digest; it is of the kernel with that digest."""
    runs = cache.what_runs(*PROVER, obligation.module, obligation.body.__module__)
    return cache.digest_of(obligation.name, asdict(settings), runs, compiled_from)


def what_runs_here(kernel: str | None = None) -> str:
    """A digest of the catalogue with all that it imports, of Python and of the solvers; and of a kernel's file."""
    return cache.digest_of(cache.what_runs(__name__), None if kernel is None else digest_of_kernel(kernel))


def prove_elsewhere(names: Sequence[str], settings: Settings, kernel: str | None, asker_runs: str) -> list[Result]:
    """Prove, in a worker, obligations that have a body and a theory in common. A worker compiles a kernel's file itself.

    Raises OtherSources if what runs here is not `asker_runs`, so that no verdict is about anything else.
    """
    with ONE_AT_A_TIME:
        if threading.current_thread() is not threading.main_thread():
            allow_any_thread()
        if what_runs_here(kernel) != asker_runs:
            raise OtherSources(names[0])
        catalogue = OBLIGATIONS if kernel is None else compiled(kernel, asker_runs)
        return prove_body([catalogue[name] for name in names], settings, RUN)
