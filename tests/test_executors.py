"""Any executor gives the same verdicts, and a worker that runs something else gives none."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bugs import copy_to
from command.bugs import run as run_in
from proofs.catalogue import OtherSources, prove_elsewhere, what_runs_here
from proofs.engine.obligation import Settings
from tests.test_cache import NAME, TWO, change
from tests.test_proofs import ROOT, run

NO_DASK = "the Python package distributed is missing; `make test` installs it into .venv"


def verdicts(*options: str) -> dict[str, Any]:
    status, out, err = run(*TWO, "layout_ends", "--fresh", "--json", "-", *options)
    assert (status, err) == (0, "")
    return {result["obligation"]: (result["verdict"], result["inputs"]) for result in json.loads(out)}


def test_a_pool_of_threads_gives_the_same_verdicts() -> None:
    assert verdicts("--executor", "concurrent.futures:ThreadPoolExecutor", "--second") == verdicts("--jobs", "1")


def test_a_dask_cluster_of_ones_own_gives_the_same_verdicts() -> None:
    pytest.importorskip("distributed", reason=NO_DASK)
    assert verdicts("--executor", "dask", "--jobs", "2") == verdicts("--jobs", "1")


@pytest.fixture
def scheduler(monkeypatch: Any) -> Any:
    """The address of a Dask scheduler whose worker has two threads and runs this checkout."""
    distributed = pytest.importorskip("distributed", reason=NO_DASK)
    monkeypatch.syspath_prepend(str(ROOT))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


def test_a_dask_cluster_that_runs_gives_the_same_verdicts(scheduler: str) -> None:
    assert verdicts("--executor", f"dask:{scheduler}") == verdicts("--jobs", "1")


def test_a_worker_with_other_sources_gives_no_verdict(scheduler: str, tmp_path: Path) -> None:
    copy_to(tmp_path)
    change(tmp_path / "impl/pool.py", '"""', '""" ')
    status, output = run_in(tmp_path, "proofs", *TWO, "--executor", f"dask:{scheduler}")
    assert status == 2
    assert re.fullmatch(r"proofs: --executor dask:\S+: a worker runs other sources, .*; start .*\n", output), output
    assert not (tmp_path / ".poolproof").exists()


def test_a_proof_for_other_sources_is_refused() -> None:
    with pytest.raises(OtherSources):
        prove_elsewhere(NAME, Settings(), "other sources")


@pytest.mark.parametrize(
    "named",
    ["nowhere:f", "concurrent.futures:nothing", "os:getcwd", "os", ":", "", "dask:nonsense", "dask:tcp://nowhere:x"],
)
def test_what_is_no_executor_is_one_line(named: str) -> None:
    status, out, err = run("layout_ends", "--executor", named)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith(f"proofs: --executor {named.partition(':')[0]}")


class RefusesWork(ThreadPoolExecutor):
    def submit(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError("nobody\nis there")


class NoFuture(Executor):
    def submit(self, *_: Any, **__: Any) -> Any:
        return 42


class NoResult(Executor):
    """Its futures hold what a function makes of the name of an obligation."""

    def __init__(self, made: Callable[[str], Any]) -> None:
        self.made = made

    def submit(self, _: Any, /, *arguments: Any, **__: Any) -> Any:
        future: Future[Any] = Future()
        future.set_result(self.made(arguments[0]))
        return future


def no_result() -> Executor:
    return NoResult(lambda _: None)


def result_of_another() -> Executor:
    return NoResult(lambda name: prove_elsewhere(TWO[name == TWO[0]], Settings(), what_runs_here()))


class FailsAtTheEnd(ThreadPoolExecutor):
    def __exit__(self, *_: Any) -> Any:
        super().__exit__(*_)
        raise OSError("the connection is gone")


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("RefusesWork", "ConnectionError: nobody is there"),
        ("NoFuture", "AttributeError: "),
        ("no_result", "TypeError: a result of "),
        ("result_of_another", "TypeError: a result of "),
        ("FailsAtTheEnd", "OSError: the connection is gone"),
    ],
)
def test_an_executor_that_fails_is_one_line(named: str, told: str) -> None:
    status, out, err = run(*TWO, "--fresh", "--executor", f"tests.test_executors:{named}")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"proofs: --executor tests.test_executors:{named}: {told}")


def test_missing_dask_is_one_line() -> None:
    hide = "import sys, runpy; sys.modules['distributed'] = None; sys.argv[1:] = ['layout_ends', '--executor', 'dask']"
    code = f"{hide}; runpy.run_module('proofs', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "proofs: --executor dask: the Python package 'distributed' is missing; `make prove` installs it into .venv\n"
    )
