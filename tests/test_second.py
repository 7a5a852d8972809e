"""The exported queries say what was asked, in the standard's words, and other solvers are believed only when they agree."""

import json
import re
from pathlib import Path
from typing import Any

import cvc5
import pytest
import z3

from bugs import Bug, plant
from command.bugs import run_in as run
from proofs.catalogue import OBLIGATIONS
from proofs.engine import second
from proofs.engine.path import Path as WayThrough
from proofs.engine.path import Theory
from proofs.engine.smtlib import is_input, script, subterms
from proofs.engine.solver import Answer, Solver
from proofs.engine.symbolic import AsIntegers
from tests.proved import REFUTED, Proved
from tests.running import Command

QUICK = (  # one of each logic
    "admitted_geometry_is_ordered/series/u64",
    "blocks_are_disjoint/series/u32",
    "layout_stays_between_boundaries/series/Z",
)
HARD = "total_counts_the_blocks/series/Z"  # needs more than cvc5's first attempt
x, y, p = z3.Int("x"), z3.Int("a name with spaces"), z3.Bool("p is choice 0")
b, c = z3.BitVec("b", 8), z3.BitVec("c", 8)
TERMS = {
    "numbers": z3.And(x == -3, y > 10**30, z3.Not(p)),
    "linear": 2 * x - y <= 7 + x + y,
    "products": x * y * x == y * x * -1,
    "quotients": z3.And(x / 3 == y % 5, y / x > 0),
    "choices": z3.If(p, x, y) != z3.If(z3.Xor(p, z3.Implies(p, x < y)), y, -x),
    "distinct": z3.Distinct(x, y, x + 1),
    "one operand": z3.And(z3.Or(x < y)),
    "no operand": z3.Or(z3.And(), z3.Or()),
    "bit arithmetic": b + c * 3 - (-b) == (b & c | ~b) ^ c,
    "bit quotients": z3.And(z3.UDiv(b, c) == 255, z3.URem(b, c) == b),
    "signed comparisons": z3.Or(b < c, b <= c, b > c + 1, b >= c - 1),
    "unsigned comparisons": z3.Or(z3.ULT(b, c), z3.ULE(b, c), z3.UGT(b, c + 1), z3.UGE(b, c - 1)),
    "widths": z3.Concat(z3.Extract(6, 2, b), z3.BitVecVal(5, 3), c) == z3.SignExt(8, b) + z3.ZeroExt(8, c),
    "shifts": z3.Or(b << c == z3.LShR(b, c), b >> c == b),
    "simplified": z3.simplify(z3.URem(b, c) + z3.UDiv(z3.SignExt(0, b), c) == (b & (c - 1)) * 5),
    "twice": z3.And(x + y < 3, x + y > 1, z3.Not(x + y == 2)),
}


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_a_term_comes_back_as_it_was_and_another_solver_reads_it(term: z3.BoolRef) -> None:
    """That a term differs from itself written in another way cannot be; that it may hold or not, mostly can."""
    text = script([], [[term]]).text
    read = z3.And(z3.parse_smt2_string(text.replace("(push 1)", "").replace("(pop 1)", "")))
    solver = z3.Solver()
    solver.add(term != read)
    assert solver.check() == z3.unsat
    said = second.check(script([], [[term, z3.Not(z3.And(term, term))], [z3.Or(term, z3.Not(term))]]))
    assert (said.agreed, said.disagreed, said.unsupported) == (1, 1, 0)


def test_the_logic_is_the_smallest() -> None:
    def logic(*terms: z3.BoolRef) -> str:
        return script([], [[term] for term in terms]).logic

    assert logic(p) == "QF_UF"
    assert logic(x + 2 * y < 3, p) == "QF_LIA"
    assert logic(x * y < 3) == "QF_NIA"
    assert logic(x % 2 == 0) == "QF_NIA"
    assert logic(b * c == 3, p) == "QF_BV"
    assert logic(b * c == 3, x == 1) == "ALL"


def test_a_query_is_written_once() -> None:
    assert len(script([], [[x > 1, y > 2], [y > 2, x > 1, x > 1], [x > 1]]).queries) == 2


def test_what_smt_lib_lacks_is_counted_and_not_hidden() -> None:
    f = z3.Function("f", z3.IntSort(), z3.IntSort())
    odd = script([], [[f(x) != f(x)], [x < x]])
    said = second.check(odd)
    assert (said.queries, said.agreed, said.unsupported) == (2, 1, 1)
    assert odd.text.count("(check-sat)") == 1
    assert "missing here" in odd.text
    assert script([], [[z3.Int("a|b") < 0]]).queries == [None]
    assert script([], [[z3.Int("and") < 0]]).queries == [None]


def test_what_can_be_met_is_a_disagreement() -> None:
    for honest in (x < x, z3.ULT(b, b)):
        said = second.check(script([], [[honest], [z3.Not(honest)]]))
        assert (said.agreed, said.disagreed) == (1, 1)
        assert "query 2" in said.why


