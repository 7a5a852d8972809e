"""`python -m command bugs`: plant each seeded bug, and see who notices it.

A mutant is tried in a copy of the repository, so that what notices it is exactly what would notice a mistake of ours.
Exit status: 0 if each is noticed by all that its entry names, 1 if one is not, 2 for bad input.
"""

import argparse
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bugs.hunted import MUTANTS, Mutant
from proofs.catalogue import OBLIGATIONS
from proofs.engine.explore import Verdict

ROOT = Path(__file__).parent.parent

SEEDS = ("0", "1", "2")
"""Of hunts, until one notices something. What a seed draws changes with the sources, since Hypothesis tries the numbers that it
finds in them; the rarest bugs take some ten thousand steps, and now and then more than a hunt has."""


@dataclass(frozen=True)
class Notice:
    """What one engine says of a mutant: the claims, or contracts, that it sees broken, and what that took, in words."""

    claims: tuple[str, ...]
    took: str
    output: str = ""


def copy_to(folder: Path) -> None:
    """Copy the repository's Python into `folder`."""
    for package in ("model", "impl", "kernel", "bugs", "hunt", "proofs", "report", "command", "tests"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))


def plant(mutant: Mutant, folder: Path) -> None:
    """Copy the repository's Python into `folder`, with the mutant in it."""
    copy_to(folder)
    file = folder / mutant.file
    source = file.read_text()
    assert source.count(mutant.old) == 1, f"{mutant.name}: {mutant.old!r} has to occur once in {mutant.file}"
    file.write_text(source.replace(mutant.old, mutant.new))


def run(folder: Path, *module: str) -> tuple[int, str]:
    """Exit status and output of `python -m module` on the copy."""
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutants", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", *module]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def prover(mutant: Mutant, folder: Path) -> Notice:
    """The claims of the mutant's entry that the prover refutes, where it has proved them."""
    wanted = [o.name for o in OBLIGATIONS.values() if o.claim.name in mutant.proofs and o.revision == mutant.revision]
    proved = [name for name in wanted if OBLIGATIONS[name].expected is Verdict.PROVED]
    started = time.perf_counter()
    status, output = run(folder, "command", "prove", "--jobs", "1", "--json", "results.json", *proved)
    took = f"{time.perf_counter() - started:.0f} s"
    if status != 1:
        return Notice((), took, output)
    results = json.loads((folder / "results.json").read_text())
    return Notice(tuple({result["claim"] for result in results if result["verdict"] == "REFUTED"}), took, output)


def machine(mutant: Mutant, folder: Path) -> Notice:
    """The claim that the state machine sees broken first, in hunts with the budget of `ci` each, one seed after the other."""
    steps = 0
    for seed in SEEDS:
        found, ran, output = hunt(mutant, folder, seed)
        steps += ran or 0
        if found or ran is None:
            break
    return Notice((found,) if found else (), f"{steps:,} steps", output)


def hunt(mutant: Mutant, folder: Path, seed: str) -> tuple[str, int | None, str]:
    """A hunt in the copy: the claim that it sees broken, or "", its steps, None if it has failed, and its output."""
    _, output = run(folder, "command", "fuzz", mutant.revision, "--profile", "mutants", "--seed", seed)
    found = re.search(r"^\S+ breaks (\w+):", output, re.M)
    ran = re.search(r"^steps +([\d,]+)$", output, re.M)
    return found[1] if found else "", int(ran[1].replace(",", "")) if ran else None, output


def crosshair(mutant: Mutant, folder: Path) -> Notice:
    """The contracts of the mutant's entry that CrossHair refutes, where it has confirmed them."""
    started = time.perf_counter()
    status, output = run(folder, "command", "crosshair", "--jobs", "1", "--json", "results.json", *mutant.contracts)
    took = f"{time.perf_counter() - started:.0f} s"
    if status != 1:
        return Notice((), took, output)
    results = json.loads((folder / "results.json").read_text())
    refuted = [result["contract"] for result in results if result["outcome"] == "REFUTED" != result["expected"]]
    return Notice(tuple(refuted), took, output)


def row(mutant: Mutant) -> tuple[str, bool]:
    """A line of the table, and whether the mutant is noticed as its entry says."""
    cells, noticed = [], True
    with TemporaryDirectory() as folder:
        plant(mutant, Path(folder))
        for engine, names in ((prover, mutant.proofs), (machine, mutant.hunted), (crosshair, mutant.contracts)):
            if not names:
                cells.append("-")
                continue
            notice = engine(mutant, Path(folder))
            needed = set(names) <= set(notice.claims) if engine is not machine else set(names) & set(notice.claims)
            noticed = noticed and bool(needed)
            cells.append(f"{', '.join(notice.claims)}, {notice.took}" if needed else f"MISSED, {notice.took}")
    return f"{mutant.name:<48} {cells[0]:<76} {cells[1]:<56} {cells[2]}", noticed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m command bugs", description="See who notices seeded bugs.")
    parser.add_argument("names", nargs="*", metavar="MUTANT", help="default: all")
    options = parser.parse_args(arguments)
    known = {mutant.name: mutant for mutant in MUTANTS}
    for name in options.names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            print(f"mutants: there is no mutant {name!r}; did you mean {near!r}?", file=sys.stderr)
            return 2
    chosen = [known[name] for name in options.names] or list(MUTANTS)
    print(f"{'mutant':<48} {'the prover refutes':<76} {'the machine sees broken':<56} CrossHair refutes")
    missed = 0
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        for line, noticed in executor.map(row, chosen):
            print(line, flush=True)
            missed += not noticed
    print(f"\n{len(chosen)} mutants; {missed} not noticed as expected.")
    return 1 if missed else 0
