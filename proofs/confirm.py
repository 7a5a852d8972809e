"""CrossHair, run on the contracts of `proofs.contracts`.

Of a claim it says CONFIRMED where every path was followed to its end; SEARCHED where nothing was found on as many paths as
the contract allows; REFUTED where an input breaks it, on plain integers too; VACUOUS where no input meets the premises;
UNKNOWN where there is no answer, or one that plain integers contradict.
"""

import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from crosshair import statespace
from crosshair.core import ConditionCheckable
from crosshair.core_and_libs import AnalysisKind, MessageType, analyze_function, run_checkables
from crosshair.options import AnalysisOptionSet

from impl import history, layout
from impl.layout import Cursor, Geometry
from model import claims
from model.revision import LARGEST_PAGE
from model.trace import Alloc, Create, Free, Kernel, PageChoice, Trace
from proofs import admission, contracts, counting
from proofs.engine.obligation import Counterexample
from proofs.layout import explained_by
from proofs.subjects.subject import SERIES_IN_PYTHON, by_links

# Z3's steps per question. A question that needs more has no answer, and its path is not confirmed.
statespace.CROSSHAIR_SMT_RLIMIT = 2_000_000  # type: ignore[attr-defined]

LONGEST = 600
"""Seconds of processor time after which a contract is given up: only code that never ends should get there."""

OUTCOMES = {
    MessageType.CONFIRMED: "CONFIRMED",
    MessageType.CANNOT_CONFIRM: "SEARCHED",
    MessageType.PRE_UNSAT: "VACUOUS",
    MessageType.POST_FAIL: "REFUTED",
    MessageType.EXEC_ERR: "REFUTED",
}
EXPECTED = {"search": "SEARCHED", "v6": "REFUTED"}  # by how the name of a contract begins


@dataclass(frozen=True)
class ContractResult:
    """What checking a claim of a contract gave, on so many paths."""

    contract: str  # CLAIM/FUNCTION
    claim: str
    revision: str
    about: str
    expected: str
    outcome: str
    seconds: float
    paths: int
    why: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    counterexample: dict[str, Any] | None = None

    @property
    def as_expected(self) -> bool:
        """The outcome is the expected one; and a refutation breaks the claim itself, not the code on the way to it."""
        return self.outcome == self.expected and not self.why


def claims_of(check: Callable[..., Any], stats: Counter[str] | None = None) -> dict[str, ConditionCheckable]:
    """What CrossHair has to check of a function's contract, by CLAIM/FUNCTION."""
    options = AnalysisOptionSet([AnalysisKind.PEP316], max_uninteresting_iterations=0, report_all=True, stats=stats)
    found = [one for one in analyze_function(check, options) if isinstance(one, ConditionCheckable)]
    posts = [one.conditions.post[0].expr_source for one in found]
    names = [f"{re.findall('claims[.]([a-z_]+)[(]', post)[-1]}/{check.__name__}" for post in posts]
    return dict(zip(names, found, strict=True))


FUNCTIONS = [one for one in vars(contracts).values() if getattr(one, "__module__", "") == contracts.__name__]
CONTRACTS = {name: check for check in FUNCTIONS for name in claims_of(check)}
"""The function of each contract, by CLAIM/FUNCTION."""


def confirm(name: str, check: Callable[..., Any] | None = None, longest: float = LONGEST) -> ContractResult:
    """Check one claim of a contract. The budget is in paths and in the solver's steps, so that what is found does not depend
    on the speed of the machine; but a signal ends code that has no end, since CrossHair cannot."""
    check = check or CONTRACTS[name]
    started, stats, inputs = time.perf_counter(), Counter[str](), dict[str, Any]()

    def note(arguments: Any, *_: object) -> tuple[str, str]:
        inputs.update(arguments.arguments)
        return name, ""

    checkable = claims_of(check, stats)[name]
    checkable.conditions = replace(checkable.conditions, counterexample_description_maker=note)
    counterexample = None
    signal.signal(signal.SIGVTALRM, signal.default_int_handler)  # KeyboardInterrupt, which CrossHair does not catch
    signal.setitimer(signal.ITIMER_VIRTUAL, longest)
    try:
        (message,) = run_checkables([checkable])
        outcome = OUTCOMES.get(message.state, "UNKNOWN")
        why = "" if outcome in ("CONFIRMED", "SEARCHED") else message.message
        if outcome == "REFUTED":
            outcome, why, counterexample = again(name, checkable, inputs)
    except KeyboardInterrupt:
        outcome, why = "UNKNOWN", f"no end within {longest} s of processor time"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return ContractResult(
        contract=name,
        claim=name.partition("/")[0],
        revision="v6.1" if check.__name__.startswith("v6_1_") else "series",
        about=(check.__doc__ or "").partition("\n")[0].rstrip("."),
        expected=EXPECTED.get(check.__name__.partition("_")[0], "CONFIRMED"),
        outcome=outcome,
        seconds=round(time.perf_counter() - started, 3),
        paths=stats["num_paths"],
        why=why,
        inputs=flat(inputs),
        counterexample=counterexample,
    )


