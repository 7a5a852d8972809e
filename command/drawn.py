"""`python -m command drawn`: plant changes of one token in a kernel's file, drawn by a seed, and see who notices them.

A change that compiles into the same code is equivalent, and counts for nobody. Status 1 if one is noticed by nobody.
"""

import argparse
import json
import re
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bugs.drawn import Change, changes
from command.line import Status, add_jobs, add_kernel, add_seed, number
from hunt.fuzz import hunt
from hunt.profiles import BRIEF, UNSHRUNK
from hunt.revisions import kernel_file
from kernel.build import Source, find
from kernel.compiler import BuildError
from kernel.execute import RUN
from kernel.ir import Module, ir_of
from kernel.patches import within_a_tree
from model.bad_input import BadInput
from model.revision import KERNEL
from proofs.catalogue import catalogue_of, catalogue_of_kernel
from proofs.engine.explore import Verdict
from proofs.engine.obligation import Obligation, Result, Settings, prove_body
from proofs.run import Where, prove_named
from report.coverage import function_at, functions_of, lines_of
from report.text import show_progress


@dataclass(frozen=True)
class Judged:
    """What becomes of a change.

    It does not compile, or compiles into the same code: `idle` says so. Or else, the claim that the prover refutes first, and
    the one that the hunt sees broken first, or ""; and the obligations that the prover cannot settle, where it refutes none.
    """

    change: str
    idle: str = ""
    refuted: str = ""
    not_followed: tuple[str, ...] = ()
    hunted: str = ""
    hunted_long: bool = False  # with drawn runs as well, since nobody had noticed it

    @property
    def noticed(self) -> bool:
        return bool(self.refuted or self.hunted)

    def __str__(self) -> str:
        by = [f"refuted: {self.refuted}"] if self.refuted else []
        by += [f"not followed: {', '.join(self.not_followed)}"] if self.not_followed else []
        by += [f"hunted: {self.hunted}"] if self.hunted else []
        return f"{self.change}\n    {'; '.join(by) or 'noticed by nobody'}"


REFUSED, EQUIVALENT = "does not compile", "compiles into the same code"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--number", type=number(1), default=30, help="how many changes (default: %(default)s)")
    parser.add_argument(
        "--log", metavar="FILE", help="keep there what is found; a run with the same file goes on from it"
    )
    add_seed(parser, "what draws them, and the hunts")
    add_jobs(parser)
    add_kernel(parser, "change", required=True, runs=False)


def run(options: argparse.Namespace) -> Status:
    source = find(options.kernel)
    known = kept_in(options.log)
    where = Where(options.kernel, None, options.jobs)
    names = [name for name, one in catalogue_of(options.kernel).items() if one.expected is Verdict.PROVED]
    results = prove_named(names, Settings(), where, show_progress)
    print(f"{source}: {options.number} changes of one token, seed {options.seed}")
    found: dict[Change, Judged] = {}
    equivalent = 0
    with ProcessPoolExecutor(options.jobs) as executor:
        judged = judge_all(source, options.seed, results, known, executor, options.jobs)
        for change, one in judged:
            keep(one, options.log, known)
            equivalent += one.idle == EQUIVALENT
            if not one.idle:
                found[change] = one
                show_progress("")
                print(one, flush=True)
                show_progress(f"{len(found)} of {options.number} changes")
            if len(found) == options.number:
                break
        judged.close()
        again = [change for change, one in found.items() if not one.noticed and not one.hunted_long]
        hunts = executor.map(partial(hunt_long, source, options.seed), again)
        for change, broken in zip(again, hunts, strict=True):
            found[change] = replace(found[change], hunted=broken, hunted_long=True)
            keep(found[change], options.log, known)
    show_progress("")
    return told(list(found.values()), equivalent)


def told(found: list[Judged], equivalent: int) -> Status:
    print(f"\n{len(found)} changes, besides {equivalent} that leave the compiled code as it was:")
    print(f"  {sum(bool(one.refuted) for one in found)} refuted by the prover")
    print(f"  {sum(bool(one.hunted) for one in found)} noticed by the hunt")
    missed = {
        "noticed by the prover alone": [one for one in found if one.noticed and not one.hunted],
        "noticed by the hunt alone": [one for one in found if one.hunted and not one.refuted and not one.not_followed],
        "not followed by the prover": [one for one in found if one.not_followed],
        "noticed by nobody": [one for one in found if not one.noticed],
    }
    for what, those in missed.items():
        print(f"  {len(those)} {what}{':' if those else ''}")
        print("".join(f"    {one.change}\n" for one in those), end="")
    return Status.SURPRISE if missed["noticed by nobody"] else Status.EXPECTED


def kept_in(log: str | None) -> dict[str, Judged]:
    """What earlier runs have found, by change. Raises BadInput if the file holds something else."""
    if log is None or not Path(log).exists():
        return {}
    try:
        entries = [json.loads(line) for line in Path(log).read_text().splitlines()]
        kept = [Judged(**{**entry, "not_followed": tuple(entry["not_followed"])}) for entry in entries]
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise BadInput(f"{log} is no log of drawn changes: name another file") from error
    return {one.change: one for one in kept}


