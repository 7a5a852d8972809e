"""Any executor gives the same verdicts, and a worker that runs something else gives none."""

from concurrent.futures import Executor, Future
from typing import Any

import pytest

from proofs.catalogue import OtherSources, prove_elsewhere
from proofs.engine.obligation import Settings
from tests.running import Command
from tests.test_cache import NAME, TWO


@pytest.mark.parametrize("named", ["concurrent.futures:ThreadPoolExecutor", "dask"])
def test_any_executor_gives_the_same_verdicts(named: str, command: Command) -> None:
    if named == "dask":
        pytest.importorskip("distributed", reason="the Python package distributed is missing: run `make setup`")
    ran = command("prove", *TWO, "--fresh", "--jobs", 2, "--executor", named)
    assert (ran.status, "0 not as expected" in ran.out) == (0, True)


def test_a_proof_for_other_sources_is_refused() -> None:
    with pytest.raises(OtherSources):
        prove_elsewhere([NAME], Settings(), None, "other sources")


class NoResult(Executor):
    def submit(self, *_: Any, **__: Any) -> Any:
        future: Future[Any] = Future()
        future.set_result(None)
        return future
