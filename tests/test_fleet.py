"""Hunts that share what they found through a Redis server, and what is said where there is none."""

import os
import socket
import subprocess
import sys
import unittest
from collections.abc import Iterator
from threading import Thread

import pytest
import redis
from fakeredis import TcpFakeServer
from hypothesis import Phase, settings

from command import fuzz
from command.__main__ import main
from hunt import profiles
from hunt.fuzz import hunt


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TcpFakeServer]:
    """A server of the real protocol, at the address that HYPOTHESIS_REDIS has; and profiles to use it with."""
    with TcpFakeServer(("127.0.0.1", 0)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HYPOTHESIS_REDIS", f"redis://127.0.0.1:{server.server_address[1]}")
        profiles.register()
        ci = settings.get_profile("ci")
        settings.register_profile("short", ci, phases=[Phase.reuse, Phase.generate], max_examples=20)
        settings.register_profile("only what is known", ci, phases=[Phase.reuse])
        yield server
        server.shutdown()
    monkeypatch.undo()
    profiles.register()


def kept() -> dict[bytes, set[bytes]]:
    """What the database holds."""
    client = redis.Redis.from_url(os.environ["HYPOTHESIS_REDIS"])
    return {key: client.smembers(key) for key in client.keys("poolproof:*")}


@pytest.mark.usefixtures("server")
def test_what_one_machine_of_a_fleet_finds_another_one_finds_at_once() -> None:
    with pytest.raises(unittest.SkipTest):  # nothing is known, so nothing is tried
        hunt("v6.1", seed=2, profile="only what is known", directed_first=False)
    assert hunt("v6.1", seed=1, profile="short", directed_first=False).found
    assert kept()
    assert hunt("v6.1", seed=2, profile="only what is known", directed_first=False).found


@pytest.mark.usefixtures("server")
def test_a_hunt_in_a_sound_revision_forgets_nothing_of_another() -> None:
    hunt("v6.1", seed=1, profile="short", directed_first=False)
    found = kept()
    assert not hunt("series", seed=2, profile="short", directed_first=False).found
    assert {key: kept()[key] for key in found} == found


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nonsense", "HYPOTHESIS_REDIS is no address; one is redis://HOST:6379/0"),
        ("redis://me:se/cret@localhost", "HYPOTHESIS_REDIS is no address; one is redis://HOST:6379/0"),
        ("redis://me:secret@localhost:1", "no Redis server for HYPOTHESIS_REDIS at localhost:1: "),
    ],
)
def test_a_bad_address_is_told_in_a_line_without_its_password(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYPOTHESIS_REDIS", address)
    told = refused(capsys)
    assert told.startswith(f"fuzz: {said}")
    assert "cret" not in told


def test_a_server_that_does_not_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HYPOTHESIS_REDIS", f"redis://127.0.0.1:{silent.getsockname()[1]}?socket_timeout=0.1")
        assert "Timeout" in refused(capsys)


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HYPOTHESIS_REDIS", "redis://localhost")
    monkeypatch.setitem(sys.modules, "redis", None)
    assert refused(capsys) == "fuzz: HYPOTHESIS_REDIS needs the package redis: run `make setup`\n"


def test_a_server_that_is_lost_in_a_hunt_is_told(
    server: TcpFakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose_it(_: int) -> None:
        server.shutdown()
        server.server_close()
        hunt("v6.1", seed=1, profile="short", directed_first=False)

    monkeypatch.setattr(fuzz, "ProcessPoolExecutor", lose_it)
    monkeypatch.setattr(profiles, "register", lambda: None)
    assert refused(capsys, "seed").startswith("fuzz: no Redis server for HYPOTHESIS_REDIS at 127.0.0.1:")


@pytest.mark.parametrize("variable", ["HYPOTHESIS_REDIS", "HYPOTHESIS_PROFILE"])
def test_pytest_tells_it_as_an_error_of_usage(variable: str) -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "tests/test_fleet.py"]
    environment = {**os.environ, variable: "nonsense"}
    done = subprocess.run(command, cwd=profiles.ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert [line for line in done.stderr.splitlines() if line] == [done.stderr.strip()]
    assert "nonsense" in done.stderr or "is no address" in done.stderr


def refused(capsys: pytest.CaptureFixture[str], out: str = "") -> str:
    """What `python -m command fuzz` says in the one line that it refuses to hunt with."""
    assert main(["fuzz", "series"]) == 2
    told = capsys.readouterr()
    assert told.out.startswith(out) if out else told.out == ""
    assert told.err.count("\n") == 1
    return told.err
