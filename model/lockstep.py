"""Drives a pool beside the oracle, one operation at a time, and holds it to the claims.

What is determined is compared: success or failure, pages, blocks in use, the `pools` row, the messages. What is the
pool's choice is checked: the block lies in one live page, is aligned, crosses no boundary, overlaps no block in use.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from model import claims
from model.claims import Claim
from model.geometry import Refusal, create
from model.memory import Mapping, Memory
from model.pool import Page, Pool
from model.promises import SERIES, Promises
from model.trace import Alloc, Create, Destroy, Free, Kernel, PoolInfo, Step, Trace, TraceError, dumps

T = TypeVar("T")

LARGEST_PAGE = 2**26
"""Bytes of a page that a run may ask for: the bytes are really there."""


class Target(Protocol):
    """A pool under test. It raises TimeoutError where the kernel would never return, and anything else for a crash."""

    log: list[str]

    def alloc(self, zero: bool = False) -> tuple[int, int] | None: ...
    def free(self, vaddr: int, dma: int) -> None: ...
    def destroy(self) -> None: ...
    def poolinfo(self) -> str: ...


@dataclass(frozen=True)
class Revision:
    """A pool under test: its `dma_pool_create`, and what it promises."""

    create: Callable[..., Target | None]
    promises: Promises = SERIES


class BrokenClaim(AssertionError):
    """A pool broke a claim; `trace` replays it."""

    def __init__(self, claim: Claim, expected: str, happened: str, broken_by: Trace) -> None:
        super().__init__(f"{claim.name}: {claim.sentence}\n  expected: {expected}\n  happened: {happened}")
        self.add_note("Replay it with `make replay TRACE=file`, where file holds:\n" + dumps(broken_by))
        self.claim = claim
        self.expected = expected
        self.happened = happened
        self.trace = broken_by


@dataclass
class Record:
    """A step that was begun, and the steps that ran while it had dropped the lock."""

    step: Step
    meanwhile: list["Record"] = field(default_factory=list)

    def written(self) -> Step:
        if isinstance(self.step, Alloc) and self.step.page is not None:
            page = replace(self.step.page, meanwhile=tuple(record.written() for record in self.meanwhile))
            return replace(self.step, page=page)
        return self.step


@dataclass
class LiveBlock:
    """A block that a driver holds, under its name in the trace, and what the driver wrote into it."""

    vaddr: int
    dma: int
    content: bytes = b""  # empty once the block is freed


class Lockstep:
    """A target and the oracle, stepped together. `run` raises BrokenClaim at the first difference.

    Where the run is `about` another claim, a pool that should have been refused is run on, until it breaks that.
    """

    def __init__(self, revision: Revision, kernel: Kernel, about: str | None = None) -> None:
        self.revision = revision
        self.kernel = kernel
        self.about = about
        self.should_be_refused: BrokenClaim | None = None
        self.memory = Memory(remapped=kernel.remapped)
        self.shadow = Memory(lambda _: None)  # the oracle's view: the same addresses, bytes of its own
        self.target: Target | None = None
        self.oracle: Pool | None = None
        self.blocks: dict[str, LiveBlock] = {}
        self.records: list[Record] = []
        self._now: list[Record] = self.records  # where the current depth of nesting records
        self._messages_seen = 0

    def run(self, step: Step) -> Step:
        """Do one step on both, check every claim about it, and return it with what happened."""
        record = Record(replace(step, expected="", happened=""))
        self._now.append(record)
        match step:
            case Create():
                self._create(record, step)
            case _ if self.should_be_refused is not None:
                self._run_without_oracle(record, step)
            case Alloc():
                self._alloc(record, step)
            case Free():
                self._free(record, step)
            case PoolInfo():
                self._note(record, happened=self._call(record, self._live_target().poolinfo))
            case Destroy():
                self._destroy(record)
        if self.target is not None and self.oracle is not None:
            self._check_reports(record)
        return record.step

    def trace(self, claim: str | None = None) -> Trace:
        """What has been run so far."""
        return Trace(tuple(record.written() for record in self.records), self.kernel, claim)

    def live(self) -> list[str]:
        """The names of the blocks in use."""
        return [name for name, block in self.blocks.items() if block.content]

    def _create(self, record: Record, step: Create) -> None:
        promises, arguments = self.revision.promises, (step.size, step.align, step.boundary)
        options = self.kernel.options()
        promised = create(*arguments, self.kernel.page_size, promises.smallest_block)
        target = self._call(record, lambda: self.revision.create(step.name, self.memory, *arguments, **options))
        asked = promised.value if isinstance(promised, Refusal) else "a pool"
        self._note(record, asked, "NULL" if target is None else "a pool")
        # An outsider sees only whether there is a pool; its size is in the row, its layout in the blocks.
        try:
            self._check(record, claims.create_admits_what_is_promised, promised, target and promised)
        except BrokenClaim as broken:
            if target is None or self.about in (None, broken.claim.name):
                raise
            self.should_be_refused = broken
        self.target = target
        self.oracle = Pool.create(step.name, self.shadow, *arguments, **options, promises=promises)
        self.align = max(step.align, 1)

    def _run_without_oracle(self, record: Record, step: Step) -> None:
        """A step on a pool that should not be there: nothing is promised of it but that its code ends, in its memory."""
        target, broken = self._live_target(), self.should_be_refused
        assert broken is not None

        def place(nbytes: int) -> int:
            if nbytes > LARGEST_PAGE:
                raise broken
            return self.memory.next_free_place(nbytes)

        if isinstance(step, Alloc):
            self.memory.place = place
            self._call(record, lambda: target.alloc(step.zero), hangs=claims.layout_ends)
        raise broken

    def _alloc(self, record: Record, step: Alloc) -> None:
        target, oracle, geometry = self._live_target(), self._live_oracle(), self._live_oracle().geometry
        if geometry.allocation > LARGEST_PAGE:
            raise TraceError(f"a page of {geometry.allocation} bytes is too large to run (at most {LARGEST_PAGE})")
        room = oracle.free_blocks()
        asked = False

        def place(nbytes: int) -> int | None:
            nonlocal asked
            asked = True
            for vaddr, _ in room[:1]:
                start = self._offset_in_page(vaddr)
                self._note(record, f"the free block at offset {start} of a page", "another page is asked for")
                gap = (start, start + geometry.size)
                self._check(record, claims.no_room_is_wasted, gap, start, geometry.size, geometry.boundary)
            if step.page is None:
                return self.memory.next_free_place(nbytes)
            outer, self._now = self._now, record.meanwhile
            for nested in step.page.meanwhile:
                self.run(nested)
            self._now = outer
            return step.page.dma

        self.memory.place = place
        block = self._call(record, lambda: target.alloc(step.zero), hangs=claims.layout_ends)
        new = [mapping for vaddr, mapping in self.memory.mappings.items() if vaddr not in self.shadow.mappings]
        forced = step.page is not None and step.page.forced
        added = [self._add_page(record, mapping, block, forced) for mapping in new]

        could_serve = bool(room) or not asked or any(added)
        self._note(record, "a free block" if could_serve else "NULL", self._describe(block))
        self._check(record, claims.alloc_fails_only_without_memory, block is None, could_serve)
        if block is not None:
            self._check_block(record, step, *block)
            oracle.take(*block)
            written = bytes([len(self.blocks) % 0x9F + 1]) * geometry.size  # neither 0 nor a poison
            self.memory.block(block[0], geometry.size)[:] = written
            self.blocks[step.block] = LiveBlock(*block, written)

    def _add_page(self, record: Record, mapping: Mapping, block: tuple[int, int] | None, forced: bool) -> bool:
        """Give the oracle the page that the target got. The oracle refuses one that overlaps another, unless the target let
        in one that is `forced` upon it."""
        oracle = self._live_oracle()
        twin = Mapping(mapping.vaddr, mapping.dma, memoryview(bytearray(len(mapping.data))))
        self.shadow.add(twin)
        if forced and block is not None:
            oracle.pages.append(Page(twin))
            return True
        added = oracle.add_page(twin)
        if not added and block is not None:
            self._note(record, "NULL: the new page overlaps another", self._describe(block))
            for page in oracle.pages:
                low, high = sorted((page.mapping.dma, mapping.dma))
                allocation = oracle.geometry.allocation
                self._check(record, claims.insertion_keeps_pages_disjoint, low, high, allocation)
        return added

    def _check_block(self, record: Record, step: Alloc, vaddr: int, dma: int) -> None:
        oracle, geometry = self._live_oracle(), self._live_oracle().geometry
        size = geometry.size
        pages = [page.mapping for page in oracle.pages if 0 <= vaddr - page.mapping.vaddr < geometry.allocation]
        for page in pages:
            start = dma - page.dma
            self._check(record, claims.block_lies_inside_its_page, start, size, geometry.allocation)
            self._check(record, claims.no_block_crosses_a_boundary, start, size, geometry.boundary)
            self._check(record, claims.blocks_are_aligned, start, self.align)
        for name in self.live():
            self._check(record, claims.blocks_are_disjoint, vaddr, self.blocks[name].vaddr, size)
        self._check(record, claims.allocated_block_was_free, (vaddr, dma), oracle.free_blocks())
        content = bytes(self.memory.block(vaddr, size))
        zero = step.zero or self.kernel.init_on_alloc
        self._check(record, claims.allocated_block_is_filled, content, zero, self.kernel.debug)

    def _free(self, record: Record, step: Free) -> None:
        target, oracle = self._live_target(), self._live_oracle()
        block = self.blocks.get(step.block)
        if block is None:
            raise TraceError(f"block {step.block!r} is freed, but its allocation gave no block")
        vaddr, dma = block.vaddr + step.vaddr_plus, block.dma + step.dma_plus
        proper = block.content != b"" and (vaddr, dma) == (block.vaddr, block.dma)
        if not proper and not oracle.complaint(vaddr, dma):
            raise TraceError(
                f"free of {step.block!r}: not a block in use, and no promise to notice (only debug builds notice a second free)"
            )
        if proper:
            read = bytes(self.memory.block(vaddr, oracle.geometry.size))
            self._note(record, "the block as the driver left it", f"it holds {read[:8].hex(' ')} …")
            self._check(record, claims.live_block_is_left_alone, block.content, read)
        self._note(record)
        self._call(record, lambda: target.free(vaddr, dma))
        oracle.free(vaddr, dma)
        if proper:
            block.content = b""
            read = bytes(self.memory.block(vaddr, oracle.geometry.size))
            self._note(record, "the fill of a freed block", f"it holds {read[:8].hex(' ')} …")
            link = self.revision.promises.smallest_block
            self._check(record, claims.freed_block_is_filled, read, self.kernel.debug, self.kernel.init_on_free, link)
        said = "the block is taken back" if proper else "a report, and no change"
        self._note(record, said, said)

    def _destroy(self, record: Record) -> None:
        target, oracle = self._live_target(), self._live_oracle()
        for name in self.live():
            block = self.blocks[name]
            read = bytes(self.memory.block(block.vaddr, oracle.geometry.size))
            self._note(record, f"block {name!r} as the driver left it", f"it holds {read[:8].hex(' ')} …")
            self._check(record, claims.live_block_is_left_alone, block.content, read)
        self._call(record, target.destroy)
        oracle.destroy()
        left, busy = list(self.memory.mappings), list(self.shadow.mappings)
        self._note(record, f"{len(busy)} pages leaked", f"{len(left)} pages leaked")
        self._check(record, claims.destroy_leaks_exactly_the_busy_pages, left, busy)
        self._check_messages(record)
        self.target = self.oracle = None

    def _check_reports(self, record: Record) -> None:
        """Compare the row and the messages, after every step."""
        oracle = self._live_oracle()
        said = record.step
        row, expected = self._call(record, self._live_target().poolinfo), oracle.poolinfo()
        in_use, total, _, pages = row.rsplit(maxsplit=4)[-4:]
        self._note(record, f"the row: {expected}", f"the row: {row}")
        self._check(record, claims.total_counts_the_blocks, int(total), int(pages), len(oracle.offsets))
        self._check(record, claims.in_use_counts_the_live_blocks, int(in_use), len(self.live()))
        self._check(record, claims.reports_are_the_kernels, [row], [expected])
        self._check_messages(record)
        record.step = said

    def _check_messages(self, record: Record) -> None:
        """Compare what was logged since the last check, in any order: destroy may visit the pages as it likes."""
        said = record.step
        messages = self._live_target().log[self._messages_seen :]
        expected = self._live_oracle().log[self._messages_seen :]
        self._messages_seen += len(messages)
        self._note(record, f"the messages: {expected}", f"the messages: {messages}")
        self._check(record, claims.reports_are_the_kernels, messages, expected)
        record.step = said

    def broken(self, claim: Claim, expected: str, happened: str) -> BrokenClaim:
        """The exception for a broken claim. Nothing can be said of the pool after it, so the target is let go."""
        self.target = None
        return BrokenClaim(claim, expected, happened, self.trace(claim.name))

    def _check(self, record: Record, claim: Claim, *arguments: object) -> None:
        if not claim(*arguments):
            raise self.broken(claim, record.step.expected, record.step.happened)

    def _call(self, record: Record, operation: Callable[[], T], hangs: Claim = claims.operations_end) -> T:
        """Run the target's code; whatever it raises is a broken claim, and `hangs` the one if it never ends."""
        try:
            return operation()
        except (BrokenClaim, TraceError):
            raise
        except TimeoutError as hang:
            self._note(record, "an answer", str(hang))
            raise self.broken(hangs, "an answer", str(hang)) from hang
        except Exception as fault:  # a crash of any kind is a finding
            happened = f"{type(fault).__name__}: {fault}"
            self._note(record, "no fault", happened)
            raise self.broken(claims.pool_stays_in_its_memory, "no fault", happened) from fault

    @staticmethod
    def _note(record: Record, expected: str = "", happened: str = "") -> None:
        record.step = replace(record.step, expected=expected, happened=happened)

    def _offset_in_page(self, vaddr: int) -> int:
        return min(vaddr - start for start in self.memory.mappings if start <= vaddr)

    def _describe(self, block: tuple[int, int] | None) -> str:
        if block is None:
            return "NULL"
        start, geometry = self._offset_in_page(block[0]), self._live_oracle().geometry
        end = start + geometry.size
        return f"bytes {start} to {end} of a page of {geometry.allocation}, at DMA address {block[1]:#x}"

    def _live_target(self) -> Target:
        if self.target is None:
            raise TraceError("the pool was refused or destroyed; nothing can follow")
        return self.target

    def _live_oracle(self) -> Pool:
        assert self.oracle is not None
        return self.oracle


def replay(run: Trace, revision: Revision) -> Trace:
    """Run a trace on a target; returns what happened, or raises BrokenClaim or TraceError.

    Where the target refuses the arguments, as promised, the trace ends there.
    """
    lockstep = Lockstep(revision, run.kernel, run.claim)
    for step in run.steps:
        lockstep.run(step)
        if isinstance(step, Create) and lockstep.target is None:
            break
    if lockstep.should_be_refused is not None:
        raise lockstep.should_be_refused
    return lockstep.trace()
