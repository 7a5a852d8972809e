"""Callers at once, in kernels as they are, and with faults that only callers at once can meet."""

import tomllib
from pathlib import Path

import pytest

from bugs import BUGS
from hunt.at_once import AT_A_POOL, MEETINGS, Meeting, alloc, meet, meet_all
from hunt.priorities import meet_by_priorities
from hunt.revisions import KernelFile, revisions
from hunt.shrink import smallest
from kernel.build import Source
from kernel.promises import revision_of
from model.checks import BrokenClaim
from model.lockstep import replay
from model.revision import KERNEL
from model.trace import Create, Free, Kernel, PoolInfo, Together, Trace, Turn, dumps, loads
from report.text import steps_of
from tests.kernels import changed, fetched, needs_a_compiler

needs_a_compiler()

RACES = [
    pytest.param(name, marks=[pytest.mark.thorough] * (bug.hunted == ("locking_rules_are_kept",)))
    for name, bug in BUGS.items()
    if name.startswith("races/")
]
SMALL = tuple(meeting for meeting in MEETINGS if len(meeting.callers) == 2 or meeting.interrupts)
INTERRUPTED = tuple(meeting for meeting in MEETINGS if meeting.interrupts)


@pytest.mark.parametrize("version", ["v6.1", "v6.12", "newest"])
def test_two_callers_meet_in_every_order_and_break_nothing(version: str) -> None:
    revision = revision_of(fetched(version))
    explored = [meet(revision, meeting) for meeting in SMALL]
    assert all(one.all_of_them for one in explored)
    assert sum(one.runs for one in explored) > 400


@pytest.mark.thorough
@pytest.mark.parametrize("version", ["v6.1", "v6.12", "newest"])
def test_three_callers_meet_in_every_order_and_break_nothing(version: str) -> None:
    met = meet_all(revision_of(fetched(version)))
    assert met.broken is None
    assert met.unfinished == 0
    assert met.orders > 5_000


def planted(name: str, folder: Path) -> KernelFile:
    """A kernel's file with a seeded bug."""
    tree = fetched(BUGS[name].kernel).tree
    (folder / "dmapool.c").write_text(BUGS[name].text())
    return KernelFile(str(folder / "dmapool.c"), Source(folder / "dmapool.c", tree))


@pytest.mark.parametrize("version", ["v6.1", "v6.12", "newest"])
def test_larger_sets_by_priorities_break_nothing(version: str) -> None:
    met = meet_by_priorities(revision_of(fetched(version)), sets=5)
    assert (met.broken, met.orders) == (None, 50)


@pytest.mark.parametrize("name", ["lock_dropped_before_pop", "looked_at_before_the_lock"])
def test_larger_sets_by_priorities_find_a_race(name: str, tmp_path: Path) -> None:
    broken = meet_by_priorities(revisions(planted(f"races/{name}", tmp_path))[KERNEL], sets=5).broken
    assert broken is not None
    assert broken.claim.name == "pool_stays_in_its_memory"


@pytest.mark.parametrize("name", RACES)
def test_a_race_is_found_and_replayed(name: str, tmp_path: Path) -> None:
    file = planted(name, tmp_path)
    broken = meet_all(revisions(file)[KERNEL], most=1_000).broken
    assert broken is not None
    assert broken.claim.name in BUGS[name].hunted
    small = smallest(broken.trace, KERNEL, revisions(file), seconds=2)
    for _ in range(3):
        with pytest.raises(BrokenClaim) as again:
            replay(loads(dumps(small)), revisions(file)[KERNEL])
        assert again.value.key == broken.key
        assert again.value.trace == small


def test_a_block_that_two_callers_are_given_is_told_as_such(tmp_path: Path) -> None:
    file = planted("races/lock_dropped_in_pop", tmp_path)
    with pytest.raises(BrokenClaim) as broken:
        meet(revisions(file)[KERNEL], Meeting((Create(16), *alloc("x")), (alloc("a"), alloc("b"))))
    assert broken.value.claim.name == "operations_are_linearizable"
    assert broken.value.happened == "a has DMA address 0x100000010, b has DMA address 0x100000010"


