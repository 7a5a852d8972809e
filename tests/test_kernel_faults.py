"""What goes wrong in a kernel's C is found, is reported with its line, and ends its process; the next pool runs."""

import os
import platform
from pathlib import Path
from typing import Any

import pytest

from hunt.revisions import python
from impl.pool import Pool as SeriesPool
from kernel import worker as workers
from kernel.build import Variant
from kernel.compiler import BuildError
from kernel.once import ROOT
from kernel.pool import KernelPool
from kernel.worker import KernelFault
from model.memory import Memory
from model.revision import KERNEL, RuleError
from model.trace import Alloc, Create, Trace, TraceError, dumps
from report.scene import scene_of
from report.text import run_as_text
from tests.kernels import changed, created, needs_a_compiler, tiny
from tests.running import Command, alone

needs_a_compiler()


@pytest.mark.parametrize(
    ("here", "words"),
    [
        ("*(volatile int *)0x10 = 1;", r"SIGSEGV at 0x10, in dma_pool_alloc \(tiny.c:\d+\)"),
        ("BUG();", r"BUG at line \d+, in dma_pool_alloc"),
        ("{ volatile int none = 0; pool->used /= none; }", "division by zero, in dma_pool_alloc"),
        ("__builtin_trap();", "SIGILL"),
        ("page[-1] = 1;", "SIGSEGV at 0xffff887fffffffff"),
        ("page[PAGE_SIZE] = 7;", "a write of 0x7, 0 bytes past the end of a page of 256 bytes"),
        ("page[PAGE_SIZE + 4096] = 7;", "SIGSEGV"),
        ("{ static DEFINE_SPINLOCK(other); spin_lock(&other); }", "an operation returns with a lock held"),
        (
            "{ static DEFINE_SPINLOCK(other); spin_lock(&other); spin_lock(&other); }",
            "a lock is taken that is held already: a deadlock",
        ),
        ("spin_unlock(&pool->lock);", "a lock is released that is not held"),
        (
            "unsigned long flags; spin_lock_irqsave(&pool->lock, flags); spin_unlock(&pool->lock);",
            "called with interrupts on returns with interrupts off",
        ),
        (
            "spin_lock_irq(&pool->lock); spin_unlock(&pool->lock); kfree(kmalloc(8, GFP_KERNEL));",
            "an allocation may sleep, and is called with interrupts off",
        ),
        ("{ spinlock_t lock = {0}; spin_lock(&lock); }", "a lock is taken that is not initialised"),
        (
            "{ static DEFINE_SPINLOCK(other); spin_lock(&other); kfree(kmalloc(8, flags)); }",
            "an allocation may sleep, and is called with a lock",
        ),
        (
            "{ char *one = kmalloc(8, flags); if (!one) return NULL; kfree(one); kfree(one); }",
            "kfree of an object that was freed before",
        ),
        ("kfree(page);", "kfree of what kmalloc did not give"),
        (
            "{ char *one = kmalloc(8, flags); if (!one) return NULL; one[8] = 1; kfree(one); }",
            "a write past the end of an object of 8 bytes",
        ),
        ("{ int **one = kmalloc(8, flags); if (!one) return NULL; kfree(one); **one = 1; }", "SIGSEGV"),
        ("{ int **one = kmalloc(8, flags); if (!one) return NULL; **one = 1; }", "SIGSEGV"),
        ("mutex_lock(&file_lock); device_remove_file(pool->dev, &dev_attr_pools); mutex_unlock(&file_lock);", None),
    ],
)
def test_a_fault_is_found_and_the_next_pool_runs(tmp_path: Path, here: str, words: str | None) -> None:
    source = tiny(tmp_path, f"if (pool->size == 64) {{ {here} }}")
    pool = created(source, page_size=256)
    if words is None:
        pool.alloc()
        with pytest.raises(RuleError, match="the device has no file pools"):
            pool.poolinfo()
    else:
        with pytest.raises((KernelFault, RuleError), match=words):
            pool.alloc()
    with pytest.raises(KernelFault, match="the process of this pool has ended"):
        pool.alloc()
    other = KernelPool.create(source, Variant(), "tiny", Memory(), 32, 1, 0)
    assert other is not None
    assert other.alloc()


def test_an_atomic_allocation_may_hold_the_lock(tmp_path: Path) -> None:
    here = "spin_lock_irqsave(&pool->lock, irqs); kfree(kmalloc(8, GFP_ATOMIC)); spin_unlock_irqrestore(&pool->lock, irqs);"
    assert created(tiny(tmp_path, here)).alloc()


