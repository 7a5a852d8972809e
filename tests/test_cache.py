"""Nothing turns a changed function into an old verdict, and what has not changed is not proved again."""

import compileall
import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bugs import copy_to
from command.bugs import run
from proofs.catalogue import OBLIGATIONS
from proofs.engine import cache, sources
from proofs.engine.obligation import Settings

NAME = "blocks_are_disjoint/series/Z"
TWO = (NAME, "blocks_are_disjoint/series/u32")  # proved within a second


def prove(folder: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and results of the copy in a folder."""
    status, output = run(folder, "proofs", *(arguments or TWO), "--json", str(folder / "results.json"))
    assert "Traceback" not in output
    return status, json.loads((folder / "results.json").read_text())


def cached(results: list[dict[str, Any]]) -> set[bool]:
    return {result["cached"] for result in results}


def change(file: Path, old: str, new: str) -> None:
    """Replace `old` in a file, of which size and time stay as they were where the size permits."""
    before, text = file.stat(), file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def proved(tmp_path: Path) -> Path:
    """A copy of the repository in which the claim has been proved, and whose bytecode lies in `__pycache__`."""
    copy_to(tmp_path)
    assert compileall.compile_dir(str(tmp_path), quiet=1)
    status, results = prove(tmp_path)
    assert (status, cached(results)) == (0, {False})
    assert {result["verdict"] for result in results} == {"PROVED"}
    return tmp_path


def test_what_has_not_changed_is_cached_and_says_so(proved: Path) -> None:
    started = time.perf_counter()
    status, output = run(proved, "proofs", *TWO)
    assert time.perf_counter() - started < 2
    assert status == 0
    assert output.count(" s cached\n") == 2
    assert "2 are cached, that is, from earlier runs" in output
    _, first = prove(proved, *TWO, "--fresh")
    _, second = prove(proved)
    assert cached(first) == {False}
    assert [result | {"cached": False} for result in second] == first


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("impl/layout.py", "unsigned_int(cursor.offset + geometry", "unsigned_int(cursor.offset - geometry"),
        ("model/claims.py", "one + size <= other or", "one + size <  other or"),
    ],
)
def test_a_change_is_refuted(proved: Path, file: str, old: str, new: str) -> None:
    change(proved / file, old, new)
    status, results = prove(proved)
    assert (status, cached(results)) == (1, {False})
    assert cached(prove(proved)[1]) == {False}  # nor is it kept


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("proofs/layout.py", "Theory.INTEGERS:\n        path.assume_claim", "Theory.U64:\n        path.assume_claim"),
        (
            "proofs/engine/explore.py",
            "if not holds():\n            raise Broken",
            "if holds() is None:\n            raise Broken",
        ),
        ("proofs/engine/symbolic.py", 'self._apply("add", self', 'self._apply("sub", self'),
        ("impl/words.py", "value.narrow(", "0 * value.narrow("),
        ("proofs/engine/solver.py", "answer == z3.unsat:", "answer != z3.sat  :"),
        ("impl/layout.py", '"""', '""" '),
        ("model/geometry.py", '"""', '""" '),
        ("impl/__init__.py", '"""', '""" '),
    ],
)
def test_a_change_of_a_premise_the_prover_or_a_comment_is_proved_anew(
    proved: Path, file: str, old: str, new: str
) -> None:
    change(proved / file, old, new)
    assert cached(prove(proved)[1]) == {False}


def test_a_change_of_another_proof_leaves_the_result(proved: Path) -> None:
    change(proved / "proofs/tree.py", '"""', '""" ')
    assert cached(prove(proved)[1]) == {True}


def test_a_change_that_is_taken_back_is_cached_again(proved: Path) -> None:
    change(proved / "impl/layout.py", "cursor.offset +", "cursor.offset -")
    assert prove(proved)[0] == 1
    change(proved / "impl/layout.py", "cursor.offset -", "cursor.offset +")
    status, results = prove(proved)
    assert (status, cached(results)) == (0, {True})


@pytest.mark.parametrize("options", [["--seed", "7"], ["--limit", "1000000"], ["--second"]])
def test_another_question_has_another_answer(proved: Path, options: list[str]) -> None:
    assert cached(prove(proved, *TWO, *options)[1]) == {False}
    assert cached(prove(proved, *TWO, *options)[1]) == {True}
    assert cached(prove(proved)[1]) == {True}


def test_the_text_of_queries_is_cached_too(proved: Path) -> None:
    for folder in ("first", "second"):
        prove(proved, *TWO, "--smt2", str(proved / folder))
    first, second = ({file.name: file.read_text() for file in (proved / f).iterdir()} for f in ("first", "second"))
    assert first == second
    assert len(first) == 2


def test_another_python_has_another_answer(monkeypatch: Any) -> None:
    asked, settings = OBLIGATIONS[NAME], Settings()
    monkeypatch.setattr(sources, "digest", lambda _: "the same")
    keys = {cache.key_of(asked, settings)}
    monkeypatch.setattr(platform, "python_version", lambda: "3.99")
    keys.add(cache.key_of(asked, settings))
    monkeypatch.setattr(cache, "version_of", lambda _: "99")
    keys.add(cache.key_of(asked, settings))
    keys.add(cache.key_of(replace(asked, case="another"), settings))
    assert len(keys) == 4


def damages(text: str) -> dict[str, str]:
    kept = json.loads(text)
    forged = json.loads(text)
    forged["result"]["verdict"] = "PROVED"
    forged["result"]["seconds"] = 0.123
    return {
        "empty": "",
        "truncated": text[: len(text) // 2],
        "garbage": "\0\xff{",
        "a number": "1",
        "a list": "[]",
        "deeper than Python's stack": "[" * 100_000,
        "without digest": json.dumps({"result": kept["result"]}),
        "with a digest that is no text": json.dumps({**kept, "digest": None}),
        "forged": json.dumps(forged),
        "another result": json.dumps({**kept, "result": {}}),
    }


@pytest.mark.parametrize("damage", damages('{"digest": "", "result": {}}'))
def test_a_damaged_file_is_as_good_as_none(proved: Path, damage: str) -> None:
    for file in (proved / ".poolproof").iterdir():
        file.write_text(damages(file.read_text())[damage])
    assert prove(proved)[0] == 0
    status, results = prove(proved)
    assert (status, cached(results)) == (0, {True})  # it was written anew


def test_a_result_under_the_key_of_another_is_not_taken(proved: Path) -> None:
    one, other = (proved / ".poolproof").iterdir()
    one_text, other_text = one.read_text(), other.read_text()
    one.write_text(other_text)
    other.write_text(one_text)
    status, results = prove(proved)
    assert (status, cached(results)) == (0, {False})
    assert {result["theory"] for result in results} == {"Z", "u32"}


def test_a_folder_that_cannot_be_written_costs_time_only(proved: Path) -> None:
    for file in (proved / ".poolproof").iterdir():
        file.unlink()
    (proved / ".poolproof").rmdir()
    (proved / ".poolproof").write_text("a file")
    for _ in range(2):
        status, results = prove(proved)
        assert (status, cached(results)) == (0, {False})


def test_a_solver_that_gave_up_is_asked_again(tmp_path: Path) -> None:
    copy_to(tmp_path)
    for _ in range(2):
        status, results = prove(tmp_path, NAME, "--limit", "50")
        assert (status, cached(results)) == (2, {False})
    assert not (tmp_path / ".poolproof").exists()


def test_modules_that_were_loaded_otherwise_have_no_key(monkeypatch: Any) -> None:
    monkeypatch.delitem(sources.loaded, "proofs.layout", raising=False)
    assert cache.key_of(OBLIGATIONS[NAME], Settings()) is None
    assert cache.find(None, OBLIGATIONS[NAME]) is None


def test_what_a_module_imports_is_found_anywhere_in_it() -> None:
    text = b"import a.b\ndef f():\n    from c import d\n    class E:\n        import g as h"
    assert set(sources.imports(text, "impl")) == {"a", "a.b", "c", "c.d", "g"}


def test_a_relative_import_starts_from_the_package() -> None:
    text = b"from . import a\nfrom .b import c\nfrom ..model import d"
    assert set(sources.imports(text, "impl.deep")) >= {"impl.deep.a", "impl.deep.b", "impl.deep.b.c", "impl.model.d"}
    assert [sources.package_of(name) for name in ("impl", "impl.layout")] == ["impl", "impl"]


def test_a_change_of_what_is_imported_relatively_is_proved_anew(proved: Path) -> None:
    (proved / "impl/helper.py").write_text("FAR = 0\n")
    change(proved / "impl/layout.py", "from impl.words import", "from .helper import FAR\nfrom impl.words import")
    change(proved / "impl/layout.py", "Cursor(0, unsigned_int(", "Cursor(FAR, unsigned_int(")
    assert cached(prove(proved, "layout_stays_between_boundaries/series/Z")[1]) == {False}
    assert cached(prove(proved, "layout_stays_between_boundaries/series/Z")[1]) == {True}
    change(proved / "impl/helper.py", "0", "1")
    status, results = prove(proved, "layout_stays_between_boundaries/series/Z")
    assert (status, cached(results)) == (1, {False})


def test_every_obligation_knows_the_module_that_states_it() -> None:
    assert OBLIGATIONS[NAME].module == "proofs.layout"
    for asked in OBLIGATIONS.values():
        assert asked.module.startswith("proofs."), asked.name
        assert asked.module not in ("proofs.engine.obligation", "proofs.catalogue"), asked.name
