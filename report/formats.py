"""Verdicts in the forms that other tools read: SARIF 2.1.0 for code scanning, JUnit XML for test reports."""

import hashlib
import inspect
import json
import re
from itertools import groupby
from pathlib import Path

import junitparser
from sarif_kit import Location, Result, Rule, SarifBuilder

from hunt.revisions import KernelFile
from kernel.build import Source
from model.claims import CLAIMS
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


def as_sarif(verdicts: list[Verdict], kernel: KernelFile | None = None) -> str:
    """SARIF 2.1.0: an error for each verdict that is not as expected, a note for each refutation that is. It has no times,
    so that the same findings are the same text. The trace in it is text, since readers of JSON may round numbers above 2^53."""
    reported = [verdict for verdict in verdicts if is_wrong(verdict) or verdict.counterexample is not None]
    builder = SarifBuilder("poolproof", max_results=len(reported) + 1)
    for claim in CLAIMS.values():
        builder.add_rule(Rule(claim.name, None, claim.sentence, f"{claim.sentence} Source: {claim.source}."))
    for verdict in reported:
        text, trace = message(verdict), trace_of(verdict)
        properties = {name: getattr(verdict, name) for name in ("engine", "name", "revision", "verdict", "expected")}
        if trace:
            text += f" To replay it: save the property trace as trace.json, and {replay_of(verdict, kernel)}"
            properties["trace"] = trace
        text = text.replace("{", "{{").replace("}", "}}")  # or they would be placeholders
        text = text.encode(errors="backslashreplace").decode()  # half of a surrogate pair is no text
        level = "error" if is_wrong(verdict) else "note"
        site = claim_site(verdict) if kernel is None else c_site(verdict, kernel.source)
        builder.add_result(Result(verdict.claim, text, Location(*site), level, properties=properties))
    log = builder.build()
    for result, verdict in zip(log["runs"][0]["results"], reported, strict=True):
        # The one fingerprint that GitHub reads. What it would compute is the same for all verdicts on a claim.
        result["partialFingerprints"] = {"primaryLocationLineHash": fingerprint(verdict)}
    return json.dumps(log, indent=1) + "\n"


def fingerprint(verdict: Verdict) -> str:
    """The same for the same finding of another run, whatever numbers show it, and for no other finding."""
    same = [verdict.engine, verdict.name, verdict.claim, verdict.revision, verdict.verdict]
    return hashlib.sha256(json.dumps(same).encode()).hexdigest()[:32]


def as_junit(verdicts: list[Verdict], kernel: KernelFile | None = None) -> str:
    """JUnit XML: a suite for each engine, a case for each verdict. A case passes if its verdict is as expected."""
    report = junitparser.JUnitXml()
    for engine, of_engine in groupby(sorted(verdicts, key=lambda one: one.engine), key=lambda one: one.engine):
        suite = junitparser.TestSuite(in_xml(engine))
        suite.add_testcases([case_of(verdict, kernel) for verdict in of_engine])
        report.add_testsuite(suite)
    report.tests, report.errors = len(verdicts), sum(verdict.verdict in GAVE_UP for verdict in verdicts)
    report.failures = sum(map(is_wrong, verdicts)) - report.errors
    text: str = report.tostring().decode()
    return text + "\n"


def case_of(verdict: Verdict, kernel: KernelFile | None) -> junitparser.TestCase:
    """A verdict as a test: an error if it says nothing of the claim, a failure if it is not as expected."""
    case = junitparser.TestCase(in_xml(verdict.name), in_xml(f"{verdict.engine}.{verdict.claim}"), verdict.seconds)
    text, trace = message(verdict), trace_of(verdict)
    if is_wrong(verdict):
        kind = junitparser.Error if verdict.verdict in GAVE_UP else junitparser.Failure
        problem = kind(in_xml(text), in_xml(verdict.verdict))
        lines = [CLAIMS[verdict.claim].sentence, text]
        lines += [f"To replay it: save this as trace.json, and {replay_of(verdict, kernel)}", trace] if trace else []
        problem.text = in_xml("\n".join(lines))
        case.result = [problem]
    elif verdict.counterexample is not None:
        case.system_out = in_xml(text)
    return case


def trace_of(verdict: Verdict) -> str:
    """The trace that shows a refutation, as JSON; "" where there is none."""
    found = verdict.counterexample
    return dumps(found.trace) if found is not None and found.trace is not None else ""


def replay_of(verdict: Verdict, kernel: KernelFile | None) -> str:
    """How to replay a trace that was saved, in words."""
    return f"run `{replaying('trace.json', verdict.revision, kernel)}`."


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