def test_a_loop_without_an_end_is_found_by_its_basic_blocks(tmp_path: Path) -> None:
    pool = created(tiny(tmp_path, "for (;;) barrier();"))
    with pytest.raises(TimeoutError, match=r"^no end after \d+ basic blocks, in dma_pool_alloc"):
        pool.alloc()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 processor: the loop is in its machine code")
def test_a_loop_that_nobody_counts_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SECONDS", 1)
    workers.stop_workers()
    pool = created(tiny(tmp_path, '__asm__ volatile("1: jmp 1b");'))
    process = pool._worker.process
    assert process is not None
    with pytest.raises(TimeoutError, match=r"^no answer within 1 seconds$"):
        pool.alloc()
    assert process.returncode is not None  # it is gone, and was waited for
    workers.stop_workers()


def test_a_sanitizer_is_heard(tmp_path: Path) -> None:
    try:
        pool = created(tiny(tmp_path, "pool->used = 1 << (pool->size / 2);"), Variant(sanitized=True))
    except BuildError as error:
        pytest.skip(f"needs a compiler with sanitizers: apt-get install gcc ({error})")
    with pytest.raises(KernelFault, match="shift exponent 32 is too large"):
        pool.alloc()


def test_a_narrow_dma_address_has_32_bits(tmp_path: Path) -> None:
    narrow = Variant(dma_bits=32)
    pool = created(tiny(tmp_path, "if (sizeof(*dma) != 4) BUG();"), narrow)
    pool.memory.place = lambda _: 0xFFFF_0000
    assert pool.alloc() == (pool.memory.base, 0xFFFF_0000)
    with pytest.raises(TraceError, match=r"DMA address 0x100000000: this dma_addr_t has 32 bits"):
        pool.free(0, 2**32)


def test_an_interrupted_wait_for_a_page_ends_the_process(tmp_path: Path) -> None:
    source = tiny(tmp_path)
    pool = created(source)

    def place(_: int) -> int:
        raise TraceError("enough")

    pool.memory.place = place
    with pytest.raises(TraceError, match="enough"):
        pool.alloc()
    assert created(source).alloc()


def test_a_forked_process_has_workers_of_its_own(tmp_path: Path) -> None:
    source = tiny(tmp_path)
    pool = created(source)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if created(source).alloc() else 1
            workers.stop_workers()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.alloc()


def test_an_alloc_that_crashes_hands_out_no_block_and_its_messages_are_shown() -> None:
    class Crashes(SeriesPool):
        def alloc(self, *how: Any) -> tuple[int, int] | None:
            if self.poolinfo().split()[1] == "1":
                self.log.append("a message")
                raise ZeroDivisionError
            return super().alloc(*how)

    scene = scene_of(Trace((Create(64), Alloc("a"), Alloc("b"))), python(Crashes))
    assert scene.broken is not None
    assert scene.after is not None
    assert scene.after.strips
    assert scene.after.marked is None
    assert scene.messages == ("a message",)
    assert "    a message" in run_as_text(scene, KERNEL).splitlines()


# For git bisect run.


@pytest.mark.parametrize(
    ("before", "after", "status", "words"),
    [
        ("", "", 0, "good: no claim breaks"),
        ("offset += pool->size;", "offset += pool->size / 2;", 1, "bad: blocks_are_disjoint breaks: "),
        ("block->dma = dma;", "block->dma = nothing;", 125, "skipped: "),
        ("block->dma = page->dma + offset", "block->dma = page->dma", 125, "breaks before blocks_are_disjoint could"),
    ],
)
def test_a_replay_tells_git_bisect_what_it_finds(
    tmp_path: Path, command: Command, before: str, after: str, status: int, words: str
) -> None:
    source, trace = changed("v6.12", tmp_path, before, after), tmp_path / "trace.json"
    trace.write_text(dumps(Trace((Create(1024), Alloc("a"), Alloc("b")), claim="blocks_are_disjoint")))
    ran = command("replay", trace, f"--kernel={source.file}", "--promises=v6.12", "--bisect")
    assert (ran.status, words in ran.out + ran.err) == (status, True)


def test_bad_input_stops_git_bisect() -> None:
    """Python started with the folder, as from a kernel's own tree, does what it does with the module `command`."""
    ran = alone("replay", "no.json", "--kernel=.", "--bisect", python=(str(ROOT),))
    assert (ran.status, ran.err.count("\n")) == (255, 1)
    assert ran.err.startswith("replay: no.json: No such file or directory; TRACE=file names a trace")
