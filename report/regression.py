"""`python -m command report regression TRACE`: write a test that replays a trace, to keep a bug away once it is mended.

Exit status: 0 if the test is written, 2 for a trace that cannot be read or a file that cannot be written.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NoReturn

import jinja2

from hunt.revisions import TARGETS
from model.trace import TraceError, dumps, loads
from report.runs import seen

TEMPLATE = '''"""{{ name }}: {{ claim }} was broken once."""

from model.lockstep import replay
from model.trace import loads
from hunt.revisions import TARGETS

TRACE = """\\
{{ trace }}"""


def test_{{ identifier }}() -> None:
    replay(loads(TRACE), TARGETS["{{ revision }}"])
'''


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m command report regression", description="Write a test that replays a trace."
    )
    parser.add_argument("trace", metavar="TRACE", help="a JSON file; see model/trace.py")
    parser.add_argument("--on", default="series", choices=TARGETS, help="the revision that has to keep the claim")
    parser.add_argument("--out", metavar="FILE", help="default: tests/test_regression_TRACE.py")
    parser.error = lambda message: fail(f"{message}; see --help")  # type: ignore[method-assign]
    options = parser.parse_args(arguments)
    try:
        trace = loads(Path(options.trace).read_text())
        scene = seen(trace, options.on)
    except OSError as error:
        fail(f"{options.trace}: {error.strerror}; TRACE is a file, such as one of tests/traces/")
    except (UnicodeDecodeError, TraceError, TimeoutError) as error:
        fail(f"{options.trace}: {error}")
    promises = TARGETS[options.on].promises
    kept = promises.keeps_in_debug_builds if trace.kernel.debug else promises.keeps
    if scene.broken is not None and scene.damaged_by and scene.broken.claim not in kept:
        fail(
            f"{options.trace}: {options.on} does not promise {scene.broken.claim.name} after {scene.damaged_by}, so that no "
            "test could pass; leave that step out"
        )
    stem = Path(options.trace).stem
    named = stem if stem.startswith(options.on) else f"{options.on}-{stem}"
    identifier = re.sub(r"\W+", "_", named)
    file = Path(options.out or f"tests/test_regression_{identifier}.py")
    test = jinja2.Template(TEMPLATE, keep_trailing_newline=True).render(
        name=identifier,
        claim=trace.claim or "a claim",
        trace=dumps(trace).replace("\\", "\\\\").replace('"""', '\\"\\"\\"'),
        identifier=identifier,
        revision=options.on,
    )
    try:
        with file.open("x") as written:
            written.write(test)
    except FileExistsError:
        fail(f"{file} is there already; name another with --out")
    except OSError as error:
        fail(f"{file}: {error.strerror}; name one that can be written with --out")
    when = (
        f"once {options.on} keeps {trace.claim or 'every claim'}"
        if scene.broken
        else f"already: {options.on} breaks no claim"
    )
    print(f"{file}: passes {when}")
    return 0


def fail(message: str) -> NoReturn:
    """Say in one line what to do, and exit with status 2."""
    print(f"report: {message}", file=sys.stderr)
    raise SystemExit(2)
