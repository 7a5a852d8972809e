"""Hunts that share what they found through a Redis server, and what is said where there is none."""

import os
import socket
import sys
import unittest
from collections.abc import Iterator
from threading import Thread

import pytest
import redis
from fakeredis import TcpFakeServer
from hypothesis import Phase, settings

from command import fuzz
from hunt import profiles
from hunt.fuzz import hunt
from tests.running import Command, alone


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TcpFakeServer]:
    """A server of the real protocol, at the address that HYPOTHESIS_REDIS has; and profiles to use it with."""
    with TcpFakeServer(("127.0.0.1", 0)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HYPOTHESIS_REDIS", f"redis://127.0.0.1:{server.server_address[1]}")
        profiles.register()
        ci = settings.get_profile("ci")
        settings.register_profile("of a fleet", ci, phases=[Phase.reuse, Phase.generate], max_examples=20)
        settings.register_profile("only what is known", ci, phases=[Phase.reuse])
        yield server
        server.shutdown()
    monkeypatch.undo()
    profiles.register()


@pytest.mark.usefixtures("server")
def test_what_one_machine_of_a_fleet_finds_another_one_finds_at_once() -> None:
    """Nor does a hunt in a sound revision forget what was found in another."""
    client = redis.Redis.from_url(os.environ["HYPOTHESIS_REDIS"])
    with pytest.raises(unittest.SkipTest):  # nothing is known, so nothing is tried
        hunt("v6.1", seed=2, profile="only what is known", directed_first=False)
    assert hunt("v6.1", seed=1, profile="of a fleet", directed_first=False).found
    found = {key: client.smembers(key) for key in client.keys("poolproof:*")}
    assert found
    assert not hunt("series", seed=2, profile="of a fleet", directed_first=False).found
    assert {key: client.smembers(key) for key in found} == found
    assert hunt("v6.1", seed=2, profile="only what is known", directed_first=False).found


def refused(command: Command, out: str = "") -> str:
    """What `python -m command fuzz` says in the one line that it refuses to hunt with."""
    ran = command("fuzz", "series")
    assert ran.out.startswith(out) if out else ran.out == ""
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    return ran.err


def test_a_server_that_cannot_be_had_is_reported_in_a_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    bad, no_server = "is no address; one is redis://HOST:6379/0\n", "no Redis server for HYPOTHESIS_REDIS at localhost:"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for address, said in (
            ("nonsense", bad),
            ("redis://me:se/cret@localhost", bad),
            ("redis://me:secret@localhost:1", no_server),
            (f"redis://localhost:{silent.getsockname()[1]}?socket_timeout=0.1", "Timeout"),
        ):
            monkeypatch.setenv("HYPOTHESIS_REDIS", address)
            error = refused(command)
            assert error.startswith("fuzz: ")
            assert said in error
            assert "cret" not in error
    monkeypatch.setitem(sys.modules, "redis", None)
    assert refused(command) == "fuzz: HYPOTHESIS_REDIS needs the package redis: run `make setup`\n"


def test_a_server_that_is_lost_in_a_hunt_is_reported(
    server: TcpFakeServer, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    def lose_it(_: int) -> None:
        server.shutdown()
        server.server_close()
        hunt("v6.1", seed=1, profile="of a fleet", directed_first=False)

    monkeypatch.setattr(fuzz, "ProcessPoolExecutor", lose_it)
    monkeypatch.setattr(profiles, "register", lambda: None)
    assert refused(command, "seed").startswith("fuzz: no Redis server for HYPOTHESIS_REDIS at 127.0.0.1:")


def test_pytest_reports_it_as_an_error_of_usage() -> None:
    for variable, said in (("HYPOTHESIS_REDIS", "is no address"), ("HYPOTHESIS_PROFILE", "nonsense")):
        collecting = ("-m", "pytest", "--collect-only", "tests/test_fleet.py")
        ran = alone(python=collecting, env={**os.environ, variable: "nonsense"})
        assert ran.status == pytest.ExitCode.USAGE_ERROR
        assert [line for line in ran.err.splitlines() if line] == [ran.err.strip()]
        assert said in ran.err
