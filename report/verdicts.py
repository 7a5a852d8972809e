"""What the engines say, in one form: an engine's verdict on a claim about a revision."""

import re
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from hunt.revisions import KernelFile
from model.geometry import LaidPage, number
from model.revision import KERNEL
from model.trace import NO_FAULT, Create, Trace, from_json

if TYPE_CHECKING:  # or whoever reads a report would need Z3 and Hypothesis
    from hunt.fuzz import Hunt
    from proofs.engine.obligation import Result

ENGINES = {
    "prover": "the prover (Z3)",
    "hunt": "the hunt (Hypothesis)",
    "contracts": "CrossHair",
    "replay": "a replay of a past counterexample",
}


NOTHING = (0, False, "none", "")
"""Inputs that say little."""

SAYS_NOTHING = "says nothing, since"
"""The evidence against a proof whose premise is not what it should be."""

SHOWN = {"NOT_FOLLOWED": "not followed"}
"""How people read a verdict, where it is not its name."""

ADVICE = {
    "NOT_FOLLOWED": "hunt for it with `make fuzz KERNEL=…`: this says nothing of the claim",
    "UNKNOWN": "try again with a higher --limit: this says nothing of the claim",
    "VACUOUS": "look for a premise that contradicts another one: this says nothing of the claim",
}
"""What to do about verdicts that say nothing of a claim."""


def advice(verdict: str, kernel: str = "") -> str:
    """What to do about a verdict that says nothing, with the kernel's path."""
    return ADVICE[verdict].replace("KERNEL=…", f"KERNEL={quote(kernel) if kernel else '…'}")


SMT2 = "SMT-LIB 2"
"""The evidence that is a file, beside the page."""

REAL = "real kernel"
"""The evidence that is what a real kernel does in the run that refutes a claim in the shim."""


TOO_DEAR = "takes more solver steps than its budget"
"""The evidence against a proof that has become harder."""


def too_dear(result: "Result") -> str:
    """How many steps, where a proof takes more than its budget."""
    return f"{result.steps:,}, not {result.budget:,} (proofs/budgets.json)"


def against(verdict: str, expected: str) -> str:
    """What is wrong with a verdict, in words."""
    if verdict == expected:
        return "but for another reason than is known"
    if verdict in ("REFUTED", "BROKEN"):
        return "though this claim should hold"
    if expected == "REFUTED":
        return "though this is known to fail"
    return "so that nothing is shown of the claim"


@dataclass(frozen=True)
class Refutation:
    """What refutes a claim: the inputs, what is expected of them, what happens instead, a run that shows it, if there is one
    that a driver can bring about; and of a proof, the step that fails and the page that it is about."""

    inputs: dict[str, Any]
    expected: str
    actual: str
    trace: Trace | None = None
    fails: str = ""
    page: LaidPage | None = None  # as the code lays it out


@dataclass(frozen=True)
class EngineVerdict:
    """What one engine says of one claim about one revision. `name` tells it from every other one of the engine."""

    engine: str
    name: str
    claim: str
    revision: str
    verdict: str
    expected: str
    as_expected: bool
    seconds: float
    about: str = ""  # theory and case
    evidence: dict[str, str] = field(default_factory=dict)
    counterexample: Refutation | None = None

    @property
    def outcome(self) -> str:
        """The verdict, and whether it was expected, in words."""
        name = SHOWN.get(self.verdict, self.verdict)
        if self.as_expected:
            mended = (self.verdict, self.expected) == ("PROVED", "REFUTED")
            return f"{name}, as expected" if not mended else f"{name}: a known defect is mended"
        if SAYS_NOTHING in self.evidence:
            return f"{name}, but it {SAYS_NOTHING} {self.evidence[SAYS_NOTHING]}"
        if TOO_DEAR in self.evidence:
            return f"{name}, but it {TOO_DEAR}: {self.evidence[TOO_DEAR]}"
        return f"{name}, {against(self.verdict, self.expected)}"

    def to_json(self) -> dict[str, Any]:
        said = asdict(replace(self, counterexample=None))
        found = self.counterexample
        if found is not None:
            named = {"inputs": found.inputs, "expected": found.expected, "actual": found.actual, "fails": found.fails}
            named |= {"trace": found.trace.to_json()} if found.trace is not None else {}
            named |= {"page": asdict(found.page)} if found.page is not None else {}
            said["counterexample"] = named
        return said


def of_proof(result: "Result", kernel: str = "") -> EngineVerdict:
    """The prover's verdict on an obligation, which may be about a kernel's file."""
    evidence = {
        "theory": {"Z": "all non-negative integers", "u32": "words of 32 bits", "u64": "words of 64 bits"}[
            result.theory
        ],
        "proof": result.proof,
        "premises": "; ".join(result.premises) or "none",
        "rests on": ", ".join(result.rests_on) or "no other claim",
        "solver": f"Z3, {result.queries} queries on {result.paths} paths",
        "seconds": f"{result.seconds:.2f}{', in an earlier run' if result.cached else ''}",
    }
    if result.why:
        evidence["because"] = result.why
    if result.verdict in ADVICE:
        evidence["to do"] = advice(result.verdict, kernel)
    if result.undermined:
        evidence[SAYS_NOTHING] = f"it rests on {', '.join(result.undermined)}"
    if result.too_dear:
        evidence[TOO_DEAR] = too_dear(result)
    if result.not_proved_here:
        evidence["not proved here"] = ", ".join(result.not_proved_here)
    if result.smt2:
        evidence[SMT2] = f"smt2/{result.smt2_file}"
    fails = result.broken
    if result.arguments:
        fails += f"({', '.join(f'{name}={in_hexadecimal(value)}' for name, value in result.arguments.items())})"
    inputs, state = shown_by(result)
    if state:
        fails += f", for {in_words(state)}"
    return EngineVerdict(
        "prover",
        result.obligation,
        result.claim,
        result.revision,
        result.verdict,
        result.expected,
        result.as_expected,
        result.seconds,
        " ".join(filter(None, (result.theory, result.case.replace("_", " ")))),
        evidence,
        counterexample_of(inputs, result.counterexample, fails),
    )


