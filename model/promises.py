"""What the revisions of the pool promise differently, seen from outside. The rest they promise alike."""

from dataclasses import dataclass

from model.geometry import SMALLEST_BLOCK


@dataclass(frozen=True)
class Promises:
    """The defaults are the series'."""

    smallest_block: int = SMALLEST_BLOCK  # bytes: what a free block holds for the pool
    reports_of_free: str = "dma_pool_free"  # the function that messages about a wrong free name
    notices_foreign_dma: bool = True  # at a free, without debugging too
    notices_wrong_vaddr: bool = True  # at a free, in debug builds: the two addresses name different blocks
    notices_overlap: bool = True  # of the pages that a device gives
    leaks_every_page: bool = False  # on destroy, if any block is in use; otherwise the busy pages only


SERIES = Promises()
