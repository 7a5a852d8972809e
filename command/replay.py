"""`python -m command replay TRACE --on REVISION`, or `--kernel PATH`: run a trace on a revision, beside the oracle.

With `--shrink FILE`, a smaller trace that breaks the same claim is written there, and told instead.

Exit status: 1 if a claim breaks, 0 if none does, 2 for a trace that cannot be read or run, a revision that there isn't, or a
file that cannot be written.
"""

import argparse
import difflib
import sys
from pathlib import Path
from typing import NoReturn

from hunt.revisions import TARGETS, kernel_of, kernel_options, revisions
from hunt.shrink import smallest
from kernel.build import BuildError
from model.revision import KERNEL
from model.trace import TraceError, dumps, loads
from report.runs import seen
from report.text import coloured, told


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m command replay", description="Replay a counterexample.")
    parser.add_argument("trace", metavar="TRACE", help="a JSON file; see model/trace.py")
    parser.add_argument(
        "--on", default="series", metavar="REVISION", help=f"one of {', '.join(TARGETS)}; default: series"
    )
    kernel_options(parser, "run")
    parser.add_argument("--shrink", metavar="FILE", help="write a smaller trace that breaks the same claim")
    parser.error = lambda message: fail(f"{message}; see --help")  # type: ignore[method-assign]
    options = parser.parse_args(arguments)
    try:
        kernel = kernel_of(options)
    except BuildError as error:
        fail(str(error))
    if kernel is not None:
        options.on = KERNEL
        print(kernel.source)
    if options.on not in revisions(kernel):
        near = difflib.get_close_matches(options.on, TARGETS, n=1, cutoff=0)[0]
        fail(f"there is no revision {options.on!r}; did you mean {near!r}? There are {', '.join(TARGETS)}")
    try:
        scene = seen(loads(Path(options.trace).read_text()), options.on, kernel)
    except TimeoutError:
        fail(f"{options.trace}: a step takes too long; ask for smaller pages")
    except OSError as error:
        fail(f"{options.trace}: {error.strerror}; TRACE=file names a trace, such as one of tests/traces/")
    except (UnicodeDecodeError, TraceError) as error:
        fail(f"{options.trace}: {error}")
    shorter = ""
    if options.shrink and scene.broken is None:
        shorter = "nothing to make smaller, since no claim breaks"
    elif options.shrink:
        small = smallest(scene.trace, options.on, revisions(kernel))
        shorter = f"written to {options.shrink}" + (", no smaller than it was" if small == scene.trace else "")
        try:
            Path(options.shrink).parent.mkdir(parents=True, exist_ok=True)
            Path(options.shrink).write_text(dumps(small))
        except OSError as error:
            fail(f"{options.shrink}: {error.strerror}; --shrink needs a file that can be written")
        scene = seen(small, options.on, kernel)
    print(coloured(told(scene, options.on), sys.stdout))
    if shorter:
        print(f"\n{shorter}")
    if kernel is not None:
        print(f"\n{kernel.source}")
    return 0 if scene.broken is None else 1


def fail(message: str) -> NoReturn:
    """Say in one line what to do, and exit with status 2."""
    print(f"replay: {message}", file=sys.stderr)
    raise SystemExit(2)
