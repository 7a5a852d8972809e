"""Proofs about a kernel's own code: what executes it, against the same code run natively; its verdicts; changes of it."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from command.audit import audit_interpreter
from command.claims import PROVED_OF_C
from command.line import Status
from kernel import execute
from kernel.compiler import BuildError
from kernel.execute import Frame, Interpreter
from kernel.ir import Module, NotFollowed, ir_of
from kernel.objects import DmaPage, Fault, Opaque, Pointer, Struct, View
from kernel.random_calls import Differs, functions_of, hold_to_native
from kernel.words import Unknown, arithmetic, compare
from proofs.compiled import obligations_of
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Settings, prove
from report.verdicts import of_proof
from tests.kernels import changed, fetched

WASTE = "no_room_is_wasted"
MODULE = Module((Path(__file__).parent / "pair.ll").read_text())


def pair(large: int | None = None) -> Struct:
    """A struct of which nothing is written, or its large field."""
    given = Struct("pair", MODULE.struct("pair")[0], unwritten=Fault)
    if large is not None:
        given["large"] = large
    return given


def test_a_function_is_executed() -> None:
    given = pair(2**63)
    assert Interpreter(MODULE, {}).call("sum", Pointer(given, 0), 3) == 3 * 2**63 % 2**64
    assert Interpreter(MODULE, {}).call("sum", Pointer(given, 0), 2**32 - 1) == 0
    assert Interpreter(MODULE, {}).call("widened", 2**32 - 5) == 2**64 - 5


def test_a_loop_is_cut_where_a_turn_begins() -> None:
    given = pair(5)
    assert MODULE.function("sum").loops == ["head"]
    interpreter = Interpreter(MODULE, {})
    frame = interpreter.enter("sum", Pointer(given, 0), 3)
    assert interpreter.advance(frame, "head") == {"i": 0, "total": 0}
    assert interpreter.resume(frame, {"i": 1, "total": 100}) == {"i": 2, "total": 105}
    assert interpreter.resume(frame, {"i": 3, "total": 100}) is None
    assert frame.result == 100


def test_what_is_not_followed_is_said() -> None:
    with pytest.raises(NotFollowed, match="unheard_of"):
        Interpreter(MODULE, {}).call("strange", 1)
    with pytest.raises(NotFollowed, match="no function other"):
        Interpreter(MODULE, {}).call("other")
    with pytest.raises(Fault, match="before it is written"):
        Interpreter(MODULE, {}).call("sum", Pointer(pair(), 0), 1)
    with pytest.raises(NotFollowed, match="the proof does not know it"):
        Interpreter(MODULE, {}).call("sum", replace(pair(), unwritten=None).at("small"), 1)
    with pytest.raises(Fault, match="null"):
        Interpreter(MODULE, {}).call("sum", 0, 1)
    with pytest.raises(NotFollowed, match="compared"):
        compare("eq", 64, Unknown("udiv", 8, 4), 2)


def test_functions_and_constants_are_values() -> None:
    given = pair(5)
    interpreter = Interpreter(MODULE, {})
    assert interpreter.call("kept") == 9
    assert interpreter.call("through", interpreter.call("pointer_to_sum"), Pointer(given, 0)) == 10
    with pytest.raises(NotFollowed, match="a call"):
        interpreter.call("through", 0, Pointer(given, 0))


def test_a_function_or_a_loop_does_what_stands_for_it() -> None:
    given = pair(5)
    interpreter = Interpreter(MODULE, {}, replaced={"sum": lambda *_: 3})
    assert interpreter.call("through", interpreter.call("pointer_to_sum"), Pointer(given, 0)) == 3
    arrived: list[dict[str, int]] = []
    interpreter = Interpreter(MODULE, {})
    (head,) = MODULE.function("sum").loops

    def summed(values: dict[str, int]) -> dict[str, int]:
        arrived.append(values)
        return {"i": 2, "total": 77}

    interpreter.cuts["sum", head] = summed
    assert interpreter.call("sum", Pointer(given, 0), 2) == 77
    assert arrived == [{"i": 0, "total": 0}]
    with pytest.raises(NotFollowed, match="goes on"):  # it is not over, with three turns
        interpreter.call("sum", Pointer(given, 0), 3)
    with pytest.raises(NotFollowed, match="1 loops, not 2"):
        MODULE.function("sum").loop(0, of=2)


def test_memory_that_is_freed_or_not_known() -> None:
    given, one, other = pair(), Opaque("one end"), Opaque("the other end")
    given.private = True
    execute.store(Pointer(pair(), 8), 64, Pointer(given, 0))
    assert not given.private
    given.freed = True
    with pytest.raises(Fault, match="after it was freed"):
        given.load(0, 32)
    assert Pointer(one, 0) == Pointer(one, 0) != Pointer(given, 0)
    with pytest.raises(NotFollowed, match="they may be one"):
        compare("eq", 0, Pointer(one, 0), Pointer(other, 0))
    with pytest.raises(NotFollowed, match="nothing is known"):
        one.load(0, 64)
    with pytest.raises(NotFollowed, match="no known object"):
        execute.known_pointer(Unknown("udiv", 8, 4))


def test_flags_are_in_the_low_bits_of_an_address() -> None:
    node = Pointer(Opaque("a node"), 0)
    red = arithmetic("or", 64, node, 1)
    assert red == arithmetic("add", 64, node, 1) == Pointer(node.object, 1)
    assert arithmetic("and", 64, red, 1) == 1
    assert arithmetic("and", 64, red, 2**64 - 4) == node
    with pytest.raises(NotFollowed, match="computed with"):
        arithmetic("and", 64, red, 2**64 - 16)


def test_a_view_keeps_its_fields_elsewhere() -> None:
    elsewhere, touched = [41], list[tuple[str, bool]]()
    view = View("pair", MODULE.struct("pair")[0], touched=lambda _, name, writes: touched.append((name, writes)))
    view.keep("large", lambda: elsewhere[0], lambda value: elsewhere.__setitem__(0, value))
    view.store(8, 64, view.load(8, 64) + 1)
    view.store(0, 32, 7)
    assert (elsewhere, view["small"], touched) == ([42], 7, [("large", False), ("large", True), ("small", True)])
    view.unwritten, view.written = Fault, set()
    with pytest.raises(Fault, match="before it is written"):
        view.load(8, 64)


def test_a_page_keeps_what_was_stored() -> None:
    checked: list[tuple[int, int]] = []
    memory = DmaPage(lambda offset, nbytes: checked.append((offset, nbytes)))
    memory.store(8, 32, 7)
    memory.store(12, 32, 9)
    assert memory.load(8, 32) == 7
    assert checked == [(8, 4), (12, 4), (8, 4)]
    with pytest.raises(NotFollowed):
        memory.load(10, 32)
    with pytest.raises(NotFollowed):
        memory.load(0, 32)
    memory.fill(0, 9, 0xA7)
    assert memory.load(0, 64) == 0xA7A7A7A7A7A7A7A7
    with pytest.raises(NotFollowed):
        memory.load(8, 32)


@pytest.mark.parametrize(
    "revision", ["v6.12", *(pytest.param(version, marks=pytest.mark.thorough) for version in ("v6.1", "newest"))]
)
def test_what_is_executed_is_what_runs(
    revision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A few calls of each function; `make audit ARGS="--native-calls 100000"` makes more."""
    source = fetched(revision)
    functions = functions_of(source)
    assert {name for _, name in functions} >= {
        "dma_pool_alloc",
        "dma_pool_free",
        "pools_show",
        "pool_find_page",
        "rb_erase",
    }
    (tmp_path / revision).symlink_to(source.tree or source.file)
    monkeypatch.setattr("command.audit.KERNELS", tmp_path)
    assert audit_interpreter(30, 1) is Status.EXPECTED
    alike = rf"{revision}: (\S+) calls of (\d+) functions are alike, .*; (\d+) of (\d+) basic blocks were run\n"
    said = re.fullmatch(alike, capsys.readouterr().out)
    assert said
    calls, held, run, blocks = (int(number.replace(",", "")) for number in said.groups())
    assert held == len({(number == 1, name) for number, name in functions})
    assert calls >= 30 * held
    assert run > 0.7 * blocks


