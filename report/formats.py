"""Verdicts in the forms that other tools read: SARIF 2.1.0 for code scanning, JUnit XML for test reports."""

import hashlib
import inspect
import json
import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from kernel.build import Source
from model.claims import CLAIMS, Claim
from model.trace import dumps
from report.verdicts import Verdict, refutation_in_words, replaying

ROOT = Path(__file__).parent.parent
GAVE_UP = ("UNKNOWN", "VACUOUS", "LOST")
"""The verdicts that say nothing of a claim."""

NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, even escaped; and the carriage return, which a reader makes a newline."""


def claim_site(verdict: Verdict) -> tuple[str, int]:
    """The file and the line in which the predicate of a verdict's claim begins; the file as seen from the root."""
    holds = CLAIMS[verdict.claim].holds
    lines, first = inspect.getsourcelines(holds)  # from its decorator on
    before = next(number for number, line in enumerate(lines) if line.startswith("def "))
    return Path(inspect.getfile(holds)).resolve().relative_to(ROOT.resolve()).as_posix(), first + before


def c_site(verdict: Verdict, source: Source) -> tuple[str, int]:
    """The file and the line of a kernel's code that a verdict is about: where it crashed, or else the first function that the
    claim names as its source; the file as seen from the kernel tree."""
    file = "mm/dmapool.c" if source.file.parent.name == "mm" else source.file.name
    happened = verdict.counterexample.actual if verdict.counterexample is not None else ""
    if crashed := re.search(rf"\({re.escape(source.file.name)}:(\d+)\)", happened):
        return file, int(crashed[1])
    text = source.file.read_text(errors="replace")
    for function in re.findall(r"\w+", CLAIMS[verdict.claim].source):
        if defined := re.search(rf"^\w[^;={{}}]*?\b{function}\([^;]*?\)\s*\{{", text, re.M):
            return file, text[: defined.start()].count("\n") + 1
    return file, 1


def as_sarif(verdicts: list[Verdict], where: Callable[[Verdict], tuple[str, int]] = claim_site) -> str:
    """SARIF 2.1.0: an error for each verdict that is not as expected, a note for each refutation that is. It has no times,
    so that the same findings are the same text."""
    numbers = {claim: number for number, claim in enumerate(CLAIMS)}
    run = {
        "tool": {"driver": {"name": "poolproof", "rules": [rule(claim) for claim in CLAIMS.values()]}},
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the repository."}}},
        "results": [
            {**finding(verdict, *where(verdict)), "ruleIndex": numbers[verdict.claim]}
            for verdict in verdicts
            if is_wrong(verdict) or verdict.counterexample is not None
        ],
    }
    schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def rule(claim: Claim) -> dict[str, Any]:
    return {
        "id": claim.name,
        "shortDescription": {"text": claim.sentence},
        "fullDescription": {"text": f"{claim.sentence} Source: {claim.source}."},
        "help": {"text": f"{claim.name} is the predicate in model/claims.py that states it."},
    }


def finding(verdict: Verdict, file: str, line: int) -> dict[str, Any]:
    """A result of SARIF. The trace in it is text, since readers of JSON may round numbers above 2^53."""
    found, how = verdict.counterexample, f"run `{replaying('trace.json', verdict.revision)}`."
    text = message(verdict)
    properties = {name: getattr(verdict, name) for name in ("engine", "name", "revision", "verdict", "expected")}
    if found is not None and found.trace is not None:
        text += f" To replay it: save the property trace as trace.json, and {how}"
        properties["trace"] = dumps(found.trace)
    return {
        "ruleId": verdict.claim,
        "level": "error" if is_wrong(verdict) else "note",
        "message": {"text": text.replace("{", "{{").replace("}", "}}")},  # or they would be placeholders
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": file, "uriBaseId": "SRCROOT"},
                    "region": {"startLine": line},
                }
            }
        ],
        # The one fingerprint that GitHub reads. What it would compute is the same for all verdicts on a claim.
        "partialFingerprints": {"primaryLocationLineHash": fingerprint(verdict)},
        "properties": properties,
    }


def fingerprint(verdict: Verdict) -> str:
    """The same for the same finding of another run, whatever numbers show it, and for no other finding."""
    same = [verdict.engine, verdict.name, verdict.claim, verdict.revision, verdict.verdict]
    return hashlib.sha256(json.dumps(same).encode()).hexdigest()[:32]


def as_junit(verdicts: list[Verdict]) -> str:
    """JUnit XML: a suite for each engine, a case for each verdict. A case passes if its verdict is as expected."""
    suites = ET.Element("testsuites", totals(verdicts))
    by_engine = sorted(verdicts, key=lambda verdict: verdict.engine)
    for engine, of_engine in groupby(by_engine, key=lambda verdict: verdict.engine):
        told = list(of_engine)
        suite = ET.SubElement(suites, "testsuite", {"name": in_xml(engine), **totals(told), "skipped": "0"})
        suite.extend(case(verdict) for verdict in told)
    ET.indent(suites, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def totals(verdicts: list[Verdict]) -> dict[str, str]:
    errors = sum(verdict.verdict in GAVE_UP for verdict in verdicts)
    return {
        "tests": str(len(verdicts)),
        "failures": str(sum(map(is_wrong, verdicts)) - errors),
        "errors": str(errors),
        "time": f"{sum(verdict.seconds for verdict in verdicts):.3f}",
    }


def case(verdict: Verdict) -> ET.Element:
    names = {"classname": f"{verdict.engine}.{verdict.claim}", "name": verdict.name}
    test = ET.Element("testcase", {key: in_xml(name) for key, name in names.items()}, time=f"{verdict.seconds:.3f}")
    found, how = verdict.counterexample, f"run `{replaying('trace.json', verdict.revision)}`."
    text = message(verdict)
    if is_wrong(verdict):
        kind = "error" if verdict.verdict in GAVE_UP else "failure"
        problem = ET.SubElement(test, kind, type=in_xml(verdict.verdict), message=in_xml(text))
        lines = [CLAIMS[verdict.claim].sentence, text]
        if found is not None and found.trace is not None:
            lines += [
                f"To replay it: save this as trace.json, and {how}",
                dumps(found.trace),
            ]
        problem.text = in_xml("\n".join(lines))
    elif found is not None:
        ET.SubElement(test, "system-out").text = in_xml(text)
    return test


def is_wrong(verdict: Verdict) -> bool:
    """Whether somebody has to look at it: it is not what was expected, or it says nothing."""
    return not verdict.as_expected or verdict.verdict in GAVE_UP


def message(verdict: Verdict) -> str:
    """What became of a claim, in plain sentences."""
    because = verdict.evidence.get("because", "")
    fails = verdict.counterexample.fails if verdict.counterexample is not None else ""
    said = [
        f"{verdict.name} is {verdict.outcome}.",
        refutation_in_words(verdict),
        fails and f"What fails in the proof: {fails}.",
        because and f"Because: {because}.",
    ]
    return " ".join(filter(None, said))


def in_xml(text: str) -> str:
    """The text, with what XML cannot hold as Python writes it in a string."""
    return NOT_IN_XML.sub(lambda odd: ascii(odd[0])[1:-1], text)
