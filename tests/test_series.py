"""The series of 31 May 2022, where its mails are at hand: applied to Linux v6.1, everything is as expected of its C.

The mails are others' and in no commit: they are an mbox, which POOLPROOF_SERIES names, or .poolproof/series.mbox.
"""

import os
from pathlib import Path

import pytest

from kernel.patches import applied, read_patches
from proofs.catalogue import catalogue_of
from proofs.engine.obligation import Settings
from proofs.run import Where, prove_named
from tests.kernels import fetched, needs_a_compiler

needs_a_compiler()

SERIES = Path(os.environ.get("POOLPROOF_SERIES", ".poolproof/series.mbox"))
BRING = "b4 mbox -o - 801335ba-00f3-12ae-59e0-119d7d8fd8cd@cybernetics.com > .poolproof/series.mbox"
ONLY_OF_THE_SERIES = {
    "pages_with_room_are_listed",
    "alloc_touches_few_pages",
    "free_compares_few_addresses",
    "insertion_keeps_pages_disjoint",
    "block_is_filled_once",
    "refused_free_changes_nothing",
}
"""What v6.1 does not keep, or has nothing for."""


def test_the_series_is_proved_of_its_own_c(tmp_path: Path) -> None:
    if not SERIES.is_file():
        pytest.skip(f"needs the ten mails of the series: {BRING}")
    *_, (_, after) = applied(read_patches(SERIES), fetched("v6.1"), tmp_path)
    tree = str(after.tree)
    results = prove_named(list(catalogue_of(tree)), Settings(), Where(tree, None, 1), lambda _: None)
    assert [(result.obligation, result.verdict) for result in results if not result.as_expected] == []
    assert {result.claim for result in results if result.verdict == "PROVED"} >= ONLY_OF_THE_SERIES
