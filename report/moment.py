"""What is drawn of a pool at a moment: its pages, or the parts of them that matter, and its tree."""

from dataclasses import dataclass, field, replace

from model.geometry import counted, number
from model.revision import TreeNode

NEIGHBOURS = 4
"""Blocks that are drawn on either side of the one that matters, where there are too many to draw them all."""

MOST_CELLS = 16
"""Blocks of a page that are drawn."""

MOST_STRIPS = 4
"""Pages that are drawn."""


@dataclass(frozen=True)
class Cell:
    """A block in a page, from byte `start` on and before byte `end`.

    It is "in use", or "free", or "lost" if it is neither in use nor in a free list; "new" in a page that is being added; and
    "room" where a page that nobody uses yet has room for a block and none is laid.
    """

    start: int
    end: int
    state: str
    name: str = ""
    wrong: bool = False  # it is the one that the broken claim is about

    @property
    def label(self) -> str:
        """What is written into it."""
        return self.name or ("" if self.state == "in use" else self.state)


@dataclass(frozen=True)
class Strip:
    """A page, or the part of it from byte `start` on and before byte `end`, with as many blocks left out on either side."""

    what: str
    dma: int | None  # where there is no pool
    nbytes: int  # of the page
    start: int
    end: int
    cells: list[Cell]
    arrows: list[tuple[int, int]]  # in the free list, from the block at one offset to the block at another
    boundaries: list[int]
    before: int = 0
    after: int = 0
    misaddressed: tuple[str, ...] = ()  # blocks whose DMA address is not where they are, and where it points to
    pointed: tuple[int, ...] = ()  # offsets that such addresses point to

    @property
    def drawn(self) -> list[Cell]:
        """The blocks in the order in which they are drawn: of those that share bytes, the first wrong one comes on top."""
        return sorted(self.cells, key=lambda cell: (cell.wrong, -cell.start))

    @property
    def caption(self) -> str:
        where = "" if self.dma is None else f" at DMA address {self.dma:#x}"
        left_out = [
            f"{counted(left, 'block', '')} {side}"
            for left, side in ((self.before, "before"), (self.after, "behind"))
            if left
        ]
        part = (
            f", bytes {self.start} to {self.end}" if (self.start, self.end) != (0, max(self.end, self.nbytes)) else ""
        )
        return f"{self.what}: {number(self.nbytes)} bytes{where}" + (
            f", without {' and '.join(left_out)}" if left_out else part
        )


@dataclass(frozen=True)
class Moment:
    """A pool between two steps. A lookup takes a `path` through the tree, and has `found` a page or none; `right_path` is the
    way to the right page."""

    strips: list[Strip]
    hidden: int = 0  # pages that are not drawn
    tree: TreeNode | None = None
    allocation: int = 0  # bytes of a page
    sought: int | None = None  # a DMA address
    path: list[int] = field(default_factory=list)
    found: int | None = None
    right_path: list[int] = field(default_factory=list)

    @property
    def misled(self) -> bool:
        """The lookup has not found the page that it should have found."""
        return self.right_path[-1:] != ([] if self.found is None else [self.found])

    @property
    def marked(self) -> "tuple[Strip, Cell] | None":
        """The page and the block that the broken claim is about."""
        return next(((strip, cell) for strip in self.strips for cell in strip.cells if cell.wrong), None)

    @property
    def shows_tree(self) -> bool:
        return self.tree is not None and (self.misled or not self.strips)


def focused(moment: Moment | None, focus: tuple[int | None, int] | None) -> Moment | None:
    """What there is room to draw: the page of the block that matters first, and of a page what is around that block."""
    if moment is None:
        return None
    dma, offset = focus or (-1, 0)
    strips = sorted(moment.strips, key=lambda strip: strip.dma != dma)
    drawn = [zoomed(strip, offset if strip.dma == dma else 0) for strip in strips[:MOST_STRIPS]]
    return replace(moment, strips=drawn, hidden=len(strips[MOST_STRIPS:]))


def zoomed(strip: Strip, offset: int) -> Strip:
    """A page, or the part around the block that is at an offset, if there are too many blocks, or they are too small."""
    cells, count = strip.cells, len(strip.cells)
    size = cells[0].end - cells[0].start if cells else strip.end
    tiny = count <= MOST_CELLS and 0 < size * 4 * MOST_CELLS < strip.end
    first, last = 0, count
    if tiny or count > MOST_CELLS:
        middle = next((number for number, cell in enumerate(cells) if cell.start >= offset), count - 1)
        first, last = max(0, middle - NEIGHBOURS), min(count, middle + NEIGHBOURS + 1)
        while tiny and cells[middle].start - cells[first].start > MOST_CELLS * size:
            first += 1
        while tiny and cells[last - 1].start - cells[middle].start > MOST_CELLS * size:
            last -= 1
    cells = cells[first:last]
    start = cells[0].start if first or (tiny and cells[0].start > size) else 0
    end = cells[-1].end + size * tiny if tiny or last < count else strip.end
    offsets = {cell.start for cell in cells}
    return replace(
        strip,
        start=start,
        end=end,
        cells=cells,
        arrows=[arrow for arrow in strip.arrows if offsets.issuperset(arrow)],
        boundaries=[at for at in strip.boundaries if start < at <= end],
        before=first,
        after=count - last,
    )
