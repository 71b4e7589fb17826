"""The node image against what kind needs of it: seconds, no cluster."""

from __future__ import annotations

import json
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
from rehearsal.core.paths import for_checkout
from rehearsal.core.waiting import wait_until
from rehearsal.supply.image_archive import save
from rehearsal.supply.images import pinned_tag
from rehearsal.supply.inventory import STACK_IMAGES, STACK_NODE
from rehearsal.supply.node_image import preloaded_images
from rehearsal.supply.supplies import Supplies, make_supplies

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
def supplies(engine: DockerClient, settings: Catalogue) -> Supplies:
    """This checkout's supplies."""
    return make_supplies(for_checkout(ROOT), settings, emit=lambda event: None, docker=lambda: engine)


@pytest.fixture(scope="module")
def stack_image(supplies: Supplies) -> str:
    """The image that has the stack's images as well; made when an image has changed since the cluster was."""
    return supplies.image(STACK_NODE).tag


@pytest.fixture(scope="module")
def stack_node(engine: DockerClient, stack_image: str) -> Iterator[Container]:
    """The same as a container, with containerd running."""
    with running(engine, stack_image) as container:
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


def test_the_stacks_images_are_preloaded_under_the_names_that_pods_ask_for(
    stack_node: Container, settings: Catalogue, supplies: Supplies
) -> None:
    registry = f"localhost:{settings.ports.registry}"
    stack = {f"{registry}/{pinned_tag(name, supplies.image_key(name))}" for name in STACK_IMAGES}
    control_plane = {image.reference for image in preloaded_images(settings.versions)}
    assert (stack | control_plane) - _images(stack_node) == set()


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


@pytest.mark.parametrize(
    ("command", "deleted"),
    [
        ("rm /etc/debian_version", "/etc/debian_version"),
        ("rm -r /etc/apt && mkdir /etc/apt", "/etc/apt/"),  # one mark on the folder, none on its files
    ],
)
def test_an_image_whose_layer_deletes_files_is_refused_and_leaves_no_name(
    engine: DockerClient, tmp_path: Path, command: str, deleted: str
) -> None:
    wrong, name = "rehearsal-tests/deleting:1", "localhost/deleting:1"
    container = engine.containers.run(
        "rehearsal/debian:bookworm", ["sh", "-c", command], network_mode="none", detach=True
    )
    try:
        container.wait(timeout=60)
        container.commit(*wrong.split(":"))
        with pytest.raises(EnvironmentNotReadyError, match=f"{name} cannot be .* deletes {deleted}"):
            save(engine, {name: wrong}, tmp_path / "images.tar")
        assert not engine.images.list(name=name)
    finally:
        container.remove(force=True)
        engine.images.remove(wrong)


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


@pytest.mark.parametrize("name", ["node", STACK_NODE])
def test_kinds_start_contract_is_in_the_configuration(
    engine: DockerClient, supplies: Supplies, name: str, stack_image: str
) -> None:
    found = supplies.image_if_there(name)
    assert found is not None
    config = engine.images.get(found.tag).attrs["Config"]
    assert config["Entrypoint"] == ["/usr/local/bin/entrypoint", "/sbin/init"]
    assert config["StopSignal"] == "SIGRTMIN+3"
    assert not config.get("Volumes")


def _images(container: Container) -> set[str]:
    return set(said(container, "ctr", "-n", "k8s.io", "images", "ls", "-q").split())