def of_hunt(hunt: "Hunt") -> list[EngineVerdict]:
    """A verdict for each claim that the state machine has checked on a revision, and for each run that breaks one: these first,
    in their order."""
    evidence = {
        "seed": f"{hunt.seed}, profile {hunt.profile}",
        "steps": f"{hunt.tally.steps:,}",
        "seconds": f"{hunt.seconds:.1f}",
    }
    found = [(str(trace.claim), trace) for trace in hunt.found]
    sound = [(claim, None) for claim in sorted(hunt.checked) if claim not in dict(found)]
    verdicts, named = [], Counter[str]()
    for claim, trace in [*found, *sound]:
        named[claim] += 1
        times, number = hunt.checked[claim], f"/{named[claim]}" if named[claim] > 1 else ""
        verdicts.append(
            EngineVerdict(
                "hunt",
                f"{claim}/{hunt.revision}{number}",
                claim,
                hunt.revision,
                "BROKEN" if trace else "SEARCHED",
                "BROKEN" if claim in hunt.announced else "SEARCHED",
                trace is None or claim in hunt.announced,
                hunt.seconds / (len(found) + len(sound)),  # its share, so that those of all claims are the hunt's
                f"{times:,} times",
                {"checked": f"{times:,} times", **evidence},
                None if trace is None else of_trace(trace),
            )
        )
    return verdicts


def of_trace(trace: Trace) -> Refutation:
    """The counterexample that a run is."""
    create, last = trace.steps[0], trace.last_step()
    inputs = {name: value for name, value in vars(create).items() if name in ("size", "align", "boundary")}
    return Refutation(inputs, last.expected, last.happened, trace)


def counterexample_of(inputs: dict[str, Any], found: dict[str, Any] | None, fails: str = "") -> Refutation | None:
    """What an engine has found, if it has found anything."""
    if found is None:
        return None
    trace = from_json(found["trace"]) if "trace" in found else None
    page = LaidPage.from_json(found["page"]) if "page" in found else None
    return Refutation(inputs, found["expected"], found["actual"], trace, fails, page)


def shown_by(result: "Result") -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs that a counterexample is about; and those for which the proof fails, arguments or a state that may be
    unreachable, where the run that shows the fault is of another pool."""
    found, state = result.counterexample or {}, result.inputs
    if "trace" not in found or "size" not in state:
        return state, {}
    create = from_json(found["trace"]).steps[0]
    assert isinstance(create, Create)
    boundaries = {create.boundary, create.boundary or state.get("allocation")}
    if create.size == state["size"] and state.get("boundary", 0) in boundaries:
        return state, {}
    return {name: getattr(create, name) for name in ("size", "align", "boundary")}, state


def in_words(inputs: dict[str, Any]) -> str:
    """Inputs, as far as they say anything."""
    named = {name: value for name, value in inputs.items() if value not in NOTHING}
    if len(inputs) - len(named) <= 2:  # what is left out has to be worth the words
        named = inputs
    numbers = ", ".join(f"{name}={number(value)}" for name, value in named.items())
    return numbers + " and the rest 0, none or False" * (len(named) < len(inputs))


def in_hexadecimal(text: str) -> str:
    """A value that was written as text, as `number` writes it."""
    return number(int(text)) if re.fullmatch(r"\d+", text) else text


def refutation_in_words(verdict: EngineVerdict) -> str:
    """What is wrong, in one sentence, with its numbers; "" where there is no counterexample."""
    found = verdict.counterexample
    if found is None:
        return ""
    expected = f" Expected: {found.expected}." if found.expected != NO_FAULT else ""
    return f"{f'With {in_words(found.inputs)}: ' if found.inputs else ''}{found.actual}.{expected}"


def message(verdict: EngineVerdict) -> str:
    """What became of a claim, in plain sentences."""
    because, real = verdict.evidence.get("because", ""), verdict.evidence.get(REAL, "")
    fails = verdict.counterexample.fails if verdict.counterexample is not None else ""
    said = [
        f"{verdict.name} is {verdict.outcome}.",
        refutation_in_words(verdict),
        fails and f"What fails in the proof: {fails}.",
        because and f"Because: {because}.",
        real and f"{real[0].upper()}{real[1:]}.",
    ]
    return " ".join(filter(None, said))


def replaying(file: Path | str, on: str, kernel: KernelFile | None = None) -> str:
    """The command that replays a trace on a revision; `kernel` is the file that the revision `kernel` stands for, and its path
    is as the user named it, from the folder in which the commands run."""
    if on != KERNEL:
        return f"make replay TRACE={quote(str(file))} ON={on}"
    assert kernel is not None, "the revision `kernel` needs a kernel's file"
    return f"make replay TRACE={quote(str(file))} {kernel.as_make_takes_it()}"
