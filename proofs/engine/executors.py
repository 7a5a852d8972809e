"""Where proofs run: on this machine's cores, on a Dask cluster, or on any other executor of concurrent.futures."""

import logging
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module


@contextmanager
def executor(named: str | None, jobs: int) -> Iterator[Executor]:
    """An executor, for as long as it is needed. Raises whatever stands in its way.

    None is `jobs` processes; `dask` a Dask cluster of as many on this machine; `dask:ADDRESS` the cluster of a scheduler
    that runs already; and `MODULE:FUNCTION` is whatever that function returns.
    """
    module, _, rest = (named or "").partition(":")
    with ExitStack() as stack:
        if named is None:
            yield stack.enter_context(ProcessPoolExecutor(jobs))
        elif module == "dask":
            from distributed import Client, LocalCluster  # here, since few want it
            from distributed.comm import resolve_address

            logging.getLogger("distributed").setLevel(logging.CRITICAL)
            options = {"threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0, "silence_logs": 50}
            if rest:  # a client of an address that is none would wait, and complain when it is collected
                resolve_address(rest)
            cluster = rest or stack.enter_context(LocalCluster(n_workers=jobs, **options))
            client = stack.enter_context(Client(cluster, timeout=10, set_as_default=False))
            yield client.get_executor(pure=False)
        else:
            yield stack.enter_context(getattr(import_module(module), rest)())