def again(name: str, checkable: ConditionCheckable, inputs: dict[str, Any]) -> tuple[str, str, dict[str, Any] | None]:
    """Believe a refutation only if plain integers meet the premises and break the claim too: outcome, why, counterexample."""
    check, (post,) = checkable.conditions.fn, checkable.conditions.post
    if not inputs or not all(premise.evaluate and premise.evaluate(inputs) for premise in checkable.conditions.pre):
        return "UNKNOWN", f"CrossHair's inputs do not meet the premises: {inputs}", None
    try:
        returned = check(**inputs)
        if post.evaluate is None or post.evaluate({**inputs, "_": returned}):
            return "UNKNOWN", f"the claim holds on plain integers: {inputs}", None
        claim = name.partition("/")[0]
        found = explain(claim, history if check.__name__.startswith("v6_1_") else layout, flat(inputs), returned)
    except Exception as failure:  # the code under check may fail in any way
        raised = {"expected": "the code runs", "actual": f"{type(failure).__name__}: {failure}"}
        return "REFUTED", "the code fails before the claim can be checked", raised
    if found.trace is not None:
        found = replace(found, trace=replace(found.trace, claim=claim))
    return "REFUTED", "", found.to_json()


def flat(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a contract as numbers and lists of them: of a geometry or a cursor, its parts."""
    parts: dict[str, Any] = {}
    for name, value in inputs.items():
        parts |= (
            asdict(value)
            if isinstance(value, Geometry)
            else value._asdict()
            if isinstance(value, Cursor)
            else {name: value}
        )
    return parts


def explain(claim: str, code: Any, inputs: dict[str, Any], returned: Any) -> Counterexample:
    """What breaks a claim, in words, and as a trace where a driver can pass such inputs to a kernel."""
    if claim == claims.total_counts_the_blocks.name:
        return counting.explain(by_links(code.next_block), code.blks_per_alloc, inputs)
    if claim == claims.create_admits_what_is_promised.name:
        arguments = {"align": 1, "boundary": 0, "page_size": 4096, **inputs}
        counterexample = admission.explain(SERIES_IN_PYTHON, arguments)
        return counterexample if arguments["page_size"] >= 4096 else replace(counterexample, trace=None)
    if claim != claims.lookup_finds_the_page_of_an_address.name:
        return explained_by(by_links(code.next_block), SERIES_IN_PYTHON.smallest)(inputs)
    allocation, address, (found, pages) = inputs["allocation"], inputs["address"], returned
    expected = f"the lookup of {address:#x} finds the page of {allocation} bytes that holds it, if one does"
    places = ", ".join(f"{page.dma:#x}" for page in pages)
    actual = f"of those at {places}, it finds {'none' if found is None else hex(found.dma)}"
    if allocation > LARGEST_PAGE or max(address, *(page.dma for page in pages)) >= 2**64 - allocation:
        return Counterexample(expected, actual)
    # A driver frees the address, as its block in the nearest page below. A debug build reports one that is in no page.
    nearest = max((page.dma for page in pages if page.dma <= address), default=pages[0].dma)
    allocs = [Alloc(f"page {page.dma:#x}", page=PageChoice(page.dma)) for page in pages]
    free = Free(f"page {nearest:#x}", dma_plus=address - nearest)
    return Counterexample(expected, actual, Trace((Create(allocation), *allocs, free), Kernel(debug=True)))
