"""`python -m bench`: measure, and write tables and numbers into reports/bench/.

Exit status: 0, 1 if counted work is not as it should be (a time never is), 2 for bad input.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NoReturn

from command.output import Unwritable, exit_with, put, try_out
from kernel.build import KERNELS, BuildError, Source, Variant, compiler, find
from kernel.pool import program_of
from kernel.worker import KernelFault
from model.checks import BrokenClaim
from model.revision import LockingError

try:
    from bench import fuzzer, growth, headline, prover
    from bench.part import Failed, Wanted
except ModuleNotFoundError as missing:
    print(
        f"bench: the Python package {missing.name!r} is missing; `make setup` installs it into .venv", file=sys.stderr
    )
    raise SystemExit(2) from None

PARTS = {"headline": headline, "growth": growth, "prover": prover, "fuzzer": fuzzer}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure pools, the prover and the fuzzer.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that everything works")
    parser.add_argument("--kernel", action="append", default=[], metavar="PATH", help="measure this kernel's C, too")
    parser.add_argument("--out", default="reports/bench", metavar="FOLDER", help="default: reports/bench")
    parser.error = lambda message: fail(f"{message}; see --help")  # type: ignore[method-assign]
    options = parser.parse_args(arguments)
    for part in options.parts:
        if part not in PARTS:
            fail(f"there is no part {part!r}; there are {', '.join(PARTS)}")
    try:
        try_out(None, options.out)
        wanted = Wanted(options.quick, kernels(options.kernel))
        done = []
        for name in options.parts or PARTS:
            done.append(PARTS[name].run(wanted))
            print(*done[-1].table, "", sep="\n", flush=True)
            # What is done is not lost, should the next one fail.
            put(Path(options.out) / "bench.txt", "\n".join("\n".join([*part.table, ""]) for part in done))
            numbers = {part.name: part.numbers for part in done}
            put(Path(options.out) / "bench.json", json.dumps(numbers, indent=1) + "\n")
    except (BuildError, Failed, Unwritable) as error:
        fail(str(error))
    except (KernelFault, LockingError, TimeoutError, BrokenClaim) as found:
        fail(
            f"a kernel that is measured does not do what it should; `make fuzz` shows it: {str(found).splitlines()[0]}"
        )
    for missed in (missed for part in done for missed in part.missed):
        print(missed, file=sys.stderr)
    return 1 if any(part.missed for part in done) else 0


def kernels(asked: list[str]) -> dict[str, Source]:
    """The kernels that were fetched, and those that are asked for, by name. Raises BuildError."""
    try:
        compiler()
    except BuildError as error:
        if asked:
            raise
        print(f"bench: nothing is measured in C: {error}", file=sys.stderr)
        return {}
    found = {folder.name: find(folder) for folder in sorted(KERNELS.glob("v*"))}
    if not found and not asked:
        print("bench: no kernel is measured in C: `make kernels` gets two, or name one with --kernel", file=sys.stderr)
    for path in asked:
        source = find(path)
        name = source.file.stem if source.file.stem != "dmapool" else source.file.parent.name
        name = name if name != "mm" else source.file.parent.parent.name
        if found.get(name, source) != source:
            raise BuildError(f"two kernels are called {name}: rename the file, or its tree")
        found[name] = source
    for source in found.values():  # so that nobody compiles who is timed
        for variant in (Variant(bare=True), Variant(), Variant(debug=True)):
            program_of(source, variant)
    return found


def fail(message: str) -> NoReturn:
    """Say in one line what to do, and exit with status 2."""
    print(f"bench: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    exit_with(main)
