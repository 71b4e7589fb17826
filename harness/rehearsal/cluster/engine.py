"""Adapter: containers and networks of the Docker engine, as far as the cluster needs them.

Thin on purpose: it asks and it does, and decides nothing. `NodeEngine` is what the rest of the cluster layer
knows; `DockerNodeEngine` is the real one, and tests have a fake that passes the same contract.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Protocol, cast

from rehearsal.cluster.facts import ContainerFacts, ContainerState, NetworkFacts
from rehearsal.core.errors import EnvironmentNotReadyError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_KIND_CLUSTER_LABEL = "io.x-k8s.kind.cluster"
_STOP_SECONDS = 10  # a node's systemd gets this long to stop
_ANSWER_SECONDS = 30.0  # a program that is asked for a line has it at once; a loaded machine takes its time
_HEADER_BYTES = 8  # of a frame: which stream, three zeros, the length in four


class NodeEngine(Protocol):
    """What the cluster layer asks of a container engine."""

    def nodes(self, cluster: str) -> list[ContainerFacts]:
        """Return kind's node containers of a cluster, whatever their state."""

    def container(self, name: str) -> ContainerFacts | None:
        """Return one container, or None."""

    def networks(self) -> list[NetworkFacts]:
        """Return all networks."""

    def create_network(self, name: str, subnet: IPv4Network, labels: Mapping[str, str]) -> None:
        """Create a bridge network with a fixed subnet."""

    def remove_network(self, name: str) -> None:
        """Remove a network; no error when it is gone."""

    def disconnect(self, container: str, network: str) -> None:
        """Cut a container from a network; no error when it is not connected."""

    def connect(self, container: str, network: str, address: IPv4Address) -> None:
        """Connect a container to a network with a fixed address, which outlives engine restarts."""

    def start(self, container: str) -> None:
        """Start a stopped container."""

    def unpause(self, container: str) -> None:
        """Let a paused container run on."""

    def clone(
        self, like: str, name: str, labels: Mapping[str, str], network: str, address: IPv4Address
    ) -> None:
        """Make and start a container like another one, with a fixed address and without its ports.

        `labels` are added to the other one's; what its volumes hold is not copied.
        """

    def remove(self, container: str, *, volumes: bool) -> None:
        """Remove a container, running or not; no error when it is gone."""

    def execute(self, container: str, argv: Sequence[str], stdin: str = "") -> str:
        """Run a program in a container and return its output; raises for a non-zero end."""

    def converse(self, container: str, argv: Sequence[str]) -> AbstractContextManager[Callable[[str], str]]:
        """Have a program run in a container that answers each line by a line; it ends with its input."""


class DockerNodeEngine:
    """The Docker engine behind `NodeEngine`."""

    def __init__(self, client: DockerClient) -> None:
        self._client = client

    def nodes(self, cluster: str) -> list[ContainerFacts]:
        """Return kind's node containers of a cluster, whatever their state."""
        found = self._client.containers.list(
            all=True, filters={"label": f"{_KIND_CLUSTER_LABEL}={cluster}"}, ignore_removed=True
        )
        return sorted((_facts(one) for one in found), key=lambda one: one.name)

    def container(self, name: str) -> ContainerFacts | None:
        """Return one container, or None."""
        from docker.errors import NotFound

        try:
            return _facts(self._client.containers.get(name))
        except NotFound:
            return None

    def networks(self) -> list[NetworkFacts]:
        """Return all networks."""
        return [_network(one.attrs) for one in self._client.networks.list()]

    def create_network(self, name: str, subnet: IPv4Network, labels: Mapping[str, str]) -> None:
        """Create a bridge network with a fixed subnet."""
        from docker.types import IPAMConfig, IPAMPool

        with _explained(f"the network {name} could not be created"):
            self._client.networks.create(
                name,
                driver="bridge",
                ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))]),
                labels=dict(labels),
                check_duplicate=True,
            )

    def remove_network(self, name: str) -> None:
        """Remove a network; no error when it is gone."""
        from docker.errors import NotFound

        with _explained(f"the network {name} could not be removed"):
            try:
                self._client.networks.get(name).remove()
            except NotFound:
                return

    def disconnect(self, container: str, network: str) -> None:
        """Cut a container from a network; no error when it is not connected."""
        from docker.errors import APIError

        with _explained(f"{container} could not be cut from the network {network}"):
            try:
                self._client.networks.get(network).disconnect(container, force=True)
            except APIError as error:
                if "is not connected" not in str(error):
                    raise

    def connect(self, container: str, network: str, address: IPv4Address) -> None:
        """Connect a container to a network with a fixed address, which outlives engine restarts."""
        with _explained(f"{container} could not be given the address {address}"):
            self._client.networks.get(network).connect(container, ipv4_address=str(address))

    def start(self, container: str) -> None:
        """Start a stopped container."""
        with _explained(f"{container} could not be started"):
            self._client.containers.get(container).start()

    def unpause(self, container: str) -> None:
        """Let a paused container run on."""
        with _explained(f"{container} could not be unpaused"):
            self._client.containers.get(container).unpause()

    def clone(
        self, like: str, name: str, labels: Mapping[str, str], network: str, address: IPv4Address
    ) -> None:
        """Make and start a container like another one, with a fixed address and without its ports."""
        api = self._client.api
        with _explained(f"{name} could not be made like {like}"):
            model = self._client.containers.get(like).attrs
            settings = {
                **model["Config"],
                "Hostname": name,
                "Image": model["Image"],  # by its id: the name may mean another one by now
                "Labels": {**model["Config"]["Labels"], **labels},
                "ExposedPorts": {},
                "HostConfig": {**model["HostConfig"], "PortBindings": {}},
                "NetworkingConfig": {
                    "EndpointsConfig": {network: {"IPAMConfig": {"IPv4Address": str(address)}}}
                },
            }
            # The library's typed call knows fewer settings than a container has.
            made = api.create_container_from_config(settings, name)  # type: ignore[no-untyped-call]
            api.start(made["Id"])

    def remove(self, container: str, *, volumes: bool) -> None:
        """Remove a container, running or not; no error when it is gone."""
        from docker.errors import NotFound

        with _explained(f"{container} could not be removed"):
            try:
                self._client.containers.get(container).remove(force=True, v=volumes)
            except NotFound:
                return

    def execute(self, container: str, argv: Sequence[str], stdin: str = "") -> str:
        """Run a program in a container and return its output; raises for a non-zero end."""
        # The engine's exec with an attached stdin is a hijacked socket; an argument needs none.
        command = [*argv] if not stdin else ["bash", "-c", 'printf "%s" "$0" | "$@"', stdin, *argv]
        with _explained(f"`{' '.join(argv)}` could not be run in {container}"):
            result = self._client.containers.get(container).exec_run(command, privileged=True)
        output = result.output
        said = output.decode("utf-8", "replace") if isinstance(output, bytes) else ""
        if result.exit_code != 0:
            raise EnvironmentNotReadyError(
                "NODE_COMMAND_FAILED",
                f"`{' '.join(argv)}` in {container} ended with {result.exit_code}:\n{said.strip()}",
                hint="`rehearsal cluster logs` collects what the node says.",
            )
        return said

    @contextmanager
    def converse(self, container: str, argv: Sequence[str]) -> Iterator[Callable[[str], str]]:
        """Have a program run in a container that answers each line by a line; it ends with its input."""
        api = self._client.api
        with _explained(f"`{' '.join(argv)}` could not be run in {container}"):
            made = api.exec_create(container, list(argv), stdin=True, stderr=False, privileged=True)
            stream = api.exec_start(made["Id"], socket=True)
        # A reading file over the socket, or the socket itself where the engine is reached by TLS.
        with (
            closing(stream),
            closing(_Lines(cast("socket.socket", getattr(stream, "_sock", stream)))) as lines,
        ):
            yield lines.ask


