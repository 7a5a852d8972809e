"""Drives a pool beside the oracle, one operation at a time, and holds it to the claims.

What is determined is compared: success or failure, pages, blocks in use, the `pools` row, the messages. What is the
pool's choice is checked: the block lies in one live page, is aligned, crosses no boundary, overlaps no block in use.

A pool that was damaged, by something that it does not promise to notice, is held to the claims that it keeps even then
(`model.promises`). What else breaks is the damage: it is kept, and the run goes on to show how far it spreads.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Protocol, TypeVar

from model import claims
from model.claims import Claim
from model.geometry import Refusal, create
from model.memory import Mapping, Memory
from model.pool import Page, Pool
from model.promises import SERIES, Promises
from model.trace import (
    Alloc,
    Create,
    Destroy,
    Free,
    Kernel,
    OtherPool,
    PageChoice,
    PoolInfo,
    Step,
    Trace,
    TraceError,
    Write,
)

T = TypeVar("T")

KERNEL = "kernel"
"""The name of the revision that is a kernel's own file, if there is one."""

LARGEST_PAGE = 2**22
"""Bytes of a page that a run may ask for: the bytes are really there."""

Told = Callable[[], tuple[str, str]]
"""What was expected and what happened, in words; told only where somebody asks."""


class Target(Protocol):
    """A pool under test. It raises TimeoutError where the kernel would never return, LockingError where it uses a lock wrongly,
    and anything else for a crash."""

    log: list[str]

    def alloc(self, zero: bool = False) -> tuple[int, int] | None: ...
    def free(self, vaddr: int, dma: int) -> None: ...
    def destroy(self) -> None: ...
    def poolinfo(self) -> str: ...


@dataclass(frozen=True)
class TreeNode:
    """A node of a pool's tree of pages: the page's DMA address, the node's colour, what hangs on its left and right."""

    dma: int
    red: bool
    left: "TreeNode | None"
    right: "TreeNode | None"


@dataclass(frozen=True)
class Inside:
    """What a pool keeps to itself, for pictures: its free lists, as the virtual addresses of their blocks, and its tree."""

    free_lists: list[list[int]]
    tree: TreeNode | None = None


class LockingError(Exception):
    """What a pool did against the rules of locks, of interrupts, or of a caller that may not sleep."""


@dataclass(frozen=True)
class Revision:
    """A pool under test: its `dma_pool_create`, what it promises, and a look inside, for claims that an outsider can't see.

    `look` is given the page that a step was about, if there is one, and whether the step has added a page. `inside` says what
    pictures show of the pool.
    """

    create: Callable[..., Target | None]
    promises: Promises = SERIES
    look: "Callable[[Lockstep, Any, Page | None, bool], None] | None" = None
    inside: Callable[[Any], Inside] | None = None
    locking_error: type[Exception] = LockingError


def claim_broken_by(fault: Exception, locking_error: type[Exception] = LockingError) -> Claim:
    """The claim that a target breaks which raises this; `locking_error` is what it raises where it uses a lock wrongly."""
    if isinstance(fault, TimeoutError):
        return claims.operations_end
    return claims.locking_rules_are_kept if isinstance(fault, locking_error) else claims.pool_stays_in_its_memory


class BrokenClaim(AssertionError):
    """A pool broke a claim; `trace` replays it."""

    def __init__(self, claim: Claim, expected: str, happened: str, broken_by: Trace) -> None:
        super().__init__(f"{claim.name}: {claim.sentence}\n  expected: {expected}\n  happened: {happened}")
        self.claim = claim
        self.expected = expected
        self.happened = happened
        self.trace = broken_by


class Ended(Exception):
    """A damaged pool has crashed, or hangs: there is nothing more to run."""


