"""`python -m proofs`: prove the catalogue, or what is named.

Exit status: 0 if every verdict is the expected one; 1 if a verdict is not; 2 for bad input, a missing solver, or a solver
that gave up.
"""

import argparse
import difflib
import json
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import NoReturn

from model.claims import CLAIMS
from model.trace import dumps, loads

try:
    from proofs.catalogue import OBLIGATIONS, Result, prove_named
    from proofs.solver import DEFAULT_LIMIT
except ModuleNotFoundError as missing:
    print(
        f"proofs: the Python package {missing.name!r} is missing; `make prove` installs it into .venv", file=sys.stderr
    )
    sys.exit(2)


def main(arguments: list[str] | None = None) -> int:
    parser = OneLineParser(prog="python -m proofs", description="Prove what a DMA pool promises.")
    parser.add_argument("names", nargs="*", metavar="CLAIM", help="a claim, or one of its obligations; default: all")
    parser.add_argument("--json", metavar="FILE", help="write every result as JSON; - for standard output")
    parser.add_argument("--traces", metavar="FOLDER", help="write the trace of every refutation that has one")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--seed", type=positive, default=0, help="the solver's random seed (default: 0)")
    parser.add_argument(
        "--limit", type=positive, default=DEFAULT_LIMIT, help="solver steps per query (default: %(default)s)"
    )
    options = parser.parse_args(arguments)

    names = select(options.names)
    try:
        if options.traces is not None:
            Path(options.traces).mkdir(parents=True, exist_ok=True)
        if options.json not in (None, "-"):
            Path(options.json).open("a").close()
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; name one that can be written")

    started = time.perf_counter()
    results = prove_all(names, options.jobs, options.seed, options.limit)
    seconds = time.perf_counter() - started
    if options.json == "-":
        print(as_json(results))
    else:
        print(as_text(results, seconds))
        if options.json is not None:
            Path(options.json).write_text(as_json(results) + "\n")

    if options.traces is not None:
        write_traces(results, Path(options.traces))

    gave_up = [result for result in results if result.verdict == "UNKNOWN"]
    if any(not result.as_expected for result in results if result not in gave_up):
        return 1
    if gave_up:
        first = gave_up[0]
        fail(
            f"{len(gave_up)} obligations are UNKNOWN, the first {first.obligation} ({first.why}); try a higher --limit"
        )
    return 0


def select(names: Iterable[str]) -> list[str]:
    """The obligations that are named by claim or in full; all of them if nothing is named."""
    chosen: list[str] = []
    for name in names:
        found = [o.name for o in OBLIGATIONS.values() if name in (o.name, o.claim.name)]
        if not found and name in CLAIMS:
            fail(f"{name} has no obligation; it is hunted by the state machine: make test")
        if not found:
            near = difflib.get_close_matches(name, [*OBLIGATIONS, *CLAIMS], n=1)
            fail(f"there is no claim {name!r}; {f'did you mean {near[0]!r}?' if near else 'README.md lists them'}")
        chosen += [name for name in found if name not in chosen]
    return chosen or list(OBLIGATIONS)


def prove_all(names: list[str], jobs: int, seed: int, limit: int) -> list[Result]:
    """Prove obligations on several processes, with progress on a terminal; the results in the catalogue's order."""
    results: dict[str, Result] = {}
    with ProcessPoolExecutor(min(jobs, len(names))) as executor:
        running = {executor.submit(prove_named, name, seed, limit): name for name in names}
        for future in as_completed(running):
            results[running[future]] = future.result()
            if sys.stderr.isatty():
                last = running[future][:70]
                print(
                    f"\r\x1b[K{len(results)} of {len(names)} obligations: {last}", end="", file=sys.stderr, flush=True
                )
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    return [results[name] for name in names]


def write_traces(results: list[Result], folder: Path) -> None:
    """A file per refutation that a driver's arguments reach, named by revision, claim and case."""
    for result in results:
        if result.counterexample is not None and "trace" in result.counterexample:
            trace = loads(json.dumps(result.counterexample["trace"]))
            name = "-".join(filter(None, (result.revision, result.claim, result.case)))
            (folder / f"{name}.json").write_text(dumps(trace))


def as_json(results: list[Result]) -> str:
    return json.dumps([asdict(result) for result in results], indent=1)


def as_text(results: list[Result], seconds: float) -> str:
    """The results by claim, with the refutations in words."""
    lines = []
    in_order = sorted(results, key=lambda result: list(CLAIMS).index(result.claim))
    for claim, of_claim in groupby(in_order, key=lambda result: result.claim):
        lines += ["", f"{claim}: {CLAIMS[claim].sentence}"]
        for result in of_claim:
            lines += told(result)
    odd = [result for result in results if not result.as_expected]
    verdicts = [result.verdict for result in results]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
    lines += ["", f"{len(results)} obligations in {seconds:.1f} s: {counts}; {len(odd)} not as expected."]
    lines += [f"  {result.obligation} is {result.verdict}, {result.expected} was expected." for result in odd]
    return "\n".join(lines[1:])


def told(result: Result) -> list[str]:
    """One result: a line, and what people need to understand a refutation."""
    where = " ".join(part for part in (result.revision, result.theory, result.case) if part)
    expected = "" if result.as_expected else f", but {result.expected} was expected"
    surprise = " as expected" if result.verdict == "REFUTED" and result.as_expected else expected
    lines = [f"  {result.verdict:<8} {where:<34} {result.seconds:6.2f} s{surprise}"]
    if result.verdict == "PROVED" and result.rests_on:
        lines.append(f"           rests on {', '.join(result.rests_on)}")
    if result.counterexample is not None:
        inputs = ", ".join(f"{name}={value}" for name, value in result.inputs.items())
        lines.append(f"           for      {inputs}")
        if result.broken != result.claim:
            lines.append(f"           broken   {result.broken}")
        lines.append(f"           expected {result.counterexample['expected']}")
        lines.append(f"           actual   {result.counterexample['actual']}")
    if result.why:
        lines.append(f"           because  {result.why}")
    return lines


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        fail(f"{message}; see --help")


def positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"a number from 1 to 2147483647 is needed, not {text!r}")
    return int(text)


def fail(message: str) -> NoReturn:
    """Say in one line what to do, and exit with status 2."""
    print(f"proofs: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
