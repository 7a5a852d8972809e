"""Loads the Hypothesis profile before any test runs, says which one and from which seed, and orders or shuffles the tests."""

import fcntl
import os
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from hunt import profiles

if TYPE_CHECKING:
    from tests.proved import Proved
    from tests.running import Command


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run the files, and the tests in each, in any order")
    parser.addoption("--thorough", action="store_true", help="run more of the same as well: what is marked `thorough`")


def pytest_configure() -> None:
    # A test that calls make is not run by the make that runs the tests: neither its flags nor its depth are inherited.
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        os.environ.pop(name, None)
    try:
        profiles.register()
    except profiles.UnavailableError as unavailable:
        raise pytest.UsageError(str(unavailable)) from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Past counterexamples first: what was broken once breaks again before anything else. Or any order, by a seed. Without
    --thorough, what is marked so is left out.

    A test that draws is seeded by itself: Hypothesis' option for all tests would take their databases away.
    """
    if not settings().derandomize:
        for item in items:
            if isinstance(item, pytest.Function) and hasattr(item.function, "hypothesis"):
                item.function._hypothesis_internal_use_seed = profiles.seed()
    if not config.getoption("--thorough"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("thorough")])
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    seed = config.getoption("--shuffle")
    if seed is None:
        items.sort(key=lambda item: "past_counterexample" not in item.name)
        return
    random = Random(seed)
    random.shuffle(items)
    files = sorted({item.path for item in items})
    random.shuffle(files)
    items.sort(key=lambda item: files.index(item.path))


def pytest_report_header(config: pytest.Config) -> str:
    drawn = "the same inputs every time" if settings().derandomize else f"inputs of seed {profiles.seed()}"
    more = "" if config.getoption("--thorough") else "; more tests of the same kind: make test ARGS=--thorough"
    return f"hypothesis profile {profiles.name()}: {drawn}{more}"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> "Command":
    """Runs the command line in this process, which costs no second start of Python and of the solver."""
    from command.main import main
    from tests.running import Ran

    def run(*arguments: object) -> Ran:
        status = main([str(argument) for argument in arguments])
        return Ran(status, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def proved(tmp_path_factory: pytest.TempPathFactory) -> "Proved":
    """Every result of the catalogue. The first worker that needs them has all processors prove, and the others wait for it."""
    from tests.proved import prove_all  # here, since it loads the solver, which few test files need

    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent
    with (folder / "proved.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return prove_all(folder)
