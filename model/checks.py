"""The state of a run of a pool beside the oracle, and the checks that compare the two after an operation.

What is determined is compared: success or failure, pages, blocks in use, the `pools` row, the messages. What is the
pool's choice is checked: the block lies in one live page, is aligned, crosses no boundary, overlaps no block in use.

A pool that is out of contract (`model.promises`) is checked only against the claims that it keeps even then. What else breaks
is recorded, and the run continues, to show how far the corruption spreads.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from model import claims
from model.bad_input import BadInput
from model.claims import Claim
from model.geometry import counted
from model.memory import Memory
from model.pool import Oracle
from model.promises import numbers_in
from model.revision import Revision, Target
from model.trace import NO_FAULT, Alloc, Free, Kernel, PageChoice, Step, Trace, TraceError

T = TypeVar("T")

Description = Callable[[], tuple[str, str]]
"""What was expected and what happened, in words; computed only where somebody reads it."""


FOLLOWED = frozenset(
    {
        claims.in_use_counts_the_live_blocks,
        claims.total_counts_the_blocks,
        claims.reports_are_the_kernels,
        claims.fresh_blocks_ascend,
        claims.pages_are_bounded_by_the_demand,
        claims.no_room_is_wasted,
        claims.blocks_are_aligned,
        claims.allocated_block_is_filled,
        claims.freed_block_is_filled,
    }
)
"""Where one of them breaks, the oracle can follow the pool all the same, and a run can go past it."""

ABOUT_REPORTS = claims.in_use_counts_the_live_blocks, claims.total_counts_the_blocks, claims.reports_are_the_kernels
"""Where one of them breaks, the pool's blocks may still be as promised, and a run can go on beside the oracle."""


def claim_broken_by(fault: Exception) -> Claim:
    """The claim that a target breaks which raises this."""
    if isinstance(fault, TimeoutError):
        return claims.operations_end
    return claims.CLAIMS[getattr(fault, "claim", claims.pool_stays_in_its_memory.name)]


def key(claim: Claim, place: str = "") -> str:
    """What tells a break from others: its claim, and of rules of the kernel where in the code."""
    return f"{claim.name}@{place}" if place else claim.name


def is_poisoned(content: bytes) -> bool:
    return any(byte in content for byte in (0xA7, 0xA9))


class BrokenClaim(AssertionError):
    """A pool broke a claim; `trace` replays it."""

    def __init__(self, claim: Claim, expected: str, happened: str, broken_by: Trace, place: str = "") -> None:
        super().__init__(f"{claim.name}: {claim.sentence}\n  expected: {expected}\n  happened: {happened}")
        self.claim = claim
        self.expected = expected
        self.happened = happened
        self.trace = broken_by
        self.key = key(claim, place)

    @property
    def never_ends(self) -> bool:
        """Whether an operation has not ended."""
        return self.claim in (claims.operations_end, claims.layout_ends)


class Ended(Exception):
    """A pool out of contract has crashed, or hangs: there is nothing more to run."""


@dataclass(slots=True)
class Record:
    """A step that was begun, what the device gave, and the steps that ran while it had dropped the lock."""

    step: Step
    page: PageChoice | None = None
    meanwhile: list["Record"] = field(default_factory=list)
    description: Description | None = None

    def written(self) -> Step:
        expected, happened = self.description() if self.description is not None else ("", "")
        step = replace(self.step, expected=expected, happened=happened)
        if isinstance(step, Alloc) and (self.page is not None or self.meanwhile):
            page = self.page or PageChoice(None)  # which nobody has chosen yet, if the run ended while others ran
            return replace(step, page=replace(page, meanwhile=tuple(record.written() for record in self.meanwhile)))
        return step


@dataclass(slots=True)
class DriversBlock:
    """A block that a driver was given, under its name in the trace, and what the driver wrote into it."""

    vaddr: int
    dma: int
    content: bytes  # empty once the block is freed
    of_other_pool: bool = False


def messages_in_words(messages: list[str]) -> str:
    return f"the messages: {messages}" if messages else "no message"


def difference_in_words(content: bytes, wanted: bytes, of: str = "the block") -> tuple[str, str]:
    """The bytes from the first wrong one on: what they should be, and what they are."""
    start = next(place for place, byte in enumerate(content) if byte != wanted[place])
    end, more = min(start + 8, len(content)), " …" if start + 8 < len(content) else ""
    where = f"bytes {start} to {end} of {of}:"
    return f"{where} {wanted[start:end].hex(' ')}{more}", f"{where} {content[start:end].hex(' ')}{more}"


