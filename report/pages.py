"""The report that people read: one file of HTML that needs no other, with a matrix of verdicts and every counterexample."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2

from model.claims import CLAIMS
from model.geometry import Refusal
from model.trace import Create, dumps
from report.pictures import strip_picture, tree_picture
from report.results import ENGINES, Verdict, sentence
from report.scene import Moment, Scene, moment_of_inputs
from report.text import described, lines_of
from report.text import sentence as sentence_of_scene

REVISIONS = {
    "series": "the patch series of 2022",
    "v6.1": "what it replaced",
    "v6.12": "what was merged instead",
    "other": "earlier tries, variants, the oracle",
}
"""The columns of the matrix."""

SHORT = {"prover": "Z3", "machine": "H", "contracts": "CH", "replay": "R"}
GLYPHS = {"good": "✓", "refuted": "✗", "wrong": "‼", "open": "~"}
GOOD = ("PROVED", "CONFIRMED", "HELD")

MOST_ROWS = 16
"""Steps of a run that are shown: the first ones and the last ones."""


@dataclass(frozen=True)
class Told:
    """A counterexample as it is shown: a verdict, and, where it can be run, the run, and the command that repeats it."""

    verdict: Verdict
    scene: Scene | None
    replay: str

    @property
    def sentence(self) -> str:
        """What is wrong; of a proof, what it is about, and what a driver sees of that."""
        if self.scene is None or self.scene.broken is None:
            return sentence(self.verdict)
        seen = sentence_of_scene(self.scene)
        return (
            seen
            if self.verdict.engine != "prover"
            else f"{sentence(self.verdict)} What a driver sees of it first: {seen}"
        )

    @property
    def numbers(self) -> dict[str, str]:
        """What the pool was asked for, and what it should be."""
        if self.scene is None:
            found = self.verdict.counterexample
            return {name: written(value) for name, value in found.inputs.items()} if found is not None else {}
        create, kernel, geometry = self.scene.trace.steps[0], self.scene.trace.kernel, self.scene.geometry
        assert isinstance(create, Create)
        asked = {"size": create.size, "align": create.align, "boundary": create.boundary, "page size": kernel.page_size}
        numbers = {name: written(value) for name, value in asked.items()}
        numbers |= {name.replace("_", " "): "yes" for name, value in vars(kernel).items() if value is True}
        if isinstance(geometry, Refusal):
            return {**numbers, "promised": f"no pool: {geometry.value}"}
        promised = (
            f"blocks of {geometry.size} bytes, boundary {geometry.boundary}, pages of {geometry.allocation} bytes"
        )
        return {**numbers, "promised": f"{promised}; blocks a page: {self.scene.blocks_per_page}"}

    @property
    def steps(self) -> list[tuple[str, str, str]]:
        """Each step, what was expected of it, and what happened."""
        if self.scene is None:
            return []
        rows = []
        for step in self.scene.trace.steps:
            inside = [line.partition(" → ")[0] for line in lines_of((step,), "")[1:]]
            rows.append(("\n".join([described(step), *inside]), step.expected, step.happened))
        if len(rows) > MOST_ROWS:
            rows[MOST_ROWS // 2 : 1 - MOST_ROWS // 2] = [(f"… {len(rows) - MOST_ROWS + 1} more", "", "")]
        return rows

    @property
    def moments(self) -> list[tuple[str, Moment]]:
        """What is drawn, under its title."""
        if self.scene is None:
            found = self.verdict.counterexample
            moment = moment_of_inputs(found.inputs) if found is not None else None
            return [] if moment is None else [("", moment)]
        step = described(self.scene.step)
        moments = [(f"before {step}", self.scene.before), (f"after {step}", self.scene.after)]
        return [(title, moment) for title, moment in moments if moment is not None]

    @property
    def trace(self) -> str:
        return dumps(self.scene.trace) if self.scene is not None else ""


def written(value: Any) -> str:
    """A number as people read it: large ones in hexadecimal as well."""
    return f"{value} ({value:#x})" if type(value) is int and value >= 2**16 else str(value)


def anchor(verdict: Verdict) -> str:
    """What names a verdict in the page."""
    return f"{verdict.engine}/{verdict.name}".replace(" ", "_")


def kind_of(verdict: Verdict) -> str:
    if not verdict.as_expected:
        return "wrong"
    if verdict.counterexample is not None:
        return "refuted"
    return "good" if verdict.verdict in GOOD else "open"


def column_of(verdict: Verdict) -> str:
    revision = verdict.revision.removesuffix("-as-it-is")
    return revision if revision in REVISIONS else "other"


def marks(verdicts: list[Verdict]) -> list[tuple[str, str, list[Verdict]]]:
    """What a cell of the matrix says: each engine's verdicts of a kind."""

    def of(verdict: Verdict) -> tuple[int, str]:
        return list(SHORT).index(verdict.engine), kind_of(verdict)

    grouped = groupby(sorted(verdicts, key=of), key=of)
    return [(list(SHORT)[engine], kind, list(group)) for (engine, kind), group in grouped]


def index(
    verdicts: list[Verdict],
    scenes: Mapping[str, Scene],
    replays: Mapping[str, str],
    smt2: Mapping[str, str],
    tallies: Mapping[str, Mapping[str, int]],
    command: str,
) -> str:
    """The page. Scenes, and the commands that replay them, are by the verdicts' anchors; `smt2` are files beside the page, by
    the names of obligations; `tallies` are what hunts have met on a revision; `command` has made all of it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "anchor": anchor,
        "kind_of": kind_of,
        "strip_picture": strip_picture,
        "tree_picture": tree_picture,
    }
    counterexamples = [
        Told(verdict, scenes.get(anchor(verdict)), replays.get(anchor(verdict), ""))
        for verdict in verdicts
        if verdict.counterexample is not None
    ]
    counterexamples.sort(key=lambda told: (told.verdict.as_expected, list(CLAIMS).index(told.verdict.claim)))
    cells = {
        claim: {
            column: marks([one for one in verdicts if one.claim == claim and column_of(one) == column])
            for column in REVISIONS
        }
        for claim in CLAIMS
    }
    return environment.get_template("page.html").render(
        claims=CLAIMS,
        revisions=REVISIONS,
        engines=ENGINES,
        short=SHORT,
        glyphs=GLYPHS,
        cells=cells,
        verdicts=verdicts,
        wrong=[verdict for verdict in verdicts if not verdict.as_expected],
        counterexamples=counterexamples,
        smt2=smt2,
        tallies=tallies,
        events=sorted({event for tally in tallies.values() for event in tally}),
        command=command,
    )
