"""`python -m command bench`: measure, and write tables and numbers into reports/bench/.

Status 1 if counted work is not as it should be; a time never is a failure.
"""

import argparse
import json
import sys
from pathlib import Path

from bench import floor, fuzzer, growth, headline, mpt3sas, prover, real
from bench.part import Wanted
from command.files import put, try_out
from command.line import Status, unknown
from kernel.build import KERNELS, Source, Variant, find
from kernel.compiler import BuildError, compiler
from kernel.pool import program_of
from kernel.worker import KernelFault
from model.bad_input import BadInput
from model.checks import BrokenClaim
from model.revision import RuleError

PARTS = {
    "headline": headline,
    "floor": floor,
    "growth": growth,
    "prover": prover,
    "fuzzer": fuzzer,
    "real": real,
    "mpt3sas": mpt3sas,
}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that everything works")
    parser.add_argument("--kernel", action="append", default=[], metavar="PATH", help="measure this kernel's C, too")
    parser.add_argument("--out", default="reports/bench", metavar="FOLDER", help="default: reports/bench")


def run(options: argparse.Namespace) -> Status:
    for part in options.parts:
        if part not in PARTS:
            raise unknown("part", part, PARTS)
    try_out(None, options.out)
    wanted = Wanted(options.quick, kernels(options.kernel))
    done = []
    try:
        for name in options.parts or PARTS:
            done.append(PARTS[name].run(wanted))
            print(*done[-1].table, "", sep="\n", flush=True)
            # What is done is not lost, should the next one fail.
            put(Path(options.out) / "bench.txt", "\n".join("\n".join([*part.table, ""]) for part in done))
            numbers = {part.name: part.numbers for part in done}
            put(Path(options.out) / "bench.json", json.dumps(numbers, indent=1) + "\n")
    except (KernelFault, RuleError, TimeoutError, BrokenClaim) as found:
        what = str(found).splitlines()[0]
        raise BadInput(f"a kernel does not do what it should; `make fuzz` shows it: {what}") from found
    missed = [missed for part in done for missed in part.missed]
    for one in missed:
        print(one, file=sys.stderr)
    return Status.SURPRISE if missed else Status.EXPECTED


def kernels(named: list[str]) -> dict[str, Source]:
    """The kernels that were fetched, and those that the user names, by name, compiled. Raises BadInput."""
    try:
        compiler()
    except BuildError as error:
        if named:
            raise
        print(f"bench: nothing is measured in C: {error}", file=sys.stderr)
        return {}
    found = {folder.name: find(folder) for folder in sorted(KERNELS.glob("v*"))}
    if not found and not named:
        print("bench: no kernel is measured in C: run `make kernels`, or name one with --kernel", file=sys.stderr)
    for path in named:
        source = find(path)
        name = source.file.stem if source.file.stem != "dmapool" else source.file.parent.name
        name = name if name != "mm" else source.file.parent.parent.name
        if found.get(name, source) != source:
            raise BadInput(f"two kernels are called {name}: rename the file, or its tree")
        found[name] = source
    for source in found.values():  # so that nobody compiles who is timed
        for variant in (Variant(bare=True), Variant(), Variant(debug=True)):
            program_of(source, variant)
    return found
