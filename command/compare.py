"""`python -m command compare BEFORE AFTER`: run two kernels with the same operations, and say what a user would see change.

With `--patches MBOX` instead of AFTER, each patch of a series is compared with what was before it, and all of them with BEFORE.
A difference is no bug: a patch with “no functional changes” shows none, and another one those that it speaks of.
"""

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from textwrap import shorten

from command.files import try_out, usable
from command.line import Status, add_real, add_seed, number, say_how_to_confirm
from hunt.compare import OBSERVED, RUNS, Comparison, compare, confirmed_difference, draw
from hunt.edges import at_edges
from kernel.build import Source, Variant, find
from kernel.patches import FORMS, Patch, applied, read_patches
from kernel.pool import program_of
from model.bad_input import BadInput
from model.geometry import counted
from report.runs import TRACES, keep
from report.text import elided, lines_of, show_progress, surroundings


def differences(comparison: Comparison, prefix: str, before: Source, after: Source) -> list[str]:
    """What differs, in how many runs, and the smallest run that shows it; and whether real kernels differ as well."""
    lines = []
    for kind in (kind for kind in OBSERVED if kind in comparison.smallest):
        found = comparison.smallest[kind]
        file = keep(found.trace, f"{prefix}-{kind}", TRACES)
        count = comparison.differing[kind]
        lines += ["", f"{kind}: {OBSERVED[kind]} — differs first in {count:,} of {comparison.runs:,} runs"]
        lines += [f"  {options}"] if (options := surroundings(found.trace.kernel)) else []
        calls = [line.partition(" → ")[0] for line in lines_of(found.trace.steps, "  ")]
        lines += elided(calls, 16, lambda left: f"  … {left} more")
        for name, side in (("before:", found.before), ("after:", found.after)):
            lines.append(f"  {name:<8} {shorten(side.of[kind], 160, placeholder=' …') or 'none'}")
        lines += [f"  {said}"] if (said := confirmed_difference(found, kind, before, after)) else []
        lines += [f"  the run: {file}"]
    return lines


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="BEFORE", help="a kernel tree, or a single dmapool.c")
    parser.add_argument("after", metavar="AFTER", nargs="?", help="another one")
    parser.add_argument(
        "--patches", metavar="MBOX", help="instead of AFTER: a series, as developers mail it, or a diff"
    )
    add_real(parser)
    add_seed(parser, "of what is done")
    parser.add_argument(
        "--runs",
        type=number(1),
        default=RUNS,
        help="pools that are drawn, after the directed runs (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> Status:
    if options.after is not None and options.patches is not None:
        raise BadInput(f"AFTER, {options.after}, and --patches {options.patches}: name one of them")
    if options.after is None and options.patches is None:
        raise BadInput("name what BEFORE is to be compared with: AFTER, or --patches (of make: PATCHES)")
    before = replace(find(options.before), real=options.real)
    after = None if options.after is None else replace(find(options.after), real=options.real)
    try_out(None, str(TRACES))  # where a run that shows a difference is kept
    if after is not None:
        return two(before, after, options)
    with usable(options.patches, FORMS):
        patches = read_patches(Path(options.patches))
    return series(before, patches, options)


def two(before: Source, after: Source, options: argparse.Namespace) -> Status:
    built(before, after)
    print(f"before: {before}\nafter:  {after}", flush=True)
    done = compare(before, after, draw([before, after], options.seed, options.runs, show_progress), show_progress)
    show_progress("")
    swept = f", and {done.swept:,} pools filled" if done.swept else ""
    print(f"{counted(done.runs, 'pool')}, {counted(done.steps, 'step')}, seed {options.seed}{swept}: {summary(done)}")
    print("\n".join(differences(done, f"compare-{before.label()}-{after.label()}", before, after)))
    say_how_to_confirm(after, done.smallest)
    return Status.SURPRISE if done.smallest else Status.EXPECTED


def series(before: Source, patches: list[Patch], options: argparse.Namespace) -> Status:
    """A row for each patch: what it changes of what was before it."""
    with tempfile.TemporaryDirectory() as scratch:
        stages = list(applied(patches, before, Path(scratch)))
        built(before, *(source for _, source in stages))
        width = max(len(patch.subject) for patch, _ in stages)
        mail = sha256(Path(options.patches).read_bytes()).hexdigest()[:8]
        count = "1 patch" if len(stages) == 1 else f"{len(stages)} patches"
        files = f"before: {before}\nafter:  with {count} of {options.patches} (SHA-256 {mail})"
        files += f", which make it SHA-256 {stages[-1][1].digest()}"
        print(f"{files}\n", flush=True)
        print(f"{'':<4}{'patch':<{width}}  " + "".join(f"{kind:>10}" for kind in OBSERVED))
        details, differs, former = list[str](), False, before
        drawn = draw([before, *(source for _, source in stages)], options.seed, options.runs, show_progress)
        for place, (patch, source) in enumerate(stages, 1):
            of_patch = partial(show_of_patch, f"{place} of {len(stages)} patches")
            done = Comparison() if source.compiles_like(former) else compare(former, source, drawn, of_patch)
            cells = "".join(f"{done.differing[kind] or '-':>10}" for kind in OBSERVED)
            show_progress("")
            print(f"{place:>2}  {patch.subject:<{width}}  {cells}", flush=True)
            details += ["", f"patch {place}: {patch.unlike}"] if patch.unlike else []
            differs |= bool(done.smallest)
            if done.smallest:
                details += [
                    "",
                    f"patch {place}, {patch.subject}:",
                    *differences(done, f"compare-{place:02}-{former.label()}-{source.label()}", former, source),
                ]
            former = source
        print("\nIn how many of the pools a step first differs in what.", end=" ")
        edges = len(at_edges())
        number = f"{options.runs:,} that are drawn, seed {options.seed}"
        print(f"For each patch: {edges:,} pools near 2^32, the directed runs, {number}; and all")
        print("sizes that share a page of 4 KiB, with each boundary, filled.")
        print("\n".join(details))
        say_how_to_confirm(before, differs)
        return Status.SURPRISE if differs else Status.EXPECTED


def show_of_patch(patch: str, what: str) -> None:
    show_progress(f"{patch}: {what}")


def summary(done: Comparison) -> str:
    if not done.smallest:
        return "nothing differs"
    return f"what differs: {', '.join(kind for kind in OBSERVED if kind in done.smallest)}"


def built(*sources: Source) -> None:
    """Build them all first, so that what does not build is said at once. Raises BuildError."""
    for count, source in enumerate(sources, 1):
        show_progress(f"building {count} of {len(sources)}")
        for debug in (False, True):
            program_of(source, Variant(debug))
    show_progress("")
