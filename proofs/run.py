"""Proofs of many obligations: those that no earlier run has proved, each body once, on an executor."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, as_completed
from dataclasses import asdict, dataclass, replace
from typing import Any

from model.bad_input import BadInput
from proofs.catalogue import OtherSources, catalogue_of, digest_of_kernel, key_of, prove_elsewhere, what_runs_here
from proofs.engine import cache
from proofs.engine.budgets import budgets
from proofs.engine.executors import executor
from proofs.engine.obligation import Result, Settings
from proofs.engine.resting import with_what_undermines

Task = tuple[str, Settings]
"""An obligation's name, and how to prove it."""

Progress = Callable[[str], None]
"""Receives how far the proofs are, and "" at the end."""


@dataclass(frozen=True)
class Where:
    """What is proved, and by whom: a kernel's file or impl/; an executor or `jobs` processes; anew, or with what is cached."""

    kernel: str | None
    executor: str | None
    jobs: int
    fresh: bool = False


def prove_named(
    names: list[str], settings: Settings, where: Where, progress: Progress, seeds: int | None = None
) -> list[Result]:
    """Prove these obligations and, after them, the lemmas that they rest on, and say which proofs rest on what is not proved;
    with `seeds`, prove those that are not linear with the solver's seeds 0 to `seeds` - 1 as well. Raises BadInput for an
    executor that is none, or that fails."""
    catalogue = catalogue_of(where.kernel)
    results: list[Result] = []
    wanted, begun = names, set(names)
    while wanted:
        results += prove_all([(name, settings) for name in wanted], where, progress)
        lemmas = {lemma for result in results for lemma in result.lemmas}
        wanted = [one.name for one in catalogue.values() if one.label in lemmas and one.name not in begun]
        begun.update(wanted)
    if seeds is not None:
        results = with_seeds(results, settings, seeds, where, progress)
    return with_what_undermines(results, {obligation.label for obligation in catalogue.values()})


def prove_all(tasks: list[Task], where: Where, progress: Progress) -> list[Result]:
    """Prove what no earlier run has proved; the results in order. Raises BadInput as `prove_named` does."""
    catalogue = catalogue_of(where.kernel)
    compiled_from = None if where.kernel is None else digest_of_kernel(where.kernel)
    keys = {(name, settings): key_of(catalogue[name], settings, compiled_from) for name, settings in tasks}
    kept = {} if where.fresh else {task: cache.find(key) for task, key in keys.items()}
    results = {task: replace(Result(**fields), cached=True) for task, fields in kept.items() if fields is not None}
    bodies: dict[tuple[Any, ...], list[Task]] = {}
    for task in tasks:
        if task not in results:
            obligation = catalogue[task[0]]
            bodies.setdefault((obligation.body, obligation.theory, task[1]), []).append(task)
    try:
        for found in prove_bodies([*bodies.values()], where):
            for task, result in found.items():
                results[task] = result
                if result.may_be_kept:
                    with contextlib.suppress(OSError):  # a folder that can't be written costs time, and nothing else
                        cache.keep(keys[task], asdict(result))
                progress(f"{len(results)} of {len(tasks)} proofs: {task[0][:70]}")
    except (OtherSources, BrokenExecutor) as failure:
        what = "a worker has died; try fewer --jobs"
        if isinstance(failure, OtherSources):
            what = "a worker runs other sources, another Python or other solvers than this; start the workers anew, from here"
        raise BadInput(f"--executor {where.executor}: {what}" if where.executor is not None else what) from failure
    except Exception as failure:
        if where.executor is None or getattr(failure, "name", "") == "distributed":
            raise  # it was the code of this checkout, or Dask is not installed
        raise BadInput(f"--executor {where.executor}: {type(failure).__name__}: {failure}") from failure
    progress("")
    # A budget is about a solver that begins anew for each body, with the names and the order that the proof has.
    kept_to = budgets() if where.executor is None and where.kernel is None else {}
    return [replace(results[task], budget=kept_to.get(task[0], 0) * (task[1].seed == 0)) for task in tasks]


def prove_bodies(bodies: list[list[Task]], where: Where) -> Iterator[dict[Task, Result]]:
    """Explore each body once, for all of its claims that are wanted. Raises whatever the executor raises."""
    if not bodies:
        return
    here = what_runs_here(where.kernel)
    with executor(
        where.executor, max(1, min(where.jobs, len(bodies))), what_runs_here if where.kernel is None else None
    ) as workers:
        running: dict[Future[list[Result]], list[Task]] = {}
        try:
            for body in bodies:
                names = [name for name, _ in body]
                running[workers.submit(prove_elsewhere, names, body[0][1], where.kernel, here)] = body
            for future in as_completed(running):
                body, found = running[future], future.result()
                if not isinstance(found, list) or [one.obligation for one in found] != [name for name, _ in body]:
                    raise TypeError(f"results of {body[0][0]} are needed, not {type(found).__name__}")
                yield dict(zip(body, found, strict=True))
        finally:
            for future in running:
                future.cancel()


def with_seeds(results: list[Result], settings: Settings, seeds: int, where: Where, progress: Progress) -> list[Result]:
    """The results, of which those that are not linear have the verdicts of the other seeds. Raises BadInput."""
    others = [replace(settings, seed=n, second=False, smt2=False) for n in range(seeds) if n != settings.seed]
    tasks = [(result.obligation, other) for result in results if result.non_linear for other in others]
    verdicts: dict[str, dict[str, str]] = {}
    for (name, other), result in zip(tasks, prove_all(tasks, where, progress), strict=True):
        verdicts.setdefault(name, {})[str(other.seed)] = result.verdict
    return [replace(result, seeds=verdicts.get(result.obligation, {})) for result in results]
