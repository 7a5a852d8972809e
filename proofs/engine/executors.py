"""Where proofs run: on this machine's cores, on a Dask cluster, or on any other executor of concurrent.futures."""

import logging
import re
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any


class BadExecutor(Exception):
    """There is no such executor; says in one line what to do."""


@contextmanager
def executor(named: str | None, jobs: int) -> Iterator[Executor]:
    """An executor, for as long as it is needed. Raises BadExecutor.

    None is `jobs` processes; `dask` a Dask cluster of as many on this machine; `dask:ADDRESS` the cluster of a scheduler
    that runs already; and `MODULE:FUNCTION` is whatever that function returns.
    """
    if named is None:
        with ProcessPoolExecutor(jobs) as processes:
            yield processes
    elif named.partition(":")[0] == "dask":
        with dask(named.partition(":")[2], jobs) as cluster:
            yield cluster
    else:
        with returned_by(named) as any_other:
            yield any_other


def returned_by(named: str) -> Executor:
    module, _, function = named.partition(":")
    if not module or not function:
        raise BadExecutor(f"--executor {named}: MODULE:FUNCTION is needed, or dask, or dask:ADDRESS")
    try:
        made = getattr(import_module(module), function)()
    except Exception as failure:  # of whatever the module does
        raise BadExecutor(f"--executor {named}: {in_one_line(failure)}") from failure
    if not isinstance(made, Executor):
        raise BadExecutor(f"--executor {named}: a concurrent.futures.Executor is needed, not {type(made).__name__}")
    return made


@contextmanager
def dask(address: str, jobs: int) -> Iterator[Executor]:
    """A Dask cluster: the one at an address, or one of `jobs` processes with a thread each."""
    if address and not re.fullmatch(r"[a-z]+://[^\s:]+:\d+", address):
        raise BadExecutor(f"--executor dask:{address}: an address such as tcp://host:8786 is needed")
    try:
        from distributed import Client, LocalCluster  # here, since few want it
    except ModuleNotFoundError as missing:
        raise BadExecutor(
            f"--executor dask: the Python package {missing.name!r} is missing; `make prove` installs it into .venv"
        ) from missing
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    cluster: Any = None
    try:
        if not address:
            cluster = LocalCluster(
                n_workers=jobs,
                threads_per_worker=1,
                dashboard_address=":0",
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )
        client = Client(address or cluster, timeout=10, set_as_default=False)
    except Exception as failure:  # of whatever the network does
        if cluster is not None:
            cluster.close()
        raise BadExecutor(f"--executor dask:{address}: {in_one_line(failure)}") from failure
    try:
        yield client.get_executor(pure=False)
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


def in_one_line(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {' '.join(str(failure).split())}"
