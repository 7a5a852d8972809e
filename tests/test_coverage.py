"""Which code of a kernel's file is reached by proofs and by hunts; tried on Linux v6.12."""

from dataclasses import replace
from pathlib import Path

import pytest

from command.main import main
from command.report import Said, write_coverage
from hunt.revisions import kernel_file
from kernel.build import Source, Variant
from kernel.places import lines_run
from kernel.pool import KernelPool
from model.memory import Memory
from proofs.catalogue import catalogue_of
from proofs.engine.obligation import Result, Settings
from proofs.run import Where, prove_named
from report.coverage import annotated, coverage_of, function_at, functions_of, in_text, page
from report.pages import index
from tests.kernels import fetched, needs_a_compiler

needs_a_compiler()


@pytest.fixture(scope="module")
def source() -> Source:
    return fetched("v6.12")


@pytest.fixture(scope="module")
def proved(source: Source) -> Result:
    """About a turn of the loop in pool_initialise_page."""
    (name,) = (name for name in catalogue_of(str(source.tree)) if name.startswith("blocks_are_disjoint/"))
    (result,) = prove_named([name], Settings(), Where(str(source.tree), None, 1, fresh=True), lambda _: None)
    return result


def number_of(source: Source, code: str) -> int:
    """The line of the file that has this code."""
    (number,) = (n for n, line in enumerate(source.file.read_text().splitlines(), 1) if line.strip() == code)
    return number


def test_a_line_is_proved_by_a_proof_that_holds_only(source: Source, proved: Result) -> None:
    line = number_of(source, "pool->nr_blocks++;")
    done = annotated(coverage_of(source, [proved], {}))[line - 1]
    assert (done.reached, done.claims) == ("proved", ("blocks_are_disjoint",))
    for worthless in ({"verdict": "VACUOUS"}, {"verdict": "NOT_FOLLOWED"}, {"undermined": ["layout_ends"]}):
        done = annotated(coverage_of(source, [replace(proved, **worthless)], {}))[line - 1]
        assert (done.reached, done.claims) == ("neither", ())


def test_a_line_is_hunted_if_a_run_has_come_there(source: Source, proved: Result) -> None:
    lines_run(source.file)  # of tests before this one
    for allocs in (1, 2):
        pool = KernelPool.create(source, Variant(optimised=False), "pool", Memory(), 16, 1, 0)
        assert pool is not None
        for vaddr, dma in [pool.alloc() or (0, 0) for _ in range(allocs)]:
            pool.free(vaddr, dma)
        pool.destroy()
    coverage = coverage_of(source, [proved], lines_run(source.file))
    lines = annotated(coverage)

    def at(code: str) -> tuple[str, int]:
        line = lines[number_of(source, code) - 1]
        return line.reached, line.times

    assert at("pool->next_block = block;") == ("hunted", 3)  # of 1 + 2 blocks that were freed
    assert at("pool->nr_blocks++;") == ("proved", 2 * 256)  # in a page of 4 KiB
    said = in_text(coverage)
    assert " of basic blocks are reached by a proof, " in said
    assert "  pool_check_block: line" in said
    html = page(coverage)
    assert html.count("<tr") == len(lines) + 1
    assert "blocks_are_disjoint" in html


def test_a_report_about_a_kernel_has_the_page(
    source: Source, proved: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = kernel_file(str(source.tree))
    line = write_coverage(tmp_path, kernel, Said(results=[proved], lines={number_of(source, "pool->nr_blocks++;"): 7}))
    assert line in capsys.readouterr().out
    assert " of basic blocks are reached by a proof, " in line
    assert "pool-&gt;nr_blocks++;" in (tmp_path / "coverage.html").read_text()
    assert f'<a href="coverage.html">{line}' in index([], [], {}, "", [], coverage=line)
    assert write_coverage(tmp_path, kernel, Said(results=[proved])) == ""  # where no hunt has run
    assert "coverage.html is left out: " in capsys.readouterr().out


def test_coverage_without_addr2line_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or every line would be said not to be hunted."""
    monkeypatch.setenv("PATH", "")
    assert main(["prove", "--coverage", "--kernel", "."]) == 2
    assert "--coverage needs addr2line" in capsys.readouterr().err


def test_a_line_is_of_the_function_whose_code_is_there(source: Source) -> None:
    """Even if another one is there twice, before and behind it; and what a header has inlined is of none."""
    functions = functions_of(source)
    for code, function in (
        ("if ((dma - page->dma) < pool->allocation)", "pool_find_page"),
        ("block->dma = dma;", "pool_block_push"),
    ):
        assert function_at(functions, number_of(source, code)) == function
    assert all(code.startswith("dmapool.c ") for codes in functions.values() for code in codes)
