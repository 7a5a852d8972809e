"""Every past counterexample is told and drawn as ever."""

import os
from pathlib import Path

import pytest

from kernel.once import ROOT
from model.trace import loads
from report.runs import scene_on
from report.text import run_as_text
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
