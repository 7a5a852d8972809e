"""`python -m command audit`: drop every premise of every proof, and plant its seeded bugs: each has to be refuted.

Every verdict has to be the same with other seeds, with which what Z3 is told has other names and another order, too.
A bug is planted under each lemma as well: every proof that rests on the lemma must stop counting then.
"""

import argparse
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bugs import BUGS, Bug, plant
from command.bugs import Notice, obligations_of, plant_all, results_in
from command.files import put_json, try_out
from command.line import Status, add_jobs, add_json, add_kernel, add_names, number
from command.prove import select
from kernel.build import KERNELS, find
from kernel.random_calls import Differs, Held, functions_of, hold_to_native
from model.bad_input import BadInput
from model.geometry import counted
from proofs.audit import LOST, NO_BUG, SAYS_NOTHING, Audit, audit_body, needed_by_others
from proofs.catalogue import OBLIGATIONS, Catalogue, catalogue_of, what_runs_here
from proofs.engine.budgets import put_budgets
from proofs.engine.executors import executor
from proofs.engine.explore import Verdict
from proofs.engine.solver import DEFAULT_LIMIT
from report.text import show_progress

SEEDS = 20
NATIVE_CALLS = 2000
"""Of each function, where nothing else is asked for."""


def add(parser: argparse.ArgumentParser) -> None:
    add_names(parser, "CLAIM", "a claim, or one of its obligations")
    add_json(parser)
    add_jobs(parser)
    add_kernel(parser, "audit the proofs about", runs=False)
    parser.add_argument(
        "--seeds",
        type=number(0),
        default=SEEDS,
        metavar="N",
        help="see whether a verdict changes with the seeds 1 to N (default: %(default)s)",
    )
    parser.add_argument(
        "--budgets",
        action="store_true",
        help="write proofs/budgets.json: of each proof, twice the solver's steps with the seed that takes most; where a "
        "change makes it take more, `make prove` fails",
    )
    parser.add_argument(
        "--native-calls",
        type=number(1),
        metavar="N",
        help="only compare the interpreter of C with native code, in N random calls of each function of the fetched kernels; "
        f"without it and without claims, in {NATIVE_CALLS:,}, if there are kernels",
    )


def run(options: argparse.Namespace) -> Status:
    if options.native_calls is not None:
        if options.names or options.json is not None or options.kernel is not None:
            raise BadInput("--native-calls is about the interpreter of C only: leave out claims, --json and --kernel")
        return audit_interpreter(options.native_calls, options.jobs)
    catalogue = catalogue_of(options.kernel)
    names = select(options.names, catalogue)
    if options.budgets and (options.kernel is not None or not options.seeds):
        raise BadInput("--budgets is about impl/, and needs --seeds")
    try_out(options.json)
    started = time.perf_counter()
    results = audit_all(names, options.jobs, options.kernel, options.seeds)
    if options.budgets:
        proved = [result for result in results if result.expected == Verdict.PROVED.value]
        put_budgets({result.obligation: result.steps for result in proved}, catalogue)
    put_json(options.json, [asdict(result) | {"passed": result.passed} for result in results])
    if options.json != "-":
        print(as_text(results, time.perf_counter() - started))
    status = Status.EXPECTED if all(result.passed for result in results) else Status.SURPRISE
    if options.kernel is None and not options.names and options.json != "-" and KERNELS.is_dir():
        return max(status, audit_interpreter(NATIVE_CALLS, options.jobs))
    return status


def audit_interpreter(calls: int, jobs: int) -> Status:
    """Compare what `kernel.execute` does with native code, of each kernel that was fetched. Raises BadInput."""
    kernels = sorted(KERNELS.iterdir()) if KERNELS.is_dir() else []
    if not kernels:
        raise BadInput("no kernel is there: run `make kernels`")
    status = Status.EXPECTED
    for kernel in kernels:
        source, held = find(kernel), dict[str, Held]()
        with ProcessPoolExecutor(jobs) as workers:
            running = {workers.submit(hold_to_native, source, one, calls, 0): one for one in functions_of(source)}
            for future in as_completed(running):
                number, name = running[future]
                try:
                    held[f"{name}{' with DMAPOOL_DEBUG' * (number == 1)}"] = future.result()
                except Differs as differs:
                    print(f"{kernel.name}: {differs}")
                    status = Status.SURPRISE
                except BrokenProcessPool:
                    print(f"{kernel.name}: {name}, or one that ran beside it, crashes natively or never ends")
                    return Status.SURPRISE
                show_progress(f"{kernel.name}: {len(held)} of {len(running)} functions")
        show_progress("")
        short = [name for name, one in held.items() if one.calls < calls]
        if short:
            print(f"{kernel.name}: too few calls can be executed of {', '.join(short)}")
            status = Status.SURPRISE
        compared, run, blocks = (sum(place) for place in zip(*held.values(), strict=True))
        print(
            f"{kernel.name}: {compared:,} calls of {len(held)} functions are alike, in all memory and in all that they call; "
            f"{run} of {blocks} basic blocks were run"
        )
    return status


