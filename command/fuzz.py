"""`python -m command fuzz`: hunt with the state machine, and say what was met.

Exit status: 0 if nothing was found, 1 if a claim broke or an event was missed, 2 for bad input.
"""

import argparse
import difflib
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from random import SystemRandom
from typing import NoReturn

from command.output import Unwritable, put_json, show_progress, try_out
from hunt import profiles
from hunt.events import missed
from hunt.fuzz import HUNTED, Hunt, hunt
from hunt.revisions import TARGETS, KernelFile, kernel_of, kernel_options, revisions
from kernel.build import BuildError
from model.revision import KERNEL
from report.runs import in_text, surprises
from report.text import coloured
from report.verdicts import read_machine


def described(hunt: Hunt, kernel: KernelFile | None = None) -> str:
    """What broke, drawn, and how to replay it."""
    return "\n\n".join(map(in_text, surprises(read_machine(json.dumps([hunt.to_json()])), kernel)))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m command fuzz", description="Hunt for broken claims.")
    parser.add_argument(
        "revisions", nargs="*", metavar="REVISION", help=f"of {', '.join(TARGETS)}; default: all sound ones"
    )
    kernel_options(parser, "hunt in")
    parser.add_argument("--seed", type=int, help="repeat a hunt; default: a new seed, which is printed")
    parser.add_argument("--profile", default="ci", choices=profiles.OF_HUNTS, help="how long; default: ci")
    parser.add_argument("--json", metavar="FILE", help="write what was found and met as JSON; - for standard output")
    parser.error = lambda message: fail(f"{message}; see --help")  # type: ignore[method-assign]
    options = parser.parse_args(arguments)
    try:
        kernel = kernel_of(options)
    except BuildError as error:
        fail(str(error))
    for revision in options.revisions:
        if revision not in revisions(kernel):
            near = difflib.get_close_matches(revision, TARGETS, n=1, cutoff=0)[0]
            fail(f"there is no revision {revision!r}; did you mean {near!r}? There are {', '.join(TARGETS)}")
    try:
        try_out(options.json)
        profiles.register()
        profiles.chosen(options.profile)
        return run_hunts(options, kernel)
    except Unwritable as unwritable:
        fail(str(unwritable))
    except profiles.UnavailableError as unavailable:
        fail(str(unavailable))
    except profiles.redis_errors() as error:
        fail(profiles.no_answer(error))


def run_hunts(options: argparse.Namespace, kernel: KernelFile | None) -> int:
    hunted = options.revisions or ([KERNEL] if options.kernel else list(HUNTED))
    new_seed = 0 if profiles.chosen(options.profile).derandomize else SystemRandom().randrange(2**32)
    seed = new_seed if options.seed is None else options.seed
    chosen = f"ON='{' '.join(options.revisions)}' " if options.revisions else ""
    chosen += f"{kernel.as_make_takes_it()} " if kernel is not None else ""
    again = f"make fuzz {chosen}PROFILE={options.profile} SEED={seed}"
    to_read = sys.stderr if options.json == "-" else sys.stdout
    if kernel is not None:
        print(kernel.source, file=to_read)
    print(f"seed {seed}: `{again}` repeats this hunt, if the database is the same", file=to_read, flush=True)
    hunts: dict[str, Hunt] = {}
    with ProcessPoolExecutor(min(len(hunted), os.cpu_count() or 1)) as executor:
        running = [executor.submit(hunt, revision, seed, options.profile, kernel) for revision in hunted]
        for future in as_completed(running):
            hunts[future.result().revision] = future.result()
            show_progress(f"{len(hunts)} of {len(running)} revisions")
    show_progress("")
    done = [hunts[revision] for revision in hunted]
    as_json = json.dumps([one.to_json() for one in done], indent=1)
    put_json(options.json, as_json)
    print(as_json if options.json == "-" else table(done))
    found = [one for one in done if one.found]
    for one in found:
        print(f"\n{coloured(described(one, kernel), to_read)}", file=to_read)
    holes = {one.revision: missed(one.tally, one.revision) for one in done if not one.found}
    for revision, events in holes.items():
        for event in events:
            print(f"\n{revision}: {event!r} never happened; such a hunt has a hole", file=sys.stderr)
    if not found:
        print(f"\nno claim is broken in {sum(one.tally.steps for one in done):,} steps", file=to_read)
    if kernel is not None:
        print(f"\n{kernel.source}", file=to_read)
    return 1 if found or any(holes.values()) else 0


def table(hunts: list[Hunt]) -> str:
    """What happened how often, a column for each revision."""
    width = max(15, *(len(hunt.revision) + 2 for hunt in hunts))
    sound = [hunt for hunt in hunts if not hunt.found]  # of the others, what broke is told instead
    events = sorted({event for hunt in sound for event in hunt.tally.events})
    rows = [("", [hunt.revision for hunt in hunts])]
    rows.append(("steps", [f"{hunt.tally.steps:,}" for hunt in hunts]))
    rows.append(("steps per second", [f"{hunt.tally.steps / hunt.seconds:,.0f}" for hunt in hunts]))
    rows += [(event, [f"{hunt.tally.events[event] or '-'}" for hunt in hunts]) for event in events]
    return "\n".join(f"{name:<48}" + "".join(f"{cell:>{width}}" for cell in cells) for name, cells in rows)


def fail(message: str) -> NoReturn:
    """Say in one line what to do, and exit with status 2."""
    print(f"fuzz: {message}", file=sys.stderr)
    raise SystemExit(2)