@pytest.mark.parametrize(
    "function", [(0, "dma_pool_create"), (0, "pool_initialise_page"), (0, "pool_find_page"), (2, "rb_erase")]
)
def test_an_interpreter_that_errs_in_a_function_is_noticed(
    monkeypatch: pytest.MonkeyPatch, function: tuple[int, str]
) -> None:
    """Where it compares, it takes "unequal" for "equal", or "greater" for "greater or equal"; or it adds one to a product."""
    source, rest = fetched("v6.1"), Interpreter._rest
    wrong = {"ne": "eq", "ugt": "uge", "ult": "ule"}

    def compared(what: str, *operands: Any) -> Any:
        return compare(wrong.get(what, what), *operands)

    def computed(what: str, *operands: Any) -> Any:
        return arithmetic(what, *operands) + (what == "mul")

    def badly(interpreter: Interpreter, frame: Frame) -> None:
        with monkeypatch.context() as patched:
            if frame.function.name == function[1]:
                patched.setattr(execute, "compare", compared)
                patched.setattr(execute, "arithmetic", computed)
            rest(interpreter, frame)

    monkeypatch.setattr(Interpreter, "_rest", badly)
    with pytest.raises(Differs, match=function[1]):
        hold_to_native(source, function, 1000, seed=1)


