"""What is drawn of a run that breaks a claim: the pool before and after the step that breaks it."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from model import claims
from model import geometry as geometry_of
from model.checks import BrokenClaim, Description, Record
from model.geometry import Geometry, LaidPage, Refusal, counted, number
from model.lockstep import Lockstep, rerun
from model.revision import LARGEST_PAGE, Inside, Revision, TreeNode
from model.trace import Alloc, Create, Free, Step, Trace

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
        return f"{self.what}: {number(self.nbytes)} bytes{where}" + (
            f", without {' and '.join(left_out)}" if left_out else ""
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


@dataclass(frozen=True)
class Scene:
    """A run: its steps and what came of them, the geometry that was promised, and the pool before and after the last step."""

    trace: Trace
    geometry: Geometry | Refusal
    blocks_per_page: int
    broken: BrokenClaim | None = None
    before: Moment | None = None
    after: Moment | None = None
    messages: tuple[str, ...] = ()  # what the pool's code has logged in the step that breaks the claim
    corrupted_by: str = ""  # what a driver or the device had done to the pool by then

    @property
    def step(self) -> Step:
        return self.trace.last_step()


class Watched(Lockstep):
    """A lockstep that looks at the pool before each step, and once more when a claim breaks; `moments` are by the claim."""

    def __init__(self, trace: Trace, revision: Revision) -> None:
        super().__init__(revision.going_past(trace.past), trace.kernel, trace.claim)
        self.moments: dict[str, tuple[Moment | None, Moment | None]] = {}
        self.before: Moment | None = None  # the step that runs; where steps run inside each other, the innermost
        self.logged = 0  # messages before that step
        self.messages: dict[str, tuple[str, ...]] = {}  # by the claim

    def run(self, step: Step) -> None:
        outer, self.before = self.before, self.moment()
        logged, self.logged = self.logged, 0 if self.target is None else len(self.target.log)
        try:
            super().run(step)
        finally:
            self.before, self.logged = outer, logged

    def broken(self, record: Record, claim: claims.Claim, description: Description, place: str = "") -> BrokenClaim:
        self.moments[claim.name] = self.before, self.moment(record.step, claim)
        self.messages[claim.name] = () if self.target is None else tuple(self.target.log[self.logged :])
        return super().broken(record, claim, description, place)

    def moment(self, step: Step | None = None, broken: claims.Claim | None = None) -> Moment | None:
        """The pool as it is now, and what the step that has broken a claim was about; None where there is no pool."""
        if self.target is None or self.oracle is None:
            return None
        inside = Inside([])
        if self.revision.inside is not None:
            try:
                inside = self.revision.inside(self.target)
            except Exception:  # a pool that has just failed may be in any state
                inside = Inside([])
        return moment_of(self, inside, step, broken)


def scene_of(trace: Trace, revision: Revision, before_a_step: Callable[[], None] = lambda: None) -> Scene:
    """Run a trace, and look at the pool before and after what breaks. Raises TraceError."""
    create, smallest, page_size = trace.steps[0], revision.promises.smallest_block, trace.kernel.page_size
    assert isinstance(create, Create)
    geometry = geometry_of.create(create.size, create.align, create.boundary, page_size, smallest)
    run, broken = Watched(trace, revision), None
    try:
        happened = rerun(trace, run, before_a_step)
    except BrokenClaim as found:
        broken, happened = found, found.trace
    before, after = run.moments.get(broken.claim.name, (None, None)) if broken is not None else (None, None)
    messages = run.messages.get(broken.claim.name, ()) if broken is not None else ()
    focus = after.marked if after is not None else None
    blocks = 0
    if isinstance(geometry, Geometry) and geometry.allocation <= LARGEST_PAGE:
        blocks = len(geometry_of.block_offsets(geometry, revision.promises.lays_up_to_the_boundary))
    place = None if focus is None else (focus[0].dma, focus[1].start)
    return Scene(
        happened, geometry, blocks, broken, focused(before, place), focused(after, place), messages, run.corrupted_by
    )


def focused(moment: Moment | None, focus: tuple[int | None, int] | None) -> Moment | None:
    """What there is room to draw: the page of the block that matters first, and of a page what is around that block."""
    if moment is None:
        return None
    dma, offset = focus or (-1, 0)
    strips = sorted(moment.strips, key=lambda strip: strip.dma != dma)
    drawn = [zoomed(strip, offset if strip.dma == dma else 0) for strip in strips[:MOST_STRIPS]]
    return replace(moment, strips=drawn, hidden=len(strips[MOST_STRIPS:]))


def zoomed(strip: Strip, offset: int) -> Strip:
    """A page, or the part around the block that is at an offset."""
    first, last = 0, len(strip.cells)
    if last > MOST_CELLS:
        middle = next((number for number, cell in enumerate(strip.cells) if cell.start >= offset), last - 1)
        first, last = max(0, middle - NEIGHBOURS), min(last, middle + NEIGHBOURS + 1)
    cells = strip.cells[first:last]
    start = cells[0].start if first else 0
    end = cells[-1].end if last < len(strip.cells) else strip.end
    offsets = {cell.start for cell in cells}
    return replace(
        strip,
        start=start,
        end=end,
        cells=cells,
        arrows=[arrow for arrow in strip.arrows if offsets.issuperset(arrow)],
        boundaries=[at for at in strip.boundaries if start < at <= end],
        before=first,
        after=len(strip.cells) - last,
    )


def moment_of_page(page: LaidPage) -> Moment:
    """A page as the code lays it out before anybody uses it: wrong are blocks that share bytes, stick out, cross a boundary or
    have the DMA address of another place, and room in which no block is laid."""
    size, boundary, allocation = page.geometry.size, page.geometry.boundary, page.geometry.allocation
    cells, end = [], 0
    for offset, dma in sorted(page.blocks):
        crosses = size > 0 and boundary > 0 and geometry_of.crosses(offset, size, boundary)
        wrong = offset < end or offset + size > allocation or crosses or dma not in (None, offset)
        end = offset + size
        cells.append(Cell(offset, end, "free", wrong=wrong))
    if 0 < size <= min(boundary, allocation) <= LARGEST_PAGE:
        for room in geometry_of.block_offsets(Geometry(size, min(boundary, allocation), allocation)):
            if all(cell.end <= room or room + size <= cell.start for cell in cells):
                cells.append(Cell(room, room + size, "room", wrong=True))
    cells.sort(key=lambda cell: cell.start)
    length = max([allocation, *(cell.end for cell in cells)])
    misaddressed = tuple(
        f"the block at offset {number(offset)} has the DMA address of offset {number(dma)}"
        for offset, dma in page.blocks
        if dma not in (None, offset)
    )
    boundaries = list(range(boundary, allocation + 1, boundary)) if boundary else []
    strip = Strip(
        "page, as the code lays it out",
        None,
        allocation,
        0,
        length,
        cells,
        [],
        boundaries,
        misaddressed=misaddressed[:MOST_STRIPS],
    )
    first = next((cell.start for cell in cells if cell.wrong), 0)
    return focused(Moment([strip]), (None, first)) or Moment([])


def moment_of_lookup(inputs: dict[str, Any]) -> Moment | None:
    """The tree of one page in which an address is looked up; None if a refutation is not about that."""
    if "root" in inputs and "address" in inputs:
        root, address = inputs["root"], inputs["address"]
        allocation = inputs["allocation"]
        node = TreeNode(root, False, None, None)
        right_path = [root] if 0 <= address - root < allocation else []
        return Moment([], tree=node, allocation=allocation, sought=address, path=[root], right_path=right_path)
    return None


def moment_of(run: Lockstep, inside: Inside, step: Step | None, broken: claims.Claim | None) -> Moment:
    """`step` is the one that has broken a claim, if one has."""
    assert run.oracle is not None
    latest = (
        run.latest_block if isinstance(step, Alloc | Free) and broken is not claims.total_counts_the_blocks else None
    )
    if broken is claims.no_room_is_wasted:
        latest = None  # it was given another page, if anything
    size = run.oracle.geometry.size
    links = [link for one in inside.free_lists for link in pairwise(one)]
    listed = {vaddr for one in inside.free_lists for vaddr in one}
    names = {block.vaddr: name for name, block in run.blocks.items() if block.content}
    given = {vaddr: (name, run.blocks[name].dma) for vaddr, name in names.items()}
    if latest is not None and isinstance(step, Alloc):
        given[latest[0]] = step.block, latest[1]
    others = {block.vaddr for block in run.blocks.values() if block.of_other_pool}
    pages = {page.mapping.vaddr for page in run.oracle.pages}
    strips = []
    for page in run.memory.mappings.values():
        first, end = page.vaddr, page.vaddr + len(page.data)
        what = "memory of another pool" if first in others else "page" if first in pages else "page that is being added"
        # Of a pool that cannot be looked into, the blocks are known that it has handed out.
        inside_unknown = run.revision.inside is None
        handed_out = {block.vaddr for block in run.blocks.values()} if inside_unknown else set()
        promised = set() if first in others or inside_unknown else {first + offset for offset in run.oracle.offsets}
        known = promised | handed_out | listed | set(names) | ({latest[0]} if latest is not None else set())
        cells = []
        for vaddr in sorted(vaddr for vaddr in known if first <= vaddr < end):
            if vaddr in names:
                state = "in use"
            elif vaddr in listed or inside_unknown:
                state = "free"
            else:
                state = "lost" if first in pages else "new"
            wasted = state == "lost" and broken is claims.no_room_is_wasted
            wrong = latest is not None and vaddr == latest[0]
            name = names.get(vaddr, "")
            if wrong and isinstance(step, Alloc) and name != step.block:
                name = f"{name} and {step.block}" if name else step.block
            cells.append(Cell(vaddr - first, vaddr - first + size, state, name, wrong or wasted))
        cells = without_covered(cells)
        unseen = inside_unknown and first in pages
        arrows = [(one - first, other - first) for one, other in links if first <= one < end and first <= other < end]
        length = max([len(page.data), *(cell.end for cell in cells)])
        boundary = run.oracle.geometry.boundary
        boundaries = list(range(boundary, length + 1, boundary)) if boundary else []
        misaddressed = tuple(
            f"{name}: its DMA address {dma:#x} is {pointed_to(run, dma)}, and the block at offset {vaddr - first}"
            for vaddr, (name, dma) in given.items()
            if first <= vaddr < end and dma - page.dma != vaddr - first
        )
        strips.append(
            Strip(
                what + " (drawn are the blocks that were handed out)" * unseen,
                page.dma,
                len(page.data),
                0,
                length,
                cells,
                arrows,
                boundaries,
                misaddressed=misaddressed,
            )
        )
    if latest is None or inside.tree is None:
        return Moment(strips)
    allocation, offset = run.oracle.geometry.allocation, run.memory.offset(latest[0])
    right = run.memory.mappings.get(latest[0] - offset)
    if right is not None and latest[1] - right.dma != offset:
        return Moment(strips)  # the two addresses are not of one block, so that no page is the right one
    path = way(inside.tree, latest[1], allocation)
    return Moment(
        strips,
        tree=inside.tree,
        allocation=allocation,
        sought=latest[1],
        path=path,
        found=path[-1] if path and 0 <= latest[1] - path[-1] < allocation else None,
        right_path=way_down(inside.tree, right.dma) if right is not None else [],
    )


def pointed_to(run: Lockstep, dma: int) -> str:
    """Where the device finds a DMA address, in words."""
    for page in run.memory.mappings.values():
        if 0 <= dma - page.dma < len(page.data):
            return f"offset {dma - page.dma} of the page at {page.dma:#x}"
    return "in no page"


def without_covered(cells: list[Cell]) -> list[Cell]:
    """The blocks of a page in order, but for places into which one sticks out that is in use, or that the claim is about; and
    for promised ones that share bytes with a block that is really there."""
    real = [cell.start for cell in cells if cell.state in ("in use", "free")]

    def overlaps_a_real_one(cell: Cell) -> bool:
        place = bisect_right(real, cell.start - (cell.end - cell.start))
        return place < len(real) and real[place] < cell.end

    kept, covered = [], 0
    for cell in cells:
        if cell.wrong or cell.state == "in use":
            covered = max(covered, cell.end)
        elif cell.start < covered or (cell.state == "lost" and overlaps_a_real_one(cell)):
            continue
        kept.append(cell)
    return kept


def way(tree: TreeNode | None, dma: int, allocation: int) -> list[int]:
    """The pages that a lookup of an address compares it with (`pool_find_page`)."""
    path = []
    while tree is not None:
        path.append(tree.dma)
        if dma < tree.dma:
            tree = tree.left
        elif dma - tree.dma >= allocation:
            tree = tree.right
        else:
            break
    return path


def way_down(tree: TreeNode | None, dma: int) -> list[int]:
    """The way to the node of a page; empty if it is not in the tree."""
    if tree is None or tree.dma == dma:
        return [dma] if tree is not None else []
    below = way_down(tree.left, dma) or way_down(tree.right, dma)
    return [tree.dma, *below] if below else []
