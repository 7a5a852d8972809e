"""Verdicts in the forms that other tools read: SARIF 2.1.0 for code scanning, JUnit XML for test reports."""

import hashlib
import json
import re
from itertools import groupby
from pathlib import Path

import junitparser
from sarif_kit import Location, Result, Rule, SarifBuilder

from hunt.revisions import KernelFile
from model.claims import CLAIMS
from model.trace import dumps
from report.verdicts import ADVICE, REAL, EngineVerdict, message, replaying


def as_sarif(verdicts: list[EngineVerdict], kernel: KernelFile | None = None) -> str:
    """SARIF 2.1.0: an error for each verdict that is not as expected; and, unless it is about a kernel's own file, where they
    would be alerts for ever, a note for each refutation that is. It has no times, so that the same findings are the same text.
    The trace in it is text, since readers of JSON may round numbers above 2^53."""
    noted = [] if kernel is not None else [verdict for verdict in verdicts if verdict.counterexample is not None]
    reported = [verdict for verdict in verdicts if is_wrong(verdict) or verdict in noted]
    builder = SarifBuilder("poolproof", max_results=len(reported) + 1)
    for claim in CLAIMS.values():
        builder.add_rule(Rule(claim.name, None, claim.sentence, f"{claim.sentence} Source: {claim.source}."))
    for verdict in reported:
        properties = {name: getattr(verdict, name) for name in ("engine", "name", "revision", "verdict", "expected")}
        trace, how = replay(verdict, kernel, "the property trace")
        properties |= {"trace": trace} if trace else {}
        properties |= {"realKernel": verdict.evidence[REAL]} if REAL in verdict.evidence else {}
        # Braces would be placeholders, and half of a surrogate pair is no text.
        text = f"{message(verdict)} {how}".strip().replace("{", "{{").replace("}", "}}")
        text = text.encode(errors="backslashreplace").decode()
        level = "error" if is_wrong(verdict) else "note"
        builder.add_result(Result(verdict.claim, text, Location(*site(verdict, kernel)), level, properties=properties))
    log = builder.build()
    for result, verdict in zip(log["runs"][0]["results"], reported, strict=True):
        # GitHub's: the same for the same finding of another run, whatever numbers show it, and for no other finding.
        same = json.dumps([verdict.engine, verdict.name, verdict.claim, verdict.revision, verdict.verdict])
        result["partialFingerprints"] = {"primaryLocationLineHash": hashlib.sha256(same.encode()).hexdigest()[:32]}
    return json.dumps(log, indent=1) + "\n"


def as_junit(verdicts: list[EngineVerdict], kernel: KernelFile | None = None) -> str:
    """JUnit XML: a suite per engine, a case per verdict: an error if it says nothing, or a failure if it is not as expected."""
    report = junitparser.JUnitXml()
    for engine, of_engine in groupby(sorted(verdicts, key=lambda one: one.engine), key=lambda one: one.engine):
        suite = junitparser.TestSuite(engine)
        for verdict in of_engine:
            case = junitparser.TestCase(in_xml(verdict.name), f"{engine}.{verdict.claim}", verdict.seconds)
            text = message(verdict)
            if is_wrong(verdict):
                kind = junitparser.Error if verdict.verdict in ADVICE else junitparser.Failure
                problem = kind(in_xml(text), in_xml(verdict.verdict))
                trace, how = replay(verdict, kernel, "this")
                problem.text = in_xml("\n".join([CLAIMS[verdict.claim].sentence, text, how, trace]))
                case.result = [problem]
            elif verdict.counterexample is not None:
                case.system_out = in_xml(text)
            suite.add_testcase(case)
        report.add_testsuite(suite)
    report.tests, report.errors = len(verdicts), sum(verdict.verdict in ADVICE for verdict in verdicts)
    report.failures = sum(map(is_wrong, verdicts)) - report.errors
    return f"{report.tostring().decode()}\n"


def site(verdict: EngineVerdict, kernel: KernelFile | None) -> tuple[str, int]:
    """The file and the line that a verdict is about, the file as seen from its root: the predicate of its claim; or of a
    kernel's code, where it crashed or is not followed, or else the first function that the claim names as its source."""
    path, names = Path(CLAIMS[verdict.claim].holds.__code__.co_filename), [verdict.claim]
    file = f"model/{path.name}"
    if kernel is not None:
        path, names = kernel.source.file, re.findall(r"\w+", CLAIMS[verdict.claim].source)
        file = "mm/dmapool.c" if path.parent.name == "mm" else path.name
        said = (
            verdict.counterexample.actual if verdict.counterexample is not None else verdict.evidence.get("because", "")
        )
        if line := re.search(rf"\({re.escape(path.name)}:(\d+)\)", said):
            return file, int(line[1])
    text = path.read_text(errors="replace")
    for name in names:
        if defined := re.search(rf"^(def {name}\(|\w[^;={{}}]*?\b{name}\([^;]*?\)\s*\{{)", text, re.M):
            return file, text[: defined.start()].count("\n") + 1
    return file, 1


def replay(verdict: EngineVerdict, kernel: KernelFile | None, where: str) -> tuple[str, str]:
    """The trace that shows a refutation, as JSON, and how to replay it from `where` it is; twice "" where there is none."""
    if verdict.counterexample is None or verdict.counterexample.trace is None:
        return "", ""
    how = f"To replay it: save {where} as trace.json, and run `{replaying('trace.json', verdict.revision, kernel)}`."
    return dumps(verdict.counterexample.trace), how


def is_wrong(verdict: EngineVerdict) -> bool:
    """Whether somebody has to look at it: it is not what was expected, or it says nothing."""
    return not verdict.as_expected or verdict.verdict in ADVICE


def in_xml(text: str) -> str:
    """The text, with what XML 1.0 cannot hold, and the carriage return, which a reader changes, as Python escapes them."""
    return re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", lambda odd: ascii(odd[0])[1:-1], text)
