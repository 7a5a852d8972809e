"""What the revisions of the pool promise differently, as a driver or a device notices it. All else they promise alike.

A pool is *out of contract* once a driver or a device has broken the rules unnoticed: a block freed twice, the
middle of a block freed, the link in a free block overwritten. No more is promised of it then than the claims that it still
`keeps`, for as long as it reads and writes only its pages: where it leaves them, the Python fails, and nothing is said of
what C does then.
"""

from dataclasses import dataclass

from model.claims import (
    Claim,
    block_starts_in_a_page,
    locking_rules_are_kept,
    operations_end,
    total_counts_the_blocks,
)
from model.geometry import SMALLEST_BLOCK

ALWAYS_KEPT = frozenset({locking_rules_are_kept, total_counts_the_blocks})
KEPT_BY_THE_SERIES = ALWAYS_KEPT | {operations_end, block_starts_in_a_page}


@dataclass(frozen=True)
class Promises:
    """The defaults are the series'."""

    smallest_block: int = SMALLEST_BLOCK  # bytes: what a free block holds for the pool
    lays_up_to_the_boundary: bool = (
        True  # otherwise a block that would end at a boundary is laid only if it starts at one
    )
    clips_the_boundary: bool = True  # to the allocation; otherwise no larger one may be asked for
    counts_what_is_laid: bool = True  # in the total; otherwise allocation / size, whatever the boundary
    reports_of_alloc: str = (
        "dma_pool_alloc"  # the function that messages about a block written to while it was free name
    )
    reports_of_free: str = "dma_pool_free"  # the function that messages about a wrong free name
    notices_foreign_dma: bool = True  # at a free, without debugging too
    notices_wrong_vaddr: bool = True  # at a free, in debug builds: the two addresses name different blocks
    notices_overlap: bool = True  # of the pages that a device gives
    refuses_before_filling: bool = True  # otherwise a refused free has zeroed the block already, with init_on_free
    leaks_every_page: bool = False  # on destroy, if any block is in use; otherwise the busy pages only
    keeps: frozenset[Claim] = KEPT_BY_THE_SERIES  # also out of contract
    keeps_in_debug_builds: frozenset[Claim] = KEPT_BY_THE_SERIES


SERIES = Promises()
V6_1 = Promises(
    lays_up_to_the_boundary=False,
    clips_the_boundary=False,
    counts_what_is_laid=False,
    notices_overlap=False,
    refuses_before_filling=False,
    keeps_in_debug_builds=ALWAYS_KEPT | {block_starts_in_a_page},  # before patch 05
)
V6_12 = Promises(
    smallest_block=16,
    reports_of_alloc="pool_check_block",
    reports_of_free="pool_block_err",
    notices_foreign_dma=False,
    notices_wrong_vaddr=False,
    notices_overlap=False,
    leaks_every_page=True,
    keeps=ALWAYS_KEPT | {operations_end},
    keeps_in_debug_builds=ALWAYS_KEPT,
)
