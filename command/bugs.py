"""`python -m command bugs`: plant each seeded bug, and see who notices it.

A bug is planted in a copy of the repository, so that what notices it is exactly what would notice a mistake of ours.
Status 1 if a bug is not noticed by all that the table names; with --real, if a hunt in a real kernel does not notice a bug of a
kernel's file, and the table does not say why it cannot.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bugs import BUGS, Bug, plant
from command.line import Status, add_jobs, add_names, unknown
from hunt.profiles import BRIEF, SHORT, UNSHRUNK
from kernel.build import find
from kernel.compiler import BuildError
from kernel.once import ROOT
from kernel.real.build import real_kernel
from model.bad_input import BadInput
from model.geometry import counted
from proofs.catalogue import OBLIGATIONS
from proofs.engine.explore import Verdict
from report.text import show_progress

REAL, SOME_CLAIM = "real", ("any claim",)
"""A hunt in a real kernel, which is asked only if it is named; and what it has to notice."""

PROVED = [o for o in OBLIGATIONS.values() if o.expected is Verdict.PROVED]


@dataclass(frozen=True)
class Notice:
    """What one engine says of a bug: what it sees broken, what of the table it does not, and what that took, in words.

    Where the prover cannot follow a kernel's changed code, it has found nothing: that is missed, and named by itself, too.
    """

    broken: tuple[str, ...]
    missed: tuple[str, ...]
    took: str
    output: str = ""
    verdicts: dict[str, str] = field(default_factory=dict)  # of the prover, by obligation
    not_followed: tuple[str, ...] = ()  # obligations
    seconds: float = 0

    def __str__(self) -> str:
        said = f"MISSED {', '.join(self.missed)}; " if self.missed else ""
        said += f"not followed {', '.join(self.not_followed)}; " if self.not_followed else ""
        return f"{said}{', '.join(self.broken) or 'nothing'} ({self.took})"


def run_in(folder: Path, *module: str) -> tuple[int, str]:
    """Exit status and output of `python -m module` on the copy."""
    environment = {**os.environ, "HYPOTHESIS_PROFILE": UNSHRUNK, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", *module]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def results_in(folder: Path, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """What a subcommand finds on the copy, as it writes it with --json, and its output."""
    _, output = run_in(folder, "command", *arguments, "--json", f"{arguments[0]}.json")
    file = folder / f"{arguments[0]}.json"
    return json.loads(file.read_text()) if file.is_file() else [], output


def obligations_of(bug: Bug, named: str) -> list[str]:
    """The obligations that are proved of our own code, and that an entry of `refuted` names."""
    if "/" in named:
        return [o.name for o in PROVED if o.label == named]
    return [o.name for o in PROVED if (o.claim.name, o.revision) == (named, bug.revision)]


def prover(bug: Bug, folder: Path) -> Notice:
    """What of the bug's `refuted` the prover refutes."""
    started = time.perf_counter()
    names = [name for named in bug.refuted for name in obligations_of(bug, named)]
    what = ("--kernel", "linux", *bug.refuted) if bug.kernel else ("--jobs", "1", *names)
    results, output = results_in(folder, "prove", *what)
    took = f"{time.perf_counter() - started:.0f} s"
    results = [result for result in results if result["expected"] == "PROVED"]
    verdicts = {result["obligation"]: result["verdict"] for result in results}
    noticed = {name for name, verdict in verdicts.items() if verdict == "REFUTED"}
    claims = {result["claim"] for result in results if result["verdict"] == "REFUTED"}

    def is_noticed(named: str) -> bool:
        wanted = obligations_of(bug, named)
        return bool(wanted) and noticed.issuperset(wanted) if "/" in named else named in claims

    missed = tuple(named for named in bug.refuted if not is_noticed(named))
    broken = tuple(named for named in bug.refuted if named not in missed)
    lost = tuple(name for name, verdict in verdicts.items() if verdict == "NOT_FOLLOWED")
    return Notice(broken, missed, took, output, verdicts, lost)


