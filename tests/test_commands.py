"""The policy of all subcommands: `--help` works, and bad input is one line, status 2, and nothing written."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command.line import Status
from command.main import COMMANDS, main
from kernel.once import ROOT
from tests.running import Command, alone

TRACE = "tests/traces/v6.1-layout_ends.json"

BAD = (ROOT / "tests" / "bad_input.txt").read_text().splitlines()
CASES = [[part.strip() for part in line.split("|", 1)] for line in BAD if line and not line.startswith("#")]


@pytest.mark.parametrize(("line", "words"), CASES, ids=[line for line, _ in CASES])
def test_bad_input_is_one_line_and_status_2(
    line: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "notes.txt").write_text("no JSON")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "empty.c").touch()
    before = sorted(tmp_path.rglob("*"))
    arguments = [] if line == "nothing at all" else shlex.split(line.format(tmp=tmp_path, trace=TRACE))
    status, out, err = command(*arguments)
    assert status == Status.NO_ANSWER
    name = arguments[0] if arguments and arguments[0] in COMMANDS else "poolproof"
    assert err.startswith(f"{name}: ")
    assert words in err
    assert (out, err.count("\n")) == ("", 1)
    assert sorted(tmp_path.rglob("*")) == before


def test_every_subcommand_is_given_bad_input_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert {line.partition(" ")[0] for line, _ in CASES} >= set(COMMANDS)
    for arguments in ([], *([name] for name in COMMANDS)):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--help"])
        assert ended.value.code == 0
        assert f"usage: python -m command {' '.join(arguments)}".strip() in capsys.readouterr().out


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("z3", "prove"),
        ("cvc5", "prove layout_ends --second"),
        ("bitwuzla", "prove layout_ends --second"),
        ("crosshair", "crosshair"),
        ("hypothesis", "fuzz"),
        ("jinja2", "report"),
    ],
)
def test_a_missing_package_is_one_line(package: str, arguments: str) -> None:
    hide = f"import sys, runpy; sys.modules[{package!r}] = None; sys.argv = ['command', *{arguments.split()!r}]"
    code = f"{hide}; runpy.run_module('command', run_name='__main__')"
    name = arguments.split()[0]
    said = f"{name}: the Python package {package!r} is missing; `make setup` installs it into .venv\n"
    assert alone(python=("-c", code)) == (2, "", said)


@pytest.mark.parametrize("folder", ["model", "impl", "kernel", "bugs", "hunt", "proofs", "report", "command", "bench"])
def test_one_module_parses_arguments_and_one_exits(folder: str) -> None:
    for file in (ROOT / folder).glob("**/*.py"):
        found = set(re.findall(r"ArgumentParser\(|sys\.exit|raise SystemExit|sys\.argv", file.read_text()))
        allowed = {"line.py": {"ArgumentParser("}, "__main__.py": {"sys.exit", "sys.argv"}}
        assert found <= (allowed.get(file.name, set()) if folder == "command" else set()), file


def test_ctrl_c_is_one_line_and_leaves_no_worker() -> None:
    command = [sys.executable, "-m", "command", "fuzz", "series", "--seed=1", "--profile=nightly"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as hunt:
        assert hunt.stdout is not None
        assert hunt.stdout.readline().startswith("seed 1: ")
        os.killpg(hunt.pid, signal.SIGINT)  # as a terminal does: the command's workers get it, too
        _, err = hunt.communicate()  # ends when the last process that holds the pipes has ended
    assert hunt.returncode == 130
    assert err == "\npoolproof: interrupted\n"


@pytest.mark.parametrize(("value", "is_on"), [("1", True), ("0", False), ("", False)])
def test_a_switch_of_make_can_be_off(value: str, is_on: bool) -> None:
    made = subprocess.run(
        ["make", "-n", "fuzz", "KERNEL=x", f"REAL={value}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ("--real" in made.stdout) is is_on
