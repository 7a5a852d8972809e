"""The prover's results as text: by claim, with the refutations in words."""

from collections.abc import Collection, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from model.claims import CLAIMS
from model.geometry import counted
from report.verdicts import ADVICE, SHOWN, TOO_DEAR, advice, against, in_words, shown_by, too_dear

if TYPE_CHECKING:  # or whoever reads a report would need Z3
    from proofs.engine.obligation import Result


COVERED = (
    "words and DMA addresses of 64 bits; dma_pool_create with pages of 4 KiB to 64 KiB, of which a page's layout needs no more "
    "than the geometry; builds without DMAPOOL_DEBUG, and with it where an obligation says so"
)
"""Of the proofs about a kernel's file."""


def as_text(results: "list[Result]", seconds: float, kernel: str = "") -> str:
    """The results by claim, with the refutations in words; what has the same cause is told once. `kernel` is the path of the
    file that they are about."""
    lines = []
    in_order = sorted(results, key=lambda result: list(CLAIMS).index(result.claim))
    told: dict[str, str] = {}
    for claim, of_claim in groupby(in_order, key=lambda result: result.claim):
        lines += ["", f"{claim}: {CLAIMS[claim].sentence}"]
        for result in of_claim:
            cause = cause_of(result)
            lines += lines_of_result(result, told.get(cause, ""), kernel)
            if cause:
                told.setdefault(cause, result.obligation)
    odd = [result for result in results if not result.as_expected]
    verdicts = [result.verdict for result in results]
    counts = ", ".join(
        f"{verdicts.count(verdict)} {SHOWN.get(verdict, verdict)}" for verdict in dict.fromkeys(verdicts)
    )
    cached = sum(result.cached for result in results)
    earlier = f" {cached} are cached, that is, from earlier runs; --fresh proves them anew." if cached else ""
    lines += slowest(results)
    lines += [
        "",
        f"{counted(len(results), 'obligation')} in {seconds:.1f} s: {counts}; {len(odd)} not as expected.{earlier}",
    ]
    lines += causes(odd, kernel)
    if known := [result for result in results if kernel and result.verdict == "REFUTED" and result.as_expected]:
        faults = len({(one.counterexample or {}).get("actual", one.obligation) for one in known})
        lines.append(f"  REFUTED as expected: {counted(faults, 'known fault')} of this file.")
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
        lines.append(f"{agreed} of {len(checked)} proofs agreed by a second solver; queries: {opinions(checked)}.")
    return "\n".join(lines[1:])


def cause_of(result: "Result") -> str:
    """What is wrong, where an obligation is not as expected: equal for those that have the same cause."""
    if result.as_expected or result.undermined:
        return ""
    if result.counterexample is None:
        return f"{result.verdict}: {result.why}" if result.why else ""
    trace = {**result.counterexample.get("trace", {}), "claim": None}
    return f"{result.verdict}: {trace}" if "trace" in result.counterexample else ""


def causes(odd: "list[Result]", kernel: str = "") -> list[str]:
    """What is not as expected: an entry for each cause, with what it is about."""
    lines, of_cause = [], dict[str, list["Result"]]()
    for result in odd:
        if not result.undermined:
            of_cause.setdefault(cause_of(result) or result.obligation, []).append(result)
    for about in of_cause.values():
        first, names = about[0], [result.obligation for result in about]
        if len(about) == 1:
            why = f": {first.why}" if first.verdict == "NOT_FOLLOWED" and first.why else ""
            lines.append(f"  {first.obligation} {what_is_odd(first)}{why}.")
        else:
            why = first.why or (first.counterexample or {}).get("actual", "")
            verdict = SHOWN.get(first.verdict, first.verdict)
            claims = list(dict.fromkeys(result.claim for result in about))
            of = ", ".join(claims[:3]) + (f" and {len(claims) - 3} more" if len(claims) > 3 else "")
            lines.append(f"  {len(about)} obligations are {verdict} for one cause ({of}): {why}")
            lines += [f"    {name}" for name in names]
            if first.verdict in ADVICE:
                lines.append(f"    to do: {advice(first.verdict, kernel)}")
    return lines + say_nothing([result for result in odd if result.undermined], odd)


def say_nothing(undermined: "list[Result]", odd: "list[Result]") -> list[str]:
    """The proofs that say nothing, in one entry; it names what fails, and not what rests on that."""
    if not undermined:
        return []
    proved = {result.claim for result in odd if result.undermined} - {
        result.claim for result in odd if not result.undermined
    }
    lost = dict.fromkeys(claim for result in undermined for claim in result.undermined if claim not in proved)
    names = [f"    {result.obligation}" for result in undermined]
    one = len(names) == 1
    those = f"{names[0].strip()} is" if one else f"{len(names)} obligations are"
    rests = "rests" if one else "rest, some through others,"
    says = "it says" if one else "they say"
    said = f"  {those} PROVED, but {rests} on {', '.join(lost)}, so that {says} nothing here."
    return [said] if one else [said, *names]