def hunter(bug: Bug, folder: Path) -> Notice:
    """The claim that a hunt sees broken first; of a file that is as it was, a brief one."""
    found, steps, output = hunt(bug, folder)
    missed = () if found in bug.hunted else bug.hunted
    return Notice((found,) if found else (), missed, f"{steps or 0:,} steps", output)


def hunt(bug: Bug, folder: Path, profile: str = UNSHRUNK, *more: str) -> tuple[str, int | None, str]:
    """A hunt in the copy: the claim that it sees broken, or "", its steps, None if it has failed, and its output."""
    what = ("--kernel", "linux") if bug.kernel else (bug.revision,)
    profile = BRIEF if bug.changes_nothing and profile == UNSHRUNK else profile
    _, output = run_in(folder, "command", "fuzz", *what, "--profile", profile, "--seed", "0", *more)
    found = re.search(r"^\S+ breaks (\w+):", output, re.M)
    ran = re.search(r"^steps +([\d,]+)$", output, re.M)
    return found[1] if found else "", int(ran[1].replace(",", "")) if ran else None, output


def crosshair(bug: Bug, folder: Path) -> Notice:
    """The bug's contracts that CrossHair refutes, where it has confirmed them."""
    started = time.perf_counter()
    functions = dict.fromkeys(contract.partition("/")[2] for contract in bug.contracts)
    _, output = run_in(folder, "command", "crosshair", "--jobs", "1", *functions)
    refuted = re.findall(r"^REFUTED, though this claim should hold +(\S+):", output, re.M)
    broken = tuple(contract for contract in bug.contracts if contract in refuted)
    missed = tuple(contract for contract in bug.contracts if contract not in refuted)
    return Notice(broken, missed, f"{time.perf_counter() - started:.0f} s", output)


def real_hunter(bug: Bug, folder: Path) -> Notice:
    """The claim that a short hunt sees broken in a real kernel: any one, since a file that is as it was breaks none."""
    try:
        program = real_kernel(replace(find(folder / "linux"), real=True))
    except BuildError as error:
        return Notice((), SOME_CLAIM, str(error))
    for name in ("kernels-full", "real"):  # of which the copy has its own otherwise
        (folder / ".poolproof").mkdir(exist_ok=True)
        (folder / ".poolproof" / name).symlink_to((ROOT / ".poolproof" / name).resolve())
    found, ran, output = hunt(bug, folder, SHORT, "--real")
    if not bug.changes_nothing:
        shutil.rmtree(program.parent)
    took = "the hunt failed" if ran is None else f"{ran:,} steps"
    wanted = ("nothing",) if bug.changes_nothing else SOME_CLAIM
    as_it_should = bool(found) != bug.changes_nothing and ran is not None
    return Notice((found,) if found else (), () if as_it_should else wanted, took, output)


ENGINES: dict[str, tuple[Callable[[Bug, Path], Notice], Callable[[Bug], tuple[str, ...]]]] = {
    "prover": (prover, lambda bug: bug.refuted),
    "hunt": (hunter, lambda bug: bug.hunted),
    "crosshair": (crosshair, lambda bug: bug.contracts),
    REAL: (real_hunter, lambda bug: SOME_CLAIM if bug.kernel and not bug.not_in_a_kernel else ()),
}
"""Who notices bugs, and what they have to notice of one."""


def notices(bug: Bug, engines: Iterable[str]) -> dict[str, Notice]:
    """Plant a bug: what each of the engines that have to notice it says."""
    with TemporaryDirectory() as folder:
        plant(bug, Path(folder))
        said = {}
        for name in engines:
            if ENGINES[name][1](bug):
                started = time.perf_counter()
                notice = ENGINES[name][0](bug, Path(folder))
                said[name] = replace(notice, seconds=time.perf_counter() - started)
        return said


def plant_all(
    bugs: list[Bug], engines: Iterable[str], jobs: int, done: Callable[[Bug, dict[str, Notice]], None]
) -> None:
    """Plant each bug, several at a time; `done` is called for each as soon as it is through, with progress on a terminal."""
    with ThreadPoolExecutor(jobs) as executor:
        running = {executor.submit(notices, bug, engines): bug for bug in bugs}
        for number, future in enumerate(as_completed(running), 1):
            show_progress("")
            done(running[future], future.result())
            show_progress(f"{number} of {len(bugs)} seeded bugs")
    show_progress("")


