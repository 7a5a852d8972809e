"""Nothing turns a changed function into an old verdict, and what has not changed is not proved again."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bugs import copy_to
from command.bugs import run_in as run
from proofs.catalogue import OBLIGATIONS, key_of
from proofs.engine import cache
from proofs.engine.obligation import Settings
from tests.proved import prove_one

NAME = "blocks_are_disjoint/series/Z"
TWO = (NAME, "blocks_are_disjoint/series/u32")  # proved within a second


def prove(folder: Path, *options: str) -> tuple[int, set[bool]]:
    """Exit status of the copy in a folder, and which of its results are cached."""
    status, output = run(folder, "command", "prove", *TWO, "--json", str(folder / "results.json"), *options)
    assert "Traceback" not in output
    return status, {result["cached"] for result in json.loads((folder / "results.json").read_text())}


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_verdict_is_as_old_as_its_sources_and_its_question(tmp_path: Path) -> None:
    copy_to(tmp_path)
    assert prove(tmp_path) == (0, {False})
    assert prove(tmp_path) == (0, {True})
    assert prove(tmp_path, "--fresh") == (0, {False})
    for _ in range(2):
        assert prove(tmp_path, "--limit", "50") == (2, {False})  # a solver that gave up is asked again
    assert prove(tmp_path, "--seed", "7") == (0, {False})
    change(tmp_path / "proofs/tree.py", '"""', '""" ')  # of another proof
    assert prove(tmp_path) == (0, {True})
    change(
        tmp_path / "impl/layout.py", "unsigned_int(cursor.offset + geometry", "unsigned_int(cursor.offset - geometry"
    )
    for _ in range(2):
        assert prove(tmp_path) == (1, {False})  # nor is it kept
    change(
        tmp_path / "impl/layout.py", "unsigned_int(cursor.offset - geometry", "unsigned_int(cursor.offset + geometry"
    )
    assert prove(tmp_path) == (0, {True})
    one, *rest = (tmp_path / ".poolproof/cache").iterdir()
    assert {file.suffix for file in (one, *rest)} == {".json"}
    for file in rest:
        file.write_bytes(one.read_bytes())  # under the key of another
    one.write_text("[")
    assert prove(tmp_path) == (0, {False})


@pytest.mark.parametrize(
    "module", ["impl", "impl.words", "model.claims", "proofs.engine.explore", "proofs.engine.solver", "proofs.layout"]
)
def test_a_result_depends_on_whatever_its_proof_imports(module: str, monkeypatch: Any) -> None:
    before = key_of(OBLIGATIONS[NAME], Settings())
    assert before == key_of(OBLIGATIONS[NAME], Settings())
    honest = cache.read_source
    text, names = honest(module)
    assert text
    monkeypatch.setattr(cache, "read_source", lambda name: (text + "!", names) if name == module else honest(name))
    monkeypatch.setattr(cache, "what_runs", cache.what_runs.__wrapped__)
    assert key_of(OBLIGATIONS[NAME], Settings()) != before


def test_another_python_or_solver_has_another_answer(monkeypatch: Any) -> None:
    monkeypatch.setattr(cache, "what_runs", cache.what_runs.__wrapped__)
    obligation, keys = OBLIGATIONS[NAME], [key_of(OBLIGATIONS[NAME], Settings())]
    keys += [key_of(obligation, Settings(second=True)), key_of(replace(obligation, case="another"), Settings())]
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    keys.append(key_of(obligation, Settings()))
    monkeypatch.setattr(cache, "distributions", lambda name: [SimpleNamespace(version=f"99 of {name}")])
    assert len({*keys, key_of(obligation, Settings())}) == 5


def test_a_refutation_with_the_picture_of_a_page_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what JSON would change is refused, since it would never be found again."""
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    result = prove_one("layout_ends/v6.1/u64/boundary_above_32_bits")
    assert result.counterexample is not None
    assert "page" in result.counterexample
    cache.keep("key", asdict(result))
    assert cache.find("key") == asdict(result)
    with pytest.raises(TypeError, match="a tuple"):
        cache.keep("key", {"blocks": (0, 16)})
