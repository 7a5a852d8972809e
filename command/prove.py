"""`python -m command prove`: prove the catalogue, or what is named.

Exit status: 0 if every verdict is the expected one; 1 if a verdict is not, or if a proof rests on what is not proved, or on
itself; 2 for bad input, a missing solver, or a solver that gave up.
"""

import argparse
import contextlib
import difflib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, as_completed
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NoReturn

from model.claims import CLAIMS

try:
    from command.output import Unwritable, put, put_json, put_traces, show_progress, try_out
    from kernel.build import BuildError, find
    from proofs.catalogue import (
        OBLIGATIONS,
        Catalogue,
        OtherSources,
        catalogue_of,
        key_of,
        prove_elsewhere,
        what_runs_here,
    )
    from proofs.engine import cache
    from proofs.engine.executors import executor
    from proofs.engine.obligation import Result, Settings
    from proofs.engine.resting import circle, with_what_undermines
    from proofs.engine.solver import DEFAULT_LIMIT
except ModuleNotFoundError as missing:
    print(
        f"proofs: the Python package {missing.name!r} is missing; `make prove` installs it into .venv", file=sys.stderr
    )
    sys.exit(2)


def main(arguments: list[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m command prove", description="Prove what a DMA pool promises.")
    parser.add_argument("names", nargs="*", metavar="CLAIM", help="a claim, or one of its obligations; default: all")
    parser.add_argument("--json", metavar="FILE", help="write every result as JSON; - for standard output")
    parser.add_argument("--traces", metavar="FOLDER", help="write the trace of every refutation that has one")
    parser.add_argument("--smt2", metavar="FOLDER", help="write every proof and every refutation as SMT-LIB 2")
    parser.add_argument("--second", action="store_true", help="have every proof checked again, by bitwuzla or cvc5")
    parser.add_argument(
        "--jobs",
        type=positive,
        default=os.cpu_count() or 1,
        help="processes (default: one per core)",
    )
    parser.add_argument(
        "--executor",
        metavar="WHERE",
        help="dask: a local cluster of --jobs workers; dask:ADDRESS: a scheduler's workers; MODULE:FUNCTION: what that "
        "returns, a concurrent.futures.Executor (default: --jobs processes)",
    )
    parser.add_argument("--seed", type=natural, default=0, help="the solver's random seed (default: 0)")
    parser.add_argument(
        "--seeds", type=positive, metavar="N", help="prove what is not linear with the seeds 0 to N-1 as well"
    )
    parser.add_argument(
        "--limit", type=positive, default=DEFAULT_LIMIT, help="solver steps per query (default: %(default)s)"
    )
    parser.add_argument(
        "--kernel", metavar="PATH", help="prove of a kernel tree's mm/dmapool.c, or of a single file, instead of impl/"
    )
    parser.add_argument("--promises", metavar="REVISION", help=argparse.SUPPRESS)
    parser.add_argument("--fresh", action="store_true", help="prove anew what earlier runs have proved")
    options = parser.parse_args(arguments)

    if options.promises is not None:
        fail(
            "--promises is for the hunt: what is proved of a kernel's file is what it promises by its features; leave it out"
        )
    catalogue = load(options.kernel)
    if options.kernel is None:
        return run(options, catalogue)
    to_read = sys.stderr if options.json == "-" else sys.stdout
    print(find(options.kernel), file=to_read, flush=True)
    status = run(options, catalogue)
    print(f"\n{find(options.kernel)}", file=to_read)
    return status


def run(options: argparse.Namespace, catalogue: Catalogue) -> int:
    """Prove what is named, and print and write the results; returns the exit status."""
    names = select(options.names, catalogue)
    try:
        try_out(options.json, options.traces, options.smt2)
    except Unwritable as unwritable:
        fail(str(unwritable))

    if options.second:
        try:
            import proofs.engine.second  # noqa: F401
        except ModuleNotFoundError as missing:
            fail(f"the Python package {missing.name!r} is missing; `make prove` installs it into .venv")

    started = time.perf_counter()
    settings = Settings(options.seed, options.limit, options.second, options.smt2 is not None)
    try:
        where = Where(options.kernel, options.executor, options.jobs, options.fresh)
        results = prove_all([(name, settings) for name in names], where)
        if options.seeds is not None:
            results = with_seeds(results, settings, options.seeds, where)
    except BadExecutor as bad:
        fail(str(bad))
    results = with_what_undermines(results, {obligation.label for obligation in catalogue.values()})
    seconds = time.perf_counter() - started
    print(as_json(results) if options.json == "-" else as_text(results, seconds))
    try:
        put_json(options.json, as_json(results))
        put_traces(options.traces, {result.short_name: result.counterexample for result in results})
        if options.smt2 is not None:
            write_smt2(results, Path(options.smt2))
    except Unwritable as unwritable:
        fail(str(unwritable))
    if options.json != "-" and not all(result.as_expected for result in results):
        from report.runs import show, surprises
        from report.verdicts import read_prover  # here, since it is for those who want to look

        show(surprises(read_prover(as_json(results))))

    if way := circle(results):
        print(f"proofs: a proof rests on itself, so that it proves nothing: {' rests on '.join(way)}", file=sys.stderr)
        return 1
    gave_up = [result for result in results if result.verdict == "UNKNOWN"]
    if any(not result.as_expected for result in results if result not in gave_up and not result.undermined):
        return 1
    if not all(result.steady for result in results):
        return 1
    in_doubt = [result for result in results if not result.agreed]
    if any(result.second["disagreed"] for result in in_doubt if result.second is not None):
        return 1
    if gave_up:
        first = gave_up[0]
        fail(
            f"{len(gave_up)} obligations are UNKNOWN, the first {first.obligation} ({first.why}); try a higher --limit"
        )
    if in_doubt:
        first = in_doubt[0]
        fail(f"{len(in_doubt)} proofs have no second opinion, the first {first.obligation}; see its line")
    return 1 if any(result.undermined for result in results) else 0


def load(kernel: str | None) -> Catalogue:
    """The obligations about impl/, or about a kernel's own file."""
    try:
        return catalogue_of(kernel)
    except BuildError as error:
        fail(str(error))
    except NotImplementedError as unknown:
        print(f"proofs: {kernel}: cannot follow the code: {unknown}", file=sys.stderr)
        raise SystemExit(1) from unknown


def select(names: Iterable[str], catalogue: Catalogue = OBLIGATIONS) -> list[str]:
    """The obligations that are named by claim or in full; all of them if nothing is named."""
    chosen: list[str] = []
    for name in names:
        found = [o.name for o in catalogue.values() if name in (o.name, o.claim.name)]
        if not found and name in CLAIMS:
            fail(f"{name} has no obligation; it is hunted by the state machine: make test")
        if not found:
            near = difflib.get_close_matches(name, [*catalogue, *CLAIMS], n=1)
            fail(f"there is no claim {name!r}; {f'did you mean {near[0]!r}?' if near else 'docs/claims.md lists them'}")
        chosen += [name for name in found if name not in chosen]
    return chosen or list(catalogue)


class BadExecutor(Exception):
    """An executor that is none, or that has failed; says in one line what to do."""


@dataclass(frozen=True)
class Where:
    """What is proved, and by whom: a kernel's file or impl/; an executor or `jobs` processes; anew, or with what is cached."""

    kernel: str | None
    executor: str | None
    jobs: int
    fresh: bool


Task = tuple[str, Settings]
"""An obligation's name, and how to prove it."""


def prove_all(tasks: list[Task], where: Where) -> list[Result]:
    """Prove what no earlier run has proved, with progress on a terminal; the results in order.

    Raises BadExecutor if the executor that `where` names is none, or fails.
    """
    catalogue = catalogue_of(where.kernel)
    keys = {(name, settings): key_of(catalogue[name], settings, where.kernel) for name, settings in tasks}
    kept = {} if where.fresh else {task: cache.find(key) for task, key in keys.items()}
    results = {task: replace(Result(**fields), cached=True) for task, fields in kept.items() if fields is not None}
    bodies: dict[tuple[Any, ...], list[Task]] = {}
    for task in tasks:
        if task not in results:
            asked = catalogue[task[0]]
            bodies.setdefault((asked.body, asked.theory, task[1]), []).append(task)
    try:
        for found in prove_bodies([*bodies.values()], where):
            for task, result in found.items():
                results[task] = result
                if result.may_be_kept:
                    with contextlib.suppress(OSError):  # a folder that can't be written costs time, and nothing else
                        cache.keep(keys[task], asdict(result))
                show_progress(f"{len(results)} of {len(tasks)} proofs: {task[0][:70]}")
    except (OtherSources, BrokenExecutor) as failure:
        what = "a worker has died; try fewer --jobs"
        if isinstance(failure, OtherSources):
            what = "a worker runs other sources, another Python or other solvers than this; start the workers anew, from here"
        raise BadExecutor(f"--executor {where.executor}: {what}" if where.executor is not None else what) from failure
    except Exception as failure:
        if where.executor is None:
            raise  # it was the code of this checkout
        told = f"{type(failure).__name__}: {' '.join(str(failure).split())}"
        if isinstance(failure, ModuleNotFoundError) and failure.name == "distributed":
            told = "the Python package 'distributed' is missing; `make prove` installs it into .venv"
        raise BadExecutor(f"--executor {where.executor}: {told}") from failure
    show_progress("")
    return [results[task] for task in tasks]


def prove_bodies(bodies: list[list[Task]], where: Where) -> Iterator[dict[Task, Result]]:
    """Explore each body once, for all of its claims that are asked for. Raises whatever the executor raises."""
    if not bodies:
        return
    here = what_runs_here(where.kernel)
    with executor(where.executor, max(1, min(where.jobs, len(bodies)))) as workers:
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


def with_seeds(results: list[Result], settings: Settings, seeds: int, where: Where) -> list[Result]:
    """The results, of which those that are not linear are told what other seeds give. Raises BadExecutor."""
    others = [replace(settings, seed=n, second=False, smt2=False) for n in range(seeds) if n != settings.seed]
    tasks = [(result.obligation, other) for result in results if result.non_linear for other in others]
    verdicts: dict[str, dict[str, str]] = {}
    for (name, other), result in zip(tasks, prove_all(tasks, where), strict=True):
        verdicts.setdefault(name, {})[str(other.seed)] = result.verdict
    return [replace(result, seeds=verdicts.get(result.obligation, {})) for result in results]


def write_smt2(results: list[Result], folder: Path) -> None:
    """A file per proof or refutation, named by its obligation. Raises Unwritable."""
    for result in results:
        if result.smt2:
            put(folder / smt2_file(result), result.smt2)


def smt2_file(result: Result) -> str:
    """What its file is called; "" where there is none."""
    return re.sub(r"[^a-zA-Z0-9_.]+", "-", result.obligation) + ".smt2" if result.smt2 else ""


def as_json(results: list[Result]) -> str:
    """The results, with the names of the files of SMT-LIB 2 instead of what is in them."""
    told = [replace(result, smt2=smt2_file(result)) for result in results]
    return json.dumps([{**asdict(result), "as_expected": result.as_expected} for result in told], indent=1)


def as_text(results: list[Result], seconds: float) -> str:
    """The results by claim, with the refutations in words."""
    lines = []
    in_order = sorted(results, key=lambda result: list(CLAIMS).index(result.claim))
    for claim, of_claim in groupby(in_order, key=lambda result: result.claim):
        lines += ["", f"{claim}: {CLAIMS[claim].sentence}"]
        for result in of_claim:
            lines += told(result)
    odd = [result for result in results if not result.as_expected]
    verdicts = [result.verdict for result in results]
    counts = ", ".join(
        f"{verdicts.count(verdict)} {SHOWN.get(verdict, verdict)}" for verdict in dict.fromkeys(verdicts)
    )
    cached = sum(result.cached for result in results)
    earlier = f" {cached} are cached, that is, from earlier runs; --fresh proves them anew." if cached else ""
    lines += ["", f"{len(results)} obligations in {seconds:.1f} s: {counts}; {len(odd)} not as expected.{earlier}"]
    for result in odd:
        if result.undermined:
            lost = ", ".join(result.undermined)
            lines.append(f"  {result.obligation} is PROVED, but rests on {lost}, so that it says nothing here.")
        else:
            lines.append(f"  {result.obligation} {what_is_odd(result)}.")
    not_asked = dict.fromkeys(claim for result in results for claim in result.not_asked)
    if not_asked:
        lines.append(f"  These proofs rest on claims that were not asked for here: {', '.join(not_asked)}.")
    lines += [f"  {result.obligation} is not agreed by a second solver." for result in results if not result.agreed]
    reseeded = [result for result in results if result.seeds]
    if reseeded:
        steady = sum(result.steady for result in reseeded)
        lines.append(f"{steady} of {len(reseeded)} non-linear obligations have the same verdict with every seed.")
    checked = [result.second for result in results if result.second is not None]
    if checked:
        agreed = sum(second["agreed"] == second["queries"] for second in checked)
        lines.append(f"{agreed} of {len(checked)} proofs agreed by a second solver; queries: {counted(checked)}.")
    return "\n".join(lines[1:])


SHOWN = {"LOST": "not followed"}
"""How people read a verdict, where it is not its name."""


def what_is_odd(result: Result) -> str:
    """How a result differs from what was expected."""
    if result.verdict == result.expected:
        return f"is {result.verdict} for another reason than expected: what fails is “{result.broken}”"
    return f"is {SHOWN.get(result.verdict, result.verdict)}, {result.expected} was expected"


def told(result: Result) -> list[str]:
    """One result: a line, and what people need to understand a refutation."""
    where = " ".join(part for part in (result.revision, result.theory, result.case) if part)
    reason = "for another reason than" if result.verdict == result.expected else f"but {result.expected} was"
    expected = "" if result.as_expected else f", {reason} expected"
    expected = ", but says nothing: see below" if result.undermined else expected
    surprise = " as expected" if result.verdict == "REFUTED" and result.as_expected else expected
    surprise = " a known defect is mended" if result.mended else surprise
    cached = " cached" if result.cached else ""
    lines = [f"  {SHOWN.get(result.verdict, result.verdict):<8} {where:<34} {result.seconds:6.2f} s{cached}{surprise}"]
    if result.verdict == "PROVED" and result.rests_on:
        lines.append(f"           rests on {', '.join(result.rests_on)}")
    if result.second is not None:
        lines.append(f"           {opinion(result.second)}")
    if result.seeds:
        odd = {seed: verdict for seed, verdict in result.seeds.items() if verdict != result.verdict}
        found = ", ".join(f"{verdict} with seed {seed}" for seed, verdict in odd.items())
        lines.append(f"           seeds    {found or f'the same with {len(result.seeds)} more'}")
    if result.counterexample is not None:
        inputs = ", ".join(f"{name}={value}" for name, value in result.inputs.items())
        lines.append(f"           for      {inputs}")
        if result.broken != result.claim:
            lines.append(f"           broken   {result.broken}")
        lines.append(f"           expected {result.counterexample['expected']}")
        lines.append(f"           actual   {result.counterexample['actual']}")
    if result.why:
        lines.append(f"           because  {result.why}")
    if result.verdict == "LOST":
        lines.append("           to do    hunt for it with `make fuzz KERNEL=…`: this says nothing of the claim")
    return lines


def opinion(second: dict[str, Any]) -> str:
    """What the second solver said of a proof."""
    if second["queries"] == 0:
        return "agreed   without a query"
    if second["agreed"] == second["queries"]:
        return f"agreed   by {second['solver']}: {second['queries']} queries"
    return f"in doubt {counted([second])}; {second['why']}"


def counted(seconds: list[dict[str, Any]]) -> str:
    """How many queries got which answer, in words; none of a kind is not told, except agreement."""
    counts = {
        kind: sum(second[kind] for second in seconds) for kind in ("agreed", "disagreed", "unknown", "unsupported")
    }
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count or kind == "agreed")


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        fail(f"{message}; see --help")


def natural(text: str, least: int = 0) -> int:
    if not text.isdecimal() or not least <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"a number from {least} to 2147483647 is needed, not {text!r}")
    return int(text)


def positive(text: str) -> int:
    return natural(text, 1)


def fail(message: str) -> NoReturn:
    """Say in one line what to do, and exit with status 2."""
    print(f"proofs: {message}", file=sys.stderr)
    raise SystemExit(2)
