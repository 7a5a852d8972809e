"""`make claims`: the tables of claims in docs/claims.md and README.md, from the code; a test compares them."""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path

from bugs import BUGS
from command.files import put
from command.line import Status
from impl.lock import LockingError
from kernel.once import ROOT
from kernel.pool import rules_of_the_server
from model.bad_input import BadInput
from model.claims import CLAIMS, Claim
from model.trace import loads
from proofs.catalogue import OBLIGATIONS
from proofs.engine.explore import Verdict

README, LIST, TRACES = ROOT / "README.md", ROOT / "docs" / "claims.md", ROOT / "tests" / "traces"

PROVED_OF_C = CLAIMS.keys() - {
    "alloc_touches_few_pages",
    "block_is_filled_once",
    "block_starts_in_a_page",
    "debug_is_on_where_it_was",
    "free_compares_few_addresses",
    "free_list_of_wrong_length_is_refused",
    "insertion_keeps_pages_disjoint",
    "operations_are_linearizable",
    "operations_end",
    "pages_are_bounded_by_the_demand",
    "pages_with_room_are_listed",
    "patch_06_keeps_the_freed_block",
    "patch_07_keeps_what_the_driver_sees",
    "patch_08_changes_nothing",
    "virtual_address_names_the_page",
}
"""The claims that are proved of a kernel's own C; tests/test_compiled.py compares them with those of the kernels. Some others
are proved of the series' C, which is in no kernel."""


def table_of_claims() -> str:
    """A row per claim: what is promised, from where, of which revisions and numbers it is proved, what breaks it."""
    lines = [
        "| claim | sentence | source | proved of | refuted, as expected | seeded bug | trace |",
        "|---|---|---|---|---|---|---|",
    ]
    for claim in CLAIMS.values():
        about = [o for o in OBLIGATIONS.values() if o.claim is claim]
        proved: dict[str, dict[str, None]] = {}
        for o in about:
            if o.expected is Verdict.PROVED:
                proved.setdefault(o.revision, {})[o.theory.value] = None
        of_python = [f"{revision} {', '.join(proved[revision])}" for revision in of_series_first(proved)]
        refuted = [f"{o.revision} {o.theory.value} {o.case}".rstrip() for o in about if o.expected is Verdict.REFUTED]
        cells = (
            f"`{claim.name}`",
            claim.sentence,
            claim.source,
            "<br>".join([*of_python, *stated_of_c(claim)]) or "hunted only",
            "<br>".join(refuted),
            "<br>".join(f"`{name}`" for name in seeded_bugs(claim)),
            "<br>".join(f"`{name}`" for name in traces_of(claim)),
        )
        lines.append("| " + " | ".join(cells) + " |")
    needed = [f"- `{claim.name}`: {claim.drivers}" for claim in CLAIMS.values() if claim.drivers]
    return "\n".join([*lines, "", "Which drivers need it:", "", *needed]) + "\n"


def stated_of_c(claim: Claim) -> list[str]:
    """That a claim is proved of C, and the modules of proofs/ that show or state it of C, if there are any; what only assumes
    it, or has it as a lemma, is none."""
    if claim.name not in PROVED_OF_C:
        return []
    files = sorted([*(ROOT / "proofs").glob("compiled*.py"), *(ROOT / "proofs").glob("c_*.py")])
    used = rf"(?<!assume_claim\()(?<!lemma\()(?<!by\()\bclaims\.{claim.name}\b"
    named = [file.stem for file in files if re.search(used, re.sub(r"\(\s+", "(", file.read_text()))]
    named = [name for name in named if name not in ("c_runs", "c_counterexamples")]
    return ["your C" + (f" (`{'`, `'.join(named)}`)" if named else "")]


def seeded_bugs(claim: Claim) -> list[str]:
    """Of the seeded bugs that break a claim, the first one that both the prover and hunts have to notice; or else the first one
    for each."""
    refuted = [name for name, bug in BUGS.items() if claim.name in {named.partition("/")[0] for named in bug.refuted}]
    hunted = [name for name, bug in BUGS.items() if claim.name in bug.hunted]
    both = [name for name in refuted if name in hunted]
    return both[:1] or refuted[:1] + hunted[:1]


def traces_of(claim: Claim) -> list[str]:
    """The traces of tests/traces/ that break a claim."""
    return [file.stem for file in sorted(TRACES.glob("*.json")) if loads(file.read_text()).claim == claim.name]


def of_series_first(revisions: Iterable[str]) -> list[str]:
    return sorted(revisions, key=lambda revision: revision != "series")


def table_of_topics() -> str:
    """A row per topic: how many of its claims are proved, refuted and hunted of each revision, and of a kernel's own C."""
    revisions = ("series", "v6.12", "v6.1")
    lines = [f"| topic | claims | {' | '.join(revisions)} | your C |", "|---|---|---|---|---|---|"]
    for topic in dict.fromkeys(claim.topic for claim in CLAIMS.values()):
        about = [claim for claim in CLAIMS.values() if claim.topic == topic]
        cells = [topic, str(len(about)), *(counted(about, revision) for revision in revisions), counted(about, None)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def counted(about: list[Claim], revision: str | None) -> str:
    """How many of these claims are proved, refuted and hunted of a revision, or of a kernel's own C if that is None."""

    def with_verdict(verdict: Verdict) -> set[str]:
        return {o.claim.name for o in OBLIGATIONS.values() if (o.revision, o.expected) == (revision, verdict)}

    names = {claim.name for claim in about}
    counts = {
        "proved": len(names & (PROVED_OF_C if revision is None else with_verdict(Verdict.PROVED))),
        "refuted": len(names & with_verdict(Verdict.REFUTED)),
        "hunted": len(names & hunted(revision)),
    }
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "–"


def hunted(revision: str | None) -> set[str]:
    """The claims that a run of a revision is checked against, or of a kernel's own C if that is None: those that the comparison
    with the oracle checks, and the one that a lock knows; of the series, those that are looked at inside of it; of C,
    those that the shim checks."""
    sources = [*(ROOT / "model").glob("*.py"), *([ROOT / "hunt" / "inside.py"] if revision == "series" else [])]
    named = [LockingError.claim]
    named += [name for file in sources for name in re.findall(r"\bclaims\.(\w+)", file.read_text())]
    named += rules_of_the_server() if revision is None else ()
    return set(named) & CLAIMS.keys()


TABLES = {README: ("topics", table_of_topics), LIST: ("claims", table_of_claims)}
"""For each document: the name of its table, which is in the marks around it, and what writes it."""


def with_table(document: Path) -> str:
    """A document's text with its table as it has to be. Raises BadInput if the marks for it are missing."""
    name, table = TABLES[document]
    return between_marks(document, name, table())


def between_marks(document: Path, name: str, text: str, by: str = "claims") -> str:
    """The document with another text between the marks of this name, which `make BY` writes. Raises BadInput."""
    begin, end = f"<!-- {name}: written by `make {by}` -->\n", f"<!-- end of {name} -->\n"
    head, found, rest = document.read_text().partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise BadInput(f"{document.name}: the marks around the table of {name} are missing: bring them back")
    return head + begin + text + end + tail


def add(parser: argparse.ArgumentParser) -> None:
    del parser  # there is nothing to choose


def run(options: argparse.Namespace) -> Status:
    del options
    for document in TABLES:
        text = with_table(document)
        put(document, text)
    return Status.EXPECTED
