"""A real kernel as a target: what the shim says is what User Mode Linux does, with the same traces, messages and faults."""

import fcntl
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bugs import BUGS
from command.real import seconds_to_boot
from hunt.compare import compare, draw
from hunt.confirm import where_it_builds
from hunt.revisions import REVISIONS
from kernel.build import Source, find
from kernel.compiler import BuildError
from kernel.fetch import FULL, is_full
from kernel.once import ROOT
from kernel.promises import revision_of
from kernel.real.build import alone, full_tree, is_built, lay_over, real_kernel
from kernel.real.kunit import run_kunit
from kernel.worker import WORKERS, Worker, stop_workers
from model.bad_input import BadInput
from model.checks import BrokenClaim
from model.claims import CLAIMS
from model.lockstep import replay
from model.trace import Alloc, Create, Destroy, Free, Kernel, Trace, loads
from report.kunit import kunit_test
from report.scene import scene_of
from report.suite import kunit_suite
from tests.kernels import changed, fetched, needs_a_compiler

needs_a_compiler()

VERSIONS = [("v6.1", "v6.1"), ("v6.12", "v6.12"), ("v7.2", "v6.12")]
"""That are run, and the revision that each is like."""

TRACES = sorted((Path(__file__).parent / "traces").glob("*.json"))


def real(version: str) -> Source:
    """A fetched kernel's source, in a kernel that was built before; the test is skipped if there is none."""
    if not is_full(FULL / version):
        pytest.skip(f"needs a full tree of {version}: run `make kernels FULL=1`")
    source = replace(find(FULL / version), real=True)
    if not is_built(source):
        pytest.skip(f"needs the kernel built: run `make real KERNEL={FULL / version}`")
    return source


def outcome(trace: Trace, source: Source, version: str) -> str:
    """The claim that a run breaks; "" if it breaks none."""
    try:
        replay(trace, revision_of(source, REVISIONS[version].promises))
    except BrokenClaim as broken:
        return broken.claim.name
    return ""


def ends_of(source: Source, like: str) -> tuple[dict[str, str], set[str]]:
    """How each trace ends, and those that end the process that runs them."""
    ends, ended = dict[str, str](), set[str]()
    for file in TRACES:
        ends[file.stem] = outcome(loads(file.read_text()), source, like)
        if WORKERS[-1].process is None:
            ended.add(file.stem)
    return ends, ended


@pytest.mark.parametrize(("version", "like"), VERSIONS)
def test_every_trace_ends_as_in_the_shim_in_one_boot(version: str, like: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that a trace has ended is booted anew, and no other: where the shim's process ends as well."""
    source = real(version)
    stop_workers()
    start, booted = Worker.start, list[Worker]()

    def counted(worker: Worker) -> None:
        booted.extend([worker] * (worker.process is None))
        start(worker)

    monkeypatch.setattr(Worker, "start", counted)
    ends, ended = ends_of(source, like)
    assert len(booted) <= 1 + len(ended)
    assert (ends, ended) == ends_of(replace(source, real=False), like)
    mine = {file.stem: loads(file.read_text()).claim for file in TRACES if file.stem.startswith(f"{like}-")}
    assert mine == {name: ends[name] for name in mine}


@pytest.mark.parametrize("version", [version for version, _ in VERSIONS])
def test_the_shim_does_what_the_kernel_does(version: str) -> None:
    source = real(version)
    shim = replace(source, real=False)
    done = compare(shim, source, draw([shim], seed=1, runs=20, edges=False), of_kasan=False)
    assert done.steps > 1_000
    assert not done.smallest


REDESIGNS = tomllib.loads((Path(__file__).parent / "redesigns.toml").read_text())["real"]


@pytest.mark.parametrize(("number", "uses"), [(0, "mempool_alloc"), (1, "device_add_groups"), (2, "cancel_work_sync")])
def test_what_the_shim_does_not_model_is_run_in_a_real_kernel(tmp_path: Path, number: int, uses: str) -> None:
    real("v6.12")
    source, why = where_it_builds(changed("v6.12", tmp_path, *REDESIGNS[number]["text"]))
    assert source.real
    assert re.match(rf"it uses {uses}\w*, which is not modelled, in \w+ \(dmapool\.c:\d+\)$", why)
    steps = Create(64), Alloc("a"), Alloc("b"), Free("a"), Free("b"), Destroy()
    replay(Trace(steps), revision_of(source, REVISIONS["v6.12"].promises))


# What is wrong with a file is said with the kernel's own words.


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("offset + pool->size <= pool->allocation", "offset <= pool->allocation", "BUG: KASAN: slab-out-of-bounds in"),
        (
            "spin_unlock_irqrestore(&pool->lock, flags);\n\n\t\tpage",
            "page",
            "BUG: sleeping function called from invalid",
        ),
    ],
)
def test_a_fault_is_told_in_the_kernels_own_words(tmp_path: Path, before: str, after: str, words: str) -> None:
    real("v6.12")
    source = replace(changed("v6.12", tmp_path, before, after), real=True)
    run = Trace((Create(32), Alloc("a")), Kernel(page_size=64))
    scene = scene_of(run, revision_of(source, REVISIONS["v6.12"].promises))
    assert scene.broken is not None
    assert words in scene.broken.happened
    assert re.search(r", in pool_\w+ \(dmapool\.c:\d+\)$", scene.broken.happened)
    assert any("Call Trace:" in line for line in scene.messages)


