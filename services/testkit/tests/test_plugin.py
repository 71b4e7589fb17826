"""The plugin: one set of containers per run, whoever asks, and nothing of it left afterwards."""

from __future__ import annotations

import re
from pathlib import Path

import docker

from mambogo_testkit.engine import LABEL_KIND, LABEL_RUN
from support import Session

_TIMEOUT_SECONDS = 150

_USERS = """
import os, pytest
@pytest.mark.parametrize("number", range(6))
def test_uses_redis(redis_space, redis_server, number):
    container, = redis_server.running.containers
    print(f"seen {container} {redis_space.number} {os.environ.get('PYTEST_XDIST_WORKER')}", flush=True)
    with open(os.environ["SEEN"], "a") as seen:
        print(container, redis_space.number, os.environ.get("PYTEST_XDIST_WORKER"), file=seen)
"""


def lines(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines()]


def test_all_workers_share_one_container_and_no_database(start_session: Session, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    # Round robin: each worker gets some of the tests.
    session = start_session(_USERS, "-n", "2", "--dist", "each", SEEN=str(seen))
    output, _ = session.communicate(timeout=_TIMEOUT_SECONDS)

    assert session.returncode == 0, output
    containers, databases, workers = (set(column) for column in zip(*lines(seen), strict=True))
    assert (len(containers), len(databases), workers) == (1, 12, {"gw0", "gw1"})


def test_nothing_is_left_after_a_run(
    start_session: Session, tmp_path: Path, engine_client: docker.DockerClient
) -> None:
    seen = tmp_path / "seen"
    session = start_session(_USERS, "-n", "2", SEEN=str(seen))
    output, _ = session.communicate(timeout=_TIMEOUT_SECONDS)

    assert session.returncode == 0, output
    # Other tests' containers come and go between the list and the look at each of them.
    left = {container.id for container in engine_client.containers.list(all=True, ignore_removed=True)}
    assert not {line[0] for line in lines(seen)} & left


def test_only_what_the_tests_ask_for_is_started(start_session: Session) -> None:
    source = f"""
from mambogo_testkit.engine import connect
def test_counts(redis_server):
    client = connect()
    mine = client.containers.get(redis_server.running.containers[0]).labels["{LABEL_RUN}"]
    containers = client.containers.list(filters={{"label": f"{LABEL_RUN}={{mine}}"}})
    kinds = [container.labels["{LABEL_KIND}"] for container in containers]
    client.close()
    assert kinds == ["redis"]
def test_needs_nothing():
    pass
"""
    session = start_session(source)
    output, _ = session.communicate(timeout=_TIMEOUT_SECONDS)
    assert session.returncode == 0, output


def test_a_run_without_dependencies_needs_no_engine(start_session: Session) -> None:
    session = start_session("def test_pure(): pass", DOCKER_HOST="tcp://127.0.0.1:1")
    output, _ = session.communicate(timeout=_TIMEOUT_SECONDS)
    assert session.returncode == 0, output


def test_without_an_engine_the_error_says_so_and_no_test_passes(
    start_session: Session, tmp_path: Path
) -> None:
    for workers in ((), ("-n", "2")):
        session = start_session(
            _USERS, *workers, DOCKER_HOST="tcp://127.0.0.1:1", SEEN=str(tmp_path / "seen")
        )
        output, _ = session.communicate(timeout=_TIMEOUT_SECONDS)
        assert session.returncode == 1
        assert "[no-engine]" in output
        assert re.search(r"^6 errors in", output, re.MULTILINE)


def test_a_shared_dependency_cannot_be_broken(start_session: Session) -> None:
    session = start_session("def test_breaks(redis_server): redis_server.stop()")
    output, _ = session.communicate(timeout=_TIMEOUT_SECONDS)
    assert session.returncode == 1
    assert "own_redis" in output
