"""A dependency of a test's own: nobody else has it, and the next one gets it mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import docker
import pytest

from mambogo_testkit import RedisServer
from mambogo_testkit.dependencies.redis import KIND
from mambogo_testkit.fleet import Fleet
from mambogo_testkit.running import Running


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    yield made
    made.close()


def broken_by(act: Callable[[RedisServer], None], fleet: Fleet, client: docker.DockerClient) -> Running:
    running = fleet.own(KIND)
    act(RedisServer(running, client, shared=False))
    fleet.release(running)
    return running


def remove(server: RedisServer) -> None:
    server._container().remove(force=True, v=True)


@pytest.mark.parametrize(
    "act",
    [RedisServer.pause, RedisServer.stop, RedisServer.kill, RedisServer.wait_ready],
    ids=["paused", "stopped", "killed", "untouched"],
)
def test_what_was_released_is_mended_and_handed_out_again(
    fleet: Fleet, engine_client: docker.DockerClient, act: Callable[[RedisServer], None]
) -> None:
    first = broken_by(act, fleet, engine_client)
    again = fleet.own(KIND)
    assert again == first
    assert RedisServer(again, engine_client, shared=False).missing() is None


def test_what_cannot_be_mended_is_replaced(fleet: Fleet, engine_client: docker.DockerClient) -> None:
    first = broken_by(remove, fleet, engine_client)
    another = fleet.own(KIND)
    assert another != first
    assert RedisServer(another, engine_client, shared=False).missing() is None


def test_what_is_in_use_is_nobody_elses(fleet: Fleet) -> None:
    assert fleet.own(KIND) != fleet.own(KIND)


def test_a_shared_dependency_is_never_handed_out_as_somebodys_own(fleet: Fleet) -> None:
    assert fleet.get(KIND) != fleet.own(KIND)
