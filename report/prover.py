"""The prover's results as text: by claim, with the refutations in words."""

from itertools import groupby
from typing import TYPE_CHECKING, Any

from model.claims import CLAIMS
from report.verdicts import ADVICE, SHOWN

if TYPE_CHECKING:  # or whoever reads a report would need Z3
    from proofs.engine.obligation import Result


def as_text(results: "list[Result]", seconds: float) -> str:
    """The results by claim, with the refutations in words."""
    lines = []
    in_order = sorted(results, key=lambda result: list(CLAIMS).index(result.claim))
    for claim, of_claim in groupby(in_order, key=lambda result: result.claim):
        lines += ["", f"{claim}: {CLAIMS[claim].sentence}"]
        for result in of_claim:
            lines += lines_of_result(result)
    odd = [result for result in results if not result.as_expected]
    verdicts = [result.verdict for result in results]
    counts = ", ".join(
        f"{verdicts.count(verdict)} {SHOWN.get(verdict, verdict)}" for verdict in dict.fromkeys(verdicts)
    )
    cached = sum(result.cached for result in results)
    earlier = f" {cached} are cached, that is, from earlier runs; --fresh proves them anew." if cached else ""
    lines += ["", f"{len(results)} obligations in {seconds:.1f} s: {counts}; {len(odd)} not as expected.{earlier}"]
    for result in odd:
        if result.undermined:
            lost = ", ".join(result.undermined)
            lines.append(f"  {result.obligation} is PROVED, but rests on {lost}, so that it says nothing here.")
        else:
            lines.append(f"  {result.obligation} {what_is_odd(result)}.")
    not_proved_here = dict.fromkeys(claim for result in results for claim in result.not_proved_here)
    if not_proved_here:
        lines.append(f"  These proofs rest on claims that were not proved here: {', '.join(not_proved_here)}.")
    lines += [f"  {result.obligation} is not agreed by a second solver." for result in results if not result.agreed]
    reseeded = [result for result in results if result.seeds]
    if reseeded:
        steady = sum(result.steady for result in reseeded)
        lines.append(f"{steady} of {len(reseeded)} non-linear obligations have the same verdict with every seed.")
    checked = [result.second for result in results if result.second is not None]
    if checked:
        agreed = sum(second["agreed"] == second["queries"] for second in checked)
        lines.append(f"{agreed} of {len(checked)} proofs agreed by a second solver; queries: {counted(checked)}.")
    return "\n".join(lines[1:])


def what_is_odd(result: "Result") -> str:
    """How a result differs from what was expected."""
    if result.verdict == result.expected:
        return f"is {result.verdict} for another reason than expected: what fails is “{result.broken}”"
    return f"is {SHOWN.get(result.verdict, result.verdict)}, {result.expected} was expected"


def lines_of_result(result: "Result") -> list[str]:
    """One result: a line, and what people need to understand a refutation."""
    where = " ".join(part for part in (result.revision, result.theory, result.case) if part)
    reason = "for another reason than" if result.verdict == result.expected else f"but {result.expected} was"
    expected = "" if result.as_expected else f", {reason} expected"
    expected = ", but says nothing: see below" if result.undermined else expected
    surprise = " as expected" if result.verdict == "REFUTED" and result.as_expected else expected
    surprise = " a known defect is mended" if result.mended else surprise
    cached = " cached" if result.cached else ""
    lines = [f"  {SHOWN.get(result.verdict, result.verdict):<8} {where:<34} {result.seconds:6.2f} s{cached}{surprise}"]
    if result.verdict == "PROVED" and result.rests_on:
        lines.append(f"           rests on {', '.join(result.rests_on)}")
    if result.second is not None:
        lines.append(f"           {opinion(result.second)}")
    if result.seeds:
        odd = {seed: verdict for seed, verdict in result.seeds.items() if verdict != result.verdict}
        found = ", ".join(f"{verdict} with seed {seed}" for seed, verdict in odd.items())
        lines.append(f"           seeds    {found or f'the same with {len(result.seeds)} more'}")
    if result.counterexample is not None:
        inputs = ", ".join(f"{name}={value}" for name, value in result.inputs.items())
        lines.append(f"           for      {inputs}")
        if result.broken != result.claim:
            lines.append(f"           broken   {result.broken}")
        lines.append(f"           expected {result.counterexample['expected']}")
        lines.append(f"           actual   {result.counterexample['actual']}")
    if result.why:
        lines.append(f"           because  {result.why}")
    if result.verdict in ADVICE:
        lines.append(f"           to do    {ADVICE[result.verdict]}")
    return lines


def opinion(second: dict[str, Any]) -> str:
    """What the second solver said of a proof."""
    if second["queries"] == 0:
        return "agreed   without a query"
    if second["agreed"] == second["queries"]:
        return f"agreed   by {second['solver']}: {second['queries']} queries"
    return f"in doubt {counted([second])}; {second['why']}"


def counted(seconds: list[dict[str, Any]]) -> str:
    """How many queries got which answer, in words; none of a kind is not named, except agreement."""
    counts = {
        kind: sum(second[kind] for second in seconds) for kind in ("agreed", "disagreed", "unknown", "unsupported")
    }
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count or kind == "agreed")