def test_memory_that_differs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Struct, "store", lambda *_: None)
    with pytest.raises(Differs, match=r"INIT_LIST_HEAD with \w+: byte \d+ of \w+ is natively"):
        hold_to_native(fetched("v6.1"), (0, "INIT_LIST_HEAD"), 100, seed=1)


def test_a_defect_that_a_file_has_no_more_is_mended(tmp_path: Path) -> None:
    """By patch 03, in one character: that is proved, and as good as expected."""
    made = obligations_of(changed("v6.1", tmp_path, "pool->size) >= next_boundary", "pool->size) > next_boundary"))
    (result,) = (
        prove(obligation, Settings())
        for obligation in made.values()
        if obligation.expected.value == "REFUTED" and obligation.claim.name == WASTE
    )
    assert (result.verdict, result.mended, result.as_expected) == ("PROVED", True, True)
    (read,) = [of_proof(result)]
    assert read.outcome == "PROVED: a known defect is mended"
    assert not replace(result, revision="series").as_expected


def test_nothing_is_proved_of_a_turn_that_writes_outside_of_its_page(tmp_path: Path) -> None:
    """Whatever the claim: such a write could change what the proof takes to be as it was."""
    link, outside = "*(int *)(page->vaddr + offset) = next;", "*(int *)(page->vaddr + offset + 1) = next;"
    made = obligations_of(changed("v6.1", tmp_path, link, outside))
    for claim in ("next_boundary_is_a_multiple", "layout_ends", "pool_stays_in_its_memory"):
        assert prove(made[f"{claim}/kernel/u64"], Settings()).verdict in ("REFUTED", "NOT_FOLLOWED")


def test_a_pool_may_have_more_blocks_in_use_than_an_int_counts(tmp_path: Path) -> None:
    made = obligations_of(changed("v6.12", tmp_path, "if (pool->nr_active) {", "if ((int)pool->nr_active > 0) {"))
    result = prove(made["destroy_leaks_exactly_the_busy_pages/kernel/u64"], Settings())
    assert result.verdict == "NOT_FOLLOWED", result.verdict  # no run has so many


def test_a_refutation_is_run_natively() -> None:
    made = obligations_of(fetched("v6.1"))
    result = prove(made["layout_ends/kernel/u64/first_turns_any_boundary"], Settings())
    assert result.inputs["boundary"] == 2**32
    assert result.counterexample is not None
    assert "replayed in the compiled file, it breaks this claim: no end" in result.counterexample["actual"]


def test_what_is_missing_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    source = fetched("v6.1")
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    with pytest.raises(BuildError, match=r"'llvmlite' is missing: run .*pip install"):
        ir_of(source)


def test_a_missing_function_is_not_proved(tmp_path: Path) -> None:
    params, theirs = "(struct dma_pool *pool, struct dma_page *page)", "(struct dma_page *page, struct dma_pool *pool)"
    renamed = (
        f"pool_initialise_page{params}",
        f"lay_out{theirs}",
        "pool_initialise_page(pool, page)",
        "lay_out(page, pool)",
    )
    result = prove(obligations_of(changed("v6.1", tmp_path, *renamed))["layout_ends/kernel/u64"], Settings())
    assert result.verdict == "NOT_FOLLOWED"
    assert "no function pool_initialise_page" in result.why


def test_the_readme_counts_what_is_proved_of_c() -> None:
    kernels = [fetched("v6.1"), fetched("v6.12"), fetched("newest")]
    stated = [one for source in kernels for one in obligations_of(source).values()]
    assert {one.claim.name for one in stated if one.expected is Verdict.PROVED} == PROVED_OF_C


def test_the_newest_kernel_is_followed() -> None:
    """Its dma_pool_create is inline in a header since Linux 6.16; the file has dma_pool_create_node."""
    wanted = "admitted_geometry_fits_an_int"
    results = [prove(one, Settings()) for one in obligations_of(fetched("newest")).values() if one.claim.name == wanted]
    assert [(result.verdict, result.as_expected) for result in results] == [("PROVED", True), ("REFUTED", True)]
