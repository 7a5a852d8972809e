"""The policy of all subcommands: `--help` works, and bad input is one line, status 2, and nothing written."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command.__main__ import COMMANDS, main
from command.line import Status
from tests.running import ROOT, Command, alone

TRACE = "tests/traces/v6.1-layout_ends.json"

BAD = """
nothing at all                        | say what to do: one of demo, prove,
provee                                | no subcommand 'provee'; did you mean 'prove'?
--json=x prove                        | no subcommand '--json=x'; there are demo, prove,
-- prove                              | no subcommand '--'

prove no_room_is_wasetd               | no claim 'no_room_is_wasetd'; did you mean 'no_room_is_wasted'?
prove layout_ends xyzzy               | no claim 'xyzzy'; docs/claims.md lists them
prove reports_are_the_kernels         | no obligation; it is hunted by the state machine: make test
prove layout_ends --limit=0           | --limit: a number from 1 to 2147483647 is needed, not '0'; see --help
prove layout_ends --seed=-1           | --seed: a number from 0 to 2147483647
prove layout_ends --seeds=0           | --seeds: a number from 1
prove layout_ends --jobs=many         | --jobs: a number from 1
prove layout_ends --bogus             | unrecognized arguments: --bogus; see --help
prove layout_ends --tra=x             | unrecognized arguments: --tra=x
prove layout_ends --json              | --json: expected one argument
prove --json=/dev/null/results        | /dev/null/results: Not a directory; name one that can be written
prove --json={tmp}/none/results.json  | No such file or directory; name one that can be written
prove --json={tmp}                    | Is a directory; name one that can be written
prove --traces=/proc                  | /proc: No such file or directory; name one that can be written
prove --smt2={tmp}/notes.txt          | notes.txt: File exists; name one that can be written
prove --traces=                       | a file or folder without a name; name one that can be written
prove --kernel={tmp}                  | there is no mm/dmapool.c; a kernel tree is expected, or a single dmapool.c
prove --kernel=                       | a kernel tree is expected
prove --coverage                      | --coverage is about a kernel: name one with --kernel
prove --promises=series               | the prover goes by the file's features: leave it out, or only hunt
prove layout_ends --executor=nowhere:f --fresh    | --executor nowhere:f: ModuleNotFoundError: No module named 'nowhere'
prove layout_ends --executor=os:getcwd --fresh    | --executor os:getcwd: TypeError
prove layout_ends --executor=os --fresh           | --executor os: AttributeError
prove layout_ends --executor= --fresh             | --executor : ValueError
prove layout_ends --executor=dask:nowhere --fresh | --executor dask:nowhere: ValueError: missing port number
prove layout_ends --executor=tests.test_executors:NoResult --fresh | not NoneType

audit no_room_is_wasetd               | did you mean 'no_room_is_wasted'?
audit layout_ends/v6.1/u64/boundary_above_32_bits | nothing is expected to be proved of layout_ends/v6.1
audit --executor-calls=0              | --executor-calls: a number from 1
audit --executor-calls=9 layout_ends  | leave out claims and --json
audit --json=/proc/none               | /proc/none: No such file or directory

crosshair next_blok                   | no contract 'next_blok'; did you mean 'next_block'?
crosshair xyzzy                       | there are admit, next_block
crosshair next_block --jobs=0         | --jobs: a number from 1