def what_is_odd(result: "Result") -> str:
    """How a result differs from what was expected."""
    if result.too_dear:
        return f"{TOO_DEAR}: {too_dear(result)}"
    said = f"is {SHOWN.get(result.verdict, result.verdict)}, {against(result.verdict, result.expected)}"
    return f"{said}: what fails is “{result.broken}”" if result.verdict == result.expected else said


def lines_of_result(result: "Result", told: str = "", kernel: str = "") -> list[str]:
    """One result: a line, and what people need to understand a refutation, unless the same was `told` of another one."""
    where = " ".join(part for part in (result.revision, result.theory, result.case) if part)
    expected = "" if result.as_expected else f", {against(result.verdict, result.expected)}"
    expected = ", but says nothing: see below" if result.undermined else expected
    expected = ", but too dear: see below" if result.too_dear else expected
    surprise = " as expected" if result.verdict == "REFUTED" and result.as_expected else expected
    surprise = " a known defect is mended" if result.mended else surprise
    cached = " cached" if result.cached else ""
    lines = [f"  {SHOWN.get(result.verdict, result.verdict):<8} {where:<34} {result.seconds:6.2f} s{cached}{surprise}"]
    if told:
        return [*lines, f"           because  of the same as {told}"]
    if result.verdict == "PROVED" and result.rests_on:
        lines.append(f"           rests on {', '.join(result.rests_on)}")
    if result.second is not None:
        lines.append(f"           {opinion(result.second)}")
    if result.seeds:
        odd = {seed: verdict for seed, verdict in result.seeds.items() if verdict != result.verdict}
        found = ", ".join(f"{verdict} with seed {seed}" for seed, verdict in odd.items())
        lines.append(f"           seeds    {found or f'the same with {len(result.seeds)} more'}")
    inputs, state = shown_by(result)
    if inputs and result.verdict != "PROVED":
        lines.append(f"           for      {', '.join(f'{name}={value}' for name, value in inputs.items())}")
    if result.broken not in ("", result.claim):
        lines.append(f"           broken   {result.broken}")
    if result.counterexample is not None:
        lines.append(f"           expected {result.counterexample['expected']}")
        lines.append(f"           actual   {result.counterexample['actual']}")
    if state:
        lines.append(f"           the proof fails for {in_words(state)}")
    if result.why:
        lines.append(f"           because  {result.why}")
    if result.verdict in ADVICE:
        lines.append(f"           to do    {advice(result.verdict, kernel)}")
    return lines


def slowest(results: "list[Result]", most: int = 10) -> list[str]:
    """Where the time goes: of the obligations that were proved in this run, those that took longest."""
    proved = sorted((one for one in results if not one.cached), key=lambda one: -one.seconds)
    if len(proved) <= most:
        return []
    lines = ["", f"The slowest {most}:  seconds, of these the solver's  queries  solver's steps  paths"]
    return lines + [
        f"  {one.obligation:<62}{one.seconds:>6.2f}{one.solver_seconds:>7.2f}{one.queries:>7,}{one.steps:>12,}{one.paths:>7,}"
        for one in proved[:most]
    ]


def not_proved(results: "list[Result]", functions: "Mapping[str, Collection[str]]") -> str:
    """What these proofs do not show of a kernel's file: the claims without a proof, and the functions of which they run no
    code; and what they are about. `functions` are the file's, each with its basic blocks."""
    counts = [result for result in results if result.verdict == "PROVED" and not result.undermined]
    proved = {result.claim for result in counts} - {one.claim for one in results if not one.as_expected}
    run = {block for result in counts for block in result.run}
    claims = [claim for claim in CLAIMS if claim not in proved]
    left = [name for name, blocks in functions.items() if blocks and not run.intersection(blocks)]
    parts = [name for name, blocks in functions.items() if run.intersection(blocks) and not run.issuperset(blocks)]
    return "\n".join(
        [
            "Not proved of this file:",
            f"  claims:    {', '.join(claims) or 'none is left out'}",
            f"  functions: {', '.join(left) or 'none is left out'}" + f"; in part: {', '.join(parts)}" * bool(parts),
            f"The proofs cover: {COVERED}",
        ]
    )


def opinion(second: dict[str, Any]) -> str:
    """What the second solver said of a proof."""
    if second["queries"] == 0:
        return "agreed   without a query"
    if second["agreed"] == second["queries"]:
        return f"agreed   by {second['solver']}: {second['queries']} queries"
    return f"in doubt {opinions([second])}; {second['why']}"


def opinions(seconds: list[dict[str, Any]]) -> str:
    """How many queries got which answer, in words; none of a kind is not named, except agreement."""
    counts = {
        kind: sum(second[kind] for second in seconds) for kind in ("agreed", "disagreed", "unknown", "unsupported")
    }
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count or kind == "agreed")
