"""The C compiler: which one it is, and what it says, in one line that blames the right file."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from kernel.headers import ARCH
from model.bad_input import BadInput

UNKNOWN_NAME = re.compile(
    r"(?:implicit declaration of|call to undeclared) function '|undeclared|unknown type name '|"
    r"(?:undefined|incomplete) (?:type|typedef)|incomplete type|storage size of '|isn't known|no member named|is not defined|"
    r"type defaults to 'int'|type specifier missing"
)
"""What compilers say of a name that nothing declares, or that is declared otherwise."""


class BuildError(BadInput):
    """A program that cannot be built, or no kernel; says in one line why, and what to do."""


def compiler() -> list[str]:
    """$CC, or the system's C compiler, or that of the package ziglang. Raises BuildError if there is none."""
    if wanted := os.environ.get("CC"):
        command = shlex.split(wanted)
        if not command or shutil.which(command[0]) is None:
            raise BuildError(f"there is no compiler {wanted!r}, which CC names")
        return command
    if system := shutil.which("cc") or shutil.which("gcc") or shutil.which("clang"):
        return [system]
    if find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise BuildError(
        "there is no C compiler: install gcc or clang, or say which with CC=…, or run .venv/bin/pip install ziglang"
    )


def version_of(command: list[str]) -> str:
    return run([*command, "--version"]).stdout


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error.strerror}") from error


def explained(said: str, file: Path, tree: Path) -> str:
    """A compiler's first error, in one line that begins with the place in the file; of an unknown name, it ends with whose
    headers were used."""
    said = said.replace("\u2018", "'").replace("\u2019", "'")
    if header := re.search(
        r"^(.*?):\d+(?::\d+)?: fatal error: '?([\w./-]+\.h)'?(?:: No such| file not found)", said, re.M
    ):
        return f"{header[1]} includes {header[2]}, which the headers of {tree} lack"
    if re.search(r"undefined (?:reference to [`']|symbol: )__(?:a|ub)san", said):
        return "this compiler has nothing to run sanitizers with: take gcc or clang"
    found = re.search(r"^(.*?): (?:fatal )?error: (.*)$", said, re.M)
    if found is None:
        lines = [line for line in said.splitlines() if line.strip()] or ["the compiler says nothing"]
        return f"{file} does not compile: {lines[-1]}"
    where, message = found[1], re.sub(r"\s*\[-W[^]]*\]$", "", found[2])
    if not where.startswith(str(file)):  # in a macro of a header: where the file uses it
        used = re.search(rf"^\s*({re.escape(str(file))}:\d+:\d+): ", said[found.end() :], re.M)
        where = used[1] if used else where
    unknown = re.match(r"[^\n]*\n\s*(?:\d+ \| )?(\w+)\(", said[found.start() :])
    if unknown is not None and "defaults to 'int'" in message:
        message = f"there is no macro {unknown[1]}; {message}"
    error = f"{where}: it does not compile: {message}"
    if re.search(r"poolproof_page_size|variably modified|variable.length array|is not constant", message):
        return f"{error}; PAGE_SIZE is no constant here: it is chosen for each pool, see {ARCH / 'file.h'}"
    return f"{error}; the headers are those of {tree}" if UNKNOWN_NAME.search(message) else error
