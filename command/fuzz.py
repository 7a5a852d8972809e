"""`python -m command fuzz`: hunt with the state machine, and say what was met. Status 1 also if an event was missed."""

import argparse
import os
import sys
import textwrap
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from random import SystemRandom
from typing import TextIO

from command.files import put_json, try_out
from command.line import Status, add_json, add_kernel, add_profile, kernel_of, number, say_how_to_confirm, unknown
from hunt import profiles
from hunt.confirm import named, where_it_builds
from hunt.events import KNOWN_BREAK, VIOLATION, missed
from hunt.fuzz import DRAWN, HUNTED, ORDERS, PRUNED, UNFINISHED, Hunt, hunt
from hunt.numbers import why_none
from hunt.revisions import REVISIONS, KernelFile, check_promises, revisions
from hunt.sweep import PAGE_SIZE, SWEPT, sizes
from kernel.build import find
from model.bad_input import BadInput
from model.geometry import counted
from model.revision import KERNEL
from model.trace import Create
from report.runs import in_text, surprises
from report.text import coloured, show_progress
from report.verdicts import of_hunt


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "revisions", nargs="*", metavar="REVISION", help=f"of {', '.join(REVISIONS)}; default: all sound ones"
    )
    add_kernel(parser, "hunt in", hunts=True)
    parser.add_argument(
        "--seed", type=number(most=2**64 - 1), help="repeat a hunt (default: a new seed, which is printed)"
    )
    add_profile(parser, "ci")
    add_json(parser)


def run(options: argparse.Namespace) -> Status:
    why = look_where(options)
    kernel = kernel_of(options)
    for revision in options.revisions:
        if revision not in revisions(kernel):
            raise unknown("revision", revision, revisions(kernel))
    if kernel is not None and options.revisions not in ([], [KERNEL]):
        raise BadInput(f"{' '.join(options.revisions)} and --kernel: name one of them")
    try_out(options.json)
    hunted = options.revisions or ([KERNEL] if kernel is not None else list(HUNTED))
    to_read = sys.stderr if options.json == "-" else sys.stdout
    if kernel is not None:
        print(f"{kernel.source}\n{why}{wrapped(kernel.in_words())}", file=to_read, flush=True)
    hunts = hunt_all(hunted, options.seed, options.profile, kernel, to_read)
    put_json(options.json, [one.to_json() for one in hunts])
    if options.json != "-":
        print(table(hunts))
    for one in hunts:
        for claim in sorted(one.announced):
            print(f"\n{one.revision} breaks {claim}, as announced", file=to_read)
        if one.findings:
            print(f"\n{coloured(described(one, kernel), to_read)}", file=to_read)
            if ended := one.tally.events[KNOWN_BREAK]:
                print(
                    f"\n{counted(ended, 'run')} ended at one of these breaks: what comes after it was not seen",
                    file=to_read,
                )
    holes = {one.revision: missed(one.tally, one.revision) for one in hunts if not one.found}
    for revision, events in holes.items():
        for event in events:
            print(f"\n{revision}: {event!r} never happened; such a hunt has a hole", file=sys.stderr)
    if any(one.findings for one in hunts):
        broken, steps = sum(len(one.findings) for one in hunts), sum(one.tally.steps for one in hunts)
        print(f"\n{counted(broken, 'way')} to break a claim, in {counted(steps, 'step')}", file=to_read)
    else:
        swept = sum(one.tally.events[SWEPT] for one in hunts)
        other = "other " if any(one.found for one in hunts) else ""
        print(
            f"\nno {other}claim is broken in {counted(sum(one.tally.steps for one in hunts), 'step')}",
            file=to_read,
            end="",
        )
        print(
            f", nor in {counted(swept, 'pool')}, of all sizes to {sizes(PAGE_SIZE)[-1]:,} bytes, with each boundary"
            if swept
            else "",
            file=to_read,
        )
        if orders := sum(one.tally.events[ORDERS] for one in hunts):
            rest = sum(one.tally.events[UNFINISHED] for one in hunts)
            all_of = f"; {counted(rest, 'set')} of callers can run in more" if rest else ", which are all"
            same = sum(one.tally.events[PRUNED] for one in hunts)
            drawn = counted(sum(one.tally.events[DRAWN] for one in hunts), "order")
            print(
                f"nor in {counted(orders, 'order')} of two or three callers at once{all_of} (pruned: {same:,})\n"
                f"nor in {drawn} of three or four, by drawn priorities",
                file=to_read,
            )
    if kernel is not None:
        print(f"\n{kernel.source}", file=to_read)
        say_how_to_confirm(kernel.source, hunts[0].findings)
    return Status.SURPRISE if any(one.findings for one in hunts) or any(holes.values()) else Status.EXPECTED


