"""What is drawn of a run that breaks a claim: the pool before and after the step that breaks it."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from model import claims
from model import geometry as geometry_of
from model.checks import BrokenClaim, Description, Record
from model.geometry import Geometry, LaidPage, Refusal, number
from model.lockstep import Lockstep, rerun
from model.revision import LARGEST_PAGE, Inside, Revision, TreeNode
from model.trace import Alloc, Create, Free, Step, Together, Trace
from report.moment import MOST_STRIPS, Cell, Moment, Strip, focused


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


WATCHED = 100
"""Steps at the end of a trace, before which the pool is looked at: one of them breaks the claim, but on another revision."""


class Watched(Lockstep):
    """A lockstep that looks at the pool before each of the last steps, and once more when a claim breaks; `moments` are by the
    claim."""

    def __init__(self, trace: Trace, revision: Revision) -> None:
        super().__init__(revision.going_past(trace.past), trace.kernel, trace.claim)
        self.first = len(trace.steps) - WATCHED
        self.moments: dict[str, tuple[Moment | None, Moment | None]] = {}
        self.before: Moment | None = None  # the step that runs; where steps run inside each other, the innermost
        self.logged = 0  # messages before that step
        self.messages: dict[str, tuple[str, ...]] = {}  # by the claim

    def run(self, step: Step) -> None:
        outer, self.before = self.before, self.moment() if len(self.records) >= self.first else None
        logged, self.logged = self.logged, 0 if self.target is None else len(self.target.log)
        try:
            super().run(step)
        finally:
            self.before, self.logged = outer, logged

    def broken(self, record: Record, claim: claims.Claim, description: Description, place: str = "") -> BrokenClaim:
        # The oracle has not followed callers at once of which a claim breaks, so that nobody knows whose block is whose.
        at_once = isinstance(record.step, Together)
        self.moments[claim.name] = self.before, None if at_once else self.moment(record.step, claim)
        reported = getattr(self.target, "report", ())  # by a real kernel
        self.messages[claim.name] = () if self.target is None else (*self.target.log[self.logged :], *reported)
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
        if len(happened.steps) <= run.first:
            return scene_of(replace(trace, steps=trace.steps[: len(happened.steps)]), revision, before_a_step)
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
        pointed=tuple(dma for offset, dma in page.blocks if dma not in (None, offset))[:MOST_STRIPS],
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
    # Of a pool that cannot be looked into, the blocks are known that it has handed out.
    inside_unknown = run.revision.inside is None
    handed_out = {block.vaddr for block in run.blocks.values()} if inside_unknown else set()
    known = sorted({*handed_out, *listed, *names, *([latest[0]] if latest is not None else [])})
    misaddressed = [(vaddr, *one) for vaddr, one in given.items() if is_misaddressed(run, vaddr, one[1])]
    strips = []
    for page in run.memory.mappings.values():
        first, end = page.vaddr, page.vaddr + len(page.data)
        what = "memory of another pool" if first in others else "page" if first in pages else "page that is being added"
        promised = set() if first in others or inside_unknown else {first + offset for offset in run.oracle.offsets}
        here = known[bisect_left(known, first) : bisect_left(known, end)]
        cells = []
        for vaddr in sorted({*here, *(vaddr for vaddr in promised if vaddr < end)}):
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
        told = tuple(
            f"{name}: its DMA address {dma:#x} is {pointed_to(run, dma)}, and the block at offset {vaddr - first}"
            for vaddr, name, dma in misaddressed
            if first <= vaddr < end
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
                misaddressed=told,
                pointed=tuple(dma - page.dma for *_, dma in misaddressed if 0 <= dma - page.dma < len(page.data)),
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


def is_misaddressed(run: Lockstep, vaddr: int, dma: int) -> bool:
    """Whether a DMA address is not the one of what is at a virtual address."""
    offset = run.memory.offset(vaddr)
    page = run.memory.mappings.get(vaddr - offset)
    return page is not None and dma - page.dma != offset


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