def keep(one: Judged, log: str | None, known: dict[str, Judged]) -> None:
    """Write it into the log, unless it has come from there. Raises BadInput."""
    if log is not None and known.get(one.change) != one:
        try:
            with Path(log).open("a") as file:
                print(json.dumps(asdict(one)), file=file)
        except OSError as error:
            raise BadInput(f"{log}: {error.strerror}; name a file that can be written") from error


def judge_all(
    source: Source, seed: int, results: list[Result], known: dict[str, Judged], executor: Executor, jobs: int
) -> Generator[tuple[Change, Judged], None, None]:
    """What becomes of each change that the seed draws, in order; `jobs` of them are judged at a time."""
    original, functions = [ir_of(source, debug) for debug in (False, True)], functions_of(source)
    lines = {line for codes in functions.values() for code in codes for line in lines_of(code)}
    running: deque[tuple[Change, Judged | Future[Judged]]] = deque()
    try:
        for change in changes(source.file.read_text(), lines, seed):
            names = about(change.line, function_at(functions, change.line), results)
            one = known.get(str(change)) or executor.submit(judge, source, original, change, names, seed)
            running.append((change, one))
            if len(running) > jobs:
                yield settled(*running.popleft())
        while running:
            yield settled(*running.popleft())
    finally:
        for _, one in running:
            if isinstance(one, Future):
                one.cancel()


def settled(change: Change, one: Judged | Future[Judged]) -> tuple[Change, Judged]:
    return change, one if isinstance(one, Judged) else one.result()


@contextmanager
def planted(source: Source, change: Change) -> Iterator[Source]:
    """The changed file, in a tree of its own that has what the source's has."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "mm").mkdir()
        file = folder / "mm" / source.file.name
        file.write_text(change.text)
        yield Source(file, within_a_tree(folder, source.tree, set()))


def same_code(one: Module, other: Module) -> bool:
    """Whether two files are the same but for where they say that their code is from.

    LLVM numbers structs of one name, where it has read them more than once.
    """

    def unnumbered(text: str) -> str:
        return re.sub(r"(%(?:struct|union)\.\w+)\.\d+\b", r"\1", text)

    def code(module: Module) -> Any:
        return unnumbered(str(module.constants)), {
            name: [
                (block, [replace(one, detail=unnumbered(one.detail)) for one in code])
                for block, code in function.blocks.items()
            ]
            for name, function in module.functions.items()
        }

    return bool(code(one) == code(other))


def judge(source: Source, original: list[Module], change: Change, names: list[str], seed: int) -> Judged:
    """Who notices a change, of whose file these obligations are to be proved; of the hunt, the directed runs and the sweep."""
    with planted(source, change) as changed:
        try:
            compiled = [ir_of(changed, debug) for debug in (False, True)]
        except (BuildError, NotImplementedError):
            return Judged(str(change), REFUSED)
        if all(map(same_code, compiled, original)):
            return Judged(str(change), EQUIVALENT)
        refuted, not_followed = proved(str(changed.file), names)
        return Judged(str(change), "", refuted, tuple(not_followed), first_broken(changed, seed, BRIEF))


def hunt_long(source: Source, seed: int, change: Change) -> str:
    """The claim that a whole hunt sees broken first, or ""."""
    with planted(source, change) as changed:
        return first_broken(changed, seed, UNSHRUNK)


def proved(file: str, names: list[str]) -> tuple[str, list[str]]:
    """The first claim that is refuted of a changed file, of these obligations in this order; the ones that are not settled if
    there is none."""
    try:
        catalogue = catalogue_of_kernel(file)
    except NotImplementedError:
        return "", names
    bodies: dict[tuple[Any, Any], list[Obligation]] = {}
    for name in names:
        if name in catalogue:
            bodies.setdefault((catalogue[name].body, catalogue[name].theory), []).append(catalogue[name])
    unsettled = [name for name in names if name not in catalogue]
    for body in bodies.values():
        results = prove_body(body, Settings(), RUN)
        for result in results:
            if result.verdict == "REFUTED":
                return result.claim, []
        unsettled += [result.obligation for result in results if result.verdict != "PROVED"]
    return "", unsettled


def first_broken(changed: Source, seed: int, profile: str) -> str:
    found = hunt(KERNEL, seed, profile, kernel_file(str(changed.file)), sweeps=True).found
    return (found[0].claim or "") if found else ""


def about(line: int, function: str, results: list[Result]) -> list[str]:
    """The obligations that are PROVED, and that run code of the function which has this line: first those that run the line,
    and of these the quickest."""

    def order(result: Result) -> tuple[bool, float]:
        return not any(line in lines_of(code) for code in result.run), result.seconds

    return [
        result.obligation
        for result in sorted(results, key=order)
        if result.verdict == "PROVED" and any(code.split()[1] == function for code in result.run)
    ]
