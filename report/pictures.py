"""Where things are in the pictures of a report, in units of an SVG; report/page.html draws them."""

from dataclasses import dataclass
from typing import Any

from model.geometry import number
from model.revision import TreeNode
from report.moment import Moment, Strip

WIDTH = 700
"""Of a page of memory."""

LEAST = 56
"""Between two offsets that are written."""

NODE = 150, 44
"""Width and height of a page in a tree."""


@dataclass(frozen=True)
class Box:
    """A block: where it is, what it is, and what is written in it."""

    x: float
    width: float
    kind: str
    label: str
    roomy: bool  # for the label on a small screen, too


@dataclass(frozen=True)
class StripPicture:
    """A page of memory. Ticks are offsets that are written, walls are boundaries, arcs are links of the free list; at what is
    `pointed`, a device finds a block that is elsewhere."""

    strip: Strip
    boxes: list[Box]
    ticks: list[tuple[float, str]]
    walls: list[float]
    end: float | None
    arcs: list[tuple[float, float]]
    pointed: list[float]


@dataclass(frozen=True)
class NodePicture:
    """A page in the tree: its DMA addresses, its colour, and whether a lookup looks at it, ends there, or should."""

    x: float
    y: float
    addresses: list[str]
    kind: str
    notes: list[str]
    parent: tuple[float, float] | None
    on_way: bool
    on_right_way: bool


def strip_picture(strip: Strip) -> StripPicture:
    def x(offset: int) -> float:
        return round((offset - strip.start) * WIDTH / max(strip.end - strip.start, 1), 1)

    boxes = []
    for cell in strip.drawn:
        width = round(x(cell.end) - x(cell.start), 1)
        label = cell.label
        kind = "wrong" if cell.wrong else cell.state.replace(" ", "-")
        boxes.append(
            Box(x(cell.start), width, kind, label if 7.5 * len(label) < width else "", 13 * len(label) < width)
        )
    wrong = [end for cell in strip.cells if cell.wrong for end in (cell.start, cell.end)]
    ticks: list[tuple[float, str]] = []
    for offset in [*wrong, strip.nbytes, strip.end, *(cell.start for cell in strip.cells)]:
        if strip.start <= offset <= strip.end and all(abs(x(offset) - other) > LEAST for other, _ in ticks):
            ticks.append((x(offset), number(offset)))
    middle = {cell.start: x(cell.start) + (x(cell.end) - x(cell.start)) / 2 for cell in strip.cells}
    return StripPicture(
        strip,
        boxes,
        sorted(ticks),
        [x(offset) for offset in strip.boundaries if offset != strip.nbytes],
        x(strip.nbytes) if strip.start <= strip.nbytes <= strip.end else None,
        [(round(middle[start], 1), round(middle[end], 1)) for start, end in dict.fromkeys(strip.arrows)],
        [x(offset) for offset in strip.pointed if strip.start <= offset < strip.end],
    )


def tree_picture(moment: Moment) -> dict[str, Any]:
    """The nodes of a tree from left to right in the order of their addresses, and how large the picture is."""
    nodes: list[NodePicture] = []
    places: dict[int, tuple[float, float]] = {}
    order: list[tuple[TreeNode, int, int | None]] = []

    def walk(node: TreeNode | None, depth: int, parent: int | None) -> None:
        if node is not None:
            walk(node.left, depth + 1, node.dma)
            order.append((node, depth, parent))
            walk(node.right, depth + 1, node.dma)

    walk(moment.tree, 0, None)
    width, height = NODE
    for place, (node, depth, _) in enumerate(order):
        places[node.dma] = (place * width * 0.72 + width / 2, depth * 84 + height / 2 + 4)
    for node, _, parent in order:
        ends, should = moment.found == node.dma, moment.right_path[-1:] == [node.dma]
        nodes.append(
            NodePicture(
                *places[node.dma],
                [f"{node.dma:#x}", f"to {node.dma + moment.allocation:#x}"],
                "red" if node.red else "black",
                ["the lookup ends here"] * ends + ["it should end here"] * should if ends != should else [],
                None if parent is None else places[parent],
                node.dma in moment.path,
                node.dma in moment.right_path,
            )
        )
    deepest = max(depth for _, depth, _ in order)
    return {"nodes": nodes, "width": len(order) * width * 0.72 + width * 0.3, "height": deepest * 84 + height + 28}