def test_a_fault_of_a_caller_who_reads_the_file_pools_is_told_as_such(tmp_path: Path) -> None:
    begun = "\tINIT_LIST_HEAD(&retval->page_list);\n\tspin_lock_init(&retval->lock);\n"
    end = "\tmutex_unlock(&pools_reg_lock);\n\treturn retval;\n"
    source = changed("v6.1", tmp_path, begun, "", end, begun + end)
    with pytest.raises(BrokenClaim, match=r"a lock is taken that is not initialised, or gone, in pools_show \("):
        meet(revision_of(source), Meeting((Create(32),), ((Create(64),), (PoolInfo(),))))


PUBLISHED = (
    "#include <linux/types.h>",
    "#include <linux/types.h>\n#include <linux/atomic.h>",
    "\tsize_t nr_active;",
    "\tstruct dma_block *spare;\n\tsize_t nr_active;",
    "\tspin_lock_irqsave(&pool->lock, flags);\n\tblock = pool_block_pop(pool);\n",
    """
	block = xchg(&pool->spare, NULL);
	if (block)
		*handle = block->dma;
	spin_lock_irqsave(&pool->lock, flags);
	if (block)
		pool->nr_active++;
	else
		block = pool_block_pop(pool);
""",
    "\t\tpool_block_push(pool, block, dma);\n\t\tpool->nr_active--;",
    """
		if (READ_ONCE(pool->spare)) {
			pool_block_push(pool, block, dma);
		} else {
			block->dma = dma;
			PUBLISH(pool->spare, block);
		}
		pool->nr_active--;""",
)
"""Changes of v6.12: a freed block is given to the next caller without the lock. PUBLISH has to order what is written in it."""


@pytest.mark.parametrize(
    ("publish", "races"),
    [
        ("WRITE_ONCE(a, b)", True),
        ("smp_store_release(&(a), b)", False),
        ("do { smp_wmb(); WRITE_ONCE(a, b); } while (0)", False),
    ],
)
def test_what_is_published_has_to_be_ordered(publish: str, races: bool, tmp_path: Path) -> None:
    source = changed(
        "v6.12", tmp_path, *PUBLISHED, "struct dma_pool {", f"#define PUBLISH(a, b) {publish}\nstruct dma_pool {{"
    )
    broken = meet_all(revision_of(source), meetings=AT_A_POOL[:2]).broken
    assert (broken is not None) == races
    assert broken is None or broken.happened.endswith("a race")


def test_an_access_right_after_an_atomic_one_may_race(tmp_path: Path) -> None:
    source = changed(
        "v6.12",
        tmp_path,
        "#include <linux/types.h>",
        "#include <linux/types.h>\n#include <linux/atomic.h>",
        "\t\tpool->nr_active--;\n\t}\n\tspin_unlock_irqrestore(&pool->lock, flags);",
        """
	}
	spin_unlock_irqrestore(&pool->lock, flags);
	if (cmpxchg(&pool->nr_active, 1, 0) != 1)
		pool->nr_active--;""",
    )
    step = Together(((Free("x"),), (Free("y"),)), (Turn(0, 100), Turn(1, 100)))
    with pytest.raises(BrokenClaim) as broken:
        replay(Trace((Create(32), *alloc("x", "y"), step), Kernel(page_size=64)), revision_of(source))
    assert broken.value.happened.endswith("a race")


LOCKLESS = tomllib.loads((Path(__file__).parent / "lockless.toml").read_text())
REDESIGNS = tomllib.loads((Path(__file__).parent / "redesigns.toml").read_text())["change"]
LLIST, COUNTER = (
    next(change["text"] for change in REDESIGNS if word in str(change)) for word in ("llist_head", "__percpu")
)