# What cannot be built is said in one line.


def test_a_file_that_does_not_compile_is_named_with_the_first_error(tmp_path: Path) -> None:
    source = real("v6.12")
    (tmp_path / "dmapool.c").write_text(source.file.read_text() + "\nint wrong = nothing;\n")
    with pytest.raises(
        BuildError, match=r"the kernel does not build: \S+/dmapool\.c:\d+:\d+: error: .nothing. undecl"
    ) as bad:
        real_kernel(replace(source, file=tmp_path / "dmapool.c"))
    assert str(tmp_path) in str(bad.value)


def test_a_file_may_export_more_and_what_nobody_defines_is_named(tmp_path: Path) -> None:
    exported = (
        "size_t dma_pool_more(void);\nsize_t dma_pool_more(void)\n{\n\treturn 1;\n}\nEXPORT_SYMBOL(dma_pool_more);\n"
    )
    source = real("v6.12")
    more = replace(source, file=tmp_path / "dmapool.c")
    more.file.write_text(source.file.read_text() + exported)
    run = Trace((Create(64), Alloc("a"), Destroy()))
    replay(run, revision_of(more, REVISIONS["v6.12"].promises))
    more.file.write_text(
        more.file.read_text()
        .replace("return 1", "return dma_pool_less()")
        .replace("(void);", "(void), dma_pool_less(void);", 1)
    )
    with pytest.raises(BuildError, match=r"the kernel does not build: .* undefined reference to `dma_pool_less'"):
        replay(run, revision_of(more, REVISIONS["v6.12"].promises))


