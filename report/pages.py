"""The report that people read: one file of HTML that needs no other, with a matrix of verdicts and every counterexample."""

from collections.abc import Collection, Mapping
from itertools import groupby
from pathlib import Path

import jinja2

from model.claims import CLAIMS
from model.geometry import Refusal, number
from model.revision import KERNEL
from model.trace import Create, dumps
from report.moment import Moment
from report.pictures import strip_picture, tree_picture
from report.runs import Finding
from report.text import break_in_words, described, elided, lines_of, moment_of_proof, surroundings
from report.verdicts import ADVICE, ENGINES, REAL, SAYS_NOTHING, SHOWN, SMT2, EngineVerdict, refutation_in_words

COLUMNS = {
    "series": "the patch series of 2022",
    "v6.1": "what it replaced",
    "v6.1-as-it-is": "v6.1, held only to what it keeps",
    "v6.12": "what was merged instead",
    KERNEL: "your own",
    "other": "earlier tries, variants, the oracle",
}
"""The columns of the matrix."""

SHORT = {"prover": "Z3", "hunt": "H", "contracts": "CH", "replay": "R"}
GLYPHS = {"good": "✓", "refuted": "✗", "wrong": "‼", "open": "~"}
GOOD = ("PROVED", "CONFIRMED")
"""A hunt that found nothing is not among them: it has searched, and shown nothing of other runs."""

MOST_ROWS = 16
"""Steps of a run that are shown: the first ones and the last ones."""


def in_words(finding: Finding) -> str:
    """What is wrong; of a proof, what it is about, and what a driver sees of that."""
    if finding.scene is None or finding.scene.broken is None:
        return refutation_in_words(finding.verdict)
    happened = break_in_words(finding.scene)
    if finding.verdict.engine != "prover":
        return happened
    return f"{refutation_in_words(finding.verdict)} What a driver sees of it first: {happened}"


def numbers(finding: Finding) -> dict[str, str]:
    """What the pool was asked for, and what it should be."""
    if finding.scene is None:
        found = finding.verdict.counterexample
        return {name: number(value) for name, value in found.inputs.items()} if found is not None else {}
    create, kernel, geometry = finding.scene.trace.steps[0], finding.scene.trace.kernel, finding.scene.geometry
    assert isinstance(create, Create)
    asked = {name: number(getattr(create, name)) for name in ("size", "align", "boundary")}
    asked["page size"] = number(kernel.page_size)
    if options := surroundings(kernel):
        asked["run"] = options
    if isinstance(geometry, Refusal):
        return {**asked, "promised": f"no pool: {geometry.value}"}
    size, boundary, allocation = map(number, (geometry.size, geometry.boundary, geometry.allocation))
    promised = f"blocks of {size} bytes, boundary {boundary}, pages of {allocation} bytes"
    return {**asked, "promised": f"{promised}; blocks a page: {finding.scene.blocks_per_page}"}


def steps(finding: Finding) -> list[tuple[str, str, str]]:
    """Each step, what was expected of it, and what happened."""
    rows = []
    for step in finding.scene.trace.steps if finding.scene is not None else ():
        inside = [line.partition(" → ")[0] for line in lines_of((step,), "")[1:]]
        rows.append(("\n".join([described(step), *inside]), step.expected, step.happened))
    return elided(rows, MOST_ROWS, lambda left_out: (f"… {left_out} more", "", ""))


def moments(finding: Finding) -> list[tuple[str, Moment]]:
    """What is drawn, under its title."""
    scene, drawn = finding.scene, [("", moment_of_proof(finding.verdict, finding.scene))]
    if scene is not None:
        step = described(scene.step)
        drawn += [(f"before {step}", scene.before), (f"after {step}", scene.after)]
    return [(title, moment) for title, moment in drawn if moment is not None]


def anchor(verdict: EngineVerdict) -> str:
    """What names a verdict in the page."""
    return f"{verdict.engine}/{verdict.name}".replace(" ", "_")


def kind_of(verdict: EngineVerdict) -> str:
    if SAYS_NOTHING in verdict.evidence:
        return "open"
    if not verdict.as_expected:
        return "wrong"
    if verdict.counterexample is not None:
        return "refuted"
    return "good" if verdict.verdict in GOOD else "open"


def column_of(verdict: EngineVerdict) -> str:
    return verdict.revision if verdict.revision in COLUMNS else "other"


def why_none(column: str, ran: Collection[str], hunted: Collection[str]) -> str:
    """Why a claim has no verdict on a revision. `ran` are the engines that were run, `hunted` the revisions of hunts."""
    proof = "the prover states no proof of it" if "prover" in ran else "the prover was not run (`prove`)"
    hunt = "the hunt was not run (`fuzz`)"
    if "hunt" in ran:
        hunt = "no step of the hunt looked at it" if column in hunted else "this revision was not hunted in"
    return f"{proof}; {hunt}"


def marks(verdicts: list[EngineVerdict]) -> list[tuple[str, str, list[EngineVerdict]]]:
    """What a cell of the matrix says: each engine's verdicts of a kind."""

    def of(verdict: EngineVerdict) -> tuple[int, str]:
        return list(SHORT).index(verdict.engine), kind_of(verdict)

    grouped = groupby(sorted(verdicts, key=of), key=of)
    return [(list(SHORT)[engine], kind, list(group)) for (engine, kind), group in grouped]


def templates() -> jinja2.Environment:
    """The templates of pages, beside this file."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def index(
    verdicts: list[EngineVerdict],
    findings: list[Finding],
    tallies: Mapping[str, Mapping[str, int]],
    command: str,
    ran: Collection[str],
    about: str = "",
    coverage: str = "",
) -> str:
    """The page. `tallies` are what hunts have met on a revision; `command` has made all of it, and run the engines `ran`.

    `about` is the kernel's file, with its version and hash, if it is about one; `coverage` is what is said of the page beside
    it that has the file line by line, if that is there.
    """
    environment = templates()
    functions = (anchor, dumps, in_words, kind_of, moments, numbers, steps, strip_picture, tree_picture)
    environment.globals |= {function.__name__: function for function in functions}
    with_verdicts = set(map(column_of, verdicts))
    columns = {column: meaning for column, meaning in COLUMNS.items() if column in with_verdicts}
    cells = {
        claim: {
            column: marks([one for one in verdicts if one.claim == claim and column_of(one) == column])
            for column in columns
        }
        for claim in CLAIMS
    }
    missing: dict[
        str, dict[str, list[str]]
    ] = {}  # by the claim: the reasons, and the revisions that have no verdict for each
    for claim, row in cells.items():
        for column in row:
            if not row[column] and column != "other":
                missing.setdefault(claim, {}).setdefault(why_none(column, ran, tallies), []).append(column)
    return environment.get_template("page.html").render(
        claims=CLAIMS,
        revisions=columns,
        engines=ENGINES,
        short=SHORT,
        glyphs=GLYPHS,
        smt2=SMT2,
        real=REAL,
        cells=cells,
        missing=missing,
        verdicts=verdicts,
        unanswered=[verdict for verdict in verdicts if verdict.verdict in ADVICE],
        shown=SHOWN,
        wrong=[verdict for verdict in verdicts if not verdict.as_expected],
        findings=sorted(findings, key=lambda one: (one.verdict.as_expected, list(CLAIMS).index(one.verdict.claim))),
        tallies=tallies,
        events=sorted({event for tally in tallies.values() for event in tally}),
        command=command,
        about=about,
        coverage=coverage,
    )