def select(names: list[str]) -> list[Bug]:
    """The bugs of these names, or of these parts of the table; all of them if nothing is named. Raises BadInput."""
    chosen: dict[str, Bug] = {}
    for name in names:
        found = {bug.name: bug for bug in BUGS.values() if name in (bug.name, *bug.name.split("/"))}
        if not found:
            known = [part for bug in BUGS for part in (bug, *bug.split("/"))]
            raise unknown("seeded bug", name, known, "bugs/ lists them")
        chosen |= found
    return list((chosen or BUGS).values())


def distinct(bugs: list[Bug]) -> list[Bug]:
    """Without those that are planted by another name as well."""
    return list({(bug.kernel, bug.file, bug.old, bug.new): bug for bug in reversed(bugs)}.values())[::-1]


def as_it_was(bugs: list[Bug]) -> list[Bug]:
    """For each file that bugs are planted in, one that changes nothing, and names their claims."""
    files = {(bug.kernel or bug.revision, bool(bug.kernel)): bug for bug in bugs}
    unchanged = []
    for (name, of_kernel), bug in files.items():
        here = [one for one in bugs if (one.kernel or one.revision, bool(one.kernel)) == (name, of_kernel)]
        refuted = tuple(dict.fromkeys(claim for one in here for claim in one.refuted))
        hunted = tuple(dict.fromkeys(claim for one in here for claim in one.hunted))
        unchanged.append(replace(bug, name=name, new=bug.old, refuted=refuted, hunted=hunted))
    return unchanged


def add(parser: argparse.ArgumentParser) -> None:
    add_names(parser, "BUG", "a bug, or a part of the table such as tree")
    parser.add_argument("--only", choices=ENGINES, action="append", help="ask only this engine; may be repeated")
    add_jobs(parser)


def run(options: argparse.Namespace) -> Status:
    engines = options.only or [name for name in ENGINES if name != REAL]
    named = [bug for bug in select(options.names) if any(ENGINES[name][1](bug) for name in engines)]
    if engines == [REAL]:
        named = distinct(named)
    chosen = [bug for bug in named if bug.original.is_file()]
    absent = Counter(bug.kernel for bug in named if bug not in chosen)
    for version, count in absent.items():
        print(f"bugs: {count} are left out, since {version} is not there: run `make kernels`", file=sys.stderr)
    for bug in select(options.names) if REAL in engines else ():
        if bug.not_in_a_kernel:
            print(f"{bug.name:<56} {REAL:<10} is not noticed: {bug.not_in_a_kernel}")
    if not chosen:
        raise BadInput(f"none of these bugs is for {' or '.join(engines)} to notice: name others, or other engines")
    said: dict[str, dict[str, Notice]] = {}

    def done(bug: Bug, notice: dict[str, Notice]) -> None:
        said[bug.name] = notice
        for name, one in notice.items():
            print(f"{bug.name:<56} {name:<10} {one}", flush=True)

    started = time.perf_counter()
    plant_all(chosen + (as_it_was(chosen) if engines == [REAL] else []), engines, options.jobs, done)
    by = Counter(" and ".join(name for name, one in notice.items() if not one.missed) for notice in said.values())
    missed = [name for name, notice in said.items() if any(one.missed for one in notice.values())]
    print(f"\n{counted(len(said), 'seeded bug')} in {time.perf_counter() - started:.0f} s. Noticed by")
    for engine_names, count in by.most_common():
        print(f"  {engine_names or 'nobody':<32} {count:>4}")
    for name in engines:
        seconds = [notice[name].seconds for notice in said.values() if name in notice and not notice[name].missed]
        if seconds:
            print(f"  {name}: {median(seconds):.1f} s of a process of its own, the median of {len(seconds)}")
    print(f"{len(missed)} not noticed by all that have to{': ' if missed else ''}{', '.join(missed)}.")
    return Status.SURPRISE if missed else Status.EXPECTED
