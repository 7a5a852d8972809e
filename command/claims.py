"""The table of claims in README.md, from the code: `make claims` writes it, and a test compares it."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from model.claims import CLAIMS
from proofs.catalogue import OBLIGATIONS
from proofs.engine.explore import Verdict

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- claims: written by `make claims` -->\n", "<!-- end of claims -->\n"


def table() -> str:
    """A row per claim: what is promised, from where, of which revisions and numbers it is proved, and what breaks it."""
    lines = ["| claim | sentence | source | proved of | refuted, as expected |", "|---|---|---|---|---|"]
    for claim in CLAIMS.values():
        about = [o for o in OBLIGATIONS.values() if o.claim is claim]
        proved: dict[str, dict[str, None]] = {}
        for o in about:
            if o.expected is Verdict.PROVED:
                proved.setdefault(o.revision, {})[o.theory.value] = None
        refuted = [f"{o.revision} {o.theory.value} {o.case}".rstrip() for o in about if o.expected is Verdict.REFUTED]
        cells = (
            f"`{claim.name}`",
            claim.sentence,
            claim.source,
            "<br>".join(f"{revision} {', '.join(proved[revision])}" for revision in of_series_first(proved))
            or "hunted only",
            "<br>".join(refuted),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def of_series_first(revisions: Iterable[str]) -> list[str]:
    return sorted(revisions, key=lambda revision: revision != "series")


def with_table(text: str) -> str:
    """A README's text with the table as it has to be. Raises ValueError if the marks for it are missing."""
    head, found, rest = text.partition(BEGIN)
    _, closed, tail = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"{README.name}: the marks around the table of claims are missing")
    return head + BEGIN + table() + END + tail


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(
        prog="python -m command claims", description="Write the table of claims into README.md."
    ).parse_args(arguments)
    README.write_text(with_table(README.read_text()))
    return 0