@pytest.mark.parametrize("boots", ["exec sleep 600", "while :; do :; done"])
def test_a_boot_that_hangs_is_ended(boots: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it waits, or takes a processor."""
    program = tmp_path / "linux"
    program.write_text(f"#!/bin/sh\n{boots}\n")
    program.chmod(0o755)
    monkeypatch.setattr("kernel.pool.real_kernel", lambda _: program)
    monkeypatch.setattr("kernel.worker.SECONDS", 1)
    with pytest.raises(BadInput, match="the kernel boots, and runs no pool: no answer within 1 seconds"):
        seconds_to_boot(replace(fetched("v6.12"), file=program, real=True))


def test_a_tree_that_is_not_full_is_no_kernel(tmp_path: Path) -> None:
    source = fetched("v6.12")
    laid = tmp_path / "v0"
    laid.mkdir()
    for name in ("include", "lib", "mm"):
        (laid / name).mkdir()
        for one in ((source.tree or tmp_path) / name).iterdir():
            (laid / name / one.name).symlink_to(one)
    with pytest.raises(BuildError, match=r"a full tree is needed to build a kernel; .*kernels"):
        full_tree(find(laid))


def test_a_tree_that_was_built_in_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mm").mkdir()
    (tmp_path / ".config").touch()
    with pytest.raises(
        BuildError, match=r"was built in place, which hinders any other build: run `make mrproper` there"
    ):
        lay_over(tmp_path, tmp_path / "overlay")


def test_a_tree_before_6_1_is_refused(tmp_path: Path) -> None:
    """As is one that says no version."""
    for name in (
        "Kconfig",
        "include/linux/kernel.h",
        "lib/string.c",
        "arch/um/Makefile",
        "mm/Makefile",
        "mm/dmapool.c",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for text, words in (("VERSION = 5\nPATCHLEVEL = 10\n", "5.10"), ("", "of no version")):
        (tmp_path / "Makefile").write_text(text)
        with pytest.raises(BuildError, match=f"is Linux {words}: User Mode Linux has KASAN from 6.1 on"):
            full_tree(Source(tmp_path / "mm" / "dmapool.c", tmp_path))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(BuildError, match="folder: Not a directory; kernels are built in"),
        alone(tmp_path / "file" / "folder"),
    ):
        pass


def test_what_makes_lasts_no_longer_than_who_asked_for_it(tmp_path: Path) -> None:
    """Or two would make the same at once: the lock is held by both."""
    asks = (
        "import signal, sys; from pathlib import Path; from kernel.real import build; from kernel.build import Source\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has a job in the background ignore it\n"
        "with build.alone(Path(sys.argv[1])):\n"
        "    build.run(['sh', '-c', 'echo \"  CC x\"; exec sleep 600'], Source(Path('x'), None), *[Path('x')] * 2, print)"
    )
    asking = subprocess.Popen([sys.executable, "-c", asks, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert asking.stdout is not None
    assert asking.stdout.readline() == "0 files: x\n"
    with (tmp_path / "lock").open("w") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        asking.send_signal(signal.SIGINT)
        asking.wait()
        fcntl.flock(lock, fcntl.LOCK_EX)


# What is promised, and traces, as KUnit tests.


def in_the_kernels_style(tests: dict[str, str], folder: Path) -> None:
    """Its own script says nothing about the C."""
    for name, text in tests.items():
        assert max(len(line.expandtabs(8)) for line in text.splitlines()) <= 80
        assert str(ROOT) not in text
        (folder / f"{re.sub('[^a-z0-9]', '_', name)}.c").write_text(text)
    checkpatch = FULL / "v6.12" / "scripts" / "checkpatch.pl"
    if not checkpatch.is_file() or shutil.which("perl") is None:
        pytest.skip("needs perl, and a full tree of v6.12: run `make kernels FULL=1`")
    command = ["perl", str(checkpatch), "--no-tree", "--strict", "-f", *map(str, folder.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.count("total: 0 errors, 0 warnings, 0 checks") == len(tests)


def test_a_trace_is_a_kunit_test_in_the_kernels_style(tmp_path: Path) -> None:
    tests = {}
    for file in TRACES:
        trace = loads(file.read_text())
        with suppress(BadInput):  # of debug builds, and of mistakes that drivers make
            tests[file.stem] = kunit_test(trace, str(trace.claim))
    assert len(tests) >= 13
    assert all(text.count("KUNIT_CASE(") == 1 for text in tests.values())
    in_the_kernels_style(tests, tmp_path)


def test_the_suite_has_a_case_for_each_of_many_claims(tmp_path: Path) -> None:
    text = kunit_suite()
    cases = re.findall(r"KUNIT_CASE(?:_PARAM)?\((\w+)", text)
    assert len(cases) == len(set(cases)) >= 21
    assert {*cases} <= {*CLAIMS}
    assert len(text.splitlines()) < 600
    in_the_kernels_style({"dmapool_kunit": text}, tmp_path)


def cases_that_fail(source: Source, *, debug: bool = False) -> set[str]:
    """Of the suite, in a kernel with the source's file."""
    passes, said = run_kunit(source, kunit_suite(), debug=debug)
    failing = set(re.findall(r"# (\w+): (?:ASSERTION|EXPECTATION) FAILED", "\n".join(said)))
    assert passes is not bool(failing)
    return failing


def test_the_suite_fails_where_a_kernel_is_wrong(tmp_path: Path) -> None:
    v6_12 = real("v6.12")
    assert cases_that_fail(v6_12) == cases_that_fail(v6_12, debug=True) == set()
    planted = replace(v6_12, file=tmp_path / "dmapool.c")
    planted.file.write_text(BUGS["v6.12/blocks_descend"].text())
    assert cases_that_fail(planted) == {"fresh_blocks_ascend"}
    planted.file.write_text(BUGS["v6.12/double_free_below_40_blocks"].text())
    assert cases_that_fail(planted, debug=True) == {"double_free_is_refused"}


def test_the_suite_finds_the_faults_of_6_1() -> None:
    """Sizes above INT_MAX, boundaries above a page, blocks that end at a boundary, and the total in the file pools."""
    assert cases_that_fail(real("v6.1")) == {
        "failed_create_leaves_nothing_behind",
        "block_lies_inside_its_page",
        "no_block_crosses_a_boundary",
        "blocks_are_disjoint",
        "no_room_is_wasted",
        "total_counts_the_blocks",
        "live_block_is_left_alone",
        "allocated_block_is_filled",
    }
