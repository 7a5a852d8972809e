"""What callers at once were given, held to the orders in which their operations may have been done, one after the other."""

from collections.abc import Iterator, Sequence

from model.events import ASKS, Outcome
from model.pool import Addresses, Oracle
from model.trace import Alloc, Free, PoolInfo, Step

Call = tuple[int, Step]
"""Its number, and what is called."""


def orders(
    oracle: Oracle, calls: Sequence[Call], outcome: Outcome, named: dict[str, Addresses]
) -> Iterator[tuple[Call, ...]]:
    """The orders of the calls in which the oracle may give what was given."""
    spans = Spans(oracle, calls, outcome)
    in_use = frozenset((page.mapping.vaddr + offset) for page in oracle.pages for offset in page.in_use)
    starts = dict(oracle.free_blocks()) | dict(named.values())

    def is_before(one: Call, other: Call) -> bool:
        return spans.last.get(one[0], -1) < spans.first.get(other[0], 0)

    def rest(done: tuple[Call, ...], left: tuple[Call, ...], in_use: frozenset[int]) -> Iterator[tuple[Call, ...]]:
        if not left:
            yield done
        for call in left:
            if any(is_before(other, call) for other in left if other is not call):
                continue
            number, step = call
            block = outcome.blocks[number]
            after = in_use
            if isinstance(step, Alloc):
                if block is None or block[0] in in_use or starts.get(block[0]) != block[1]:
                    continue
                after = in_use | {block[0]}
            elif isinstance(step, Free) and block is not None:
                if block[0] not in in_use:
                    continue
                after = in_use - {block[0]}
            yield from rest((*done, call), tuple(one for one in left if one is not call), after)

    yield from rest((), tuple(calls), in_use)


class Spans:
    """When each call has begun and ended, as places among the events."""

    def __init__(self, oracle: Oracle, calls: Sequence[Call], outcome: Outcome) -> None:
        """The oracle is as it was before."""
        self.first, self.last, self.asked = dict[int, int](), dict[int, int](), dict[int, int]()
        for at, event in enumerate(outcome.events):
            self.first.setdefault(event.call, at)
            self.last[event.call] = at
            if event.kind == ASKS:
                self.asked[event.call] = at
        given = {number: call for number, call in calls if outcome.blocks[number] is not None}
        self.allocs = [number for number, call in given.items() if isinstance(call, Alloc)]
        self.frees = [number for number, call in given.items() if isinstance(call, Free)]
        self.in_use = sum(len(page.in_use) for page in oracle.pages)
        self.pages = len(oracle.pages)

    def begun(self, calls: Sequence[int], at: int) -> int:
        return sum(self.first.get(call, at) < at for call in calls)

    def ended(self, calls: Sequence[int], at: int) -> int:
        return sum(self.last.get(call, -1) < at for call in calls)

    def most_in_use(self, since: int, until: int) -> int:
        return self.in_use + self.begun(self.allocs, until) - self.ended(self.frees, since)

    def fewest_in_use(self, since: int, until: int) -> int:
        return self.in_use + self.ended(self.allocs, since) - self.begun(self.frees, until)

    def fewest_pages(self, since: int) -> int:
        return self.pages + self.ended(list(self.asked), since)


def page_without_need(oracle: Oracle, calls: Sequence[Call], outcome: Outcome) -> str:
    """That an allocation asked for a page while, whatever the order, a block was free; "" if none did."""
    spans = Spans(oracle, calls, outcome)
    for call, at in spans.asked.items():
        since = spans.first[call]
        others = spans.most_in_use(since, at) - (call in spans.allocs)
        blocks = spans.fewest_pages(since) * len(oracle.offsets)
        if others < blocks:
            return f"another page is asked for, while at most {others} of {blocks} blocks are in use"
    return ""


def wrong_in_the_file(oracle: Oracle, calls: Sequence[Call], outcome: Outcome) -> tuple[str, str] | None:
    """What a caller may read in the file pools, each number by itself, at some moment of some order; and what it has read."""
    spans = Spans(oracle, calls, outcome)
    for number, call in calls:
        read = outcome.blocks[number]
        if not isinstance(call, PoolInfo) or read is None or number not in spans.first:
            continue
        since, until = spans.first[number], spans.last[number]
        low, high = spans.fewest_in_use(since, until), spans.most_in_use(since, until)
        fewest, most = spans.fewest_pages(since), spans.pages + sum(at < until for at in spans.asked.values())
        if not (low <= read[0] <= high and fewest <= read[1] <= most):
            expected = f"{low} to {high} blocks in use, {fewest} to {most} pages in the file pools"
            return expected, f"{read[0]} blocks in use, {read[1]} pages"
    return None