def in_words(fault: Exception) -> str:
    """A fault that names its claim says all in its message; any other says what it is by its class."""
    return str(fault) if hasattr(fault, "claim") else f"{type(fault).__name__}: {fault}"


class Checks:
    """A target and the oracle after so many operations. A check raises BrokenClaim, unless the target is out of contract.

    `about` is the claim that a trace is expected to break: earlier violations are recorded, and the run continues.
    """

    def __init__(self, revision: Revision, kernel: Kernel, about: str | None = None) -> None:
        self.revision = revision
        self.kernel = kernel
        self.about = about
        promises = revision.promises
        self.debug = revision.held_to(kernel).debug or promises.always_debugs
        self.keeps = promises.keeps_in_debug_builds if self.debug else promises.keeps
        self.corrupted_by = ""  # what a driver or a device has done that left the contract, unnoticed
        # The length, in blocks, of each free list that a write has made too long or too short, by its page's address.
        self.wrong_lists: dict[int, int] = {}
        self.violations: dict[str, BrokenClaim] = {}  # recorded since then, by the claim
        self.memory = Memory(remapped=kernel.remapped)
        self.shadow = Memory(lambda _: None)  # the oracle's view: the same addresses, bytes of its own
        self.target: Target | None = None
        self.oracle: Oracle | None = None
        self.align = 1  # of blocks, in bytes
        self.blocks: dict[str, DriversBlock] = {}
        self.others: set[int] = set()  # the virtual addresses of blocks of another pool
        self.in_use: dict[int, str] = {}  # the names of the blocks in use, by virtual address
        self.in_use_of_pool = 0
        self.first_uses: dict[
            int, dict[int, None]
        ] = {}  # by page, the offsets of blocks that were handed out, in that order
        self.at_once = self.peak = 0  # the most allocations under way; the most blocks, in use or asked for
        self.records: list[Record] = []
        self._starts: list[int] = []  # the virtual addresses of the blocks in use, ascending
        self._now: list[Record] = self.records  # where the current depth of nesting records
        self._messages_seen = 0
        self.happened: Sequence[Any] = ()  # the events of callers at once, the latest ones

    def _check_room(self, record: Record, vaddr: int) -> None:
        """A page is asked for, although there is a free block."""
        geometry, start = self._live_oracle().geometry, self.memory.offset(vaddr)
        gap = (start, start + geometry.size)
        if not claims.no_room_is_wasted(gap, start, geometry.size, geometry.boundary):
            description = f"the free block at offset {start} of a page", "another page is asked for"
            self._break(record, claims.no_room_is_wasted, lambda: description)

    def _check_first_use(self, record: Record, vaddr: int, dma: int) -> None:
        """A block that was never handed out lies above all of its page that were."""
        page = self._live_oracle().page_of(dma)
        assert page is not None
        first_uses, start = self.first_uses.setdefault(page.mapping.vaddr, {}), vaddr - page.mapping.vaddr
        if start in first_uses:
            return
        described, latest = self._described((vaddr, dma)), next(reversed(first_uses), -1)
        first_uses[start] = None
        if not claims.fresh_blocks_ascend(start, latest):
            expected = f"a block behind offset {latest}, the latest that was handed out for the first time"
            self._break(record, claims.fresh_blocks_ascend, lambda: (expected, described()))

    def _check_block(self, record: Record, vaddr: int, dma: int) -> None:
        oracle, geometry = self._live_oracle(), self._live_oracle().geometry
        size, allocation = geometry.size, geometry.allocation
        if self.corrupted_by:
            starts = [page.mapping.vaddr for page in oracle.pages]
            self._check(record, claims.block_starts_in_a_page, vaddr, starts, allocation)
        pages = [page.mapping for page in oracle.pages if 0 <= vaddr - page.mapping.vaddr < allocation]
        for page in pages:
            start, nbytes = vaddr - page.vaddr, min(allocation, len(page.data))  # less, where less was asked for
            self._check(record, claims.block_lies_inside_its_page, start, size, nbytes)
            self._check(record, claims.no_block_crosses_a_boundary, start, size, geometry.boundary)
            self._check(record, claims.blocks_are_aligned, start, self.align)
        # Blocks in use don't overlap, so it is enough to look at the neighbours.
        place = bisect_left(self._starts, vaddr)
        for other in self._starts[max(place - 1, 0) : place + 1]:
            if not claims.blocks_are_disjoint(vaddr, other, size):
                description = (
                    "a block that is not in use",
                    f"block {self.in_use[other]!r}, which is in use, or a part of it",
                )
                self._break(record, claims.blocks_are_disjoint, lambda: description)  # noqa: B023
        if not self.corrupted_by:
            free = oracle.free_blocks(vaddr)
            if free and not claims.handle_is_the_blocks_address(dma, free[0][1]):
                addresses = f"DMA address {free[0][1]:#x}, where the block is", f"DMA address {dma:#x}"
                self._break(record, claims.handle_is_the_blocks_address, lambda: addresses)
            self._check(record, claims.allocated_block_was_free, (vaddr, dma), free)

    def _check_fill(self, record: Record, content: bytes, zero: bool) -> None:
        """What a block holds that is handed out. In a debug build it was poisoned, when its page was new or when it was
        allocated."""
        unlinked = content[self.revision.promises.smallest_block :]
        if unlinked and not zero and not claims.debug_is_on_where_it_was(self.debug, is_poisoned(unlinked)):
            expected = f"poison, with {'its boot options set' if self.kernel.with_options else 'CONFIG_SLUB_DEBUG_ON'}"
            self._break(record, claims.debug_is_on_where_it_was, lambda: (expected, "it is as the device gave it"))
        if not claims.allocated_block_is_filled(content, zero, self.debug):
            description = difference_in_words(content, bytes([0 if zero else 0xA9]) * len(content))
            self._break(record, claims.allocated_block_is_filled, lambda: description)

    def _check_content(self, record: Record, name: str) -> None:
        """The pool has not written to a block in use, if its page is there."""
        block = self.blocks[name]
        is_there = self.is_memory(block.vaddr, len(block.content))
        read = bytes(self.memory.block(block.vaddr, len(block.content))) if is_there else block.content
        if not claims.live_block_is_left_alone(block.content, read):
            wanted, found = difference_in_words(read, block.content, f"block {name!r}")
            description = f"{wanted}, as the driver left it", found
            self._break(record, claims.live_block_is_left_alone, lambda: description)

    def _check_freed(self, record: Record, vaddr: int) -> None:
        """What a block holds that is taken back, but for its link."""
        read, link = (
            bytes(self.memory.block(vaddr, self._live_oracle().geometry.size)),
            self.revision.promises.smallest_block,
        )
        if not claims.freed_block_is_filled(read, self.debug, self.kernel.init_on_free, link):
            fill = bytes([0xA7 if self.debug else 0]) * len(read)
            wanted, holds = difference_in_words(read, read[:link] + fill[link:])
            said = "".join(f"; the pool says: {one}" for one in self._live_target().log[self._messages_seen :])
            self._break(record, claims.freed_block_is_filled, lambda: (wanted, holds + said))

    def _check_reports(self, record: Record) -> None:
        """Compare the row and the messages, after every step."""
        row = self.revision.promises.row(self._call(record, self._live_target().poolinfo))
        if self.target is None:
            return
        oracle, expected = self._live_oracle(), self._live_oracle().poolinfo()
        if self.corrupted_by or row != expected:
            self._check_row(record, row, expected)
        if self.corrupted_by:
            self._messages_seen = len(self._live_target().log)
            return
        bound = len(oracle.pages), self.peak, self.at_once, len(oracle.offsets)
        if not claims.pages_are_bounded_by_the_demand(*bound):
            asked = f"{counted(bound[1], 'block')} asked for, by {counted(bound[2], 'caller')} at once"
            most = (bound[1] - bound[2]) // bound[3] + bound[2]
            description = f"at most {counted(most, 'page')}: {asked}", f"{counted(bound[0], 'page')} of {bound[3]}"
            self._break(record, claims.pages_are_bounded_by_the_demand, lambda: description)
        self._check_messages(record)

    def _check_row(self, record: Record, row: str, expected: str) -> None:
        def rows() -> tuple[str, str]:
            return f"the row: {expected}", f"the row: {row}"

        if (numbers := numbers_in(row)) is not None:
            if not claims.in_use_counts_the_live_blocks(numbers.in_use, self.in_use_of_pool):
                self._break(record, claims.in_use_counts_the_live_blocks, rows)
            counted_per_page = self._live_oracle().counted_per_page()
            if not claims.total_counts_the_blocks(numbers.total, numbers.pages, counted_per_page):
                self._break(record, claims.total_counts_the_blocks, rows)
        if self.corrupted_by:
            return
        if {claims.in_use_counts_the_live_blocks.name, claims.total_counts_the_blocks.name} & self.revision.past:
            return  # or what is wrong with a number would be told again
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
            description = messages_in_words(expected), messages_in_words(messages)
            self._break(record, claims.reports_are_the_kernels, lambda: description)

    def _look_inside(self, record: Record, added: bool) -> None:
        look, target, step = self.revision.look, self.target, record.step
        if look is None or self.corrupted_by:
            return
        touched = None
        if isinstance(step, Alloc | Free) and step.block in self.blocks:
            touched = self._live_oracle().page_of(self.blocks[step.block].dma)
        self._call(record, lambda: look(self, target, touched, added))

    def check(self, claim: Claim, *arguments: object, description: Description | None = None) -> None:
        """Hold the target to a claim after the latest step, from what is seen inside it."""
        if not claim(*arguments):
            seen = ", ".join(f"{name}: {value}" for name, value in claim.named(*arguments).items())
            self._break(self._now[-1], claim, description or (lambda: (claim.sentence, f"it is not so of {seen}")))

    def broken(self, record: Record, claim: Claim, description: Description, place: str = "") -> BrokenClaim:
        """The exception for a broken claim."""
        record.description = description
        return BrokenClaim(claim, *description(), self.trace(claim.name), place)

    def _goes_past(self, claim: Claim, place: str = "") -> bool:
        """Whether the run goes past a break. Raises Ended if it does, and the oracle cannot follow the pool then."""
        if not {claim.name, key(claim, place)} & self.revision.past:
            return False
        if claim not in FOLLOWED:
            raise Ended
        return True

    def _break(self, record: Record, claim: Claim, description: Description, place: str = "") -> None:
        """A claim is broken. In contract, that ends the run, unless this claim is about what the pool reports, and the trace
        about another one. Out of contract, it is recorded, unless the pool keeps it even then, or the trace is about it."""
        if claim.name in self.violations:
            return
        own, record.description = record.description, description
        goes_on = self.about is not None and claim in ABOUT_REPORTS
        ends = claim.name == self.about or (claim in self.keeps if self.corrupted_by else not goes_on)
        if ends and self._goes_past(claim, place):
            return
        broken = self.broken(record, claim, description, place)
        if ends:
            self.target = None
            raise broken
        self.violations[claim.name], record.description = broken, description if self.corrupted_by else own

    def _check(self, record: Record, claim: Claim, *arguments: object) -> None:
        """Hold the target to a claim; `record` tells what was expected and what happened."""
        if not claim(*arguments):
            assert record.description is not None
            self._break(record, claim, record.description)

    def _call(self, record: Record, operation: Callable[[], T], hangs: Claim = claims.operations_end) -> T:
        """Run the target's code; whatever it raises is a broken claim, and `hangs` the one if it never ends. A pool that is
        damaged is let go then."""
        try:
            return operation()
        except (BrokenClaim, TraceError, Ended, BadInput):
            raise
        except TimeoutError as hang:
            description, claim = ("an answer", str(hang)), hangs if not self.corrupted_by else claims.operations_end
            self._break(record, claim, lambda: description)
            raise Ended from hang
        except Exception as fault:  # a crash of any kind is a finding
            description = NO_FAULT, in_words(fault)
            claim = claim_broken_by(fault)
            self._break(record, claim, lambda: description, getattr(fault, "place", ""))
            raise Ended from fault

    def trace(self, claim: str | None = None) -> Trace:
        """What has been run so far."""
        steps = tuple(record.written() for record in self.records)
        return Trace(steps, self.kernel, claim, tuple(sorted(self.revision.past)))

    def live(self) -> list[str]:
        """The names of the blocks in use, oldest first."""
        return list(self.in_use.values())

    def is_memory(self, vaddr: int, nbytes: int) -> bool:
        """Whether so many bytes at a virtual address are in one page of the device."""
        try:
            self.memory.block(vaddr, nbytes)
        except ValueError:
            return False
        return True

    def _described(self, block: tuple[int, int] | None) -> Callable[[], str]:
        """What an allocation gave, to be put into words later, when its page may be gone."""
        if block is None:
            return lambda: "NULL"
        (vaddr, dma), start, geometry = block, self.memory.offset(block[0]), self._live_oracle().geometry

        def described() -> str:
            page = "another pool's memory" if vaddr - start in self.others else f"a page of {geometry.allocation}"
            return f"bytes {start} to {start + geometry.size} of {page}, at DMA address {dma:#x}"

        return described

    def _live_target(self) -> Target:
        if self.target is None:
            raise TraceError("the pool was refused or destroyed; nothing can follow")
        return self.target

    def _live_oracle(self) -> Oracle:
        assert self.oracle is not None
        return self.oracle