def wrapped(text: str) -> str:
    return textwrap.fill(text, 120, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)


def look_where(options: argparse.Namespace) -> str:
    """Have a file that the shim cannot run hunted in a real kernel, if one is built: a line that says so, or "". Raises
    BuildError."""
    if options.kernel is None or options.real:
        return ""
    check_promises(options.promises)
    source, why = where_it_builds(find(options.kernel))
    options.real = source.real
    return f"the shim cannot run it ({why}): it is hunted in {named(source)}\n" if source.real else ""


def hunt_all(
    hunted: Sequence[str], seed: int | None, profile: str, kernel: KernelFile | None, to_read: TextIO | None = None
) -> list[Hunt]:
    """Hunt in revisions, each in a process of its own, with progress on a terminal; how to repeat that is printed first.

    Raises BadInput where the profile's database cannot be had, or is lost.
    """
    profiles.register()
    if seed is None:
        seed = 0 if profiles.chosen(profile).derandomize else SystemRandom().randrange(2**32)
    what = f"ON='{' '.join(hunted)}' " if tuple(hunted) != HUNTED else ""
    what = what if kernel is None else f"{kernel.as_make_takes_it()} "
    again = f"make fuzz {what}PROFILE={profile} SEED={seed}"
    print(
        f"seed {seed}: `{again}` repeats this hunt; what broke before comes first, from .hypothesis/",
        file=to_read,
        flush=True,
    )
    if kernel is not None and (reason := why_none(kernel.source)):
        print(f"no numbers of the code are drawn, since it cannot be read: {reason}", file=to_read, flush=True)
    hunts: dict[str, Hunt] = {}
    pools: tuple[Create, ...] = ()
    if kernel is not None and not kernel.source.real:
        from proofs.ways import pools_at_edges  # which needs Z3; a hunt in impl/ does not

        pools = pools_at_edges(kernel.source)

    def sweeps(revision: str) -> bool:
        """Of a seeded bug, only what runs natively: in Python, there are many, and a sweep takes longer than what is drawn.

        A real kernel takes so long for a pool that only the shim sweeps."""
        real = kernel is not None and kernel.source.real
        return (profile != profiles.UNSHRUNK or revision == KERNEL) and not real

    try:
        with ProcessPoolExecutor(min(len(hunted), os.cpu_count() or 1)) as executor:
            running = [
                executor.submit(
                    hunt, revision, seed, profile, kernel, sweeps=sweeps(revision), pools=pools, progress=show_progress
                )
                for revision in hunted
            ]
            for future in as_completed(running):
                hunts[future.result().revision] = future.result()
                show_progress(f"{len(hunts)} of {len(running)} revisions")
    except profiles.redis_errors() as error:
        raise BadInput(profiles.no_answer(error)) from error
    show_progress("")
    return [hunts[revision] for revision in hunted]


def described(hunt: Hunt, kernel: KernelFile | None = None) -> str:
    """What broke, drawn, and how to replay it."""
    return "\n\n".join(map(in_text, surprises(of_hunt(hunt), kernel)))


def table(hunts: list[Hunt]) -> str:
    """What happened how often, a column for each revision."""
    width = max(15, *(len(hunt.revision) + 2 for hunt in hunts))
    sound = [hunt for hunt in hunts if not hunt.found]  # of the others, what broke is described instead
    # A damaged pool promises nothing: what it breaks then is counted to show that hunts get there, and is no finding.
    events = sorted({event for hunt in sound for event in hunt.tally.events if not event.startswith(VIOLATION)})
    rows = [("", [hunt.revision for hunt in hunts])]
    rows.append(("steps", [f"{hunt.tally.steps:,}" for hunt in hunts]))
    rows.append(("steps per second", [f"{hunt.tally.steps / hunt.seconds:,.0f}" for hunt in hunts]))
    rows += [(event, [f"{hunt.tally.events[event] or '-'}" for hunt in hunts]) for event in events]
    names = max(48, *(len(name) for name, _ in rows))
    return "\n".join(f"{name:<{names}}" + "".join(f"{cell:>{width}}" for cell in cells) for name, cells in rows)
