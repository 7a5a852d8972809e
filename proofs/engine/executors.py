"""Where proofs run: on this machine's cores, on a Dask cluster, or on any other executor of concurrent.futures."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from multiprocessing import get_context
from typing import Any


class Alone(ProcessPoolExecutor):
    """Each task in a process of its own, so that what a solver does depends on the task only. Each worker forks one for each of
    its tasks: the executor's own `max_tasks_per_child` may hang."""

    def submit(self, task: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        return super().submit(by_itself, task, *arguments, **named)


def by_itself(task: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    with ProcessPoolExecutor(1, get_context("fork")) as one:
        return one.submit(task, *arguments, **named).result()


@contextmanager
def executor(named: str | None, jobs: int, alone_after: Callable[[], Any] | None = None) -> Iterator[Executor]:
    """An executor, for as long as it is needed. Raises whatever stands in its way.

    None is `jobs` processes; or, with `alone_after`, a new one for each task, a copy of one that has done that, and no more.
    `dask` is a Dask cluster of as many here; `dask:ADDRESS` the cluster of a scheduler that runs already; and `MODULE:FUNCTION`
    is whatever that function returns.
    """
    module, _, rest = (named or "").partition(":")
    with ExitStack() as stack:
        if named is None and alone_after is not None:
            context = get_context("forkserver")
            context.set_forkserver_preload(["proofs.catalogue"])
            yield stack.enter_context(Alone(jobs, context, alone_after))
        elif named is None:
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
