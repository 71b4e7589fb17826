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
def test_uses_redis(redis_server):
    with open(os.environ["SEEN"], "a") as seen:
        print(*redis_server.running.containers, file=seen)
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


def test_runs_share_what_a_keeper_has_until_its_input_ends(
    keeper: subprocess.Popen[str], start_session: Session, tmp_path: Path, engine_client: docker.DockerClient
) -> None:
    environment = {VARIABLE: socket_of(keeper), "SEEN": str(tmp_path / "seen")}
    for workers in ((), ("-n", "1")):
        session = start_session(_USES, *workers, **environment)
        output, _ = session.communicate(timeout=_TIMEOUT_SECONDS)
        assert session.returncode == 0, output
    [container] = set((tmp_path / "seen").read_text(encoding="utf-8").split())
    assert engine_client.containers.get(container).status == "running"
    end(keeper)
    with pytest.raises(docker.errors.NotFound):
        engine_client.containers.get(container)


def test_a_keeper_that_ended_is_an_error_that_says_so(keeper: subprocess.Popen[str]) -> None:
    path = socket_of(keeper)
    end(keeper)
    with pytest.raises(TestkitError) as raised:
        RemoteFleet(path).get("redis")
    assert raised.value.code == "fleet-gone"
