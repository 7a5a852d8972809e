"""`python -m command compare BEFORE AFTER`: run two kernels with the same operations, and say what a user would see change.

With `--patches MBOX` instead of AFTER, each patch of a series is compared with what was before it, and all of them with BEFORE.
A difference is no bug: a patch with “no functional changes” shows none, and another one those that it speaks of.

Exit status: 0 if nothing differs, 1 if something does, 2 for bad input.
"""

import argparse
import sys
import tempfile
from math import prod
from pathlib import Path
from textwrap import shorten
from typing import NoReturn

from command.output import show_progress
from hunt.compare import EDGES, OBSERVED, RUNS, Comparison, compare
from kernel.build import BuildError, Source, Variant, find
from kernel.patches import applied, read_mbox
from kernel.pool import program_of
from report.runs import TRACES, keep
from report.text import elided, lines_of, options_of


def differences(comparison: Comparison, prefix: str) -> list[str]:
    """What differs, in how many runs, and the smallest run that shows it."""
    lines = []
    for kind in (kind for kind in OBSERVED if kind in comparison.smallest):
        found = comparison.smallest[kind]
        file = keep(found.trace, f"{prefix}-{kind}", TRACES)
        count = comparison.differing[kind]
        lines += ["", f"{kind}: {OBSERVED[kind]} — differs first in {count:,} of {comparison.runs:,} runs"]
        options = options_of(found.trace.kernel)
        lines += [f"  with {', '.join(options)}"] if options else []
        calls = [line.partition(" → ")[0] for line in lines_of(found.trace.steps, "  ")]
        lines += elided(calls, 16, lambda left: f"  … {left} more")
        for name, side in (("before:", found.before), ("after:", found.after)):
            lines.append(f"  {name:<8} {shorten(side.of[kind], 160, placeholder=' …') or 'none'}")
        lines += [f"  the run: {file}"]
    return lines


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m command compare", description="Say how two kernels' pools differ.")
    parser.add_argument("before", metavar="BEFORE", help="a kernel tree, or a single dmapool.c")
    parser.add_argument("after", metavar="AFTER", nargs="?", help="another one")
    parser.add_argument("--patches", metavar="MBOX", help="instead of AFTER: a series, as developers mail it")
    parser.add_argument("--seed", type=int, default=0, help="of what is done (default: 0)")
    parser.add_argument("--runs", type=int, default=RUNS, help="pools that are made and used (default: %(default)s)")
    parser.error = lambda message: fail(f"{message}; see --help")  # type: ignore[method-assign]
    options = parser.parse_args(arguments)
    if (options.after is None) == (options.patches is None):
        fail("name what BEFORE is to be compared with: AFTER, or --patches")
    if options.runs < 1:
        fail("--runs has to be 1 or more")
    try:
        before = find(options.before)
        if options.after is not None:
            return two(before, find(options.after), options)
        return series(before, options)
    except BuildError as error:
        fail(str(error))
    except BrokenPipeError:
        raise  # whoever reads the output has gone away
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")


def two(before: Source, after: Source, options: argparse.Namespace) -> int:
    built(before, after)
    files = f"before: {before}\nafter:  {after}"
    print(files, flush=True)
    done = compare(before, after, options.seed, options.runs)
    print(f"{done.runs:,} pools, {done.steps:,} steps, seed {options.seed}: {summary(done)}")
    print("\n".join(differences(done, f"compare-{before.label()}-{after.label()}")))
    print(f"\n{files}")
    return 1 if done.smallest else 0


def series(before: Source, options: argparse.Namespace) -> int:
    """A row for each patch: what it changes of what was before it."""
    with tempfile.TemporaryDirectory() as scratch:
        stages = list(applied(read_mbox(Path(options.patches)), before, Path(scratch)))
        built(before, *(source for _, source in stages))
        width = max(len(patch.subject) for patch, _ in stages)
        print(f"before: {before}\n")
        print(f"{'':<4}{'patch':<{width}}  " + "".join(f"{kind:>10}" for kind in OBSERVED))
        details, former = [], before
        for number, (patch, source) in enumerate(stages, 1):
            show_progress(f"{number} of {len(stages)} patches")
            same = source.file.read_bytes() == former.file.read_bytes()
            done = Comparison() if same else compare(former, source, options.seed, options.runs)
            cells = "".join(f"{done.differing[kind] or '-':>10}" for kind in OBSERVED)
            show_progress("")
            print(f"{number:>2}  {patch.subject:<{width}}  {cells}", flush=True)
            if done.smallest:
                details += [
                    "",
                    f"patch {number}, {patch.subject}:",
                    *differences(done, f"compare-{number:02}-{former.label()}-{source.label()}"),
                ]
            former = source
        print("\nIn how many of the pools a step first differs in what.", end=" ")
        edges = prod(map(len, EDGES))
        print(
            f"For each patch, {options.runs:,} runs of the machine, seed {options.seed}, and {edges:,} pools near 2^32."
        )
        print("\n".join([*details, "", f"before: {before}"]))
        return 1 if details else 0


def summary(done: Comparison) -> str:
    if not done.smallest:
        return "nothing differs"
    return f"what differs: {', '.join(kind for kind in OBSERVED if kind in done.smallest)}"


def built(*sources: Source) -> None:
    """Build them all first, so that what does not build is said at once. Raises BuildError."""
    for number, source in enumerate(sources, 1):
        show_progress(f"building {number} of {len(sources)}")
        for debug in (False, True):
            program_of(source, Variant(debug))
    show_progress("")


def fail(message: str) -> NoReturn:
    """Say in one line what to do, and exit with status 2."""
    print(f"compare: {message}", file=sys.stderr)
    raise SystemExit(2)
