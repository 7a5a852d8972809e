"""Runs a pool beside the oracle, one operation at a time; `model.checks` compares the two after each."""

from bisect import insort
from collections.abc import Callable
from typing import NoReturn

from model import claims
from model.callers import run_together
from model.checks import BrokenClaim, Checks, DriversBlock, Ended, Record, messages_in_words
from model.claims import Claim
from model.geometry import SMALLEST_BLOCK, Refusal, create
from model.memory import Mapping
from model.pool import Oracle, Page
from model.revision import LARGEST_PAGE, Revision, Target
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
    Together,
    Trace,
    TraceError,
    Write,
)


class Lockstep(Checks):
    """A target and the oracle, stepped together. `run` raises BrokenClaim at the first difference that is a violation.

    Where a step leaves open which page the device gives, `device` is asked, after it has run what other callers do meanwhile.
    A pool that should have been refused is run for one more step if that is what the trace is `about`.
    """

    def __init__(
        self,
        revision: Revision,
        kernel: Kernel,
        about: str | None = None,
        device: Callable[[int], PageChoice] | None = None,
    ) -> None:
        super().__init__(revision, kernel, about)
        self.device = device
        self.should_be_refused: BrokenClaim | None = None
        self.ended = False
        self.destroyed: Target | None = None
        self.under_way = 0  # allocations
        self.latest_block: tuple[int, int] | None = None  # what an allocation has given, or a free has passed

    def run(self, step: Step) -> None:
        """Do one step on both, and check every claim about it. Once a pool out of contract has crashed, nothing is done."""
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
                record.description = lambda: ("", row)
            case Destroy():
                self._destroy(record)
            case Together():
                run_together(self, record, step)

    def _create(self, record: Record, step: Create) -> None:
        promises, arguments = self.revision.promises, (step.size, step.align, step.boundary)
        options = self.kernel.options()
        promised = create(*arguments, self.kernel.page_size, promises.smallest_block)
        target = self._call(record, lambda: self.revision.create(step.name, self.memory, *arguments, **options))
        asked = promised.value if isinstance(promised, Refusal) else "a pool"
        record.description = lambda: (asked, "NULL" if target is None else "a pool")
        # An outsider sees only whether there is a pool; its size is in the row, its layout in the blocks.
        admits = claims.create_admits_what_is_promised
        if not admits(promised, target and promised) and not self._goes_past(admits):
            self.should_be_refused = self.broken(record, admits, record.description)
            if target is None or self.about in (None, admits.name):
                raise self.should_be_refused
        if not isinstance(promised, Refusal) and promised.allocation > LARGEST_PAGE:
            raise TraceError(f"a page of {promised.allocation} bytes is too large to run (at most {LARGEST_PAGE})")
        self.target = target
        options = self.revision.held_to(self.kernel).options()
        self.oracle = Oracle.create(step.name, self.shadow, *arguments, **options, promises=promises)
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
            self._call(record, lambda: target.alloc(step.zero, step.flags), hangs=claims.layout_ends)
        raise broken

    def _alloc(self, record: Record, step: Alloc) -> None:
        target, oracle = self._live_target(), self._live_oracle()
        could_serve = True  # unless a page is asked for

        def place(nbytes: int) -> int | None:
            nonlocal could_serve
            if given := self.memory.flags:
                record.description = lambda: (f"a page is asked for with {step.flags}", f"it is, with {given}")
                self._check(record, claims.flags_reach_the_device, given, step.flags)
            room = oracle.free_blocks()
            could_serve = bool(room)
            if room and not self.corrupted_by:
                self._check_room(record, room[0][0])
            return self._page(record, step, nbytes)

        self.under_way += 1
        self.at_once = max(self.at_once, self.under_way)
        self.peak = max(self.peak, self.in_use_of_pool + self.under_way)
        outer, self.memory.place = self.memory.place, place

        def alloc() -> tuple[int, int] | None:
            block = None
            try:
                block = target.alloc(step.zero, step.flags)
            finally:  # where it raises, no block is handed out, whatever others were given meanwhile
                self.latest_block = block
            return block

        block = self._call(record, alloc, hangs=claims.layout_ends)
        self.memory.place = outer
        self.under_way -= 1
        forced = record.page is not None and record.page.forced
        for mapping in [*self.memory.mappings.values()][len(self.shadow.mappings) :]:
            could_serve = self._add_page(record, mapping, block, forced) or could_serve
        could_serve = could_serve or block in oracle.free_blocks()  # since others have run meanwhile

        described = self._described(block)
        record.description = lambda: ("a free block" if could_serve else "NULL", described())
        if not self.corrupted_by:
            self._check(record, claims.alloc_fails_only_without_memory, block is None, could_serve)
        if block is None:
            return
        self._check_block(record, *block)
        if not self.corrupted_by:
            self._check_first_use(record, *block)
            oracle.take(*block, step.zero)
            content = bytes(self.memory.block(block[0], oracle.geometry.size))
            zero = step.zero or self.kernel.init_on_alloc
            self._check_fill(record, content, zero)
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

    def _add_page(self, record: Record, mapping: Mapping, block: tuple[int, int] | None, forced: bool) -> bool:
        """Give the oracle the page that the target got. The oracle refuses one that overlaps another, unless the target let
        in one that is `forced` upon it."""
        oracle, nbytes = self._live_oracle(), len(mapping.data)
        if nbytes != oracle.geometry.allocation:
            said = (
                f"a page of {oracle.geometry.allocation} bytes is asked for",
                f"a page of {nbytes} bytes is asked for",
            )
            raise self.broken(record, claims.create_admits_what_is_promised, lambda: said)
        twin = Mapping(mapping.vaddr, mapping.dma, memoryview(bytearray(nbytes)))
        self.shadow.add(twin)
        if forced and block is not None and oracle.overlapping(mapping.dma):
            self.wrong_lists.clear()
            self.corrupted_by = self.corrupted_by or "a page that overlaps another"
        if (forced or self.corrupted_by) and block is not None:
            oracle.pages.append(Page(twin))
            return True
        added = oracle.add_page(twin)
        if not added and block is not None:
            described = self._described(block)
            record.description = lambda: ("NULL: the new page overlaps another", described())
            for page in oracle.pages:
                low, high = sorted((page.mapping.dma, mapping.dma))
                self._check(record, claims.insertion_keeps_pages_disjoint, low, high, oracle.geometry.allocation)
        return added

    def _give(self, name: str, vaddr: int, dma: int, byte: bytes, of_other_pool: bool = False) -> None:
        """A driver gets a block, and writes into it. One that is no memory, or in use already, it can't make its own."""
        size = self._live_oracle().geometry.size
        # A list in a circle has the block still, which is written now.
        self.wrong_lists.pop(vaddr - self.memory.offset(vaddr), None)
        self.blocks[name] = DriversBlock(vaddr, dma, b"", of_other_pool)
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
        if self.target is None and (gone := self.destroyed) is not None:
            self.corrupted_by = "a free after the pool was destroyed"
            self._call(record, lambda: gone.free(vaddr, dma))
            record.description = lambda: ("nothing", "nothing")
            return
        target, oracle = self._live_target(), self._live_oracle()
        proper = (name := self.in_use_at(vaddr, dma)) is not None
        if not proper and not self.corrupted_by and not self.notices(vaddr, dma):
            self.corrupted_by = "a wrong free that is noticed too late, or not at all"
        if name is not None:
            self._check_content(record, name)
        was_free = not proper and not self.corrupted_by and (vaddr, dma) in oracle.free_blocks(vaddr)
        self._call(record, lambda: target.free(vaddr, dma))
        if was_free and not self.corrupted_by:
            self._check_report(record, "the block is free already", claims.double_free_is_refused, was_free)
        if not self.corrupted_by:
            oracle.free(vaddr, dma)
        if (length := self.wrong_lists.get(vaddr - self.memory.offset(vaddr))) is not None and proper:
            self._check_refused(record, vaddr, length)
        if name is not None:
            self._take_back(name)
        if proper and not self.corrupted_by:
            self._check_freed(record, vaddr)
        said = "the block is taken back" if proper else "a report, and no change"
        done = said if not self.corrupted_by else "nobody knows"
        record.description = lambda: (said, done)

    def _check_refused(self, record: Record, vaddr: int, length: int) -> None:
        page = self._page_at(vaddr)
        assert page is not None
        claim, blocks = claims.free_list_of_wrong_length_is_refused, len(self._live_oracle().offsets)
        self._check_report(record, "the free list is corrupted", claim, length, len(page.in_use), blocks)

    def _check_report(self, record: Record, of: str, claim: Claim, *arguments: object) -> None:
        """That a free is refused, which is what a claim is about; its other arguments follow."""
        said = self._live_target().log[self._messages_seen :]
        record.description = lambda: (f"a report that {of}", messages_in_words(said))
        self._check(record, claim, bool(said), *arguments)

    def _page_at(self, vaddr: int) -> Page | None:
        pages = self._live_oracle().pages
        return next((page for page in pages if 0 <= vaddr - page.mapping.vaddr < len(page.mapping.data)), None)

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

    def _write(self, record: Record, step: Write) -> None:
        """To a block in use, a driver or a device may write. What they write to a free block corrupts its link; behind that,
        debug builds notice it."""
        self._live_target()
        oracle, data = self._live_oracle(), bytes.fromhex(step.data)
        vaddr = self._block(step.block).vaddr + step.offset
        if not self.is_memory(vaddr, len(data)):
            raise TraceError(
                f"{len(data)} bytes at offset {step.offset} of block {step.block!r} are not in one page of the device"
            )
        size, link = oracle.geometry.size, self.revision.promises.smallest_block
        page, before = self._page_at(vaddr), bytes(self.memory.block(vaddr, len(data)))
        links = {} if page is None else {start: self._link(page, start) for start in set(oracle.offsets) - page.in_use}
        changed = {vaddr + n for n in range(len(data)) if before[n] != data[n]}
        self.memory.block(vaddr, len(data))[:] = data
        self.shadow.block(vaddr, len(data))[:] = data
        for name in self.live():
            block = self.blocks[name]
            if vaddr < block.vaddr + size and block.vaddr < vaddr + len(data):
                block.content = bytes(self.memory.block(block.vaddr, size))
        for start, former in links.items():
            assert page is not None
            at = page.mapping.vaddr + start
            if any(at <= byte < at + link for byte in changed):
                self._corrupt_list(page, start, former)
        record.description = lambda: ("", f"{len(changed)} bytes change")

    def _link(self, page: Page, start: int) -> int:
        """What the free block at an offset links to, where that is an offset; a smaller block has less of a number."""
        nbytes = min(SMALLEST_BLOCK, self._live_oracle().geometry.size)
        return int.from_bytes(self.memory.block(page.mapping.vaddr + start, nbytes), "little")

    def _corrupt_list(self, page: Page, start: int, former: int) -> None:
        """The link of a free block was overwritten. What that makes of a list that was sound is known if it now ends there, and
        did not, or runs in a circle there."""
        link, allocation, at = self._link(page, start), self._live_oracle().geometry.allocation, page.mapping.vaddr
        ends, circles = former < allocation <= link, link == start
        known = not self.corrupted_by and claims.free_list_of_wrong_length_is_refused in self.keeps
        self.wrong_lists.pop(at, None)
        if known and (ends or circles):
            self.wrong_lists[at] = len(self._live_oracle().offsets) + 1 if circles else 0
        self.corrupted_by = self.corrupted_by or "a write to the link in a free block"

    def _other_pool(self, record: Record, step: OtherPool) -> None:
        self._live_target()
        self.memory.place = self.memory.next_free_place if step.dma is None else lambda _: step.dma
        mapping = self.memory.alloc_coherent(self._live_oracle().geometry.size)
        assert mapping is not None
        self.shadow.add(Mapping(mapping.vaddr, mapping.dma, memoryview(bytearray(len(mapping.data)))))
        self.others.add(mapping.vaddr)
        self._give(step.block, mapping.vaddr, mapping.dma, b"\xee", of_other_pool=True)
        record.description = lambda: ("", f"a block at DMA address {mapping.dma:#x}")

    def _destroy(self, record: Record) -> None:
        target, oracle = self._live_target(), self._live_oracle()
        self._call(record, target.destroy)
        if not self.corrupted_by:
            oracle.destroy()
            left, busy = list(self.memory.mappings), list(self.shadow.mappings)
            record.description = lambda: (f"pages leaked: {len(busy)}", f"pages leaked: {len(left)}")
            self._check(record, claims.destroy_leaks_exactly_the_busy_pages, left, busy)
            self._check_messages(record)
        for name in self.live():
            self._check_content(record, name)
        self.destroyed, self.target, self.oracle = self.target, None, None

    def _block(self, name: str) -> DriversBlock:
        if name not in self.blocks:
            raise TraceError(f"block {name!r} is not there: its allocation gave no block")
        return self.blocks[name]


def replay(run: Trace, revision: Revision, before_a_step: Callable[[], None] = lambda: None) -> Trace:
    """Run a trace on a target; returns what happened, or raises BrokenClaim or TraceError.

    Where the target refuses the arguments, as promised, the trace ends there. Of a pool out of contract, the first violation
    is raised, or the one that the trace is about. It goes past the breaks that the trace goes past.
    """
    return rerun(run, Lockstep(revision.going_past(run.past), run.kernel, run.claim), before_a_step)


def rerun(run: Trace, lockstep: Lockstep, before_a_step: Callable[[], None] = lambda: None) -> Trace:
    """Run a trace on a lockstep that is made for it, as `replay` does."""
    for step in run.steps:
        before_a_step()
        lockstep.run(step)
        if isinstance(step, Create) and lockstep.target is None:
            break
    for broken in filter(None, (lockstep.should_be_refused, *lockstep.violations.values())):
        raise broken
    return lockstep.trace()
