"""SARIF and JUnit XML: both as their schemas want them, whatever the results say, and the same from run to run."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from sarif_kit.validate import validation_errors

from hunt.revisions import KernelFile
from kernel.build import Source
from model.claims import CLAIMS
from model.revision import KERNEL
from model.trace import loads
from report.formats import as_junit, as_sarif, c_site, claim_site
from report.verdicts import Counterexample, Verdict, refutation_in_words
from tests import schemas

TRACE = loads((schemas.ROOT / "tests/traces/v6.1-block_lies_inside_its_page.json").read_text())
PROVED = Verdict("prover", "layout_ends/series/Z", "layout_ends", "series", "PROVED", "PROVED", True, 0.25, "Z")
FOUND = Counterexample({"size": 2049}, "it ends at 4096", "it ends at 4098", TRACE)
KNOWN = Verdict("prover", "known", "block_lies_inside_its_page", "v6.1", "REFUTED", "REFUTED", True, 2.5, "", {}, FOUND)
UNFORESEEN = replace(
    KNOWN, engine="machine", revision="series", name="unforeseen", expected="PROVED", as_expected=False
)
NOT_REFUTED = replace(PROVED, name="not refuted", expected="REFUTED", as_expected=False)
GAVE_UP = replace(PROVED, name="u", verdict="UNKNOWN", as_expected=False, evidence={"because": "the solver gave up"})
EMPTY = replace(PROVED, name="empty", verdict="VACUOUS", as_expected=False)
NASTY = "\"'<b>&amp;]]>\r\n\t\0\x08\x1b\x7f\x85\ud800\ufffe\U0001f4a3 {0} %s [a](b)"
ODD = Counterexample({NASTY: 2**70, "negative": -(2**200)}, NASTY, NASTY)
HOSTILE = replace(UNFORESEEN, name=f"hostile{NASTY}", evidence={"because": NASTY}, counterexample=ODD)
BROKEN = [UNFORESEEN, NOT_REFUTED, GAVE_UP, EMPTY, HOSTILE]


def results_of(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    (run,) = json.loads(as_sarif(verdicts))["runs"]
    return [dict(result) for result in run["results"]]


@pytest.mark.parametrize("verdicts", [[], [PROVED, KNOWN], [PROVED, KNOWN, *BROKEN]])
def test_both_are_as_their_schemas_want_them(verdicts: list[Verdict]) -> None:
    assert validation_errors(json.loads(as_sarif(verdicts))) == []
    assert validation_errors({"runs": []}) != []
    if not schemas.JUNIT.exists():
        pytest.skip(f"there is no {schemas.JUNIT.relative_to(schemas.ROOT)}; `make schemas` fetches it")
    schema = xmlschema.XMLSchema(schemas.JUNIT)
    schema.validate(as_junit(verdicts))
    assert not schema.is_valid("<testsuites><testsuite/></testsuites>")


def test_what_is_not_as_expected_is_an_error_and_a_known_refutation_is_a_note() -> None:
    results = results_of([PROVED, KNOWN, *BROKEN])
    assert [result["level"] for result in results] == ["note"] + ["error"] * len(BROKEN)
    assert results[0]["message"]["text"].startswith("known is REFUTED, as expected. With size=2049: it ends at 4098.")
    assert loads(results[0]["properties"]["trace"]) == TRACE
    assert "run `make replay TRACE=trace.json ON=v6.1`" in results[0]["message"]["text"]
    (run,) = json.loads(as_sarif(BROKEN))["runs"]
    rules = {rule["id"]: rule["shortDescription"]["text"] for rule in run["tool"]["driver"]["rules"]}
    assert rules == {claim.name: claim.sentence for claim in CLAIMS.values()}


def test_a_case_fails_where_its_verdict_is_not_as_expected_and_suites_are_counted() -> None:
    root = ET.fromstring(as_junit([PROVED, KNOWN, *BROKEN]))
    kinds = {case.get("name"): [(part.tag, part.get("type")) for part in case] for case in root.iter("testcase")}
    assert kinds["u"] == [("error", "UNKNOWN")]
    assert kinds["empty"] == [("error", "VACUOUS")]
    assert kinds["not refuted"] == [("failure", "PROVED")]
    assert kinds["unforeseen"] == [("failure", "REFUTED")]
    assert kinds["layout_ends/series/Z"] == []
    counts = [[part.get(key) for key in ("name", "tests", "failures", "errors")] for part in (root, *root)]
    assert counts == [[None, "7", "3", "2"], ["machine", "2", "2", "0"], ["prover", "5", "1", "2"]]
    (known,) = (case for case in root.iter("testcase") if case.get("name") == "known")
    assert refutation_in_words(KNOWN) in (known.findtext("system-out") or "")


def test_numbers_stay_exact_and_odd_characters_are_kept_or_escaped() -> None:
    (result,) = results_of([HOSTILE])
    (problem,) = ET.fromstring(as_junit([HOSTILE])).iter("failure")
    for text in (result["message"]["text"], problem.get("message") or "", problem.text or ""):
        assert f"{2**70:#x}" in text
        assert f"{-(2**200):#x}" in text
        assert "\"'<b>&amp;]]>" in text
    assert r"\x00\x08\x1b" in (problem.text or "")
    assert "{{0}}" in result["message"]["text"]


def test_a_location_is_the_predicate_of_the_claim_or_the_line_of_c(tmp_path: Path) -> None:
    for claim in CLAIMS:
        file, line = claim_site(replace(PROVED, claim=claim))
        assert (schemas.ROOT / file).read_text().splitlines()[line - 1].startswith(f"def {claim}(")
    (tmp_path / "mm").mkdir()
    file_of_c = tmp_path / "mm" / "dmapool.c"
    file_of_c.write_text(
        "void *dma_pool_alloc(struct dma_pool *pool);\n\nvoid *dma_pool_alloc(struct dma_pool *pool)\n{\n}\n"
    )
    for happened, at in (("it holds 00", 3), ("KernelFault: SIGSEGV, in dma_pool_alloc (dmapool.c:11)", 11)):
        found = replace(UNFORESEEN, claim="live_block_is_left_alone", counterexample=Counterexample({}, "", happened))
        assert c_site(found, Source(file_of_c, None)) == ("mm/dmapool.c", at)


def test_a_kernels_finding_is_replayed_on_the_file_that_the_user_named(tmp_path: Path) -> None:
    (tmp_path / "dmapool.c").write_text("")
    kernel = KernelFile("../linux/mm/dmapool.c", Source(tmp_path / "dmapool.c", None), "series")
    found = replace(UNFORESEEN, revision=KERNEL)
    for text in (as_sarif([found], kernel), as_junit([found], kernel)):
        assert "`make replay TRACE=trace.json KERNEL=../linux/mm/dmapool.c PROMISES=series`" in text


def test_a_finding_is_recognised_from_run_to_run() -> None:
    other = Counterexample({"size": 3}, "it ends", "it does not")
    once = [KNOWN, *BROKEN]
    later = [replace(one, seconds=9.0, counterexample=one.counterexample and other) for one in once]
    first, second = ([result["partialFingerprints"] for result in results_of(verdicts)] for verdicts in (once, later))
    assert first == second
    assert len({str(one) for one in first}) == len(once)
