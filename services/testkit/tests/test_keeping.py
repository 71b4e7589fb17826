"""The keeper: one set of containers over several runs of tests, and nothing of it left afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from mambogo_testkit import TestkitError
from mambogo_testkit.broker import RemoteFleet
from mambogo_testkit.keeping import VARIABLE
from support import Session

_TIMEOUT_SECONDS = 150

_USES = """
import os
def test_uses_redis(redis_server, own_redis):
    for kind, server in (("shared", redis_server), ("own", own_redis)):
        with open(os.environ["SEEN"], "a") as seen:
            print(kind, *server.running.containers, file=seen)
"""


@pytest.fixture
def keeper() -> Iterator[subprocess.Popen[str]]:
    """A keeper of this test's own."""
    with subprocess.Popen(
        [sys.executable, "-m", "mambogo_testkit.keeping"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def socket_of(keeper: subprocess.Popen[str]) -> str:
    assert keeper.stdout is not None
    return keeper.stdout.readline().strip()


def end(keeper: subprocess.Popen[str]) -> None:
    assert keeper.stdin is not None
    keeper.stdin.close()
    assert keeper.wait(_TIMEOUT_SECONDS) == 0


def run(start_session: Session, keeper: str, seen: Path, *workers: str) -> dict[str, str]:
    """The containers that one run of tests had, by kind."""
    session = start_session(_USES, *workers, **{VARIABLE: keeper, "SEEN": str(seen)})
    output, _ = session.communicate(timeout=_TIMEOUT_SECONDS)
    assert session.returncode == 0, output
    return dict(line.split() for line in seen.read_text(encoding="utf-8").splitlines())


def is_there(client: docker.DockerClient, container: str) -> bool:
    try:
        client.containers.get(container)
    except docker.errors.NotFound:
        return False
    return True


def test_runs_share_what_a_keeper_has_until_its_input_ends(
    keeper: subprocess.Popen[str], start_session: Session, tmp_path: Path, engine_client: docker.DockerClient
) -> None:
    path = socket_of(keeper)
    one = run(start_session, path, tmp_path / "one")
    assert [is_there(engine_client, one[kind]) for kind in ("shared", "own")] == [True, False]
    assert run(start_session, path, tmp_path / "other", "-n", "1")["shared"] == one["shared"]
    end(keeper)
    assert not is_there(engine_client, one["shared"])


def test_a_keeper_that_ended_is_an_error_that_says_so(keeper: subprocess.Popen[str]) -> None:
    path = socket_of(keeper)
    end(keeper)
    with pytest.raises(TestkitError) as raised:
        RemoteFleet(path).get("redis")
    assert raised.value.code == "fleet-gone"