def test_a_solver_that_gives_up_is_unknown_and_another_is_asked(monkeypatch: Any) -> None:
    monkeypatch.setattr(second, "BITWUZLA_STEPS", 0)
    factors = [z3.ZeroExt(24, b) * z3.ZeroExt(24, c) == 251 * 241 + 2, b > 1, c > 1]
    text = script([], [factors])
    assert second.ask_bitwuzla(text.head, text.queries[0] or "") is Answer.UNKNOWN
    assert second.check(text).solver == "cvc5"
    monkeypatch.setattr(second, "CVC5_STEPS", 1)
    said = second.check(text)
    assert (said.agreed, said.unknown) == (0, 1)
    assert "gave up" in said.why


def test_what_a_solver_cannot_read_is_not_supported() -> None:
    for ask in (second.ask_bitwuzla, second.ask_cvc5):
        with pytest.raises(second.NotSupported):
            ask("(set-logic QF_BV)\n", "(assert nonsense)\n(check-sat)\n")


def test_simplification_is_checked_too() -> None:
    solver = Solver()
    assert z3.is_true(solver.simplify(x + 1 > x))
    ((query,),) = solver.impossible
    assert second.check(script([], [[query]])).agreed == 1


def test_a_branch_that_is_left_out_is_recorded() -> None:
    solver = Solver()
    path = WayThrough(Theory.INTEGERS, AsIntegers, solver, [])
    number = path.number("number")
    path.assume("it is small", lambda: number < 5)
    before = len(solver.impossible)
    assert not number > 6
    assert len(solver.impossible) > before
    assert second.check(script([], solver.impossible)).agreed == len(solver.impossible)


def test_proofs_are_agreed_by_a_second_solver_and_their_files_are_read_as_a_whole(
    tmp_path: Path, command: Command
) -> None:
    names, file, folder = (*QUICK, HARD), tmp_path / "results.json", tmp_path / "new"
    status, out, err = command("prove", *names, "--second", "--json", file, "--smt2", folder)
    assert status == 0, out + err
    assert re.search(r"agreed +by cvc5: \d+ queries", out)
    assert re.search(r"agreed +by bitwuzla: \d+ queries", out)
    assert re.search(r"4 of 4 proofs agreed by a second solver; queries: \d+ agreed\.", out)
    results = {result["obligation"]: result for result in json.loads(file.read_text())}
    assert len(list(folder.iterdir())) == len(names)
    for name in names:
        said = results[name]["second"]
        assert said["agreed"] == said["queries"] > 10
        assert said["disagreed"] == said["unknown"] == said["unsupported"] == 0
        assert said["solver"] == ("bitwuzla" if "u64" in name else "cvc5")
        text = (folder / f"{name.replace('/', '-')}.smt2").read_text()
        assert text.startswith(f"; {name}: {OBLIGATIONS[name].claim.sentence}\n")
        if name != HARD:  # which takes more than a first attempt
            assert answers(text) == ["unsat"] * text.count("(check-sat)")


def answers(text: str) -> list[str]:
    """What cvc5 says to a whole file."""
    terms = cvc5.TermManager()
    solver, symbols = cvc5.Solver(terms), cvc5.SymbolManager(terms)
    solver.setOption("incremental", "true")
    parser = cvc5.InputParser(solver, symbols)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "a file")
    said = []
    while not (command := parser.nextCommand()).isNull():
        said += command.invoke(solver, symbols).split()
    return said


def test_the_file_of_each_refutation_can_be_met_by_its_numbers(proved: Proved) -> None:
    for name in REFUTED:
        text = (proved.smt2 / f"{name.replace('/', '-')}.smt2").read_text()
        assert text.startswith(f"; {name}: {OBLIGATIONS[name].claim.sentence}\n"), name
        assert "; The query is a path on which this is refuted: the check-sat has to answer sat.\n" in text, name
        assert f"; Theory: {OBLIGATIONS[name].theory.value}." in text, name
        head, _, query = text.partition("(push 1)\n")
        query = query.partition("(pop 1)")[0]
        assert text.count("(check-sat)") == query.count("(check-sat)") == 1, name
        assert second.ask_cvc5(head, query) is Answer.SAT, name
        solver = z3.Solver()
        solver.from_string(head + query)
        assert solver.check() == z3.sat, name
        numbers_of = dict(re.findall("^; Input: (.+) = (.+)$", text, re.M))
        inputs = {term.decl().name(): term for term in subterms(solver.assertions()) if is_input(term)}
        numbers = [inputs[number] == int(numbers_of[number]) for number in numbers_of.keys() & inputs.keys()]
        assert numbers, name
        assert solver.check(*numbers) == z3.sat, name


LIES = Bug(
    "z3_lies_once",
    "proofs/engine/solver.py",
    "            self.impossible.append(asked.constraints)\n",
    "            self.impossible.append(asked.constraints[:-1])\n",
)


def test_a_disagreement_is_exit_status_1(tmp_path: Path) -> None:
    plant(LIES, tmp_path)
    assert run(tmp_path, "command", "prove", "blocks_are_disjoint/series/Z")[0] == 0
    status, output = run(tmp_path, "command", "prove", "blocks_are_disjoint/series/Z", "--second")
    assert status == 1, output
    assert re.search(r"in doubt \d+ agreed, \d+ disagreed; query \d+: cvc5 can meet", output)
    assert "blocks_are_disjoint/series/Z is not agreed by a second solver." in output
