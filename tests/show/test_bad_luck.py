"""What a person's hand, a killed command or a second one does to a real cluster, and what `up` makes of it.

Each moment of each step is covered in memory (tests/cluster/test_killed.py); here the steps are real.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from docker import DockerClient
from docker.types import IPAMConfig, IPAMPool
from pytest_socket import enable_socket
from rehearsal.cluster import record
from rehearsal.cluster.engine import DockerNodeEngine, connect
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths
from rehearsal.core.verdicts import ExitCode

from tests.show.program import Ended, cut_off, rehearsal, start

pytestmark = pytest.mark.cluster

# As they are said; a new cluster goes through them all.
STEPS = ("cluster", "registry", "nodes", "kubeconfig", "network", "add-ons ready")
_LIMIT_SECONDS = 600.0


@pytest.fixture(scope="module")
def docker() -> Iterator[DockerClient]:
    enable_socket()
    client = connect()
    yield client
    client.close()


@pytest.fixture(scope="module")
def names(settings: Catalogue) -> tuple[str, str]:
    """Names of the control plane and of the first worker."""
    return f"{settings.cluster.name}-control-plane", f"{settings.cluster.name}-worker"


def _containers(docker: DockerClient, settings: Catalogue) -> dict[str, str]:
    return {one.name: one.id for one in DockerNodeEngine(docker).nodes(settings.cluster.name)}


def _healthy() -> None:
    rehearsal("cluster", "status").well()


# Harm to a cluster that stands


@pytest.mark.parametrize("harm", ["stop", "pause"])
@pytest.mark.parametrize("node", [0, 1], ids=["control-plane", "worker"])
def test_node_that_was_stopped_or_paused_is_mended_by_up(
    up: Callable[..., Ended], docker: DockerClient, names: tuple[str, str], harm: str, node: int
) -> None:
    up("full")
    getattr(docker.containers.get(names[node]), harm)()

    up("full")

    _healthy()


def test_worker_that_was_deleted_joins_again_and_the_other_nodes_stay(
    up: Callable[..., Ended], docker: DockerClient, settings: Catalogue, names: tuple[str, str]
) -> None:
    up("full")
    before = _containers(docker, settings)
    docker.containers.get(names[1]).remove(force=True, v=True)

    said = up("full").said

    _healthy()
    after = _containers(docker, settings)
    assert {name for name in before if before[name] != after[name]} == {names[1]}
    assert f"{names[1]} is gone and joins the cluster anew" in said


def test_guard_that_was_taken_away_is_named_and_put_back(
    up: Callable[..., Ended], docker: DockerClient, names: tuple[str, str]
) -> None:
    up("full")
    DockerNodeEngine(docker).execute(names[1], ["nft", "delete", "table", "inet", "rehearsal"])

    found = rehearsal("cluster", "status")
    rehearsal("cluster", "repair").well()

    assert (found.code, f"PROBLEM   {names[1]}: its network guard is gone" in found.said) == (3, True)
    _healthy()


def test_half_written_kubeconfig_is_written_anew(up: Callable[..., Ended], folders: Paths) -> None:
    up("light")
    whole = folders.kubeconfig.read_bytes()
    folders.kubeconfig.write_bytes(whole[: len(whole) // 2])

    up("light")

    _healthy()


def test_control_plane_that_was_deleted_means_a_cluster_made_anew_and_it_is_said(
    up: Callable[..., Ended], docker: DockerClient, names: tuple[str, str]
) -> None:
    up("light")
    docker.containers.get(names[0]).remove(force=True, v=True)

    assert "the cluster is made anew" in up("light").said
    _healthy()


# Commands that are cut off, or run twice


@pytest.fixture
def nothing() -> None:
    """Leave no cluster."""
    enable_socket()
    rehearsal("cluster", "down").well()


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize("step", STEPS)
def test_up_that_was_killed_in_a_step_is_finished_by_the_next(step: str) -> None:
    killed = cut_off(step, signal.SIGKILL, "cluster", "up", "--profile", "light")

    rehearsal("cluster", "up", "--profile", "light").well()

    assert killed.code == -signal.SIGKILL
    _healthy()


@pytest.mark.usefixtures("nothing")
def test_ctrl_c_ends_with_130_and_takes_kind_along() -> None:
    stopped = cut_off("cluster", signal.SIGINT, "cluster", "up", "--profile", "light")

    assert (stopped.code, _running_kinds()) == (130, [])
    rehearsal("cluster", "up", "--profile", "light").well()
    _healthy()


@pytest.mark.usefixtures("nothing")
def test_of_two_ups_at_once_one_waits_and_says_for_what() -> None:
    command = ("cluster", "up", "--profile", "light")
    with start(*command) as first, start(*command) as second:
        said = [process.communicate(timeout=_LIMIT_SECONDS)[0] for process in (first, second)]

    assert [first.returncode, second.returncode] == [0, 0], said
    assert sum("which does: cluster up" in one for one in said) == 1
    _healthy()


@pytest.mark.usefixtures("nothing")
def test_node_that_boots_too_slowly_is_made_anew_and_said(
    docker: DockerClient, names: tuple[str, str]
) -> None:
    with start("cluster", "up", "--profile", "light") as process, _throttled(docker, names[0]):
        said = process.communicate(timeout=_LIMIT_SECONDS)[0]

    assert process.returncode == 0, said
    assert "ENVIRONMENT: a node did not boot within kind's 30 s" in said
    _healthy()


@pytest.mark.usefixtures("nothing")
def test_port_that_a_program_holds_is_named_before_anything_is_made(
    docker: DockerClient, settings: Catalogue
) -> None:
    with socket.create_server(("127.0.0.1", settings.ports.registry)):
        refused = rehearsal("cluster", "up", "--profile", "light")

    assert refused.code == ExitCode.ENVIRONMENT, refused.said
    assert f"Port {settings.ports.registry} (registry): in use by program" in refused.said
    assert f"(pid {os.getpid()})" in refused.said
    assert _containers(docker, settings) == {}


@pytest.mark.usefixtures("nothing")
def test_address_range_that_another_network_has_is_left_to_it(
    docker: DockerClient, settings: Catalogue, folders: Paths
) -> None:
    first = settings.network.docker_subnets[0]
    pool = IPAMConfig(pool_configs=[IPAMPool(subnet=str(first))])
    other = docker.networks.create("rehearsal-show-neighbour", driver="bridge", ipam=pool)
    try:
        rehearsal("cluster", "up", "--profile", "light").well()
        made = record.load(folders.state)
        _healthy()
        rehearsal("cluster", "down").well()
    finally:
        other.remove()

    assert made
    assert not made.spec.ranges.docker.overlaps(first)


@pytest.mark.usefixtures("nothing")
def test_proxy_that_does_not_exist_is_in_nobody_s_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    rehearsal("cluster", "up", "--profile", "light").well()

    _healthy()


@pytest.mark.usefixtures("nothing")
def test_down_of_nothing_is_no_error() -> None:
    assert "nothing was there" in rehearsal("cluster", "down").well().said


@contextmanager
def _throttled(docker: DockerClient, name: str) -> Iterator[None]:
    """Give the first container of this name a thousandth of a core from its creation on.

    With a hundredth it boots in 8 s, and kubeadm then starves for its whole time limit.
    """

    def throttle() -> None:
        for event in made:
            docker.containers.get(event["id"]).update(cpu_period=1_000_000, cpu_quota=1_000)
            return

    made = docker.events(decode=True, filters={"event": "create", "container": name})
    watcher = threading.Thread(target=throttle)
    watcher.start()
    try:
        yield
    finally:
        made.close()
        watcher.join()


def _running_kinds() -> list[str]:
    lines = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    return [line for line in lines if "create cluster --config" in line]
