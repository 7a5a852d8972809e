"""`python -m tests.replay TRACE --on REVISION`: run a trace on a revision, beside the oracle.

Exit status: 1 if a claim breaks, 0 if none does, 2 for a file that cannot be read or a revision that there isn't.
"""

import argparse
import difflib
import sys
from pathlib import Path
from typing import NoReturn

from model.lockstep import BrokenClaim, replay
from model.trace import Alloc, Step, Trace, TraceError, loads
from tests.targets import TARGETS
from tests.watchdog import begin, watchdog


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.replay", description="Replay a counterexample.")
    parser.add_argument("trace", metavar="TRACE", help="a JSON file; see model/trace.py")
    parser.add_argument(
        "--on", default="series", metavar="REVISION", help=f"one of {', '.join(TARGETS)}; default: series"
    )
    parser.error = lambda message: fail(f"{message}; see --help")  # type: ignore[method-assign]
    options = parser.parse_args(arguments)
    if options.on not in TARGETS:
        near = difflib.get_close_matches(options.on, TARGETS, n=1, cutoff=0)[0]
        fail(f"there is no revision {options.on!r}; did you mean {near!r}? There are {', '.join(TARGETS)}")
    broken: BrokenClaim | None = None
    try:
        run = loads(Path(options.trace).read_text())
        with watchdog():
            happened = replay(run, TARGETS[options.on], begin)
    except TimeoutError:
        fail(f"{options.trace}: a step takes too long; ask for smaller pages")
    except OSError as error:
        fail(f"{options.trace}: {error.strerror}; TRACE=file names a trace, such as one of tests/traces/")
    except (UnicodeDecodeError, TraceError) as error:
        fail(f"{options.trace}: {error}")
    except BrokenClaim as claim:
        broken, happened = claim, claim.trace
    print(told(happened))
    if broken is None:
        print(f"\n{options.on} breaks no claim.")
        return 0
    print(f"\n{options.on} breaks {broken.claim.name}: {broken.claim.sentence}")
    print(f"  expected: {broken.expected}\n  happened: {broken.happened}")
    return 1


def told(run: Trace) -> str:
    """The steps of a trace, a line each; in a long one, the middle is left out."""
    lines = list(lines_of(run.steps, ""))
    if len(lines) > 24:
        lines[12:-11] = [f"  … {len(lines) - 23} more"]
    return "\n".join(lines)


def lines_of(steps: tuple[Step, ...], indent: str) -> list[str]:
    lines = []
    for step in steps:
        said = f" → {step.happened}" if step.happened else ""
        arguments = ", ".join(
            f"{key}={value}" for key, value in vars(step).items() if key not in ("expected", "happened", "page")
        )
        lines.append(f"{indent}{type(step).__name__.lower()}({arguments}){said}")
        if isinstance(step, Alloc) and step.page is not None:
            place = "fails" if step.page.dma is None else f"gives DMA address {step.page.dma:#x}"
            lines.append(f"{indent}  if a page is asked for, the device {place}")
            lines += lines_of(step.page.meanwhile, indent + "    meanwhile: ")
    return lines


def fail(message: str) -> NoReturn:
    """Say in one line what to do, and exit with status 2."""
    print(f"replay: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