def audit_all(names: list[str], jobs: int, kernel: str | None = None, seeds: int = 0) -> list[Audit]:
    """Audit on several processes, with progress on a terminal; the results in the catalogue's order. Raises BadInput."""
    catalogue, results = catalogue_of(kernel), dict[str, Audit]()
    bugs = bugs_of(kernel)
    bodies: dict[tuple[int, str], list[str]] = {}
    for name in names:
        bodies.setdefault((id(catalogue[name].body), catalogue[name].theory.value), []).append(name)
    with executor(None, max(1, min(jobs, len(bodies))), what_runs_here if kernel is None else None) as workers:
        running = [workers.submit(audit_body, body, kernel, DEFAULT_LIMIT, seeds) for body in bodies.values()]
        for future in as_completed(running):
            results |= {result.obligation: result for result in future.result()}
            show_progress(f"{len(results)} of {len(names)} obligations")
    show_progress("")
    if kernel is not None:
        needed_by_others([*results.values()])

    def done(bug: Bug, notice: dict[str, Notice]) -> None:
        # The lemmas of what has to notice it were proved as well, and stand.
        has_to = set() if bug.kernel else {name for named in bug.refuted for name in obligations_of(bug, named)}
        for name, verdict in notice["prover"].verdicts.items():
            if name in results and (verdict == "REFUTED" or name in has_to):
                results[name].bugs[bug.name] = verdict

    plant_all(
        [bug for bug in (narrowed(bug, names, catalogue) for bug in bugs) if bug.refuted], ("prover",), jobs, done
    )
    break_lemmas(results, jobs, bugs, catalogue)
    return [replace(results[name], bugs=dict(sorted(results[name].bugs.items()))) for name in names]


def bugs_of(kernel: str | None) -> list[Bug]:
    """The seeded bugs of impl/; or of a kernel that was fetched, those of its own part of the table, or else of the part of
    which most can be planted in its file. Raises BadInput for another kernel."""
    if kernel is None:
        return [bug for bug in BUGS.values() if not bug.kernel]
    file = find(kernel).file.resolve()
    version = next((folder.name for folder in KERNELS.glob("*") if (folder / "mm" / "dmapool.c").resolve() == file), "")
    if not version:
        raise BadInput(f"{kernel}: bugs are seeded in kernels that were fetched: name a folder of {KERNELS}")
    text = file.read_text()
    parts = dict[str, list[Bug]]()
    for bug in BUGS.values():
        if bug.kernel and bug.refuted and text.count(bug.old) == 1:
            parts.setdefault(bug.kernel, []).append(replace(bug, kernel=version))
    return parts.get(version) or max(parts.values(), key=len, default=[])


def break_lemmas(
    results: dict[str, Audit], jobs: int, seeded: Iterable[Bug] | None = None, catalogue: Catalogue = OBLIGATIONS
) -> None:
    """Plant a bug under each lemma, and note in each audit what becomes of a proof that rests on it."""
    resting = {
        lemma: all_resting_on(lemma, results, catalogue) for result in results.values() for lemma in result.lemmas
    }
    seeded = bugs_of(None) if seeded is None else seeded
    bugs = {lemma: bug for lemma in resting if (bug := breaks(lemma, results, seeded, catalogue)) is not None}
    for lemma in resting.keys() - bugs.keys():
        for name in resting[lemma]:
            results[name].lemmas[lemma] = NO_BUG
    with ThreadPoolExecutor(jobs) as workers:
        running = {
            workers.submit(broken, bug, named(lemma, bug, catalogue), resting[lemma]): lemma
            for lemma, bug in bugs.items()
        }
        for number, future in enumerate(as_completed(running), 1):
            lemma = running[future]
            for name, became in future.result().items():
                results[name].lemmas[lemma] = became
            show_progress(f"{number} of {len(bugs)} lemmas")
    show_progress("")


