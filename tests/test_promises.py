"""What a file promises is found by trying it; a change of that can be announced; a hunt goes past what it has found."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hunt.fuzz import hunt
from hunt.revisions import kernel_file
from kernel.promises import promises_of, revision_of
from model.checks import BrokenClaim
from model.lockstep import replay
from model.promises import V6_1, V6_12, Promises
from model.revision import KERNEL
from model.trace import Alloc, Create, Free, Trace, Write
from tests.kernels import changed, fetched, hunt_briefly, needs_a_compiler, tiny
from tests.kernels import hunt as directed_hunt
from tests.running import Command

needs_a_compiler()

REDESIGNS = tomllib.loads((Path(__file__).parent / "redesigns.toml").read_text())["change"]

DESCENDS = (
    "\t\tif (last)\n\t\t\tlast->next_block = block;\n\t\telse\n\t\t\tfirst = block;\n\t\tlast = block;\n",
    "\t\tblock->next_block = first;\n\t\tfirst = block;\n\t\tif (!last)\n\t\t\tlast = block;\n",
)


VERSIONS = {"v5.10": V6_1, "v6.1": V6_1, "v6.12": V6_12, "newest": V6_12}


@pytest.mark.parametrize(("version", "promises"), VERSIONS.items())
def test_a_version_promises_what_it_does(version: str, promises: Promises) -> None:
    assert promises_of(fetched(version)) == promises


def test_names_do_not_matter(tmp_path: Path) -> None:
    here = changed("v6.12", tmp_path, "struct dma_page {", "struct rb_root;\nstruct dma_page {")
    text = here.file.read_text().replace("struct dma_block", "struct chunk")
    here.file.write_text(text.replace("pool_block_err", "wrong_free"))
    found = promises_of(here)
    assert (found.like, found.reports_of_free, found.differs("reports_of_free")) == ("v6.12", "wrong_free", True)
    assert not any(found.differs(name) for name in ("smallest_block", "columns", "leaks_every_page"))


@pytest.mark.parametrize("change", REDESIGNS, ids=range(len(REDESIGNS)))
def test_a_redesign_that_no_driver_sees_is_no_finding(tmp_path: Path, change: dict[str, Any]) -> None:
    here = changed("v6.12", tmp_path, *change["text"])
    assert promises_of(here).like == "v6.12"
    assert directed_hunt(here) > 5000


def test_a_block_may_be_smaller_than_a_link(tmp_path: Path) -> None:
    """Where blocks are described elsewhere; a device writes to the last one of a page."""
    elsewhere = next(change["text"] for change in REDESIGNS if "struct dma_block *blocks" in str(change))
    least = "\tif (size < sizeof(struct dma_block))\n\t\tsize = sizeof(struct dma_block);\n"
    revision = revision_of(changed("v6.12", tmp_path, *elsewhere, least, ""))
    assert revision.promises.smallest_block == 1
    happened = replay(Trace((Create(1), Alloc("a"), Write("a", 0, "02"), Free("a"))), revision)
    assert happened.steps[-1].happened == "the block is taken back"


def test_a_free_of_what_is_no_block_does_not_race_with_who_was_given_it(tmp_path: Path) -> None:
    """It writes to what describes the block: its caller's fault, and no lock's."""
    elsewhere = next(change["text"] for change in REDESIGNS if "struct dma_block *blocks" in str(change))
    run = Trace((Create(64), Alloc("a"), Free("a"), Alloc("b"), Free("a", vaddr_plus=1)))
    with pytest.raises(BrokenClaim) as broken:
        replay(run, revision_of(changed("v6.12", tmp_path, *elsewhere)))
    assert broken.value.claim.name == "in_use_counts_the_live_blocks"


def test_what_changes_is_told_once() -> None:
    told = {words for _, _, words in replace(V6_12, smallest_block=1).changes(V6_1)}
    assert {
        "a block has at least 1 byte; before, 4 bytes",
        "a message about a wrong free names pool_block_err; before, dma_pool_free",
        "a free in no page is noticed in debug builds only; before, a free in no page is noticed",
    } <= told


def test_a_mended_defect_is_held_to(tmp_path: Path) -> None:
    here = changed("v6.1", tmp_path, "(next + pool->size) >= next_boundary", "(next + pool->size) > next_boundary")
    (change,) = promises_of(here).changes(V6_1)
    assert (change[0].name, change[1]) == ("no_room_is_wasted", True)


def test_what_only_this_file_does_worse_is_no_promise(tmp_path: Path) -> None:
    here = changed("v6.12", tmp_path, "offset + pool->size > next_boundary", "offset + pool->size >= next_boundary")
    assert promises_of(here) == V6_12


def test_a_wrong_dma_address_is_not_taken_for_a_promise(tmp_path: Path) -> None:
    """A free with it is reported, as any other with it is."""
    assert promises_of(changed("v6.12", tmp_path, "last = block;", "last = block; first->dma = 0;")) == V6_12


def test_what_cannot_be_tried_is_not_guessed(tmp_path: Path) -> None:
    assert promises_of(tiny(tmp_path, "__builtin_trap();")).like in ("v6.12", "v6.1-as-it-is")


def test_a_change_that_is_announced_is_no_finding_and_the_hunt_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    hunt_briefly(monkeypatch)
    here = changed("v6.12", tmp_path, *DESCENDS, "dma %pad already free", "dma %pad free already")
    said = command("fuzz", "--kernel", here.file, "--profile", "directed", "--announce", "fresh_blocks_ascend")
    assert said.status == 1
    assert "kernel breaks fresh_blocks_ascend, as announced" in said.out
    assert "reports_are_the_kernels/kernel is BROKEN" in said.out
    here.file.with_suffix(".toml").write_text('announced = ["fresh_blocks_ascend", "reports_are_the_kernels"]\n')
    meant = kernel_file(str(here.file))
    assert meant.is_announced("reports_are_the_kernels")
    assert meant.in_words().endswith("meant to change: fresh_blocks_ascend, reports_are_the_kernels")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("like = 'v6.13'", "like is nothing that can be promised so"),
        ("smallest_block = '4'", "smallest_block = '4' is nothing that can be promised so"),
        ("smallest_block = 0", "smallest_block = 0 is nothing that can be promised so"),
        ("columns = [1]", "columns = [1] is nothing that can be promised so"),
        ("announced = ['fresh_block_ascends']", "announced: 'fresh_block_ascends'"),
        ("smallest_block", "meant.toml: "),
    ],
)
def test_a_file_of_promises_is_read_with_care(tmp_path: Path, command: Command, text: str, message: str) -> None:
    (tmp_path / "meant.toml").write_text(text)
    said = command("fuzz", "--kernel", fetched("v6.12").file, "--promises", tmp_path / "meant.toml")
    assert (said.status, message in said.err, said.err.count("\n")) == (2, True, 1), said.err


def test_a_hunt_goes_past_a_fault_to_those_that_it_hides(tmp_path: Path) -> None:
    """Memory for a page is asked for as if the caller could always sleep, which ends the first allocation; and what a free
    touches without the lock comes after that."""
    here = changed(
        "v6.12",
        tmp_path,
        *("kmalloc(sizeof(*page), mem_flags)", "kmalloc(sizeof(*page), GFP_KERNEL)"),
        *(
            "\tstruct dma_block *block = vaddr;\n\tunsigned long flags;\n",
            "\tstruct dma_block *block = vaddr;\n\tunsigned long flags;\n\n\tpool->nr_active--;\n",
        ),
        *(
            "\t\tpool_block_push(pool, block, dma);\n\t\tpool->nr_active--;\n",
            "\t\tpool_block_push(pool, block, dma);\n",
        ),
    )
    found = hunt(KERNEL, 1, "directed", kernel_file(str(here.file))).found
    said = [trace.last_step().happened for trace in found if trace.claim == "locking_rules_are_kept"]
    assert any("it has GFP_KERNEL, the caller GFP_ATOMIC" in one or "the caller GFP_NOIO" in one for one in said), said
    assert any("pool->nr_active, without the spinlock that others hold, in dma_pool_free" in one for one in said), said
