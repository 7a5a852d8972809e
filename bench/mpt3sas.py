"""The cover letter's driver: the six DMA pools of mpt3sas, on v6.1 and on the series (`make mpt3sas`).

The figures are those that the patch series' cover letter (2022) reports from a real machine; the alignments are the
driver's. Blocks are freed newest first, so that v6.1's list, whose newest page comes first, finds each page at once: the
driver's own order costs v6.1 billions of steps, and is the benchmark's subject, not the table's.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from impl.pool import Pool
from model.memory import Memory
from report.text import show_progress


@dataclass(frozen=True)
class Row:
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
    "v6.1 compares with >= where > is meant, so it never lays the 32nd block of a chain page and needs "
    "ceil(373,959 / 31) = 12,064 pages instead of ceil(373,959 / 32) = 11,687. "
    "Its total counts those missing blocks all the same, 12,064 * 32 = 386,048, "
    "while the series counts the blocks that there are, 11,687 * 32 = 373,984."
)


def workload(revision: type[Pool], pools: Iterable[Row] = COVER_LETTER) -> list[Row]:
    """Fill the pools as the driver does, read their rows, then free every block and destroy the pools."""
    rows = []
    for asked in pools:
        memory = Memory()
        pool = revision.create(asked.name, memory, asked.size, asked.align, 0)
        assert pool is not None, "the driver's arguments are admitted"
        blocks = []
        for number in range(asked.in_use):
            if number % 10_000 == 0:
                show_progress(f"{revision.revision}: {asked.name}, block {number:,} of {asked.in_use:,}")
            block = pool.alloc()
            assert block is not None, "the device has memory"
            blocks.append(block)
        name, in_use, total, size, pages = pool.poolinfo().split()
        rows.append(Row(name, int(in_use), int(total), int(size), int(pages), asked.align))
        for block in reversed(blocks):
            pool.free(*block)
        pool.destroy()
        assert not memory.mappings, "every page is given back"
        assert not pool.log, "nothing is reported"
    return rows


def table(title: str, rows: list[Row]) -> str:
    lines = [f"{title:<24} in use   total    size  pages"]
    lines += [f"{row.name:<22} {row.in_use:>8} {row.total:>7} {row.size:>7} {row.pages:>6}" for row in rows]
    return "\n".join(lines)
