"""`python -m command drawn`: plant changes of one token in a kernel's file, drawn by a seed, and see who notices them.

A change that compiles into the same code is equivalent, and counts for nobody. Status 1 if one is noticed by nobody.
"""

import argparse
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bugs.drawn import Change, changes
from command.bugs import run_in
from command.line import Status, add_jobs, add_kernel, add_seed, number
from hunt.profiles import UNSHRUNK
from kernel.build import BuildError, Source, find
from kernel.ir import Module, ir_of
from proofs.catalogue import catalogue_of
from proofs.engine.obligation import Result, Settings
from proofs.run import Where, prove_named
from report.coverage import function_at, functions_of, lines_of, times_of
from report.text import show_progress

ROOT = Path(__file__).parent.parent


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--number", type=number(1), default=30, help="how many changes (default: %(default)s)")
    add_seed(parser, "what draws them, and the hunts")
    add_jobs(parser)
    add_kernel(parser, "change", required=True)


def run(options: argparse.Namespace) -> Status:
    source = find(options.kernel)
    original, functions = [ir_of(source, debug) for debug in (False, True)], functions_of(source)
    where = Where(options.kernel, None, options.jobs)
    results = prove_named(list(catalogue_of(options.kernel)), Settings(), where, show_progress)
    print(f"{source}: {options.number} changes of one token, seed {options.seed}")
    counts = dict.fromkeys(("equivalent", "refuted", "not followed", "hunted"), 0)
    nobody: list[str] = []
    unhunted: list[str] = []
    with ThreadPoolExecutor(options.jobs) as executor:
        drawn = different(source, original, options.seed, options.number, counts)
        running = [
            (
                change,
                executor.submit(
                    judge, source, change, about(function_at(functions, change.line), results), options.seed
                ),
            )
            for change in drawn
        ]
        for done, (change, future) in enumerate(running, 1):
            refuted, not_followed, hunted = future.result()
            show_progress("")
            by = [f"refuted: {', '.join(refuted)}"] if refuted else []
            by += [f"not followed: {len(not_followed)}"] if not_followed and not refuted else []
            by += [f"hunted: {hunted}"] if hunted else []
            print(f"{change}\n    {'; '.join(by) or 'noticed by nobody'}", flush=True)
            counts["refuted"] += bool(refuted)
            counts["not followed"] += bool(not_followed and not refuted)
            counts["hunted"] += bool(hunted)
            nobody += [str(change)] if not by else []
            unhunted += [str(change)] if by and not hunted else []
            show_progress(f"{done} of {len(running)} changes")
    show_progress("")
    print(f"\n{len(running)} changes, besides {counts['equivalent']} that leave the compiled code as it was:")
    print(f"  {counts['refuted']} refuted by the prover, {counts['not followed']} not followed by it only")
    print(f"  {counts['hunted']} noticed by the hunt; {len(unhunted)} by the prover alone:")
    print("\n".join(f"    {change}" for change in unhunted))
    print(f"  {len(nobody)} noticed by nobody{':' if nobody else ''}")
    print("\n".join(f"    {change}" for change in nobody))
    return Status.SURPRISE if nobody else Status.EXPECTED


def different(
    source: Source, original: list[Module], seed: int, wanted: int, counts: dict[str, int]
) -> Iterator[Change]:
    """So many changes that compile, and into other code; those that do not change it are counted."""
    lines = {line for module in original for code in times_of(module, source.file.name, {}) for line in lines_of(code)}
    found = 0
    for change in changes(source.file.read_text(), lines, seed):
        with TemporaryDirectory() as folder:
            try:
                compiled = [ir_of(planted(source, change, Path(folder)), debug) for debug in (False, True)]
            except (BuildError, NotImplementedError):
                continue
        if all(same_code(one, other) for one, other in zip(compiled, original, strict=True)):
            counts["equivalent"] += 1
            continue
        yield change
        found += 1
        if found == wanted:
            return


def planted(source: Source, change: Change, folder: Path) -> Source:
    file = folder / source.file.name
    file.write_text(change.text)
    return Source(file, source.tree)


def same_code(one: Module, other: Module) -> bool:
    """Whether two files are the same but for where they say that their code is from."""

    def code(module: Module) -> Any:
        return module.constants, {
            name: [(block, [(i.name, i.operation, i.rest) for i in code]) for block, code in function.blocks.items()]
            for name, function in module.functions.items()
        }

    return bool(code(one) == code(other))


def judge(source: Source, change: Change, names: list[str], seed: int) -> tuple[list[str], list[str], str]:
    """The claims that the prover refutes of a changed file, of these obligations; those that it cannot settle; and the claim
    that the hunt sees broken first, or ""."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "mm").mkdir()
        file = planted(source, change, folder / "mm").file
        for name in ("include", "lib"):
            if source.tree is not None:
                (folder / name).symlink_to(source.tree / name)
        kernel, json_file = ("--kernel", str(file)), folder / "prove.json"
        if names:
            run_in(ROOT, "command", "prove", "--jobs", "1", *kernel, "--json", str(json_file), *names)
        found: list[dict[str, Any]] = json.loads(json_file.read_text()) if json_file.is_file() else []
        _, output = run_in(ROOT, "command", "fuzz", *kernel, "--profile", UNSHRUNK, "--seed", str(seed))
    refuted = list(dict.fromkeys(one["claim"] for one in found if one["verdict"] == "REFUTED"))
    unsettled = [one["obligation"] for one in found if one["verdict"] not in ("PROVED", "REFUTED")] if found else names
    broken = re.search(r"^\S+ breaks (\w+):", output, re.M)
    return refuted, unsettled, broken[1] if broken else ""


def about(function: str, results: list[Result]) -> list[str]:
    """The obligations that are PROVED, and that run code of a function."""
    return [
        result.obligation
        for result in results
        if result.verdict == "PROVED" and any(code.split()[1] == function for code in result.run)
    ]
