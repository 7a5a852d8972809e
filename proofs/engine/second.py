"""A second opinion: other solvers prove again, from the SMT-LIB text, what Z3 said cannot be.

bitwuzla is asked about bit-vectors and cvc5 about integers; where bitwuzla gives up, cvc5 is asked as well. Each query
starts afresh. Limits are steps of the solver, as for Z3, and not seconds.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import bitwuzla
import cvc5

from proofs.engine.smtlib import Script
from proofs.engine.solver import Answer

CVC5_STEPS = 1_000_000
"""cvc5's resource units for one attempt at a query: some seconds. The hardest of the catalogue needs a third of it."""

CVC5_ATTEMPTS: tuple[Mapping[str, str], ...] = ({}, {"nl-ext-rewrite": "false"}, {"decision": "justification"})
"""Options for products of unknowns, where luck counts: first as it is, then two ways round what it gets lost in."""

BITWUZLA_STEPS = 100_000
"""How often bitwuzla may ask whether to go on: some tens of seconds. The hardest query of the catalogue asks 1,504 times."""


@dataclass(frozen=True)
class Second:
    """How many of a proof's queries other solvers agree about; `solver` names those that settled one."""

    solver: str
    queries: int
    agreed: int
    disagreed: int
    unknown: int
    unsupported: int
    seconds: float
    why: str = ""


class NotSupported(Exception):
    """A solver cannot read a query."""


def check(script: Script) -> Second:
    """Have every query of a script proved again."""
    started = time.perf_counter()
    solvers = {"bitwuzla": ask_bitwuzla, "cvc5": ask_cvc5} if script.logic == "QF_BV" else {"cvc5": ask_cvc5}
    counts: Counter[str] = Counter()
    settled: dict[str, None] = {}
    why = ""
    for number, query in enumerate(script.queries, 1):
        kind, reason, solver = second_answer(script.head, query, solvers)
        counts[kind] += 1
        settled.setdefault(solver)
        if kind != "agreed":
            why = why or f"query {number}: {reason}"
    return Second(
        solver=", ".join(filter(None, settled)),
        queries=len(script.queries),
        agreed=counts["agreed"],
        disagreed=counts["disagreed"],
        unknown=counts["unknown"],
        unsupported=counts["unsupported"],
        seconds=round(time.perf_counter() - started, 3),
        why=why,
    )


def second_answer(
    head: str, query: str | None, solvers: Mapping[str, Callable[[str, str], Answer]]
) -> tuple[str, str, str]:
    """What becomes of a query, why, and the solver that settled it. The first that has an answer settles it."""
    if query is None:
        return "unsupported", "standard SMT-LIB cannot say it", ""
    kind, reason = "unsupported", ""
    for solver, ask in solvers.items():
        try:
            answer = ask(head, query)
        except NotSupported as complaint:
            reason = f"{solver} cannot read it: {complaint}"
            continue
        if answer is Answer.UNSAT:
            return "agreed", "", solver
        if answer is Answer.SAT:
            return "disagreed", f"{solver} can meet what Z3 says cannot be met", solver
        kind, reason = "unknown", f"{solver} gave up"
    return kind, reason, ""


def ask_bitwuzla(head: str, query: str) -> Answer:
    """bitwuzla's answer to one query; it reads the text up to `check-sat`, which is called rather than printed."""
    steps = 0

    def enough() -> bool:
        nonlocal steps
        steps += 1
        return steps > BITWUZLA_STEPS

    parser = bitwuzla.Parser(bitwuzla.TermManager(), bitwuzla.Options())
    try:
        parser.parse(head + query.partition("(check-sat)")[0], False, False)
    except bitwuzla.BitwuzlaException as complaint:
        raise NotSupported(str(complaint)) from complaint
    solver = parser.bitwuzla()
    solver.configure_terminator(enough)
    return Answer(str(solver.check_sat()))


def ask_cvc5(head: str, query: str) -> Answer:
    """cvc5's answer to one query."""
    for options in CVC5_ATTEMPTS:
        answer = attempt_cvc5(head + query, options)
        if answer is not Answer.UNKNOWN:
            break
    return answer


def attempt_cvc5(text: str, options: Mapping[str, str]) -> Answer:
    terms = cvc5.TermManager()
    solver, symbols = cvc5.Solver(terms), cvc5.SymbolManager(terms)
    for option, value in {"rlimit-per": str(CVC5_STEPS), "incremental": "true", **options}.items():
        solver.setOption(option, value)
    parser = cvc5.InputParser(solver, symbols)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "query")
    said = ""
    try:
        while not (command := parser.nextCommand()).isNull():
            said += command.invoke(solver, symbols).strip()
        return Answer(said)
    except (RuntimeError, ValueError) as complaint:  # ValueError: what it says is no answer
        raise NotSupported(said or str(complaint)) from complaint
