"""Every past counterexample is told and drawn as ever."""

import os
from pathlib import Path

import pytest

from hunt.events import Tally
from hunt.fuzz import Hunt
from kernel.once import ROOT
from model.checks import BrokenClaim
from model.claims import create_admits_what_is_promised
from model.geometry import create
from model.trace import NO_FAULT, Create, Trace, loads
from report.runs import scene_on
from report.scene import Scene
from report.text import run_as_text
from report.verdicts import of_hunt, refutation_in_words
from tests.running import TRACES

GOLDEN = ROOT / "tests" / "golden"


def hold_against(golden: Path, text: str) -> None:
    """Compare a text with the one that is kept; UPDATE_GOLDEN=1 keeps it from now on."""
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert golden.exists(), f"{golden} is missing: UPDATE_GOLDEN=1 writes it"
    assert text == golden.read_text(), "if this is meant, UPDATE_GOLDEN=1 keeps it"


@pytest.mark.parametrize("file", TRACES, ids=lambda file: file.stem)
def test_a_past_counterexample_is_told_as_ever(file: Path) -> None:
    on = file.name.partition("-")[0]
    scene = scene_on(loads(file.read_text()), on)
    assert scene.broken is not None
    hold_against(GOLDEN / f"{file.stem}.txt", run_as_text(scene, on) + "\n")


def test_the_blocks_of_a_page_are_told_after_the_pool_is_gone() -> None:
    (file,) = (file for file in TRACES if file.stem == "series-pool_stays_in_its_memory-free_after_destroy")
    assert scene_on(loads(file.read_text()), "series").blocks_per_page == 4


def test_a_fault_is_told_without_what_was_expected_instead() -> None:
    happened = "a managed pool of size 40 has 0 where another pool has 1024"
    run = Trace((Create(64, expected=NO_FAULT, happened=happened),), claim="create_admits_what_is_promised")
    broken = BrokenClaim(create_admits_what_is_promised, NO_FAULT, happened, run)
    text = run_as_text(Scene(run, create(64, 1, 0, 4096), 64, broken), "kernel")
    assert text.endswith(f"  With size=64, align=1, boundary=0: create(size=64, align=1) → {happened}.")
    (verdict,) = of_hunt(Hunt("kernel", Tally(), 1.0, 0, "dev", found=[run]))
    assert refutation_in_words(verdict) == f"With size=64, align=1, boundary=0: {happened}."
