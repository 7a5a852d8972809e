"""`python -m command history`: plant the bugs that mm/dmapool.c has had, and see which claim notices each, and how soon.

The files that they are planted in are hunted and proved as they are, too: there, nothing may be noticed. Status 1 if a bug
is not noticed, or something else is.
"""

import argparse

from bugs import Bug
from command.bugs import Notice, as_it_was, plant_all, select
from command.claims import between_marks
from command.files import put
from command.line import Status, add_jobs, add_names
from kernel.once import ROOT
from model.bad_input import BadInput

TABLE = ROOT / "docs" / "history.md"
ENGINES = "prover", "hunt"


def add(parser: argparse.ArgumentParser) -> None:
    add_names(parser, "BUG", "a bug of bugs/history.toml")
    parser.add_argument("--write", action="store_true", help=f"put the table into {TABLE.relative_to(ROOT)}, too")
    add_jobs(parser)


def claim_of(bug: Bug) -> str:
    """The one that must notice it."""
    return (*bug.refuted, *bug.hunted)[0]


def rows(bugs: list[Bug], seconds: dict[str, str]) -> list[tuple[str, ...]]:
    """Of each bug, by age: the year, what it was, how it was found then, and what poolproof says, in how many seconds."""
    oldest_first = sorted(bugs, key=lambda bug: bug.year)
    return [
        (bug.year, bug.what, bug.found, f"`{claim_of(bug)}`", "proof" if bug.refuted else "hunt", seconds[bug.name])
        for bug in oldest_first
    ]


def table(bugs: list[Bug], seconds: dict[str, str]) -> str:
    head = ("year", "the bug", "found then", "the claim that breaks", "by", "seconds"), ("---",) * 6
    return "".join("| " + " | ".join(row) + " |\n" for row in (*head, *rows(bugs, seconds)))


def run(options: argparse.Namespace) -> Status:
    chosen = [bug for bug in select(options.names or ["history"]) if bug.year]
    absent = sorted({bug.kernel for bug in chosen if not bug.original.is_file()})
    if absent or not chosen:
        raise BadInput(f"{', '.join(absent)} is not there: run `make kernels`" if absent else "no such bug of history")
    seconds: dict[str, str] = {}
    faults: list[str] = []

    def done(bug: Bug, said: dict[str, Notice]) -> None:
        took = sum(one.seconds for one in said.values())
        broken = [claim for one in said.values() for claim in one.broken]
        if bug.changes_nothing:
            lost = [name for one in said.values() for name, verdict in one.verdicts.items() if verdict != "PROVED"]
            wrong = broken + lost + ["its hunt failed"] * any(one.took.startswith("0 steps") for one in said.values())
            print(f"{bug.name} as it is: {', '.join(wrong) or 'nothing is noticed'}", flush=True)
            faults.extend(f"{bug.name} as it is" for _ in wrong[:1])
            return
        missed = [claim for one in said.values() for claim in one.missed]
        seconds[bug.name] = f"{took:.0f}"
        faults.extend([bug.name] if missed else [])
        print(f"{bug.year} {bug.what}\n     then: {bug.found}", flush=True)
        print(f"     now:  {', '.join(broken) or 'not noticed'}, {took:.0f} s" + " MISSED" * bool(missed), flush=True)

    plant_all([*chosen, *as_it_was(chosen)], ENGINES, options.jobs, done)
    noticed = len(chosen) - len([name for name in faults if name in seconds])
    print(f"\n{noticed} of {len(chosen)} bugs noticed" + (f"; look at {', '.join(faults)}" if faults else "."))
    if options.write and not faults:
        put(TABLE, between_marks(TABLE, "bugs", table(chosen, seconds), "history ARGS=--write"))
    return Status.SURPRISE if faults else Status.EXPECTED