fuzz v6.l                             | no revision 'v6.l'; did you mean 'v6.1'?
fuzz kernel                           | no revision 'kernel'; there are model, series,
fuzz --seed=-1                        | --seed: a number from 0 to 18446744073709551615 is needed, not '-1'
fuzz --seed=1e3                       | --seed: a number from 0
fuzz --profile=nightlyy               | --profile: invalid choice: 'nightlyy'
fuzz --json=/proc/none                | /proc/none: No such file or directory
fuzz --promises=series                | --promises is about a kernel: name one with --kernel
fuzz --kernel={tmp}/nowhere           | there is no such file; a kernel tree is expected
fuzz --kernel=.poolproof/kernels/v6.0 | there is no such file; a kernel tree is expected, or a single dmapool.c; `make kernels`
fuzz --kernel={tmp}                   | there is no mm/dmapool.c
fuzz --kernel={tmp}/notes.txt         | not a C file
fuzz --kernel={tmp}/empty.c           | empty.c has no dma_pool_create: is it a mm/dmapool.c?
fuzz --kernel={tmp} --promises=v7     | there are no promises 'v7'; there are those of model, series,

replay                                | the following arguments are required: TRACE; see --help
replay ''                             | a file or folder without a name; TRACE=file names a trace
replay nowhere.json                   | nowhere.json: No such file or directory; TRACE=file names a trace
replay {tmp}                          | Is a directory; TRACE=file names a trace
replay {tmp}/notes.txt                | notes.txt: not JSON that can be read
replay {tmp}/binary                   | binary: 'utf-8' codec can't decode
replay {trace} --on v6.l              | no revision 'v6.l'; did you mean 'v6.1'?
replay {trace} --kernel={tmp}         | there is no mm/dmapool.c
replay {trace} --on v6.1 --kernel=x   | --on v6.1 and --kernel x: name one of them
replay {trace} --on v6.1 --shrink=/proc/no/file | name one that can be written
replay {trace} --on v6.1 --shrink={tmp}         | Is a directory

compare                               | the following arguments are required: BEFORE
compare {tmp}                         | name what BEFORE is to be compared with
compare {tmp} x --patches y           | name what BEFORE is to be compared with
compare {tmp} x                       | there is no mm/dmapool.c
compare nowhere.c --patches y         | nowhere.c: there is no such file
compare a b --runs=0                  | --runs: a number from 1
compare a b --seed=-1                 | --seed: a number from 0

report prover                         | no engine 'prover'; did you mean 'prove'?
report fuzz --out=/proc/none          | /proc/none: No such file or directory; name a folder that can be written with --out
report fuzz --out={tmp}/notes.txt     | name a folder that can be written with --out
report fuzz --out=                    | without a name; name a folder that can be written with --out
report prove --profile=nope           | --profile: invalid choice: 'nope'
report crosshair --kernel={tmp}       | CrossHair reads Python only: ask prove or fuzz about a kernel
report --kernel={tmp} --promises=v6.1 | the prover goes by the file's features: leave it out, or only hunt
report fuzz --kernel={tmp}            | there is no mm/dmapool.c
report fuzz --promises=v6.1           | name one with --kernel

bugs boundary_ignord                  | no seeded bug 'boundary_ignord'; did you mean 'boundary_ignored'?
bugs --only=z3                        | --only: invalid choice: 'z3'
bugs --jobs=0                         | --jobs: a number from 1
bugs harmless_to_all                  | no seeded bug 'harmless_to_all'
bugs layout/boundary_not_clipped --only crosshair | none of these bugs is for crosshair to notice

claims --bogus                        | unrecognized arguments: --bogus
demo --bogus                          | unrecognized arguments: --bogus
kernels v7.0                          | no kernel 'v7.0'; there are v6.1, v6.12, newest
bench heading                         | no part 'heading'; did you mean 'headline'?
bench --out=/proc/none                | /proc/none: No such file or directory
bench --out={tmp} --kernel=/nowhere   | /nowhere: there is no such file
volume                                | the following arguments are required: --kernel
volume --kernel={tmp}                 | there is no mm/dmapool.c
volume --kernel={tmp} --operations=0  | --operations: a number from 1
volume --kernel={tmp} --seed=-1       | --seed: a number from 0
"""
CASES = [[part.strip() for part in line.split("|", 1)] for line in BAD.splitlines() if line]


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
    assert hunt.returncode == Status.INTERRUPTED
    assert err == "\npoolproof: interrupted\n"
