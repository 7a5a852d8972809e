"""`python -m command prove`: prove the catalogue, or what is named.

Status 1 also if a proof rests on what is not proved, or on itself; 2 also if a solver gives up.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

from command.files import put, put_json, put_traces, try_out
from command.line import (
    Status,
    add_jobs,
    add_json,
    add_kernel,
    add_names,
    add_seed,
    add_traces,
    number,
    say_how_to_confirm,
    unknown,
)
from hunt.revisions import KernelFile, kernel_file
from kernel.build import Variant, find
from kernel.compiler import BuildError
from model.bad_input import BadInput
from model.claims import CLAIMS
from model.geometry import counted
from model.revision import KERNEL
from proofs.catalogue import OBLIGATIONS, Catalogue, catalogue_of
from proofs.engine.obligation import Result, Settings
from proofs.engine.resting import circle
from proofs.engine.solver import DEFAULT_LIMIT
from proofs.run import Where, prove_named
from report.prover import as_text, cause_of, not_proved
from report.runs import show, surprises
from report.text import show_progress
from report.verdicts import of_proof

COVERAGE = "reports/coverage.html"
"""Where --coverage writes, if no file is named."""


def add(parser: argparse.ArgumentParser) -> None:
    add_names(parser, "CLAIM", "a claim, or one of its obligations")
    add_json(parser)
    add_traces(parser)
    parser.add_argument("--smt2", metavar="FOLDER", help="write every proof and every refutation as SMT-LIB 2")
    parser.add_argument("--second", action="store_true", help="have every proof checked again, by bitwuzla or cvc5")
    add_jobs(parser)
    parser.add_argument(
        "--executor",
        metavar="WHERE",
        help="dask: a local cluster of --jobs workers; dask:ADDRESS: a scheduler's workers; MODULE:FUNCTION: what that "
        "returns, a concurrent.futures.Executor (default: --jobs processes)",
    )
    add_seed(parser, "the solver's random seed", most=2**31 - 1)
    parser.add_argument(
        "--seeds", type=number(1), metavar="N", help="prove what is not linear with the seeds 0 to N-1 as well"
    )
    parser.add_argument(
        "--limit", type=number(1), default=DEFAULT_LIMIT, help="solver steps per query (default: %(default)s)"
    )
    add_kernel(parser, "instead of impl/, prove", runs=False)
    parser.add_argument(
        "--coverage",
        nargs="?",
        const=COVERAGE,
        metavar="FILE",
        help="hunt in the kernel as well, and write its mm/dmapool.c as a page that says of each line whether a proof or the "
        "hunt reaches it (default: %(const)s)",
    )
    parser.add_argument("--fresh", action="store_true", help="prove anew what earlier runs have proved")


def run(options: argparse.Namespace) -> Status:
    if options.coverage is not None and options.kernel is None:
        raise BadInput("--coverage is about a kernel: name one with --kernel")
    if options.coverage is not None and shutil.which("addr2line") is None:  # or no line would count as hunted
        raise BadInput("--coverage needs addr2line, which tells the lines that were run: install binutils")
    catalogue = catalogue_of(options.kernel)
    names = select(options.names, catalogue)
    try_out(options.json, options.traces, options.smt2)
    if options.coverage == COVERAGE:
        try_out(None, str(Path(COVERAGE).parent))
    try_out(options.coverage)
    if options.second:
        import proofs.engine.second  # noqa: F401 - so that a missing solver is said before any work

    to_read = sys.stderr if options.json == "-" else sys.stdout
    source = None if options.kernel is None else find(options.kernel)
    if source is not None:
        print(source, file=to_read, flush=True)
        if source.rbtree() is None:
            print("this tree has no lib/rbtree.c, so nothing is proved of that", file=to_read, flush=True)
    started = time.perf_counter()
    settings = Settings(options.seed, options.limit, options.second, options.smt2 is not None)
    where = Where(options.kernel, options.executor, options.jobs, options.fresh)
    results = prove_named(names, settings, where, show_progress, options.seeds)
    if options.json != "-":
        print(as_text(results, time.perf_counter() - started, options.kernel or ""))
    put_json(options.json, as_json(results))
    put_traces(options.traces, {result.short_name: result.counterexample for result in results})
    if options.smt2 is not None:
        write_smt2(results, Path(options.smt2))
    if options.json != "-" and not all(result.as_expected for result in results):
        # Of each cause, the first.
        first = {cause_of(one) or one.obligation: one for one in reversed(results) if not one.too_dear}
        found = [of_proof(result, options.kernel or "") for result in results if result in first.values()]
        findings = surprises(found, None if options.kernel is None else native(options.kernel))
        show(findings)
        say_how_to_confirm(source, [one for one in findings if one.scene is not None])
    if options.coverage is not None:
        show_coverage(kernel_file(options.kernel), results, options.coverage, to_read)
    status, why = status_of(results)
    if source is not None:
        if not options.names:
            from report.coverage import functions_of  # here, since it needs jinja2

            print(f"\n{not_proved(results, functions_of(source))}", file=to_read)
        print(f"\n{source}", file=to_read)
    if why:
        print(f"prove: {why}", file=sys.stderr)
    return status


def show_coverage(kernel: KernelFile, results: list[Result], file: str, to_read: TextIO | None) -> None:
    """Hunt in the kernel, and say what of its file the hunt and these proofs have reached. Raises BadInput."""
    from command.fuzz import hunt_all  # here, since proofs alone need no Hypothesis
    from report.coverage import coverage_of, in_text, page

    kernel = replace(kernel, variant=Variant(optimised=False))
    (done,) = hunt_all([KERNEL], None, "dev", kernel, to_read)
    coverage = coverage_of(kernel.source, results, done.lines)
    put(Path(file), page(coverage))
    print(f"\n{in_text(coverage)}\n{file}", file=to_read)


def native(path: str) -> KernelFile | None:
    """A kernel's file, compiled to run counterexamples on it; None where that is not possible, so that they are only drawn."""
    try:
        return kernel_file(path)
    except BuildError as error:
        print(f"prove: {error}; so counterexamples cannot be run on it", file=sys.stderr)
        return None


