"""What the engines say, read from the JSON that they write, in one form: an engine's verdict on a claim about a revision."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hunt.revisions import KernelFile
from model.claims import CLAIMS
from model.geometry import LaidPage, number
from model.revision import KERNEL
from model.trace import Trace, TraceError, loads

ENGINES = {
    "prover": "the prover (Z3)",
    "machine": "the state machine (Hypothesis)",
    "contracts": "CrossHair",
    "replay": "a replay of a past counterexample",
}


NOTHING = (0, False, "none", "")
"""Inputs that say little."""

SAYS_NOTHING = "says nothing, since"
"""The evidence against a proof whose premise is not what it should be."""

SHOWN = {"LOST": "not followed", "HELD": "not broken"}
"""How people read a verdict, where it is not its name."""

ADVICE = {
    "LOST": "hunt for it with `make fuzz KERNEL=…`: this says nothing of the claim",
    "UNKNOWN": "try again with a higher --limit: this says nothing of the claim",
    "VACUOUS": "look for a premise that contradicts another one: this says nothing of the claim",
}
"""What to do about verdicts that say nothing of a claim."""

SMT2 = "SMT-LIB 2"
"""The evidence that is a file, beside the page."""


class BadResults(Exception):
    """A file of results that cannot be read; says why in one line."""


@dataclass(frozen=True)
class Counterexample:
    """What refutes a claim: the inputs, what is expected of them, what happens instead, a run that shows it, if there is one
    that a driver can bring about; and of a proof, the step that fails and the page that it is about."""

    inputs: dict[str, Any]
    expected: str
    actual: str
    trace: Trace | None = None
    fails: str = ""
    page: LaidPage | None = None  # as the code lays it out


@dataclass(frozen=True)
class Verdict:
    """What one engine says of one claim about one revision. `name` tells it from every other one of the engine."""

    engine: str
    name: str
    claim: str
    revision: str
    verdict: str
    expected: str
    as_expected: bool
    seconds: float
    about: str = ""  # theory and case, or the inputs of a contract
    evidence: dict[str, str] = field(default_factory=dict)
    counterexample: Counterexample | None = None

    @property
    def outcome(self) -> str:
        """The verdict, and whether it was expected, in words."""
        name = SHOWN.get(self.verdict, self.verdict)
        if self.as_expected:
            mended = (self.verdict, self.expected) == ("PROVED", "REFUTED")
            return f"{name}, as expected" if not mended else f"{name}: a known defect is mended"
        if SAYS_NOTHING in self.evidence:
            return f"{name}, but it {SAYS_NOTHING} {self.evidence[SAYS_NOTHING]}"
        if self.verdict == self.expected:
            return f"{name}, but not for the reason that was expected"
        return f"{name}, but {self.expected} was expected"

    def to_json(self) -> dict[str, Any]:
        said = asdict(replace(self, counterexample=None))
        found = self.counterexample
        if found is not None:
            told = {"inputs": found.inputs, "expected": found.expected, "actual": found.actual, "fails": found.fails}
            told |= {"trace": found.trace.to_json()} if found.trace is not None else {}
            told |= {"page": asdict(found.page)} if found.page is not None else {}
            said["counterexample"] = told
        return said


def read_prover(text: str) -> list[Verdict]:
    """The results of `python -m command prove --json`. Raises BadResults."""
    return [verdict for result in results_in(text, "obligation") for verdict in whole(proved, result)]


def read_contracts(text: str) -> list[Verdict]:
    """The results of `python -m command crosshair --json`. Raises BadResults."""
    return [verdict for result in results_in(text, "contract") for verdict in whole(confirmed, result)]


def read_machine(text: str) -> list[Verdict]:
    """The results of `python -m command fuzz --json`. Raises BadResults."""
    return [verdict for hunt in results_in(text, "tally") for verdict in whole(hunted, hunt)]


def whole(read: Callable[[dict[str, Any]], list[Verdict]], result: dict[str, Any]) -> list[Verdict]:
    """What is read from an object. Raises BadResults if something is missing there, or is something else."""
    try:
        named = {result["claim"]} if "claim" in result else {*result["held"]}
        if unknown := named - set(CLAIMS):
            raise BadResults(f"it is about {min(unknown)!r}, which is no claim")
        return read(result)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadResults(f"a result is not whole: {type(error).__name__}: {error}") from error


def read_tallies(text: str) -> dict[str, dict[str, int]]:
    """What the machine has met on each revision, and how often, in the same results. Raises BadResults."""
    return {hunt["revision"]: hunt["tally"] for hunt in results_in(text, "tally")}


def results_in(text: str, needed: str) -> list[dict[str, Any]]:
    """The objects in a list, all of which have what is needed."""
    try:
        results = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadResults(f"not JSON that can be read: {error}") from error
    if not isinstance(results, list) or not all(isinstance(one, dict) and needed in one for one in results):
        raise BadResults(f"a list of objects with {needed!r} is expected")
    return results


def proved(result: dict[str, Any]) -> list[Verdict]:
    premises, rests_on = result["premises"], result["rests_on"]
    evidence = {
        "theory": {"Z": "all non-negative integers", "u32": "words of 32 bits", "u64": "words of 64 bits"}[
            result["theory"]
        ],
        "proof": result["proof"],
        "premises": "; ".join(premises) or "none",
        "rests on": ", ".join(rests_on) or "no other claim",
        "solver": f"Z3, {result['queries']} queries on {result['paths']} paths",
        "seconds": f"{result['seconds']:.2f}{', in an earlier run' if result['cached'] else ''}",
    }
    if result["why"]:
        evidence["because"] = result["why"]
    if result["verdict"] in ADVICE:
        evidence["to do"] = ADVICE[result["verdict"]]
    if result["undermined"]:
        evidence[SAYS_NOTHING] = f"it rests on {', '.join(result['undermined'])}"
    if result["not_asked"]:
        evidence["not asked for"] = ", ".join(result["not_asked"])
    if result["smt2"]:
        evidence[SMT2] = f"smt2/{result['smt2']}"
    verdict = Verdict(
        "prover",
        result["obligation"],
        result["claim"],
        result["revision"],
        result["verdict"],
        result["expected"],
        result["as_expected"],
        result["seconds"],
        " ".join(filter(None, (result["theory"], result["case"].replace("_", " ")))),
        evidence,
        counterexample_of(result),
    )
    return [verdict]


def confirmed(result: dict[str, Any]) -> list[Verdict]:
    evidence = {"inputs": result["about"], "paths": str(result["paths"]), "seconds": f"{result['seconds']:.2f}"}
    if result["why"]:
        evidence["because"] = result["why"]
    verdict = Verdict(
        "contracts",
        result["contract"],
        result["claim"],
        result["revision"],
        result["outcome"],
        result["expected"],
        result["outcome"] == result["expected"] and not result["why"],
        result["seconds"],
        result["about"],
        evidence,
        counterexample_of(result),
    )
    return [verdict]


def hunted(hunt: dict[str, Any]) -> list[Verdict]:
    """A verdict for each claim that the machine has held a revision to."""
    traces = {found["claim"]: trace_of(found) for found in hunt["found"]}
    evidence = {
        "seed": f"{hunt['seed']}, profile {hunt['profile']}",
        "steps": f"{hunt['steps']:,}",
        "seconds": f"{hunt['seconds']:.1f}",
    }
    held = hunt["held"] | {claim: 0 for claim in traces if claim not in hunt["held"]}
    verdicts = []
    sound = "SEARCHED" if traces else "HELD"  # what breaks a claim ends the hunt, before it has gone far in the others
    for claim, times in held.items():
        trace = traces.get(claim)
        verdicts.append(
            Verdict(
                "machine",
                f"{claim}/{hunt['revision']}",
                claim,
                hunt["revision"],
                "BROKEN" if trace else sound,
                sound,
                trace is None,
                hunt["seconds"] / len(held),  # its share, so that those of all claims are the hunt's
                f"{times:,} times",
                {"held": f"{times:,} times", **evidence},
                None if trace is None else of_trace(trace),
            )
        )
    return verdicts


def of_trace(trace: Trace) -> Counterexample:
    """The counterexample that a run is."""
    create, last = trace.steps[0], trace.last_step()
    inputs = {name: value for name, value in vars(create).items() if name in ("size", "align", "boundary")}
    return Counterexample(inputs, last.expected, last.happened, trace)


def counterexample_of(result: dict[str, Any]) -> Counterexample | None:
    told = result["counterexample"]
    if told is None:
        return None
    trace = trace_of(told["trace"]) if "trace" in told else None
    fails = str(result.get("broken", ""))
    if arguments := result.get("arguments"):
        fails += f"({', '.join(f'{name}={in_hexadecimal(value)}' for name, value in arguments.items())})"
    page = LaidPage.from_json(told["page"]) if "page" in told else None
    return Counterexample(result["inputs"], told["expected"], told["actual"], trace, fails, page)


def trace_of(found: Any) -> Trace:
    try:
        return loads(json.dumps(found))
    except TraceError as error:
        raise BadResults(f"a trace in it cannot be read: {error}") from error


def in_hexadecimal(text: str) -> str:
    """A value that was written as text, as `number` writes it."""
    return number(int(text)) if re.fullmatch(r"\d+", text) else text


def refutation_in_words(verdict: Verdict) -> str:
    """What is wrong, in one sentence, with its numbers; "" where there is no counterexample."""
    found = verdict.counterexample
    if found is None:
        return ""
    told = {name: value for name, value in found.inputs.items() if value not in NOTHING}
    if len(found.inputs) - len(told) <= 2:  # what is left out has to be worth the words
        told = found.inputs
    numbers = ", ".join(f"{name}={number(value)}" for name, value in told.items())
    rest = " and the rest 0, none or False" if len(told) < len(found.inputs) else ""
    return f"{f'With {numbers}{rest}: ' if found.inputs else ''}{found.actual}. Expected: {found.expected}."


def replaying(file: Path | str, on: str, kernel: KernelFile | None = None) -> str:
    """The command that replays a trace on a revision; `kernel` is the file that the revision `kernel` stands for, and its path
    is as the user named it, from the folder in which the commands run."""
    if on != KERNEL:
        return f"make replay TRACE={file} ON={on}"
    assert kernel is not None, "the revision `kernel` needs a kernel's file"
    return f"make replay TRACE={file} {kernel.as_make_takes_it()}"
