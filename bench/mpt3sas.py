"""The cover letter's driver: the six DMA pools of mpt3sas, on v6.1 and on the series (`make mpt3sas`).

The figures are those that the patch series' cover letter (2022) reports from a real machine; the alignments are the
driver's. Blocks are freed newest first, so that v6.1's list, whose newest page comes first, finds each page at once: the
driver's own order costs v6.1 billions of steps, and is the benchmark's subject, not the table's.
"""

from collections.abc import Iterable
from typing import NamedTuple

from bench.part import Part, Wanted
from impl.pool import Pool
from impl.v6_1 import V6_1Pool
from model.memory import Memory
from report.text import show_progress


class Row(NamedTuple):
    """A row of the `pools` file: blocks in use, blocks, size in bytes, pages; and the alignment, in bytes."""

    name: str
    in_use: int
    total: int
    size: int
    pages: int
    align: int


COVER_LETTER = (
    Row("reply_post_free_array", 1, 21, 192, 1, 16),
    Row("reply_free", 1, 1, 41728, 1, 16),
    Row("reply", 1, 1, 1335296, 1, 4),
    Row("sense", 1, 1, 970272, 1, 4),
    Row("chain", 373_959, 386_048, 128, 12_064, 16),
    Row("reply_post_free", 12, 12, 166528, 12, 16),
)
SERIES_CHAIN = Row("chain", 373_959, 373_984, 128, 11_687, 16)

EXPLANATION = (
    "v6.1 never lays the 32nd block of a chain page, since it compares with >=: ceil(373,959 / 31) = 12,064 pages instead",
    "of ceil(373,959 / 32) = 11,687. Its total counts those blocks all the same: 12,064 * 32 instead of 11,687 * 32.",
)


def run(wanted: Wanted) -> Part:
    """Both tables, which have to be the cover letter's, and what the series makes of it; quick, without the chain pool."""
    before = [row for row in COVER_LETTER if not wanted.quick or row.name != "chain"]
    after = [SERIES_CHAIN if row.name == "chain" else row for row in before]
    table: list[str] = []
    missed = []
    for revision, expected in ((V6_1Pool, before), (Pool, after)):
        rows = workload(revision, before)
        table += [f"{revision.revision:<24} in use   total    size  pages"]
        table += [f"{row.name:<22} {row.in_use:>8} {row.total:>7} {row.size:>7} {row.pages:>6}" for row in rows] + [""]
        missed += [f"mpt3sas: the rows of {revision.revision} are not as expected"] if rows != expected else []
    show_progress("")
    return Part("mpt3sas", [*table, *EXPLANATION], {}, missed)


def workload(revision: type[Pool], pools: Iterable[Row] = COVER_LETTER) -> list[Row]:
    """Fill the pools as the driver does, read their rows, then free every block and destroy the pools."""
    rows = []
    for driver in pools:
        show_progress(f"{revision.revision}: {driver.in_use:,} blocks of {driver.name}")
        memory = Memory()
        pool = revision.create(driver.name, memory, driver.size, driver.align, 0)
        assert pool is not None, "the driver's arguments are admitted"
        blocks = [pool.alloc() for _ in range(driver.in_use)]
        name, in_use, total, size, number = pool.poolinfo().split()
        rows.append(Row(name, int(in_use), int(total), int(size), int(number), driver.align))
        for block in reversed(blocks):
            assert block is not None, "the device has memory"
            pool.free(*block)
        pool.destroy()
        assert not memory.mappings, "every page is given back"
        assert not pool.log, "nothing is reported"
    return rows
