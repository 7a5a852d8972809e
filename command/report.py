"""`python -m command report`: ask the engines, and write what they say as pages, SARIF, JUnit XML, JSON, traces and SMT-LIB 2.

Exit status: 0 if every verdict is the expected one, 1 if one is not, 2 for bad input or an engine that fails. With status 1,
too, the whole report is there.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from hunt.profiles import OF_HUNTS
from hunt.revisions import TARGETS, KernelFile, kernel_of, kernel_options
from kernel.build import BuildError
from model.trace import TraceError, loads
from report.formats import as_junit, as_sarif, message
from report.pages import index
from report.runs import exhibit, seen, show
from report.verdicts import (
    BadResults,
    Verdict,
    of_trace,
    read_contracts,
    read_machine,
    read_prover,
    read_tallies,
)

PAST = Path(__file__).parent.parent / "tests" / "traces"

READERS = {"prove": read_prover, "fuzz": read_machine, "crosshair": read_contracts}
"""The engines, as `make` calls them, and who reads what they write."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m command report", description="Ask the engines, and write a report."
    )
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help="of prove, fuzz, crosshair; default: prove fuzz")
    parser.add_argument("--out", default="reports", metavar="FOLDER", help="default: reports")
    parser.add_argument(
        "--profile", default="dev", choices=OF_HUNTS, help="how long to hunt; default: dev, which is short"
    )
    kernel_options(parser, "ask them about")
    parser.error = lambda message: fail(f"{message}; see --help")  # type: ignore[method-assign]
    options = parser.parse_args(arguments)
    for engine in options.engines:
        if engine not in READERS:
            fail(f"there is no engine {engine!r}; there are {', '.join(READERS)}")
    if options.kernel is not None and "crosshair" in options.engines:
        fail("CrossHair reads Python only: ask prove or fuzz about a kernel")
    engines, folder = options.engines or ["prove", "fuzz"], Path(options.out)
    command = f"python -m command report {' '.join(engines)}" + (
        f" --profile {options.profile}" if "fuzz" in engines else ""
    )
    of_kernel: list[str] = []
    try:
        kernel = kernel_of(options)
        if kernel is not None:
            print(kernel.source)
            of_kernel = ["--kernel", options.kernel]
            of_kernel += ["--promises", options.promises] if options.promises is not None else []
            command += f" {' '.join(of_kernel)}"
        clear(folder)
        results = {engine: ask(engine, folder, options.profile, of_kernel) for engine in engines}
        verdicts = [verdict for engine, text in results.items() for verdict in READERS[engine](text)]
        verdicts += past_counterexamples() if options.kernel is None else []
        write(folder, verdicts, read_tallies(results.get("fuzz", "[]")), command, kernel)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; name a folder that can be written with --out")
    except (BuildError, BadResults) as bad:
        fail(str(bad))
    wrong = [verdict for verdict in verdicts if not verdict.as_expected]
    print(f"{folder / 'index.html'}: {len(verdicts)} verdicts, {len(wrong)} not as expected")
    if kernel is not None:
        print(kernel.source)
    return 1 if wrong else 0


def clear(folder: Path) -> None:
    """Make the folders, and take away what an earlier report has left in them, but for the traces: they may be a hunt's."""
    for part in ("traces", "smt2"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name in ("index.html", "results.sarif", "junit.xml", "results.json"):
        (folder / name).unlink(missing_ok=True)  # or, if an engine fails, they would be taken for this report
    for old in (folder / "smt2").glob("*.smt2"):
        old.unlink()


def ask(engine: str, folder: Path, profile: str, of_kernel: list[str]) -> str:
    """Run an engine, which shows its progress; returns the results that it has written."""
    file = folder / f"{engine}.json"
    file.unlink(missing_ok=True)
    commands = {
        "prove": ["prove", *of_kernel[:2], "--json", str(file), "--smt2", str(folder / "smt2")],
        "fuzz": ["fuzz", *of_kernel, "--profile", profile, "--json", str(file)],
        "crosshair": ["crosshair", "--json", str(file)],
    }
    done = subprocess.run(
        [sys.executable, "-m", "command", *commands[engine]], stdout=subprocess.PIPE, text=True, check=False
    )
    text = file.read_text() if file.exists() else ""
    if not text and done.returncode == 2:
        raise SystemExit(2)  # it has said why
    if not text:
        fail(f"{engine} has failed with status {done.returncode}, and written nothing")
    return text


def past_counterexamples() -> list[Verdict]:
    """Every trace of the past, run again on the revision that its name begins with: it has to break its claim. Raises
    BadResults for one that cannot be run."""
    verdicts = []
    for file in sorted(PAST.glob("*.json")):
        revision = file.name.partition("-")[0]
        if revision not in TARGETS:
            raise BadResults(f"{file}: its name has to begin with a revision, and {revision!r} is none")
        try:
            trace = loads(file.read_text())
            broken = seen(trace, revision).broken
        except (UnicodeDecodeError, TraceError, TimeoutError) as error:
            raise BadResults(f"{file}: {error}") from error
        claim = broken.claim.name if broken is not None else str(trace.claim)
        name = file.stem.removeprefix(f"{revision}-")
        found = None if broken is None else of_trace(broken.trace)
        outcome = "HELD" if broken is None else "BROKEN"
        verdicts.append(
            Verdict("replay", file.stem, claim, revision, outcome, "BROKEN", broken is not None, 0.0, name, {}, found)
        )
    return verdicts


def write(
    folder: Path,
    verdicts: list[Verdict],
    tallies: dict[str, dict[str, int]],
    command: str,
    kernel: KernelFile | None = None,
) -> None:
    """Everything, also what breaks as text on the terminal."""
    exhibits = [exhibit(one, folder / "traces", kernel) for one in verdicts if one.counterexample is not None]
    show(exhibits)
    for one in verdicts:
        if not one.as_expected and one.counterexample is None:
            print(f"\n{message(one)}")
    (folder / "index.html").write_text(index(verdicts, exhibits, tallies, command), encoding="utf-8")
    (folder / "results.sarif").write_text(as_sarif(verdicts, kernel))
    (folder / "junit.xml").write_text(as_junit(verdicts, kernel))
    (folder / "results.json").write_text(json.dumps([verdict.to_json() for verdict in verdicts], indent=1) + "\n")


def fail(message: str) -> NoReturn:
    """Say in one line what to do, and exit with status 2."""
    print(f"report: {message}", file=sys.stderr)
    raise SystemExit(2)
