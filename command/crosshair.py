"""`python -m command crosshair`: run `crosshair check` on the contracts of `proofs.contracts`.

CONFIRMED: it followed every path to its end. REFUTED: an input breaks the claim. VACUOUS: no input meets the premises.
UNKNOWN: anything else, such as an exception of the code.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from linecache import getline
from typing import Any

from command.line import Status, add_jobs, add_names, unknown
from proofs import contracts
from report.verdicts import EngineVerdict

CHECK = [sys.executable, "-m", "crosshair", "check", "--report_all", "--analysis_kind=PEP316"]
CHECK += ["--max_uninteresting_iterations=0"]  # but as many as the contracts say
ENVIRONMENT = os.environ | {"CROSSHAIR_SMT_RLIMIT": "2000000"}  # Z3's steps for a question: no verdict depends on speed
VERDICTS = {"Confirmed over": "CONFIRMED", "false when calling": "REFUTED"}
CLAIM = re.compile(r"post:.*claims[.](\w+)[(]")
FUNCTIONS = {name: one for name, one in vars(contracts).items() if CLAIM.search(str(one.__doc__))}


def add(parser: argparse.ArgumentParser) -> None:
    add_names(parser, "FUNCTION", f"of {', '.join(FUNCTIONS)}")
    add_jobs(parser)


def run(options: argparse.Namespace) -> Status:
    for name in options.names:
        if name not in FUNCTIONS:
            raise unknown("contract", name, FUNCTIONS)
    verdicts = check_all(options.names or FUNCTIONS, options.jobs)
    print(*(f"{one.outcome:<23} {one.name}: {one.evidence['CrossHair says']}" for one in verdicts), sep="\n")
    return Status.EXPECTED if all(verdict.as_expected for verdict in verdicts) else Status.SURPRISE


def check_all(names: Iterable[str], jobs: int) -> list[EngineVerdict]:
    """CrossHair's verdicts on functions, each in a process of its own: what it finds depends on what ran before."""
    with ThreadPoolExecutor(jobs) as executor:
        done = executor.map(check, [FUNCTIONS[name] for name in names])
        return [verdict for verdicts in done for verdict in verdicts]


def check(function: Callable[..., Any], longest: float = 600) -> list[EngineVerdict]:
    """A verdict for each claim of the contract of a function, or UNKNOWN where CrossHair has no end in so many seconds."""
    command, started = [*CHECK, f"{function.__module__}.{function.__name__}"], time.perf_counter()
    try:
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=longest, check=False)
        output = done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        output = f"no end within {longest} s"
    seconds = time.perf_counter() - started
    messages = re.findall(r"^(.+):(\d+): \w+: (.+)$", output, re.M)  # file, line, what it says of the condition there
    said = {claim: text for file, line, text in messages for claim in CLAIM.findall(getline(file, int(line)))}
    revision, expected = ("v6.1", "REFUTED") if function.__name__.startswith("v6_1_") else ("series", "CONFIRMED")
    verdicts = []
    for claim in CLAIM.findall(str(function.__doc__)):
        text = said.get(claim, output.strip())
        otherwise = "VACUOUS" if "Unable to meet precondition" in output else "UNKNOWN"
        found = next((VERDICTS[how] for how in VERDICTS if text.startswith(how)), otherwise)
        about = found, expected, found == expected, seconds, "", {"CrossHair says": text}
        verdicts.append(EngineVerdict("contracts", f"{claim}/{function.__name__}", claim, revision, *about))
    return verdicts
