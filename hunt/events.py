"""What a hunt has to meet: the events that the machine counts, and those that none may miss."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What happened in all the runs of a machine: a hunt that misses an expected event has a gap."""

    steps: int = 0
    events: Counter[str] = field(default_factory=Counter)


KNOWN_BREAK = "a run ends at a break that is known"

EXPECTED_EVENTS = """
create / create is refused / alloc / alloc where the device fails / free / poolinfo / destroy
2 allocations wait at once / 3 allocations wait at once / 4 allocations wait at once
destroy gives every page back / the device fails / the device fails again
a page is full / a page is empty again / a page is listed again
free again, noticed / free again, not noticed / free of a foreign address, noticed
free in the middle of a block, not noticed / free of a block of another pool, noticed
write to a block in use / write to a free block / write to the link in a free block
memory: at the bottom of the address space / memory: neighbours / memory: with gaps / memory: descending
memory: below 4 GiB / memory: at the top of the address space / memory: up to the top of the address space
"""
"""What a hunt has to meet, whatever the target."""

VIOLATION = "violation: "
"""Begins what counts a claim that pools broke after a driver had damaged them."""

EXPECTED_OF_CORRUPTION = """
a page overlaps another from below / violation: in_use_counts_the_live_blocks / violation: blocks_are_disjoint
"""
"""What a hunt has to meet in all targets but the oracle, which cannot be corrupted."""

EXPECTED_OF_THE_SERIES = """
insert rotates nothing / insert rotates left / insert rotates right
insert rotates left and right / insert rotates right and left
a page overlaps another from above / free with another virtual address, noticed
"""


def missed(tally: Tally, revision: str) -> list[str]:
    """The events that a hunt has to meet, and did not."""
    expected = EXPECTED_EVENTS
    expected += EXPECTED_OF_CORRUPTION if revision != "oracle" else ""
    expected += EXPECTED_OF_THE_SERIES if revision == "series" else ""
    events = [event.strip() for line in expected.splitlines() for event in line.split("/")]
    return [event for event in events if event and not tally.events[event]]
