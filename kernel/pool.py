"""A pool of your own kernel: `KernelPool` runs a mm/dmapool.c in a process of its own, beside the oracle.

What goes wrong there (a signal, BUG, a deadlock, a write next to a page, a loop without an end) ends that process, and is
raised here; the next pool gets a new one.
"""

import re
import struct
import subprocess
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, cast

from kernel.build import Source, Variant, build
from kernel.callers import run_callers
from kernel.compiler import BuildError
from kernel.headers import SHIM
from kernel.places import line_of, place_of, with_fields
from kernel.protocol import (
    ALLOC,
    BATCH,
    BATCHES,
    BROKEN,
    CREATE,
    DEBUG_BUILD,
    DESTROY,
    FAULT,
    FREE,
    GEOMETRY,
    GIVEN_BACK,
    GO_ON,
    HANG,
    MAY_GO_ON,
    MISUSE,
    NO_PAGE,
    OPENED,
    OPERATION,
    PAGE,
    PAGE_WANTED,
    REPLY,
    REQUEST,
    ROW,
    SWEEP,
    UNFAILING,
)
from kernel.real.build import real_kernel
from kernel.worker import (
    ARENA,
    KERNEL,
    SCRATCH,
    SECONDS,
    SECONDS_OF_A_BATCH,
    KernelFault,
    processor,
    worker_of,
)
from model.claims import locking_rules_are_kept
from model.events import Outcome
from model.memory import Mapping, Memory
from model.revision import LARGEST_PAGE, RuleError
from model.trace import FLAGS, Kernel, Together, TraceError

Swept = tuple[bytes, tuple[int, ...]]
"""Of a pool that was swept: the addresses of its blocks, from the start of memory on, and DMA addresses; and of its row the
blocks in use, blocks, size in bytes, and pages."""


@dataclass(frozen=True)
class Batch:
    """What came of a batch: how many allocations failed, and for each slot its block's virtual and DMA address, or 0.

    What it took does not count the device: how long, and how many basic blocks of the kernel's code, unless it is bare.
    """

    failed: int
    blocks: memoryview
    nanoseconds: int
    basic_blocks: int


def program_of(source: Source, variant: Variant) -> Path:
    """The program of a source as it is now. Raises BuildError."""
    try:
        return _built(source, variant, source.file.stat().st_mtime_ns)
    except OSError as error:
        raise BuildError(f"{source.file}: {error.strerror}") from error


@lru_cache(maxsize=64)
def _built(source: Source, variant: Variant, _: int) -> Path:
    return real_kernel(source) if source.real else build(source, variant)


