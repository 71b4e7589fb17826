"""The node image against what kind needs of it: seconds, no cluster."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from pytest_socket import enable_socket
from rehearsal.cluster.engine import connect
from rehearsal.core import catalogue
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import wait_until
from rehearsal.supply.inventory import STACK_IMAGES
from rehearsal.supply.node_image import preload, preloaded_images, save

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

pytestmark = pytest.mark.cluster  # the image is there wherever the cluster is

ROOT = Path(__file__).resolve().parents[2]
# What kind runs in a node, by its own source.
_COMMANDS = [
    "bash",
    "sh",
    "cat",
    "cp",
    "mkdir",
    "pgrep",
    "systemctl",
    "kubeadm",
    "kubectl",
    "kubelet",
    "ctr",
    "containerd",
    "crictl",
    "journalctl",
]


@pytest.fixture(scope="module")
def settings() -> Catalogue:
    """The committed catalogue."""
    return catalogue.load(ROOT)


@pytest.fixture(scope="module")
def engine() -> DockerClient:
    """The Docker engine."""
    enable_socket()
    return connect()


@pytest.fixture(scope="module")
def node(engine: DockerClient, settings: Catalogue) -> Iterator[Container]:
    """The image as a container, with containerd running."""
    with running(engine, f"rehearsal/node:v{settings.versions.kubernetes}") as container:
        yield container


@pytest.fixture(scope="module")
def stack_node(engine: DockerClient, settings: Catalogue) -> Iterator[Container]:
    """The image that has the stack's images as well."""
    with running(engine, f"rehearsal/stack-node:v{settings.versions.kubernetes}") as container:
        yield container


@contextmanager
def running(engine: DockerClient, image: str) -> Iterator[Container]:
    """Run a node image without its entry point, with containerd."""
    container = engine.containers.run(
        image,
        entrypoint=["sleep", "300"],
        detach=True,
        privileged=True,
        network_mode="none",
        volumes=["/var"],  # as kind does: an overlay on an overlay cannot be mounted
    )
    try:
        said(container, "mount-preloaded")
        container.exec_run(["containerd"], detach=True)
        wait_until(
            "containerd in the node image",
            lambda: container.exec_run(["ctr", "version"]).exit_code == 0,
            timeout_seconds=30,
            hint="docker logs",
        )
        yield container
    finally:
        container.remove(force=True, v=True)


def said(container: Container, *argv: str) -> str:
    """Return what a command in the container prints; it has to succeed."""
    result = container.exec_run(list(argv))
    assert isinstance(result.output, bytes)
    assert result.exit_code == 0, result.output.decode()
    return result.output.decode()


@pytest.mark.parametrize("command", _COMMANDS)
def test_kinds_commands_are_on_the_path(node: Container, command: str) -> None:
    assert said(node, "bash", "-c", f"command -v {command}").startswith("/")


def test_the_version_file_is_one_line_and_says_what_kubelet_says(
    node: Container, settings: Catalogue
) -> None:
    version = f"v{settings.versions.kubernetes}"
    assert said(node, "cat", "/kind/version") == f"{version}\n"
    assert said(node, "kubelet", "--version").split()[-1] == version
    assert said(node, "kubeadm", "version", "-o", "short").strip() == version


def test_every_image_that_kubeadm_names_is_preloaded(node: Container, settings: Catalogue) -> None:
    listing = f"kubeadm config images list --kubernetes-version=v{settings.versions.kubernetes}"
    named = said(node, "bash", "-c", f"{listing} 2>/dev/null").split()  # it warns: there is no network
    assert len(named) == 7, named
    assert set(named) - _images(node) == set()


def test_every_image_that_the_recipe_promises_is_preloaded(node: Container, settings: Catalogue) -> None:
    promised = {image.reference for image in preloaded_images(settings.versions)}
    assert promised - _images(node) == set()


def test_the_sandbox_image_is_preloaded(node: Container) -> None:
    configured = said(node, "cat", "/etc/containerd/config.toml").split('sandbox_image = "')[1].split('"')[0]
    assert configured in _images(node)


def test_a_preloaded_image_runs(node: Container, settings: Catalogue) -> None:
    image = f"registry.k8s.io/coredns/coredns:v{settings.versions.coredns}"
    ran = said(
        node, *["ctr", "-n", "k8s.io", "run", "--rm"], image, "probe", "/usr/local/bin/coredns", "-version"
    )
    assert settings.versions.coredns in ran


def test_the_files_of_preloaded_images_are_not_copied_into_the_nodes_volume(node: Container) -> None:
    megabytes = said(node, "du", "--one-file-system", "--summarize", "--block-size=1M", "/var").split()[0]

    assert int(megabytes) < 100


def test_the_stacks_images_are_preloaded_beside_the_control_planes(
    stack_node: Container, settings: Catalogue, engine: DockerClient
) -> None:
    promised = {image.reference for image in preloaded_images(settings.versions)}
    for name in STACK_IMAGES:
        (tag,) = {
            one
            for one in engine.images.get(_moving_tag(engine, name)).tags
            if re.fullmatch(rf"localhost:{settings.ports.registry}/rehearsal/{name}:[0-9a-f]{{12}}", one)
        }
        promised.add(tag)
    assert promised - _images(stack_node) == set()


