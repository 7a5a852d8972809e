"""Pictures of numbers: SVG, each with its values written into it, so that it is read without a legend to look up."""

import os
from collections.abc import Mapping
from math import ceil, log10
from pathlib import Path
from statistics import median

os.environ.setdefault("MPLCONFIGDIR", str(Path(__file__).parent.parent / ".poolproof" / "matplotlib"))

import matplotlib
from matplotlib.figure import Figure

matplotlib.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "poolproof",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Okabe and Ito's, which people tell apart who see few colours."""

Points = list[tuple[float, float]]


def bars(title: str, rows: Mapping[str, Mapping[str, float]], unit: str = "s", linear: bool = False) -> Figure:
    """A row for each subject, a bar for each of its numbers."""
    figure = Figure(figsize=(9, 0.6 + 0.24 * sum(map(len, rows.values())) + 0.2 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    if not linear:
        axes.set_xscale("log")
    parts = list(dict.fromkeys(part for row in rows.values() for part in row))
    at, ticks = 0.0, []
    for name, row in rows.items():
        ticks.append((at + (len(row) - 1) / 2, name))
        for part, value in row.items():
            axes.barh(at, value, 0.9, color=COLOURS[parts.index(part)])
            label = " ".join(filter(None, (part, shown(value), unit)))
            axes.annotate(label, (value, at), (4, 0), textcoords="offset points", va="center", fontsize=8)
            at += 1
        at += 0.7
    axes.set_yticks([place for place, _ in ticks], [name for _, name in ticks])
    axes.invert_yaxis()
    largest = max(value for row in rows.values() for value in row.values())
    smallest = min(value for row in rows.values() for value in row.values())
    axes.set_xlim(0 if linear else smallest / 2, largest * (1.3 if linear else 20))
    return figure


def lines(figures: Mapping[str, Mapping[str, Points]], across: str) -> Figure:
    """A log-log picture for each title; its lines are labelled where they end, and dashed for C."""
    figure = Figure(figsize=(5.6 * len(figures), 5), layout="constrained")
    revisions = list(dict.fromkeys(revision_in(name) for drawn in figures.values() for name in drawn))
    for axes, (title, drawn) in zip(figure.subplots(1, len(figures), squeeze=False)[0], figures.items(), strict=True):
        axes.set_title(title, loc="left")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(across)
        places = spread_out({name: log10(points[-1][1]) for name, points in drawn.items() if points})
        for name, points in drawn.items():
            colour = COLOURS[revisions.index(revision_in(name)) % len(COLOURS)]
            axes.plot(
                *zip(*points, strict=True), marker=".", color=colour, linestyle="--" if name.startswith("C,") else "-"
            )
            end = points[-1]
            axes.annotate(
                name,
                end,
                (end[0] * 1.15, 10 ** places[name]),
                color=colour,
                fontsize=8,
                va="center",
            )
        axes.margins(x=0.05)
        smallest, largest = axes.get_xlim()
        axes.set_xticks([10.0**power for power in range(ceil(log10(smallest)), ceil(log10(largest)))])
        axes.set_xticks([], minor=True)
        axes.set_xlim(right=largest * 30)  # room for the labels
    return figure


def scattered(title: str, rows: Mapping[str, list[int]]) -> Figure:
    """A row for each subject, on a logarithmic scale: its numbers, and a mark at their median."""
    ordered = sorted(rows, key=lambda name: (median(rows[name]), name))
    figure = Figure(figsize=(9, 1 + 0.16 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    axes.set_xscale("log")
    for at, name in enumerate(ordered):
        axes.plot(rows[name], [at] * len(rows[name]), ".", color=COLOURS[7])
        axes.plot(median(rows[name]), at, "|", color=COLOURS[1], markersize=9)
    axes.set_yticks(range(len(ordered)), ordered, fontsize=7)
    axes.set_ylim(-1, len(ordered))
    return figure


def revision_in(name: str) -> str:
    """Without the language and what is said of it: the same revision has the same colour."""
    return name.partition(", ")[2].partition(":")[0]


def spread_out(heights: Mapping[str, float]) -> dict[str, float]:
    """Where labels stand, in powers of ten: near their lines, and apart from each other."""
    apart = max(max(heights.values()) - min(heights.values()), 1) / 18
    placed: dict[str, float] = {}
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        placed[name] = max([height, *(other + apart for other in placed.values())])
    return placed


def shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
