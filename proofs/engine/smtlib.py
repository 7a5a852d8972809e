"""Queries as SMT-LIB 2 text, self-contained and in standard operators only, so that any solver can read it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import z3

Query = Sequence[z3.BoolRef]
"""A conjunction."""

OPERATORS = {
    z3.Z3_OP_TRUE: "true",
    z3.Z3_OP_FALSE: "false",
    z3.Z3_OP_EQ: "=",
    z3.Z3_OP_DISTINCT: "distinct",
    z3.Z3_OP_ITE: "ite",
    z3.Z3_OP_AND: "and",
    z3.Z3_OP_OR: "or",
    z3.Z3_OP_XOR: "xor",
    z3.Z3_OP_NOT: "not",
    z3.Z3_OP_IMPLIES: "=>",
    z3.Z3_OP_LE: "<=",
    z3.Z3_OP_GE: ">=",
    z3.Z3_OP_LT: "<",
    z3.Z3_OP_GT: ">",
    z3.Z3_OP_ADD: "+",
    z3.Z3_OP_SUB: "-",
    z3.Z3_OP_UMINUS: "-",
    z3.Z3_OP_MUL: "*",
    z3.Z3_OP_IDIV: "div",
    z3.Z3_OP_MOD: "mod",
    z3.Z3_OP_BNEG: "bvneg",
    z3.Z3_OP_BADD: "bvadd",
    z3.Z3_OP_BSUB: "bvsub",
    z3.Z3_OP_BMUL: "bvmul",
    z3.Z3_OP_BUDIV: "bvudiv",
    z3.Z3_OP_BUREM: "bvurem",
    # What simplifying makes of the two: Z3 lets them give at 0 what the standard demands.
    z3.Z3_OP_BUDIV_I: "bvudiv",
    z3.Z3_OP_BUREM_I: "bvurem",
    z3.Z3_OP_ULEQ: "bvule",
    z3.Z3_OP_SLEQ: "bvsle",
    z3.Z3_OP_UGEQ: "bvuge",
    z3.Z3_OP_SGEQ: "bvsge",
    z3.Z3_OP_ULT: "bvult",
    z3.Z3_OP_SLT: "bvslt",
    z3.Z3_OP_UGT: "bvugt",
    z3.Z3_OP_SGT: "bvsgt",
    z3.Z3_OP_BAND: "bvand",
    z3.Z3_OP_BOR: "bvor",
    z3.Z3_OP_BNOT: "bvnot",
    z3.Z3_OP_BXOR: "bvxor",
    z3.Z3_OP_BSHL: "bvshl",
    z3.Z3_OP_BLSHR: "bvlshr",
    z3.Z3_OP_BASHR: "bvashr",
    z3.Z3_OP_CONCAT: "concat",
}
INDEXED = {z3.Z3_OP_EXTRACT: "extract", z3.Z3_OP_SIGN_EXT: "sign_extend", z3.Z3_OP_ZERO_EXT: "zero_extend"}
BINARY = {"bvadd", "bvmul", "bvand", "bvor", "bvxor", "concat"}  # in the standard; Z3 gives them more operands
PRODUCTS = {z3.Z3_OP_MUL, z3.Z3_OP_BMUL}
DIVISIONS = {z3.Z3_OP_IDIV, z3.Z3_OP_MOD, z3.Z3_OP_BUDIV, z3.Z3_OP_BUREM, z3.Z3_OP_BUDIV_I, z3.Z3_OP_BUREM_I}


class NotStandard(Exception):
    """There is no text for a term."""


@dataclass(frozen=True)
class Script:
    """Declarations, and the queries; None where one has no standard text."""

    logic: str
    head: str
    queries: list[str | None]

    @property
    def text(self) -> str:
        """The whole as one file."""
        queries = (query or "; A query is missing here: standard SMT-LIB cannot say it.\n" for query in self.queries)
        return "\n".join([self.head, *queries, "(exit)\n"])


def script(comment: Iterable[str], queries: Iterable[Query]) -> Script:
    """The distinct queries as text, in their order. What occurs twice is defined once."""
    distinct = {frozenset(term.get_id() for term in query): query for query in queries}
    conjunctions = [list({term.get_id(): term for term in query}.values()) for query in distinct.values()]
    terms = list(subterms(term for conjunction in conjunctions for term in conjunction))
    uses = Counter(term.get_id() for conjunction in conjunctions for term in conjunction)
    uses.update(child.get_id() for term in terms for child in term.children())
    texts: dict[int, str] = {}
    declared: list[str] = []
    defined: list[str] = []
    for term in terms:
        try:
            written, sort = text_of(term, texts), sort_of(term)
        except NotStandard:
            continue  # nor is there a text for what contains it
        if is_input(term):
            declared.append(f"(declare-fun {written} () {sort})")
        elif term.num_args() > 0 and uses[term.get_id()] > 1:
            defined.append(f"(define-fun ${len(defined)} () {sort} {written})")
            written = f"${len(defined) - 1}"
        texts[term.get_id()] = written
    logic = logic_of([term for term in terms if term.get_id() in texts])
    head = [*(f"; {' '.join(line.split())}" for line in comment)]
    head += ["(set-info :smt-lib-version 2.6)", f"(set-logic {logic})", *declared, *defined]
    return Script(logic, "\n".join(head) + "\n", [text_of_query(query, texts) for query in conjunctions])


def subterms(terms: Iterable[Any]) -> Iterator[Any]:
    """Every distinct term and its subterms, the subterms before what they are in."""
    seen: set[int] = set()
    pending = [(term, False) for term in terms][::-1]
    while pending:
        term, children_seen = pending.pop()
        if children_seen:
            yield term
        elif term.get_id() not in seen:
            seen.add(term.get_id())
            pending.append((term, True))
            pending += [(child, False) for child in reversed(term.children())]


def text_of_query(query: Query, texts: dict[int, str]) -> str | None:
    if any(term.get_id() not in texts for term in query):
        return None
    asserts = "".join(f"(assert {texts[term.get_id()]})\n" for term in query)
    return f"(push 1)\n{asserts}(check-sat)\n(pop 1)\n"


def text_of(term: Any, texts: dict[int, str]) -> str:
    """A term, from the texts of its operands."""
    if z3.is_int_value(term):
        return str(term) if term.as_long() >= 0 else f"(- {-term.as_long()})"
    if z3.is_bv_value(term):
        return f"(_ bv{term.as_long()} {term.size()})"
    if is_input(term):
        return symbol(term.decl().name())
    kind = term.decl().kind() if z3.is_app(term) else None
    operands = [texts.get(child.get_id(), "") for child in term.children()]
    if (kind not in OPERATORS and kind not in INDEXED) or not all(operands):
        raise NotStandard(str(term)[:80])
    if kind in INDEXED:
        return f"((_ {INDEXED[kind]} {' '.join(map(str, term.params()))}) {operands[0]})"
    operator = OPERATORS[kind]
    if operator in ("and", "or") and len(operands) < 2:  # Z3 has them with any number of operands
        return operands[0] if operands else {"and": "true", "or": "false"}[operator]
    if operator in BINARY:
        return reduce(lambda left, right: f"({operator} {left} {right})", operands)
    return f"({operator} {' '.join(operands)})" if operands else operator


def symbol(name: str) -> str:
    if "|" in name or "\\" in name or name in OPERATORS.values():
        raise NotStandard(f"an input named {name!r}")
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_!]*", name) else f"|{name}|"


def sort_of(term: Any) -> str:
    if z3.is_bool(term):
        return "Bool"
    if z3.is_int(term):
        return "Int"
    if z3.is_bv(term):
        return f"(_ BitVec {term.size()})"
    raise NotStandard(str(term.sort()))


def logic_of(terms: Sequence[Any]) -> str:
    """The smallest logic of SMT-LIB that has these terms. Its linear one has no `div` and `mod`, even by a constant."""
    bits, integers = any(map(z3.is_bv, terms)), any(map(z3.is_int, terms))
    if bits or not integers:
        return "ALL" if integers else "QF_BV" if bits else "QF_UF"
    return "QF_NIA" if any(term.decl().kind() in DIVISIONS or is_non_linear(term) for term in terms) else "QF_LIA"


def is_input(term: Any) -> bool:
    return bool(z3.is_const(term) and term.decl().kind() == z3.Z3_OP_UNINTERPRETED)


def is_non_linear(term: Any) -> bool:
    """Whether a term is a product, quotient or remainder of two unknowns, which is what solvers find hard."""
    unknown = [child for child in term.children() if not z3.is_int_value(child) and not z3.is_bv_value(child)]
    return z3.is_app(term) and term.decl().kind() in PRODUCTS | DIVISIONS and len(unknown) > 1