@dataclass(slots=True)
class Record:
    """A step that was begun, what the device gave, and the steps that ran while it had dropped the lock."""

    step: Step
    page: PageChoice | None = None
    meanwhile: list["Record"] = field(default_factory=list)
    told: Told | None = None

    def written(self) -> Step:
        expected, happened = self.told() if self.told is not None else ("", "")
        step = replace(self.step, expected=expected, happened=happened)
        if isinstance(step, Alloc) and (self.page is not None or self.meanwhile):
            page = self.page or PageChoice(None)  # which nobody has chosen yet, if the run ended while others ran
            return replace(step, page=replace(page, meanwhile=tuple(record.written() for record in self.meanwhile)))
        return step


@dataclass(slots=True)
class Block:
    """A block that a driver was given, under its name in the trace, and what the driver wrote into it."""

    vaddr: int
    dma: int
    content: bytes  # empty once the block is freed
    of_other_pool: bool = False


class Lockstep:
    """A target and the oracle, stepped together. `run` raises BrokenClaim at the first difference that is no damage.

    Where the run is `about` another claim, a pool that should have been refused is run for one more step, and one that is
    damaged until it breaks that claim. `device` is asked for a page where a step leaves that open, after it has run what others
    do meanwhile.
    """

    def __init__(
        self,
        revision: Revision,
        kernel: Kernel,
        about: str | None = None,
        device: Callable[[int], PageChoice] | None = None,
    ) -> None:
        self.revision = revision
        self.kernel = kernel
        self.about = about
        self.device = device
        promises = revision.promises
        self.keeps = promises.keeps_in_debug_builds if kernel.debug else promises.keeps
        self.should_be_refused: BrokenClaim | None = None
        self.damaged_by = ""
        self.ended = False
        self.damage: dict[str, BrokenClaim] = {}
        self.memory = Memory(remapped=kernel.remapped)
        self.shadow = Memory(lambda _: None)  # the oracle's view: the same addresses, bytes of its own
        self.target: Target | None = None
        self.destroyed: Target | None = None
        self.oracle: Pool | None = None
        self.blocks: dict[str, Block] = {}
        self.in_use: dict[int, str] = {}  # the names of the blocks in use, by virtual address
        self.in_use_of_pool = 0
        self.under_way = self.at_once = self.peak = 0  # allocations; blocks, in use or asked for
        self.latest_block: tuple[int, int] | None = None  # what an allocation has given, or a free has passed
        self.records: list[Record] = []
        self._starts: list[int] = []  # the virtual addresses of the blocks in use, ascending
        self._now: list[Record] = self.records  # where the current depth of nesting records
        self._messages_seen = 0

    def run(self, step: Step) -> None:
        """Do one step on both, and check every claim about it. Where a damaged pool has ended, nothing is done."""
        if self.ended:
            return
        record = Record(step)
        self._now.append(record)
        pages = len(self.oracle.pages) if self.oracle is not None else 0
        try:
            self._do(record, step)
            if self.target is not None and self.oracle is not None:
                self._check_reports(record)
                self._look_inside(record, len(self.oracle.pages) > pages)
        except Ended:
            self.ended, self.target = True, None
            if self._now is not self.records:
                raise  # out of the allocations that are under way

    def _do(self, record: Record, step: Step) -> None:
        match step:
            case Create():
                self._create(record, step)
            case _ if self.should_be_refused is not None:
                self._run_without_oracle(record, step)
            case Alloc():
                self._alloc(record, step)
            case Free():
                self._free(record, step)
            case Write():
                self._write(record, step)
            case OtherPool():
                self._other_pool(record, step)
            case PoolInfo():
                row = self._call(record, self._live_target().poolinfo)
                record.told = lambda: ("", row)
            case Destroy():
                self._destroy(record)

    def trace(self, claim: str | None = None) -> Trace:
        """What has been run so far."""
        return Trace(tuple(record.written() for record in self.records), self.kernel, claim)

    def live(self) -> list[str]:
        """The names of the blocks in use, oldest first."""
        return list(self.in_use.values())

    def _create(self, record: Record, step: Create) -> None:
        promises, arguments = self.revision.promises, (step.size, step.align, step.boundary)
        options = self.kernel.options()
        promised = create(*arguments, self.kernel.page_size, promises.smallest_block)
        target = self._call(record, lambda: self.revision.create(step.name, self.memory, *arguments, **options))
        asked = promised.value if isinstance(promised, Refusal) else "a pool"
        record.told = lambda: (asked, "NULL" if target is None else "a pool")
        # An outsider sees only whether there is a pool; its size is in the row, its layout in the blocks.
        if not claims.create_admits_what_is_promised(promised, target and promised):
            broken = self.broken(record, claims.create_admits_what_is_promised, record.told)
            if target is None or self.about in (None, broken.claim.name):
                raise broken
            self.should_be_refused = broken
        if not isinstance(promised, Refusal) and promised.allocation > LARGEST_PAGE:
            raise TraceError(f"a page of {promised.allocation} bytes is too large to run (at most {LARGEST_PAGE})")
        self.target = target
        self.oracle = Pool.create(step.name, self.shadow, *arguments, **options, promises=promises)
        self.align = max(step.align, 1)

    def _run_without_oracle(self, record: Record, step: Step) -> NoReturn:
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
        target, oracle = self._live_target(), self._live_oracle()
        could_serve = True  # unless a page is asked for

        def place(nbytes: int) -> int | None:
            nonlocal could_serve
            room = oracle.free_blocks()
            could_serve = bool(room)
            if room and not self.damaged_by:
                self._check_room(record, room[0][0])
            return self._page(record, step, nbytes)

        self.under_way += 1
        self.at_once = max(self.at_once, self.under_way)
        self.peak = max(self.peak, self.in_use_of_pool + self.under_way)
        outer, self.memory.place = self.memory.place, place

        def alloc() -> tuple[int, int] | None:
            block = None
            try:
                block = target.alloc(step.zero)
            finally:  # where it raises, no block is handed out, whatever others were given meanwhile
                self.latest_block = block
            return block

        block = self._call(record, alloc, hangs=claims.layout_ends)
        self.memory.place = outer
        self.under_way -= 1
        forced = record.page is not None and record.page.forced
        if len(self.memory.mappings) > len(self.shadow.mappings):
            for mapping in [*self.memory.mappings.values()][len(self.shadow.mappings) :]:
                could_serve = self._add_page(record, mapping, block, forced) or could_serve

        described = self._described(block)
        record.told = lambda: ("a free block" if could_serve else "NULL", described())
        if not self.damaged_by:
            self._hold(record, claims.alloc_fails_only_without_memory, block is None, could_serve)
        if block is None:
            return
        self._check_block(record, *block)
        if not self.damaged_by:
            oracle.take(*block, step.zero)
            content = bytes(self.memory.block(block[0], oracle.geometry.size))
            zero = step.zero or self.kernel.init_on_alloc
            self._hold(record, claims.allocated_block_is_filled, content, zero, self.kernel.debug)
        self._give(step.block, *block, bytes([len(self.blocks) % 0x9F + 1]))  # neither 0 nor a poison

    def _page(self, record: Record, step: Alloc, nbytes: int) -> int | None:
        """What the device gives, after the others have run that run meanwhile. A second page, which no pool should ask for,
        is the environment's choice."""
        if record.page is not None:
            return self.memory.next_free_place(nbytes)
        record.page = step.page
        outer, self._now = self._now, record.meanwhile
        try:
            if step.page is not None:
                for nested in step.page.meanwhile:
                    self.run(nested)
            elif self.device is not None:
                record.page = self.device(nbytes)
        finally:
            self._now = outer
        if record.page is None:
            return self.memory.next_free_place(nbytes)
        if record.page.dma is not None and record.page.dma + nbytes > 2**64:
            raise TraceError(f"a page of {nbytes} bytes at DMA address {record.page.dma:#x} is not in 64 bits")
        return record.page.dma

    def _check_room(self, record: Record, vaddr: int) -> None:
        """A page is asked for, although there is a free block."""
        geometry, start = self._live_oracle().geometry, self.memory.offset(vaddr)
        gap = (start, start + geometry.size)
        if not claims.no_room_is_wasted(gap, start, geometry.size, geometry.boundary):
            told = f"the free block at offset {start} of a page", "another page is asked for"
            self._break(record, claims.no_room_is_wasted, lambda: told)

    def _add_page(self, record: Record, mapping: Mapping, block: tuple[int, int] | None, forced: bool) -> bool:
        """Give the oracle the page that the target got. The oracle refuses one that overlaps another, unless the target let
        in one that is `forced` upon it."""
        oracle = self._live_oracle()
        twin = Mapping(mapping.vaddr, mapping.dma, memoryview(bytearray(len(mapping.data))))
        self.shadow.add(twin)
        if forced and block is not None and oracle.overlapping(mapping.dma):
            self.damaged_by = self.damaged_by or "a page that overlaps another"
        if (forced or self.damaged_by) and block is not None:
            oracle.pages.append(Page(twin))
            return True
        added = oracle.add_page(twin)
        if not added and block is not None:
            described = self._described(block)
            record.told = lambda: ("NULL: the new page overlaps another", described())
            for page in oracle.pages:
                low, high = sorted((page.mapping.dma, mapping.dma))
                allocation = oracle.geometry.allocation
                self._hold(record, claims.insertion_keeps_pages_disjoint, low, high, allocation)
        return added

    def _check_block(self, record: Record, vaddr: int, dma: int) -> None:
        oracle, geometry = self._live_oracle(), self._live_oracle().geometry
        size, allocation = geometry.size, geometry.allocation
        if self.damaged_by:
            starts = [page.mapping.vaddr for page in oracle.pages]
            self._hold(record, claims.block_starts_in_a_page, vaddr, starts, allocation)
        pages = [page.mapping for page in oracle.pages if 0 <= vaddr - page.mapping.vaddr < allocation]
        for page in pages:
            start = vaddr - page.vaddr
            self._hold(record, claims.block_lies_inside_its_page, start, size, allocation)
            self._hold(record, claims.no_block_crosses_a_boundary, start, size, geometry.boundary)
            self._hold(record, claims.blocks_are_aligned, dma - page.dma, self.align)
        # Blocks in use don't overlap, so it is enough to look at the neighbours.
        place = bisect_left(self._starts, vaddr)
        for other in self._starts[max(place - 1, 0) : place + 1]:
            if not claims.blocks_are_disjoint(vaddr, other, size):
                told = "a block that is not in use", f"block {self.in_use[other]!r}, which is in use, or a part of it"
                self._break(record, claims.blocks_are_disjoint, lambda: told)  # noqa: B023
        if not self.damaged_by:
            self._hold(record, claims.allocated_block_was_free, (vaddr, dma), oracle.free_blocks())

    def _give(self, name: str, vaddr: int, dma: int, byte: bytes, of_other_pool: bool = False) -> None:
        """A driver gets a block, and writes into it. One that is no memory, or in use already, it can't make its own."""
        size = self._live_oracle().geometry.size
        self.blocks[name] = Block(vaddr, dma, b"", of_other_pool)
        if vaddr in self.in_use or not self.is_memory(vaddr, size):
            return
        self.memory.block(vaddr, size)[:] = self.blocks[name].content = byte * size
        self.in_use[vaddr] = name
        insort(self._starts, vaddr)
        self.in_use_of_pool += not of_other_pool

    def _take_back(self, name: str) -> None:
        block = self.blocks[name]
        block.content = b""
        del self.in_use[block.vaddr]
        self._starts.remove(block.vaddr)
        self.in_use_of_pool -= not block.of_other_pool

    def _free(self, record: Record, step: Free) -> None:
        vaddr, dma = self.latest_block = self.addresses(step)
        if self.target is None and self.destroyed is not None:
            self._free_after_destroy(record, self.destroyed, vaddr, dma)
            return
        target, oracle = self._live_target(), self._live_oracle()
        name = self.in_use_at(vaddr, dma)
        proper = name is not None
        if not proper and not self.damaged_by and not self.notices(vaddr, dma):
            self.damaged_by = "a wrong free that is noticed too late, or not at all"
        if name is not None:
            self._check_content(record, name)
        self._call(record, lambda: target.free(vaddr, dma))
        if not self.damaged_by:
            oracle.free(vaddr, dma)
        if name is not None:
            self._take_back(name)
        if proper and not self.damaged_by:
            read = bytes(self.memory.block(vaddr, oracle.geometry.size))
            said = "".join(f"; the pool says: {message}" for message in target.log[self._messages_seen :])
            record.told = lambda: ("the fill of a freed block", f"it holds {read[:8].hex(' ')} …{said}")
            link = self.revision.promises.smallest_block
            self._hold(record, claims.freed_block_is_filled, read, self.kernel.debug, self.kernel.init_on_free, link)
        said = "the block is taken back" if proper else "a report, and no change"
        done = said if not self.damaged_by else "nobody knows"
        record.told = lambda: (said, done)

    def addresses(self, step: Free) -> tuple[int, int]:
        """The virtual and the DMA address that a free passes."""
        given = self._block(step.block)
        return (given.vaddr + step.vaddr_plus) % 2**64, (given.dma + step.dma_plus) % 2**64

    def in_use_at(self, vaddr: int, dma: int) -> str | None:
        """The name of the pool's block in use at these two addresses."""
        name = self.in_use.get(vaddr)
        block = None if name is None else self.blocks[name]
        return name if block is not None and block.dma == dma and not block.of_other_pool else None

    def notices(self, vaddr: int, dma: int) -> bool:
        """Whether the pool promises to report a wrong free, before it has done anything with the block."""
        oracle = self._live_oracle()
        fills_first = not self.revision.promises.refuses_before_filling and self.kernel.init_on_free
        return bool(oracle.complaint(vaddr, dma)) and not (fills_first and oracle.page_of(dma) is not None)

    def _free_after_destroy(self, record: Record, target: Target, vaddr: int, dma: int) -> None:
        self.damaged_by = "a free after the pool was destroyed"
        self._call(record, lambda: target.free(vaddr, dma))
        record.told = lambda: ("nothing", "nothing")

    def _write(self, record: Record, step: Write) -> None:
        """To a block in use, a driver or a device may write. What they write to a free block damages its link; behind that,
        debug builds notice it."""
        self._live_target()
        oracle, data = self._live_oracle(), bytes.fromhex(step.data)
        vaddr = self._block(step.block).vaddr + step.offset
        if not self.is_memory(vaddr, len(data)):
            raise TraceError(
                f"{len(data)} bytes at offset {step.offset} of block {step.block!r} are not in one page of the device"
            )
        size, allocation, link = oracle.geometry.size, oracle.geometry.allocation, self.revision.promises.smallest_block
        before = bytes(self.memory.block(vaddr, len(data)))
        changed = {vaddr + n for n in range(len(data)) if before[n] != data[n]}
        self.memory.block(vaddr, len(data))[:] = data
        self.shadow.block(vaddr, len(data))[:] = data
        for name in self.live():
            block = self.blocks[name]
            if vaddr < block.vaddr + size and block.vaddr < vaddr + len(data):
                block.content = bytes(self.memory.block(block.vaddr, size))
        for page in oracle.pages:
            if page.mapping.vaddr <= vaddr < page.mapping.vaddr + allocation:
                free = [page.mapping.vaddr + offset for offset in oracle.offsets if offset not in page.in_use]
                if any(start <= byte < start + link for start in free for byte in changed):
                    self.damaged_by = self.damaged_by or "a write to the link in a free block"
        record.told = lambda: ("", f"{len(changed)} bytes change")

    def _other_pool(self, record: Record, step: OtherPool) -> None:
        self._live_target()
        self.memory.place = self.memory.next_free_place if step.dma is None else lambda _: step.dma
        mapping = self.memory.alloc_coherent(self._live_oracle().geometry.size)
        assert mapping is not None
        self.shadow.add(Mapping(mapping.vaddr, mapping.dma, memoryview(bytearray(len(mapping.data)))))
        self._give(step.block, mapping.vaddr, mapping.dma, b"\xee", of_other_pool=True)
        record.told = lambda: ("", f"a block at DMA address {mapping.dma:#x}")

    def _destroy(self, record: Record) -> None:
        target, oracle = self._live_target(), self._live_oracle()
        for name in self.live():
            self._check_content(record, name)
        self._call(record, target.destroy)
        if not self.damaged_by:
            oracle.destroy()
            left, busy = list(self.memory.mappings), list(self.shadow.mappings)
            record.told = lambda: (f"pages leaked: {len(busy)}", f"pages leaked: {len(left)}")
            self._hold(record, claims.destroy_leaks_exactly_the_busy_pages, left, busy)
            self._check_messages(record)
        self.destroyed, self.target, self.oracle = self.target, None, None

    def _check_content(self, record: Record, name: str) -> None:
        """The pool has not written to a block in use."""
        block = self.blocks[name]
        read = bytes(self.memory.block(block.vaddr, len(block.content)))
        if not claims.live_block_is_left_alone(block.content, read):
            told = f"block {name!r} as the driver left it", f"it holds {read[:8].hex(' ')} …"
            self._break(record, claims.live_block_is_left_alone, lambda: told)

    def _check_reports(self, record: Record) -> None:
        """Compare the row and the messages, after every step."""
        row = self._call(record, self._live_target().poolinfo)
        if self.target is None:
            return
        oracle, expected = self._live_oracle(), self._live_oracle().poolinfo()
        if self.damaged_by or row != expected:
            self._check_row(record, row, expected)
        if self.damaged_by:
            self._messages_seen = len(self._live_target().log)
            return
        bound = len(oracle.pages), self.peak, self.at_once, len(oracle.offsets)
        if not claims.pages_are_bounded_by_the_demand(*bound):
            told = f"{bound[1]} blocks were asked for, by {bound[2]} callers at once", f"{bound[0]} pages of {bound[3]}"
            self._break(record, claims.pages_are_bounded_by_the_demand, lambda: told)
        self._check_messages(record)

    def _check_row(self, record: Record, row: str, expected: str) -> None:
        in_use, total, _, pages = row.rsplit(maxsplit=4)[-4:]

        def rows() -> tuple[str, str]:
            return f"the row: {expected}", f"the row: {row}"

        if not claims.in_use_counts_the_live_blocks(int(in_use), self.in_use_of_pool):
            self._break(record, claims.in_use_counts_the_live_blocks, rows)
        if not claims.total_counts_the_blocks(int(total), int(pages), self._live_oracle().counted_per_page()):
            self._break(record, claims.total_counts_the_blocks, rows)
        if self.damaged_by:
            return
        if not claims.reports_are_the_kernels([row], [expected]):
            self._break(record, claims.reports_are_the_kernels, rows)

    def _check_messages(self, record: Record) -> None:
        """Compare what was logged since the last check, in any order: destroy may visit the pages as it likes."""
        if len(self._live_target().log) == self._messages_seen == len(self._live_oracle().log):
            return
        messages = self._live_target().log[self._messages_seen :]
        expected = self._live_oracle().log[self._messages_seen :]
        self._messages_seen += len(messages)
        if not claims.reports_are_the_kernels(messages, expected):
            told = f"the messages: {expected}", f"the messages: {messages}"
            self._break(record, claims.reports_are_the_kernels, lambda: told)

    def _look_inside(self, record: Record, added: bool) -> None:
        look, target, step = self.revision.look, self.target, record.step
        if look is None or self.damaged_by:
            return
        touched = None
        if isinstance(step, Alloc | Free) and step.block in self.blocks:
            touched = self._live_oracle().page_of(self.blocks[step.block].dma)
        self._call(record, lambda: look(self, target, touched, added))

    def hold(self, claim: Claim, *arguments: object, told: Told | None = None) -> None:
        """Hold the target to a claim after the latest step, from what is seen inside it."""
        if not claim(*arguments):
            seen = ", ".join(f"{name}: {value}" for name, value in claim.named(*arguments).items())
            self._break(self._now[-1], claim, told or (lambda: (claim.sentence, f"it is not so of {seen}")))

    def broken(self, record: Record, claim: Claim, told: Told) -> BrokenClaim:
        """The exception for a broken claim."""
        record.told = told
        return BrokenClaim(claim, *told(), self.trace(claim.name))

    def _break(self, record: Record, claim: Claim, told: Told) -> None:
        """A claim is broken. Of a pool that is not damaged nothing can be said after it, so the target is let go."""
        if self.damaged_by and claim.name in self.damage:
            return
        broken = self.broken(record, claim, told)
        if not self.damaged_by or claim in self.keeps or claim.name == self.about:
            self.target = None
            raise broken
        self.damage[claim.name] = broken

    def _hold(self, record: Record, claim: Claim, *arguments: object) -> None:
        """Hold the target to a claim; `record` tells what was expected and what happened."""
        if not claim(*arguments):
            assert record.told is not None
            self._break(record, claim, record.told)

    def _call(self, record: Record, operation: Callable[[], T], hangs: Claim = claims.operations_end) -> T:
        """Run the target's code; whatever it raises is a broken claim, and `hangs` the one if it never ends. A pool that is
        damaged is let go then."""
        try:
            return operation()
        except (BrokenClaim, TraceError, Ended):
            raise
        except TimeoutError as hang:
            told, claim = ("an answer", str(hang)), hangs if not self.damaged_by else claims.operations_end
            self._break(record, claim, lambda: told)
            raise Ended from hang
        except Exception as fault:  # a crash of any kind is a finding
            told = "no fault", f"{type(fault).__name__}: {fault}"
            self._break(record, claim_broken_by(fault, self.revision.locking_error), lambda: told)
            raise Ended from fault

    def is_memory(self, vaddr: int, nbytes: int) -> bool:
        """Whether so many bytes at a virtual address are in one page of the device."""
        try:
            self.memory.block(vaddr, nbytes)
        except ValueError:
            return False
        return True

    def _block(self, name: str) -> Block:
        if name not in self.blocks:
            raise TraceError(f"block {name!r} is not there: its allocation gave no block")
        return self.blocks[name]

    def _described(self, block: tuple[int, int] | None) -> Callable[[], str]:
        """What an allocation gave, to be told later, when its page may be gone."""
        if block is None:
            return lambda: "NULL"
        start, geometry, dma = self.memory.offset(block[0]), self._live_oracle().geometry, block[1]
        others = {other.vaddr for other in self.blocks.values() if other.of_other_pool}
        page = "another pool's memory" if block[0] - start in others else f"a page of {geometry.allocation}"
        return lambda: f"bytes {start} to {start + geometry.size} of {page}, at DMA address {dma:#x}"

    def _live_target(self) -> Target:
        if self.target is None:
            raise TraceError("the pool was refused or destroyed; nothing can follow")
        return self.target

    def _live_oracle(self) -> Pool:
        assert self.oracle is not None
        return self.oracle


def replay(run: Trace, revision: Revision, before_a_step: Callable[[], None] = lambda: None) -> Trace:
    """Run a trace on a target; returns what happened, or raises BrokenClaim or TraceError.

    Where the target refuses the arguments, as promised, the trace ends there. Of a pool that was damaged, the first claim
    that broke is raised, or the one that the trace is about.
    """
    return rerun(run, Lockstep(revision, run.kernel, run.claim), before_a_step)


def rerun(run: Trace, lockstep: Lockstep, before_a_step: Callable[[], None] = lambda: None) -> Trace:
    """Run a trace on a lockstep that is made for it, as `replay` does."""
    for step in run.steps:
        before_a_step()
        lockstep.run(step)
        if isinstance(step, Create) and lockstep.target is None:
            break
    if lockstep.should_be_refused is not None:
        raise lockstep.should_be_refused
    for broken in lockstep.damage.values():
        raise broken
    return lockstep.trace()