def status_of(results: list[Result]) -> tuple[Status, str]:
    """The exit status of these results, and what has to be said about it, if they do not say it themselves."""
    if way := circle(results):
        return Status.SURPRISE, f"a proof rests on itself, so that it proves nothing: {' rests on '.join(way)}"
    gave_up = [result for result in results if result.verdict == "UNKNOWN"]
    in_doubt = [result for result in results if not result.agreed]
    if (
        any(not result.as_expected for result in results if result not in gave_up and not result.undermined)
        or not all(result.steady for result in results)
        or any(result.second["disagreed"] for result in in_doubt if result.second is not None)
    ):
        return Status.SURPRISE, ""
    if gave_up:
        first = f"{gave_up[0].obligation} ({gave_up[0].why})"
        return (
            Status.NO_ANSWER,
            f"UNKNOWN: {counted(len(gave_up), 'obligation')}, the first {first}; try a higher --limit",
        )
    if in_doubt:
        first = in_doubt[0].obligation
        return (
            Status.NO_ANSWER,
            f"no second opinion on {counted(len(in_doubt), 'proof')}, the first {first}; see its line",
        )
    return Status.SURPRISE if any(result.undermined for result in results) else Status.EXPECTED, ""


def select(names: Iterable[str], catalogue: Catalogue = OBLIGATIONS) -> list[str]:
    """The obligations that are named by claim, in full, or by how a name begins; all of them if nothing is named. Raises
    BadInput."""
    chosen: dict[str, None] = {}
    for name in names:
        claim, _, about = name.partition("/")
        of_claim = [one.removeprefix(f"{claim}/") for one in catalogue if one.startswith(f"{claim}/")]
        found = [name] if name in catalogue else [one for one in catalogue if one.startswith(f"{name}/")]
        if of_claim and not found:
            raise BadInput(f"{claim} has no obligation {about!r}; there are {', '.join(of_claim)}")
        if claim in CLAIMS and not found:
            about = "impl/; of a kernel's file there may be one" if catalogue is OBLIGATIONS else "this file"
            raise BadInput(f"{claim} has no obligation about {about}; it is hunted: make fuzz")
        if not found:
            raise unknown("claim", name, CLAIMS, "docs/claims.md lists them")
        chosen |= dict.fromkeys(found)
    return list(chosen or catalogue)


def write_smt2(results: list[Result], folder: Path) -> None:
    """A file per proof or refutation, named by its obligation. Raises BadInput."""
    for result in results:
        if result.smt2:
            put(folder / result.smt2_file, result.smt2)


def as_json(results: list[Result]) -> list[dict[str, Any]]:
    """The results, with the names of the files of SMT-LIB 2 instead of what is in them."""
    return [{**asdict(replace(result, smt2=result.smt2_file)), "as_expected": result.as_expected} for result in results]
