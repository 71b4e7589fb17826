"""What a killed run leaves behind is removed by the next; what a living one uses is not touched."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Timer

import docker
import pytest

from mambogo_testkit.engine import LABEL_OWNER, LABEL_RUN, Engine, Spec, sweep
from mambogo_testkit.images import ensure_image
from mambogo_testkit.owners import is_dead, this_owner
from support import Session

_HANGS = """
import time
def test_hangs(redis_server):
    print("CONTAINER", redis_server.running.containers[0], flush=True)
    while True:
        time.sleep(1)
"""


def container_of(session: Session) -> tuple[int, str]:
    process = session(_HANGS, "-s")
    assert process.stdout is not None
    for line in process.stdout:
        if "CONTAINER" in line:
            return process.pid, line.split()[-1]
    raise AssertionError("the session ended before its dependency ran")


def volumes_of(client: docker.DockerClient, container: str) -> list[str]:
    mounts = (client.containers.get(container).attrs or {})["Mounts"]
    return [mount["Name"] for mount in mounts if mount["Type"] == "volume"]


def test_the_containers_and_volumes_of_a_killed_run_are_swept(
    start_session: Session, engine_client: docker.DockerClient
) -> None:
    pid, container = container_of(start_session)
    volumes = volumes_of(engine_client, container)
    os.kill(pid, signal.SIGKILL)

    # Sessions of other workers sweep too: which of them removes it is not said, only that it is gone then.
    sweep(engine_client)
    with pytest.raises(docker.errors.NotFound):
        engine_client.containers.get(container)
    assert volumes
    for volume in volumes:
        with pytest.raises(docker.errors.NotFound):
            engine_client.volumes.get(volume)


def test_sweeps_at_the_same_time_wait_for_each_other(
    start_session: Session, engine_client: docker.DockerClient
) -> None:
    pid, container = container_of(start_session)
    labels = engine_client.containers.get(container).labels
    os.kill(pid, signal.SIGKILL)

    with ThreadPoolExecutor() as pool:
        for sweeper in [pool.submit(sweep, engine_client) for _ in range(8)]:
            sweeper.result()
    with pytest.raises(docker.errors.NotFound):
        engine_client.containers.get(container)
    mine = {"label": f"{LABEL_RUN}={labels[LABEL_RUN]}"}
    assert engine_client.networks.list(filters=mine) == []


def test_network_that_something_has_not_left_yet_is_removed_when_it_has(
    start_session: Session, engine_client: docker.DockerClient
) -> None:
    pid, container = container_of(start_session)
    run = engine_client.containers.get(container).labels[LABEL_RUN]
    (network,) = engine_client.networks.list(filters={"label": f"{LABEL_RUN}={run}"})
    # As one that a start has made since its owner died: in the network, and not to be seen by its label.
    image = ensure_image(engine_client, "redis")
    late = engine_client.containers.run(image, detach=True, network=network.name, labels={"late": run})
    leaving = Timer(1.0, late.remove, kwargs={"force": True, "v": True})
    os.kill(pid, signal.SIGKILL)
    leaving.start()
    try:
        sweep(engine_client)
        assert engine_client.networks.list(filters={"label": f"{LABEL_RUN}={run}"}) == []
    finally:
        leaving.join()


def test_remains_that_stay_fail_no_sweep(
    start_session: Session, engine_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mambogo_testkit.engine._NETWORK_SECONDS", 0.0)
    pid, container = container_of(start_session)
    run = engine_client.containers.get(container).labels[LABEL_RUN]
    (network,) = engine_client.networks.list(filters={"label": f"{LABEL_RUN}={run}"})
    image = ensure_image(engine_client, "redis")
    late = engine_client.containers.run(image, detach=True, network=network.name, labels={"late": run})
    os.kill(pid, signal.SIGKILL)
    try:
        sweep(engine_client)
    finally:
        late.remove(force=True, v=True)


def test_the_containers_of_a_living_run_stay(
    start_session: Session, engine_client: docker.DockerClient
) -> None:
    _, container = container_of(start_session)
    assert container not in sweep(engine_client)
    assert engine_client.containers.get(container).status == "running"


def test_an_interrupted_run_removes_its_containers_itself(
    start_session: Session, engine_client: docker.DockerClient
) -> None:
    process = start_session(_HANGS, "-s")
    assert process.stdout is not None
    container = next(line.split()[-1] for line in process.stdout if "CONTAINER" in line)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    with pytest.raises(docker.errors.NotFound):
        engine_client.containers.get(container)


def test_a_reused_process_id_is_not_its_former_owner() -> None:
    scope_and_pid, _, start = this_owner().rpartition("/")
    assert not is_dead(f"{scope_and_pid}/{start}")
    assert is_dead(f"{scope_and_pid}/an-earlier-start")


def test_an_owner_on_another_machine_counts_as_alive() -> None:
    assert not is_dead("elsewhere:pid:[1]/1/some-boot-1")


def test_a_taken_port_is_no_failure(
    engine_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = ensure_image(engine_client, "redis")
    engine = Engine("port-test")
    try:
        spec = Spec(kind="redis", image=image, ports={"redis": 6379}, data=("/data",))
        _, first = engine.start(["redis"], lambda _: spec)
        offers = iter([[first["redis"]], [first["redis"] + 1]])
        monkeypatch.setattr("random.sample", lambda *_: next(offers))
        _, second = engine.start(["redis"], lambda _: spec)
        assert second["redis"] == first["redis"] + 1
        mine = {"label": f"{LABEL_RUN}=port-test"}
        containers = engine_client.containers.list(all=True, filters=dict(mine), ignore_removed=True)
        assert [container.labels[LABEL_OWNER] for container in containers] == [this_owner()] * 2
    finally:
        engine.close()
