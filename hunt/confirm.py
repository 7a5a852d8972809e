"""What the shim has shown, run again in a real kernel, if one of that version has been built."""

import os
import re
from contextlib import suppress
from dataclasses import replace
from shlex import quote

from hunt.revisions import KernelFile
from hunt.watchdog import begin, watchdog
from kernel.build import Source, Variant
from kernel.compiler import BuildError
from kernel.pool import program_of
from kernel.promises import revision_of
from kernel.real.build import full_tree, is_built
from model.checks import BrokenClaim
from model.claims import locking_rules_are_kept
from model.lockstep import Lockstep, replay, rerun
from model.trace import Alloc, Create, Destroy, Free, Kernel, Trace, TraceError

ONLY_IN_THE_SHIM = {
    (
        "locking_rules_are_kept",
        ", without the ",
    ): "the race is concluded from which locks are held, and no run shows it",
    ("structs_are_freed", "of its objects of kmalloc are left"): "there, nobody counts a pool's objects",
    (
        "create_admits_what_is_promised",
        "a managed pool of size ",
    ): "there, nobody looks at what a managed pool is asked for",
    ("", "another device"): "there, nobody looks at the device that is named",
    ("", " attributes "): "there, nobody looks at a page's attributes",
    ("pools_file_exists_while_pools_do", "the file pools has mode "): "there, nobody looks at who may read the file",
    ("", "a message shows "): "there, nobody looks at what a message shows",
    ("", "dma_pool_destroy(NULL) crashes"): "there, nobody destroys a pool that is none",
}
"""What the shim says of a fault, of a claim or of any, that a real kernel does not show, and why."""

OF_LIB = re.compile(r"a lock held: .*, in \w+ \((?:xarray|radix-tree|maple_tree|idr)\.c:")
"""What the shim says of an allocation of the kernel's own, which sleeps where its first one is refused, as it is there."""


def in_a_real_kernel(source: Source) -> Source | None:
    """The file in a real kernel of its version, if one has been built, so that this takes seconds."""
    real = replace(source, real=True)
    with suppress(BuildError):
        return real if is_built(real) else None
    return None


def where_it_builds(source: Source) -> tuple[Source, str]:
    """The source as it can be run: in the shim; or, if that cannot build it, or does not model what it uses, in a real kernel
    of its version, if one has been built, and why it is not run in the shim. Raises BuildError."""
    real, refused = in_a_real_kernel(source), None
    try:
        why = uses_what_is_not_modelled(source)
    except BuildError as error:
        refused, why = error, str(error)
    if why and real is not None:
        with suppress(BuildError):  # of what builds nowhere, the shim's compiler says why
            program_of(real, Variant())
            return real, why
    if refused is not None:
        raise refused
    return source, ""


def uses_what_is_not_modelled(source: Source) -> str:
    """What the shim says of the first function of the kernel that it does not model, if a short run gets to one; else "".
    Raises BuildError."""
    run = Create(64), Alloc("a"), Free("a"), Destroy()
    for debug in (False, True):
        program_of(source, Variant(debug))
        try:
            replay(Trace(run, Kernel(debug=debug)), revision_of(source))
        except BrokenClaim as broken:
            if "which is not modelled" in broken.happened:
                return broken.happened.partition(": ")[2]
    return ""


def named(real: Source) -> str:
    """The kernel, as "Linux 6.12.117"."""
    tree = full_tree(real)
    return f"Linux {Source(tree / 'mm' / 'dmapool.c', tree).version().removeprefix('v')}"


def how_to_confirm(source: Source) -> str:
    """What has to be done first, if no real kernel of a file's version has been built; "" if one has."""
    if source.real or in_a_real_kernel(source) is not None:
        return ""
    try:
        path = os.path.relpath(full_tree(source))
    except BuildError:
        return (
            "where KERNEL is a full tree, as `make kernels FULL=1` fetches, findings can be confirmed in a real kernel"
        )
    return f"`make real KERNEL={quote(str(path))}` lets findings be confirmed in a real kernel"


def confirmed(run: Trace, kernel: KernelFile) -> str:
    """Whether a run that breaks a claim in the shim does so in a real kernel, in words; "" where none has been built."""
    real = None if kernel.source.real else in_a_real_kernel(kernel.source)
    if real is None:
        return ""
    for (claim, said), why in ONLY_IN_THE_SHIM.items():
        if claim in ("", run.claim) and said in run.last_step().happened:
            return f"cannot be tried in {named(real)}: {why}"
    try:
        return tried(run, kernel, real)
    except (BuildError, TraceError) as error:
        return f"cannot be tried in {named(real)}: {error}"


def tried(run: Trace, kernel: KernelFile, real: Source) -> str:
    """Run it there. Raises BuildError, and TraceError."""
    lockstep = Lockstep(revision_of(real, kernel.promised[0]).going_past(run.past), run.kernel, run.claim)
    try:
        with watchdog():
            rerun(run, lockstep, begin)
    except BrokenClaim as broken:
        if broken.claim.name == run.claim:
            return f"confirmed in {named(real)}"
        return f"in {named(real)}, it breaks {broken.claim.name} instead: {broken.happened}"
    except TimeoutError:
        return f"cannot be tried in {named(real)}: a step takes too long"
    if lockstep.ended:
        return f"cannot be tried in {named(real)}: it ends before, at the first break of {locking_rules_are_kept.name}"
    if OF_LIB.search(run.last_step().happened):
        return f"not confirmed in {named(real)}: the kernel's own code gets there only where memory is short"
    last = lockstep.trace().last_step().happened
    return f"not confirmed in {named(real)}: it breaks no claim there" + (f"; at the end: {last}" if last else "")