def breaks(lemma: str, results: dict[str, Audit], seeded: Iterable[Bug], catalogue: Catalogue) -> Bug | None:
    """The last of the bugs that refute a lemma: as the table says of impl/, and of a kernel's file as was seen before, or else
    may be."""
    about = [name for name, one in catalogue.items() if one.label == lemma]
    seen = {bug for name in about if name in results for bug in results[name].bugs}
    of_claim = {lemma, lemma.partition("/")[0]}
    found = [bug for bug in seeded if lemma in bug.refuted or (bug.kernel and bug.name in seen)]
    found = found or [bug for bug in seeded if bug.kernel and of_claim & set(bug.refuted)]
    return found[-1] if found else None


def named(lemma: str, bug: Bug, catalogue: Catalogue) -> list[str]:
    """The obligations that are the lemma."""
    return [name for name, one in catalogue.items() if one.label == lemma] if bug.kernel else obligations_of(bug, lemma)


def all_resting_on(lemma: str, results: dict[str, Audit], catalogue: Catalogue = OBLIGATIONS) -> list[str]:
    """The obligations that rest on a lemma, directly or by way of other lemmas."""
    labels = {lemma}
    while True:
        found = [name for name, result in results.items() if labels & result.lemmas.keys()]
        with_found = labels | {catalogue[name].label for name in found}
        if with_found == labels:
            return found
        labels = with_found


def broken(bug: Bug, lemma: list[str], resting: list[str]) -> dict[str, str]:
    """What becomes of the proofs that rest on a lemma, in a copy of the repository where a bug breaks it."""
    names = list(dict.fromkeys([*lemma, *resting]))
    with TemporaryDirectory() as folder:
        plant(bug, Path(folder))
        kernel = ("--kernel", "linux") if bug.kernel else ()
        results, _ = results_in(Path(folder), "prove", "--jobs", "1", *kernel, *names)
    if all(result["verdict"] == "PROVED" for result in results if result["obligation"] in lemma):
        return dict.fromkeys(resting, NO_BUG)
    became = dict.fromkeys(resting, "the prover gave no results")
    for result in results:
        if result["obligation"] in became:
            says_nothing = result["verdict"] == "PROVED" and result["undermined"]
            lost = bug.kernel and result["verdict"] == "NOT_FOLLOWED"
            became[result["obligation"]] = SAYS_NOTHING if says_nothing else LOST if lost else result["verdict"]
    return became


def narrowed(bug: Bug, names: list[str], catalogue: Catalogue) -> Bug:
    """The bug, which only these obligations have to notice. A claim that is named without a case is for `make bugs`, but for a
    kernel's file, of whose obligations each has to be refuted by some bug."""
    if bug.kernel:
        claims = {catalogue[name].claim.name for name in names}
        return replace(bug, refuted=tuple(claim for claim in bug.refuted if claim in claims))
    in_full = [named for named in bug.refuted if "/" in named]
    return replace(bug, refuted=tuple(named for named in in_full if set(obligations_of(bug, named)) & set(names)))


def as_text(results: list[Audit], seconds: float) -> str:
    """A line per obligation, and one per premise and seeded bug."""
    lines = []
    for result in results:
        lines.append(f"{'ok    ' if result.passed else 'FAILED'} {result.obligation:<70} {result.seconds:6.2f} s")
        lines += [f"         without {premise}: {verdict}" for premise, verdict in result.dropped.items()]
        lines += [f"         bug     {bug}: {verdict}" for bug, verdict in result.bugs.items()]
        lines += [f"         lemma   {lemma} broken: {became}" for lemma, became in result.lemmas.items()]
        lines += [f"         seed    {seed}: {verdict}" for seed, verdict in result.seeds.items()]
    premises = sum(len(result.dropped) for result in results)
    bugs = len({bug for result in results for bug in result.bugs})
    lemmas = len({lemma for result in results for lemma in result.lemmas})
    changed = sum(bool(result.seeds) for result in results)
    failed = [result for result in results if not result.passed]
    lines += [
        "",
        f"{counted(len(results), 'obligation')} in {seconds:.1f} s: {premises} premises dropped, {bugs} bugs planted, "
        f"{lemmas} lemmas broken, {changed} verdicts that a seed changes; {len(failed)} failed.",
    ]
    return "\n".join(lines)