@pytest.mark.parametrize(
    ("name", "argv", "said_of_it"),
    [
        ("postgres", ["/usr/lib/postgresql/15/bin/postgres", "--version"], "PostgreSQL"),
        ("keycloak", ["java", "-version"], "OpenJDK"),  # four layers, two of them shared
    ],
)
def test_an_image_of_several_layers_runs(
    stack_node: Container, name: str, argv: list[str], said_of_it: str
) -> None:
    (image,) = [one for one in _images(stack_node) if f"/rehearsal/{name}:" in one]
    ran = said(stack_node, "ctr", "-n", "k8s.io", "run", "--rm", image, f"probe-{name}", *argv)
    assert said_of_it in ran


def test_the_stacks_files_are_not_copied_into_the_nodes_volume(stack_node: Container) -> None:
    megabytes = said(stack_node, "du", "--one-file-system", "--summarize", "--block-size=1M", "/var")

    assert int(megabytes.split()[0]) < 100


def test_an_image_whose_layer_deletes_files_is_refused_not_preloaded_wrongly(
    engine: DockerClient, settings: Catalogue, tmp_path: Path
) -> None:
    wrong, made = "rehearsal-tests/deleting:1", "rehearsal-tests/deleting-node:1"
    container = engine.containers.run(
        "rehearsal/debian:bookworm", ["rm", "/etc/debian_version"], network_mode="none", detach=True
    )
    try:
        container.wait(timeout=60)
        container.commit(*wrong.split(":"))
        layers = save(engine, {"localhost/deleting:1": wrong}, tmp_path / "images.tar")

        with pytest.raises(EnvironmentNotReadyError, match="a layer deletes what a layer below it has"):
            preload(
                engine,
                f"rehearsal/node:v{settings.versions.kubernetes}",
                tmp_path / "images.tar",
                layers,
                script=ROOT / "kind/node-image/preload.sh",
                tag=made,
                labels={},
            )

        assert not engine.images.list(name=made)
    finally:
        container.remove(force=True)
        for tag in ("localhost/deleting:1", wrong):
            engine.images.remove(tag)


@pytest.mark.parametrize("name", ["default-cni.yaml", "default-storage.yaml"])
def test_the_manifests_that_kind_applies_are_objects(node: Container, name: str) -> None:
    objects = list(yaml.safe_load_all(said(node, "cat", f"/kind/manifests/{name}")))
    assert all(one["kind"] and one["apiVersion"] for one in objects)


def test_nothing_sets_limits_that_need_a_capability(node: Container) -> None:
    assert json.loads(said(node, "cat", "/etc/containerd/cri-base.json"))["process"].get("rlimits") is None
    units = said(node, "bash", "-c", "cat /etc/systemd/system/*.service /etc/systemd/system/*/*.conf")
    assert "OOMScoreAdjust" not in units
    assert "Limit" not in units


def test_two_nodes_do_not_share_an_identity(node: Container) -> None:
    assert said(node, "bash", "-c", "cat /etc/machine-id /var/lib/dbus/machine-id 2>/dev/null || true") == ""


NETWORK = """pod_subnet 10.244.0.0/16
service_subnet 10.96.0.0/16
pod_cidr 10.244.1.0/24
registry localhost:5001 10.0.0.1:5000
egress no
peer 10.244.0.0/24 {other}
"""


@pytest.fixture(scope="module")
def restarted(engine: DockerClient, settings: Catalogue) -> Iterator[Container]:
    """A node that was told its network once, and was then restarted: only the guard has run since."""
    container = engine.containers.run(
        f"rehearsal/node:v{settings.versions.kubernetes}",
        entrypoint=["sleep", "300"],
        detach=True,
        privileged=True,
    )
    try:
        container.reload()
        gateway = IPv4Address(container.attrs["NetworkSettings"]["Gateway"])
        said(
            container,
            *["bash", "-c", 'printf "%s" "$0" | node-network ensure', NETWORK.format(other=gateway + 200)],
        )
        container.restart(timeout=1)
        said(container, "node-network", "guard")
        yield container
    finally:
        container.remove(force=True, v=True)


@pytest.mark.parametrize(
    ("name", "elements"),
    [("peers", "10.244.0.0/24"), ("own_pods", "10.244.1.0/24"), ("pod_subnet", "10.244.0.0/16")],
)
def test_a_restarted_node_s_guard_knows_all_pods_from_its_first_packet_on(
    restarted: Container, name: str, elements: str
) -> None:
    assert f"elements = {{ {elements} }}" in said(restarted, "nft", "list", "set", "inet", "rehearsal", name)


def test_a_restarted_node_s_way_to_other_pods_is_not_the_default_one(restarted: Container) -> None:
    assert "via" in said(restarted, "ip", "route", "show", "10.244.0.0/24")


def test_kinds_start_contract_is_in_the_configuration(engine: DockerClient, settings: Catalogue) -> None:
    config = engine.images.get(f"rehearsal/node:v{settings.versions.kubernetes}").attrs["Config"]
    assert config["Entrypoint"] == ["/usr/local/bin/entrypoint", "/sbin/init"]
    assert config["StopSignal"] == "SIGRTMIN+3"
    assert not config.get("Volumes")


def _moving_tag(engine: DockerClient, name: str) -> str:
    (tag,) = {
        tag
        for image in engine.images.list(name=f"rehearsal/{name}")
        for tag in image.tags
        if re.fullmatch(rf"rehearsal/{name}:[0-9.]+", tag)
    }
    return tag


def _images(container: Container) -> set[str]:
    return set(said(container, "ctr", "-n", "k8s.io", "images", "ls", "-q").split())
