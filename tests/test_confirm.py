"""What the shim has shown is run again in a real kernel: confirmed, not confirmed, or not tried there, and why."""

from dataclasses import replace
from pathlib import Path

import pytest

from hunt import confirm
from hunt.compare import confirmed_difference, difference
from hunt.confirm import ONLY_IN_THE_SHIM, confirmed, how_to_confirm
from hunt.revisions import kernel_file
from kernel.headers import SHIM
from kernel.pool import rules_of_the_server
from kernel.promises import revision_of
from model.trace import Alloc, Create, Destroy, Trace, loads
from report.runs import in_text, surprises
from report.verdicts import REAL, EngineVerdict, of_trace
from tests.kernels import changed
from tests.test_real import real

SOUND = Trace((Create(64), Alloc("a")), claim="allocated_block_was_free")


def test_a_break_is_confirmed_and_what_breaks_nothing_is_not() -> None:
    kernel = kernel_file(str(replace(real("v6.12"), real=False).file))
    known = Path(__file__).parent / "traces" / "v6.12-blocks_are_disjoint-double_free.json"
    assert confirmed(loads(known.read_text()), kernel).startswith("confirmed in Linux 6.12.")
    said = confirmed(SOUND, kernel)
    assert said.startswith("not confirmed in Linux 6.12.")
    assert "it breaks no claim there; at the end: bytes 0 to 64 of a page" in said
    otherwise = replace(loads(known.read_text()), claim="no_room_is_wasted")
    assert ", it breaks in_use_counts_the_live_blocks instead: " in confirmed(otherwise, kernel)
    # On the terminal, in JUnit XML and in SARIF.
    found = EngineVerdict(
        "hunt", "x/kernel", str(SOUND.claim), "kernel", "BROKEN", "SEARCHED", False, 0, "", {}, of_trace(SOUND)
    )
    (finding,) = surprises([found], kernel)
    assert finding.verdict.evidence[REAL] == said
    assert said in in_text(finding)


def test_a_difference_is_confirmed(tmp_path: Path) -> None:
    before = replace(real("v6.12"), real=False)
    after = changed("v6.12", tmp_path, "retval->allocation = allocation;", "retval->allocation = 2 * allocation;")
    found = difference(SOUND, revision_of(before), revision_of(after))
    assert found is not None
    said = [confirmed_difference(found, kind, before, after) for kind in ("memory", "messages")]
    assert said[0].startswith("confirmed in Linux 6.12.")
    assert ": memory differs there: 4096 bytes are asked for; after: 8192 bytes are asked for" in said[1]


def test_a_race_is_not_tried_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else of what the shim itself holds a pool to: the server in a real kernel looks at it as well."""
    kernel = kernel_file(str(replace(real("v6.12"), real=False).file))
    monkeypatch.setattr(confirm, "tried", None)
    shim = "".join(file.read_text() for file in SHIM.glob("*.[ch]"))
    for (claim, said), why in ONLY_IN_THE_SHIM.items():
        assert said in shim
        found = Trace(
            (Create(64), Destroy(happened=f"it is that{said}and so on")), claim=claim or "flags_reach_the_device"
        )
        assert confirmed(found, kernel).endswith(f": {why}")
    others = {"create_admits_what_is_promised", "destroy_leaks_exactly_the_busy_pages"}
    assert rules_of_the_server() == rules_of_the_server(real=True) | others


def test_without_a_real_kernel_it_is_said_once_how_to_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = kernel_file(str(replace(real("v6.12"), real=False).file))
    assert how_to_confirm(kernel.source) == ""
    monkeypatch.setattr(confirm, "is_built", lambda _: False)
    assert confirmed(SOUND, kernel) == ""
    assert how_to_confirm(kernel.source).endswith("v6.12` lets findings be confirmed in a real kernel")
    assert how_to_confirm(replace(kernel.source, real=True)) == ""
