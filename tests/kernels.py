"""Kernels for tests: those that were fetched, as they are and with changes, and a short hunt in one."""

from pathlib import Path

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from hunt import profiles
from hunt.machine import machine
from kernel.build import KERNELS, BuildError, Source, compiler, find
from kernel.pool import revision_of


def needs_a_compiler() -> None:
    """Skip the module that asks, if there is none."""
    try:
        compiler()
    except BuildError as error:
        pytest.skip(str(error), allow_module_level=True)


def fetched(version: str) -> Source:
    """A kernel's source; the test is skipped if nobody has fetched it."""
    if not (KERNELS / version).is_dir():
        pytest.skip(f"the kernel {version} is not there: run `make kernels`")
    return find(KERNELS / version)


def changed(version: str, folder: Path, *changes: str) -> Source:
    """A kernel's source with a bug: each text is replaced by the one that follows it."""
    source = fetched(version)
    text = source.file.read_text()
    for before, after in zip(changes[::2], changes[1::2], strict=True):
        assert text.count(before) >= 1, before
        text = text.replace(before, after, 1)
    (folder / "dmapool.c").write_text(text)
    return Source(folder / "dmapool.c", source.tree)


def hunt(source: Source, examples: int) -> int:
    """Steps of a hunt in a source; raises the BrokenClaim that it finds."""
    hunter = machine(revision_of(source))
    profiles.register()
    phases = [Phase.generate]
    short = settings(settings.get_profile("mutants"), max_examples=examples, phases=phases, derandomize=False)
    run_state_machine_as_test(seed(1)(hunter), settings=short)
    return hunter.tally.steps
