"""What a proof rests on, and whether that is proved itself.

A proof rests on claims in two ways. A *premise* says in which states the code runs: the invariant that others keep, or the
hypothesis of an induction. Several claims may be premises of each other, as the parts of one invariant are. A *lemma* says
what code does that the proof has replaced by a stub. A proof that rests on itself by way of a lemma would prove nothing, so
that such a circle is an error.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from proofs.engine.explore import Verdict
from proofs.engine.obligation import Result


def with_what_undermines(results: list[Result], catalogue: Collection[str]) -> list[Result]:
    """The results, of which each proof is given what it rests on that is not proved, directly or by way of others, and what
    of it this run has not proved. A lemma that is none of the labels in the `catalogue` is never proved."""
    present = {result.label for result in results}
    claims_present = {(result.claim, result.revision) for result in results}
    while True:
        unproved = {result.label for result in results if result.verdict != Verdict.PROVED.value or result.undermined}
        odd = {(result.claim, result.revision) for result in results if not result.verdict_is_as_expected}

        def with_both(result: Result) -> Result:
            if result.verdict != Verdict.PROVED.value:
                return result
            premises = premises_of(result)
            undermined = [claim for claim in premises if (claim, result.revision) in odd]  # noqa: B023
            missing = [claim for claim in premises if (claim, result.revision) not in claims_present]
            for lemma in result.lemmas:
                if lemma in unproved or lemma not in catalogue:  # noqa: B023
                    undermined.append(in_short(lemma, result))
                elif lemma not in present:
                    missing.append(in_short(lemma, result))
            return replace(result, undermined=list(dict.fromkeys(undermined)), not_proved_here=missing)

        before, results = results, [with_both(result) for result in results]
        if results == before:
            return results


def premises_of(result: Result) -> list[str]:
    """The claims that a proof assumes: what it rests on, but for its own and for those that it has as lemmas only."""
    of_lemmas = {lemma.partition("/")[0] for lemma in result.lemmas}
    return [
        claim
        for claim in result.rests_on
        if claim != result.claim and (claim not in of_lemmas or claim in result.assumed)
    ]


def in_short(lemma: str, result: Result) -> str:
    """A lemma as people read it next to a result: where it is of the same revision and no case, its claim is enough."""
    claim, _, where = lemma.partition("/")
    return claim if where == result.revision else lemma


def circle(results: Iterable[Result]) -> list[str]:
    """A way from a proof to itself with a lemma on it, as labels; empty if there is none."""
    rests: dict[str, set[str]] = {}
    labels: dict[tuple[str, str], set[str]] = {}
    proved = [result for result in results if result.verdict == Verdict.PROVED.value]
    for result in proved:
        labels.setdefault((result.claim, result.revision), set()).add(result.label)
    for result in proved:
        premises = (labels.get((claim, result.revision), set()) for claim in premises_of(result))
        rests.setdefault(result.label, set()).update(result.lemmas, *premises)
    for result in proved:
        for lemma in result.lemmas:
            if way := way_between(rests, lemma, result.label):
                return [result.label, *way]
    return []


def way_between(rests: dict[str, set[str]], start: str, goal: str) -> list[str]:
    """The labels from one proof to another along what they rest on; empty if no way leads there."""
    came_from = {start: ""}
    pending = [start]
    while pending:
        here = pending.pop()
        if here == goal:
            way = [here]
            while came_from[way[0]]:
                way.insert(0, came_from[way[0]])
            return way
        for there in sorted(rests.get(here, set()) - set(came_from)):
            came_from[there] = here
            pending.append(there)
    return []