@pytest.mark.parametrize("text", [LLIST, COUNTER, LOCKLESS["rcu"]], ids=["llist", "counter", "rcu"])
def test_what_needs_no_lock_does_not_race(text: list[str], tmp_path: Path) -> None:
    met = meet_all(revision_of(changed("v6.12", tmp_path, *text)), most=200, meetings=AT_A_POOL[:2])
    assert met.broken is None
    assert met.orders > 100


def test_the_counter_of_one_processor_is_no_other_one_s(tmp_path: Path) -> None:
    source = changed(
        "v6.12", tmp_path, *COUNTER, "this_cpu_inc(*pool->nr_active);", "++*per_cpu_ptr(pool->nr_active, 0);"
    )
    broken = meet_all(revision_of(source), meetings=AT_A_POOL[:2]).broken
    assert broken is not None
    assert broken.happened.endswith("a race")


def test_what_pools_share_is_not_under_the_lock_of_one(tmp_path: Path) -> None:
    source = changed(
        "v6.12", tmp_path, "DEFINE_MUTEX(pools_lock);", "DEFINE_MUTEX(pools_lock);\nstatic size_t pages_of_all;",
        "\tpool->nr_pages++;", "\tpool->nr_pages++;\n\tpages_of_all++;",
    )  # fmt: skip
    broken = meet_all(revision_of(source), meetings=MEETINGS[1:2]).broken
    assert broken is not None
    assert broken.happened.endswith("a race")


def test_a_free_block_that_is_lost_while_others_are_left_is_missed(tmp_path: Path) -> None:
    file = planted("races/freed_only_if_the_lock_is_free", tmp_path)
    with pytest.raises(BrokenClaim) as broken:
        meet(revisions(file)[KERNEL], Meeting((Create(16), *alloc("x", "y")), ((Free("x"),), (Free("y"),))))
    assert broken.value.happened == "another page is asked for"


TAKE_SPARE = "block = *this_cpu_ptr(pool->spare); *this_cpu_ptr(pool->spare) = NULL;"


@pytest.mark.parametrize(
    ("take", "is_told"),
    [
        (TAKE_SPARE, True),
        (f"local_irq_save(flags); {TAKE_SPARE} local_irq_restore(flags);", False),
        ("block = this_cpu_xchg(*pool->spare, NULL);", False),
    ],
)
def test_an_interrupt_comes_between_on_the_same_processor(take: str, is_told: bool, tmp_path: Path) -> None:
    source = changed("v6.12", tmp_path, *LOCKLESS["spare"], "TAKE_SPARE", take)
    file = KernelFile(str(source.file), source)
    broken = meet_all(revisions(file)[KERNEL], meetings=INTERRUPTED).broken
    assert (broken is not None) == is_told
    if broken is not None:
        assert broken.claim.name == "operations_are_linearizable"
        small = smallest(loads(dumps(broken.trace)), KERNEL, revisions(file), seconds=2)
        assert "│ interrupt 2: alloc(block=" in "\n".join(steps_of(small.steps))


def test_a_stack_without_a_lock_loses_a_free_block(tmp_path: Path) -> None:
    """Pop by cmpxchg: the top may be the same as before, and what is below it another (the ABA problem)."""
    source = changed("v6.12", tmp_path, *LOCKLESS["stack"])
    file = KernelFile(str(source.file), source)
    broken = meet_all(revisions(file)[KERNEL], meetings=MEETINGS[8:9]).broken
    assert broken is not None
    assert broken.claim.name == "no_room_is_wasted"
    small = smallest(broken.trace, KERNEL, revisions(file), seconds=5)
    drawn = "\n".join(steps_of(small.steps))
    assert "caller 1: alloc(block=b),           │ caller 2: alloc(block=d),\n" in drawn
    assert "another page is asked for" in drawn
    assert drawn.count("to its end") == 2