class KernelPool:
    """A pool of a kernel's own code. Make one with `KernelPool.create`."""

    def __init__(
        self, program: Path, memory: Memory, dma_bits: int = 64, past: Collection[str] = (), with_options: bool = False
    ) -> None:
        self.memory = memory
        self.past = past
        self.dma_bits = dma_bits
        self.log: list[str] = []
        self.report: list[str] = []  # what a real kernel has said of what is wrong
        self._row: str | Exception = ""
        self._took = 0, 0  # the latest batch
        self._opened = b""  # memory that the worker does not know yet
        self._worker = worker_of(program, self, with_options)
        memory.bytes_at = self._bytes_at

    @classmethod
    def create(
        cls,
        source: Source,
        variant: Variant,
        name: str,
        memory: Memory,
        size: int,
        align: int,
        boundary: int,
        *,
        past: Collection[str] = (),
        unfailing: bool = False,
        **options: Any,
    ) -> Self | None:
        """`dma_pool_create` of the kernel's file; None where it returns NULL. The options are those of a `Kernel`. A run goes
        on after what breaks a claim that `past` names, if only rules of locks are broken; where it is `unfailing`, no
        allocation is made to fail. Raises BuildError."""
        kernel = Kernel(**options)
        variant = replace(variant, debug=kernel.debug)
        if source.real and kernel.with_options and boot_options(source):
            raise TraceError("boot options of the file's own are set in the shim only")
        sets = kernel.sets_options() and not source.real and (kernel.with_options or not turn_debugging_off(source))
        pool = cls(program_of(source, variant), memory, variant.dma_bits, past, sets)
        flags = kernel.init_on_alloc + 2 * kernel.init_on_free + 4 * processor() + UNFAILING * unfailing
        flags += DEBUG_BUILD * (kernel.debug and source.real)
        admitted, _ = pool._run(
            CREATE, flags, size, align, boundary, kernel.page_size, memory.base, name=name.encode()[:255]
        )
        return pool if admitted else None

    def alloc(self, zero: bool = False, flags: str = FLAGS[0]) -> tuple[int, int] | None:
        """`dma_pool_alloc`: (virtual address, DMA address); or None."""
        vaddr, dma = self._run(ALLOC, zero + 2 * FLAGS.index(flags))
        return (vaddr, dma) if vaddr else None

    def free(self, vaddr: int, dma: int) -> None:
        """`dma_pool_free`."""
        self._run(FREE, 0, vaddr % 2**64, self._fitting(dma % 2**64))

    def destroy(self) -> None:
        """`dma_pool_destroy`."""
        self._run(DESTROY)

    def poolinfo(self) -> str:
        """The pool's row in the device's file `pools`, as it was read after the latest operation."""
        if isinstance(self._row, Exception):
            raise self._row
        return self._row

    def together(self, step: Together, ready: Sequence[Mapping], named: dict[str, tuple[int, int]]) -> Outcome:
        """Callers at once: `model.callers` says what of them. Raises TraceError in a real kernel, which has one at a time."""
        if self._worker.program.name == KERNEL:
            raise TraceError("callers at once are run in the shim only")
        return run_callers(self, step, ready, named)

    def batch(
        self, operations: bytes, slots: int, pages: Sequence[int | None], blocks: bytes | memoryview | None = None
    ) -> Batch:
        """Run many operations in one call: an array of OPERATION, on so many slots for blocks.

        `pages` are the DMA addresses of the pages that the device gives, in this order, None for a failure; it fails once there
        are no more. The memory of these pages is known to the kernel's code only. `blocks` are those of an earlier batch.
        """
        choices = struct.pack(f"={len(pages)}Q", *(NO_PAGE if page is None else page for page in pages))
        places = [BATCHES]
        for nbytes in (len(operations), len(choices), 16 * slots):
            places.append(places[-1] + -(-nbytes // 16) * 16)
        if places[-1] > SCRATCH:
            raise ValueError(f"a batch of {places[-1] - BATCHES} bytes is too large; at most {SCRATCH - BATCHES} fit")
        at, choices_at, blocks_at, end = places
        scratch, blocks = self._worker.scratch, None if blocks is None else bytes(blocks)  # which may lie there
        scratch[at : at + len(operations)] = operations
        scratch[choices_at : choices_at + len(choices)] = choices
        scratch[blocks_at:end] = bytes(end - blocks_at) if blocks is None else blocks
        count = len(operations) // OPERATION.size
        if self._worker.owner is self:
            self._worker.wait_for(SECONDS_OF_A_BATCH)
        try:
            failed, _ = self._run(BATCH, blocks_at, at, count, choices_at, len(pages), self.memory.base)
        finally:
            if self._worker.owner is self:
                self._worker.wait_for(SECONDS)
        return Batch(failed, scratch[blocks_at:end].cast("Q"), *self._took)

    @classmethod
    def sweep(
        cls,
        source: Source,
        variant: Variant,
        geometries: Sequence[tuple[int, int, int, int]],
        page_size: int,
        pages: tuple[int, int],
        columns: Sequence[int],
        past: Collection[str] = (),
    ) -> tuple[list[Swept | None], Exception | None]:
        """Create, fill, empty and destroy a pool for each (size, align, boundary, blocks), in one call; the device gives each
        the two `pages` at these DMA addresses. The row's numbers are in these `columns` of it.

        Returns what each has given, None for a pool that is not admitted, and the fault that ended it before the last one.
        Raises BuildError.
        """
        pool, count = cls(program_of(source, variant), Memory(), variant.dma_bits, past), len(geometries)
        wanted = struct.pack("=2Q", *pages) + b"".join(GEOMETRY.pack(*geometry) for geometry in geometries)
        done_at = BATCHES + len(wanted)
        rows_at = done_at + 8
        blocks_at, scratch = rows_at + ROW.size * count, pool._worker.scratch
        scratch[BATCHES:done_at] = wanted
        pool._worker.wait_for(SECONDS_OF_A_BATCH)
        fault = None
        try:
            pool._run(SWEEP, 0, BATCHES, count, done_at, page_size, pool.memory.base)
            pool.poolinfo()  # which raises what went wrong while the file was read
        except (TimeoutError, RuleError, KernelFault) as raised:
            fault = raised
        finally:
            pool._worker.wait_for(SECONDS)
        swept: list[Swept | None] = []
        (done,) = struct.unpack_from("=Q", scratch, done_at)
        for number, (*_, blocks) in enumerate(geometries[:done]):
            admitted, *row = ROW.unpack_from(scratch, rows_at + ROW.size * number)
            swept.append(
                (bytes(scratch[blocks_at : blocks_at + 16 * blocks]), tuple(row[column] for column in columns))
                if admitted
                else None
            )
            blocks_at += 16 * blocks
        return swept, fault

    def _run(
        self,
        what: int,
        flags: int = 0,
        a: int = 0,
        b: int = 0,
        c: int = 0,
        d: int = 0,
        base: int = 0,
        name: bytes = b"",
    ) -> tuple[int, int]:
        """Have the worker do one operation, and give it the pages that it requests; others may run before it gets them."""
        answered, a, b = self._ask(REQUEST.pack(what, flags, a, b, c, d, base) + name)
        while answered in (PAGE_WANTED, MAY_GO_ON):
            if answered == MAY_GO_ON:
                broken = f"{locking_rules_are_kept.name}@{place_of(self._worker.program, a)}"
                known = broken in self.past or locking_rules_are_kept.name in self.past
                answered, a, b = self._ask(REQUEST.pack(GO_ON, known, 0, 0, 0, 0, 0))
                continue
            try:
                mapping = self.memory.alloc_coherent(a)
            except BaseException:
                self._stop()  # it waits for a page that never comes
                raise
            page = (0, 0, 0) if mapping is None else (1, mapping.vaddr, self._fitting(mapping.dma, len(mapping.data)))
            answered, a, b = self._ask(REQUEST.pack(PAGE, *page, 0, 0, 0))
        return a, b

    def _ask(self, request: bytes) -> tuple[int, int, int]:
        """One message each way."""
        worker = self._worker
        if worker.owner is not self or worker.process is None:
            raise KernelFault("the process of this pool has ended")
        opened, self._opened = self._opened, b""
        try:
            worker.send(request + opened)
            received = worker.receive(worker.answer)
        except BlockingIOError:
            received = worker.receive_late()
        except OSError:
            received = 0
        if not received:
            raise worker.died()
        answer = worker.answer
        what, row_failed, a, b, pc, nanoseconds, basic_blocks, freed, log, row, said = REPLY.unpack_from(answer)
        self._took = nanoseconds, basic_blocks
        at = REPLY.size
        if log:
            self.log += answer[at : at + log - 1].decode(errors="replace").split("\n")
            at += log
        if row_failed:  # after the operation was done
            worker.stop()
            self._row = self._fault(row_failed, answer[at : at + said], a=0, b=0, pc=pc)
            if what == PAGE_WANTED:  # which nobody waits for any more
                raise self._row
        elif row:
            self._row = answer[at : at + row].decode(errors="replace")
        if what in (FAULT, HANG, MISUSE, BROKEN):
            worker.stop()
            raise self._fault(what, answer[at : at + said], a, b, pc)
        for place in range(0, freed * GIVEN_BACK.size, GIVEN_BACK.size):
            vaddr, dma, nbytes, _ = GIVEN_BACK.unpack_from(worker.scratch, place)
            self.memory.free_coherent(nbytes, vaddr, dma)
        return what, a, b

    def _fault(self, what: int, said: bytearray, a: int, b: int, pc: int) -> Exception:
        """What went wrong: `a` is the signal's number, `b` the address that could not be touched."""
        where = self._where(b) if a and b else ""
        line = line_of(self._worker.program, pc)
        first, *self.report = said.decode(errors="replace").split("\n")
        words = with_fields(self._worker.program, pc, first) + where + (f", in {line}" if line else "")
        if what == MISUSE:
            words = f"{locking_rules_are_kept.name}: {words}"
        claim, _, rule = words.partition(": ")
        fault: Any = (TimeoutError if what == HANG else KernelFault)(words)
        if what in (BROKEN, MISUSE):
            fault = RuleError(claim, rule)
        fault.place = place_of(self._worker.program, pc)
        return cast(Exception, fault)

    def _fitting(self, dma: int, nbytes: int = 1) -> int:
        if dma + nbytes > 2**self.dma_bits:
            self._stop()
            raise TraceError(f"DMA address {dma:#x}: this dma_addr_t has {self.dma_bits} bits")
        return dma

    def _where(self, vaddr: int) -> str:
        offset = self.memory.offset(vaddr)
        mapping = self.memory.mappings.get(vaddr - offset)
        if mapping is None or offset > 2 * len(mapping.data):
            return f" at {vaddr:#x}"
        return f" at byte {offset} of a page of {len(mapping.data)}"

    def _bytes_at(self, vaddr: int, nbytes: int) -> memoryview:
        """The bytes of a new mapping, which the worker sees too from the next message on."""
        offset = vaddr - self.memory.base
        if nbytes > LARGEST_PAGE:
            raise ValueError(f"a page of {nbytes} bytes is requested")
        if not 0 <= offset <= ARENA - nbytes:
            raise TraceError(f"more memory than {ARENA} bytes is requested")
        if self._worker.owner is not self:
            raise KernelFault("the process of this pool has ended")
        self._opened += OPENED.pack(vaddr, nbytes)
        data = self._worker.memory[offset : offset + nbytes]
        data[:] = bytes(nbytes)
        return data

    def _stop(self) -> None:
        if self._worker.owner is self:
            self._worker.stop()


def boot_options(source: Source) -> list[str]:
    """The names of the file's own; none where only a real kernel builds it. Raises BuildError."""
    try:
        return _options_of(program_of(replace(source, real=False), Variant(debug=True)))
    except BuildError:
        if source.real:
            return []
        raise


@lru_cache(maxsize=64)
def _options_of(program: Path) -> list[str]:
    return subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.splitlines()


def poisons(source: Source, debug: bool, with_options: bool) -> bool:
    """Whether a block is poisoned in a build with the configuration for debugging or not, with its boot options or not. It
    raises what a pool raises."""
    memory = Memory(lambda _: 2**32)
    arguments = (replace(source, real=False), Variant(), "pool", memory, 64, 1, 0)
    pool = KernelPool.create(*arguments, unfailing=True, debug=debug, with_options=with_options)
    block = None if pool is None else pool.alloc()
    return block is not None and bytes(memory.block(block[0], 64)) == b"\xa9" * 64


def turn_debugging_off(source: Source) -> bool:
    """Whether the file's own boot options do that, of a build that is configured for it. Raises BuildError."""
    try:
        return bool(boot_options(source)) and _turn_debugging_off(source, source.file.stat().st_mtime_ns)
    except OSError as error:
        raise BuildError(f"{source.file}: {error.strerror}") from error


@lru_cache(maxsize=64)
def _turn_debugging_off(source: Source, _: int) -> bool:
    with suppress(TimeoutError, RuleError, KernelFault):  # for a hunt to find
        return poisons(source, debug=True, with_options=False) and not poisons(source, debug=True, with_options=True)
    return False


def rules_of_the_server(real: bool = False) -> set[str]:
    """The claims that the shim itself holds a pool to, whatever is run, or the server in a `real` kernel: it raises a RuleError
    that names one."""
    files = [*(SHIM.parent / "real" if real else SHIM).glob("*.c"), SHIM / "serve.h"]
    return {name for file in files for name in re.findall(r'breaks\("(\w+)"', file.read_text())}