class _Lines:
    """A program's input and output through the engine, which frames the output (Docker's API, "Attach")."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_ANSWER_SECONDS)
        self._connection = connection
        self._said = b""

    def ask(self, line: str) -> str:
        """Send a line and return the one that answers it."""
        try:
            self._connection.sendall(line.encode() + b"\n")
            while b"\n" not in self._said:
                self._said += self._read(int.from_bytes(self._read(_HEADER_BYTES)[4:], "big"))
        except OSError as error:
            raise EnvironmentNotReadyError(
                "NODE_SILENT",
                f"a program in a node does not answer: {error}",
                hint="`rehearsal cluster status`",
            ) from error
        answer, self._said = self._said.split(b"\n", 1)
        return answer.decode()

    def close(self) -> None:
        """End its input."""
        with suppress(OSError):  # it may have ended by itself
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self._connection.recv(count - len(found))
            if not part:
                raise ConnectionError("it has ended")
            found += part
        return found


def connect() -> DockerClient:
    """Return a client of the engine that the environment names; raises when none answers."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException as error:
        raise EnvironmentNotReadyError(
            "ENGINE_ABSENT",
            f"no Docker engine answers: {error}",
            hint="`rehearsal doctor` says what is missing; `rehearsal up` starts one where it may.",
        ) from error
    return client


@contextmanager
def _explained(what: str) -> Iterator[None]:
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        raise EnvironmentNotReadyError(
            "ENGINE_REFUSED",
            f"{what}: {error.explanation or error}",
            hint="`rehearsal doctor` looks at the engine.",
        ) from error


def _facts(container: Container) -> ContainerFacts:
    attributes = container.attrs
    networks = attributes["NetworkSettings"]["Networks"] or {}
    return ContainerFacts(
        name=str(container.name),
        id=str(container.id),
        state=ContainerState(container.status),
        addresses={name: _address(link) for name, link in networks.items()},
        image=attributes["Config"]["Image"],
        pinned={name: address for name, link in networks.items() if (address := _pinned(link))},
        labels=container.labels,
        started=_moment(attributes["State"]["StartedAt"]),
    )


def _moment(text: str) -> datetime | None:
    """Return a time of the engine's; it writes the year 1 for what has not happened."""
    found = datetime.fromisoformat(text)
    return found if found.year > 1 else None


def _address(link: Mapping[str, object]) -> IPv4Address | None:
    text = link.get("IPAddress")
    return IPv4Address(str(text)) if text else _pinned(link)


def _pinned(link: Mapping[str, object]) -> IPv4Address | None:
    config = link.get("IPAMConfig")
    text = config.get("IPv4Address") if isinstance(config, dict) else None
    return IPv4Address(text) if text else None


def _network(attributes: Mapping[str, object]) -> NetworkFacts:
    ipam = attributes.get("IPAM")
    pools = (ipam.get("Config") if isinstance(ipam, dict) else None) or []
    subnets = [pool["Subnet"] for pool in pools if ":" not in pool.get("Subnet", ":")]
    labels = attributes.get("Labels")
    return NetworkFacts(
        name=str(attributes["Name"]),
        subnet=IPv4Network(subnets[0], strict=False) if subnets else None,
        labels=labels if isinstance(labels, dict) else {},
    )
