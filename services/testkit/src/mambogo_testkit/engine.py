"""Starting, labelling and removing containers; the only module that talks to testcontainers.

Each container gets a read-only root, no capabilities and ports on 127.0.0.1 only, as the images
promise to need. What a dead process left behind is swept before a run makes its own.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import cast

import docker
import docker.errors
from docker.types import Mount

from mambogo_testkit.errors import TestkitError
from mambogo_testkit.owners import is_dead, this_owner
from mambogo_testkit.running import HOST
from mambogo_testkit.waiting import wait_until

# Its reaper container comes from a registry; here the labels and the sweep do its work.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
from testcontainers.core.container import DockerContainer

LABEL_RUN = "com.mambogo.testkit.run"
LABEL_OWNER = "com.mambogo.testkit.owner"
LABEL_KIND = "com.mambogo.testkit.kind"

# Below the range from which kernels choose ports of outgoing connections, and below NodePorts.
PORTS = range(20_000, 30_000)
_PORT_ATTEMPTS = 10
_NETWORK_SECONDS = 20.0  # until the last container has left it; milliseconds on an idle machine
_LOG_TAIL_LINES = 40
_UID = 65532


@dataclass(frozen=True, slots=True)
class Spec:
    """One container to start. `ports` maps a name to the port inside."""

    kind: str
    image: str
    ports: dict[str, int]
    command: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict, repr=False)
    scratch: tuple[str, ...] = ()  # emptied by a stop (tmpfs)
    data: tuple[str, ...] = ()  # kept over stop and start (anonymous volume)
    read_only: bool = True
    cpu_shares: int = 1024  # relative to other containers; 1024 is Docker's default


class Engine:
    """The containers of one run of tests, all carrying its labels."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.labels = {LABEL_RUN: run, LABEL_OWNER: this_owner()}
        self.client = connect()
        # Not the engine's default bridge: that one belongs to everybody.
        self._network = f"mambogo-testkit-{run}"
        try:
            self.client.networks.create(self._network, driver="bridge", labels=self.labels)
        except docker.errors.APIError as error:
            self.client.close()
            raise TestkitError(
                "network", f"no Docker network was made: {error}", "docker network prune frees address ranges"
            ) from error

    def start(
        self, ports: Iterable[str], spec_for: Callable[[dict[str, int]], Spec]
    ) -> tuple[str, dict[str, int]]:
        """Start a container on free ports of 127.0.0.1; `spec_for` gets the ports before they are bound.

        Returns the container's id and the ports by name. Raises TestkitError `start`.
        """
        names = list(ports)
        for attempt in range(_PORT_ATTEMPTS):
            chosen = dict(zip(names, random.sample(PORTS, len(names)), strict=True))
            try:
                return self._start(spec_for(chosen), chosen), chosen
            except docker.errors.APIError as error:
                # The engine is the only judge of a free port; all else would be a guess before the fact.
                taken = "already allocated" in str(error) or "already in use" in str(error)
                if not taken or attempt == _PORT_ATTEMPTS - 1:
                    raise TestkitError(
                        "start", str(error), "docker events and dockerd's log say more"
                    ) from error
        raise AssertionError("unreachable")

    def _start(self, spec: Spec, ports: dict[str, int]) -> str:
        container = DockerContainer(spec.image, env=spec.env).with_kwargs(
            read_only=spec.read_only,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            network=self._network,
            cpu_shares=spec.cpu_shares,
            # The images' own check is for those who cannot ask as we do: the engine starts a process for it
            # every five seconds in each container, 70 ms of CPU.
            healthcheck={"test": ["NONE"]},
            labels={**self.labels, LABEL_KIND: spec.kind},
            mounts=[Mount(target=path, source=None, type="volume") for path in spec.data],
        )
        if spec.command:
            container.with_command(list(spec.command))
        bindings = cast("dict[str, tuple[str, int]]", container.ports)  # typed for a port alone
        for name, port in ports.items():
            bindings[f"{spec.ports[name]}/tcp"] = (HOST, port)
        for path in spec.scratch:
            container.with_tmpfs_mount(path, f"uid={_UID},gid={_UID},mode=0700,exec")
        try:
            container.start()
            return container.get_container_id()
        except docker.errors.APIError:
            with contextlib.suppress(docker.errors.APIError):
                if container._container is not None:
                    container._container.remove(force=True, v=True)
            raise
        finally:
            container.get_docker_client().client.close()

    def remove(self, containers: Iterable[str]) -> None:
        """Remove containers with their volumes; one that is gone already is no error."""
        for container in containers:
            _remove(self.client, container)

    def address(self, container: str) -> str:
        """Return a container's address on the run's network, for another container to reach it."""
        attributes = self.client.containers.get(container).attrs or {}
        return str(attributes["NetworkSettings"]["Networks"][self._network]["IPAddress"])

    def log_tail(self, container: str) -> str:
        """Return the last lines that a container printed, for an error message."""
        with contextlib.suppress(docker.errors.APIError):
            log = self.client.containers.get(container).logs(tail=_LOG_TAIL_LINES)
            return log.decode(errors="replace")
        return "(no log: the container is gone)"

    def close(self) -> None:
        """Remove everything that carries this run's label, and end the connection."""
        mine: dict[str, str | list[str] | bool] = {"label": f"{LABEL_RUN}={self.run}"}
        for container in self.client.containers.list(all=True, filters=mine, ignore_removed=True):
            _remove(self.client, container.id or "")
        _remove_network(self.client, self._network)
        self.client.close()


def connect() -> docker.DockerClient:
    """Connect to the engine; raises TestkitError `no-engine`."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except docker.errors.DockerException as error:
        raise TestkitError(
            "no-engine",
            f"no Docker engine answers: {error}",
            "start Docker (`nox -s test-images` does, as root on Debian), or set DOCKER_HOST",
        ) from error
    return client


def sweep(client: docker.DockerClient) -> list[str]:
    """Remove the containers and networks of owners that are dead; returns the containers' ids."""
    swept = _sweep_containers(client)
    for network in client.networks.list(filters={"label": LABEL_OWNER}):
        if is_dead((network.attrs or {})["Labels"][LABEL_OWNER]):
            # What is still in it after all that time, a later sweep finds: nobody's remains fail a run.
            with contextlib.suppress(TestkitError):
                _remove_network(client, network.name or "", meanwhile=lambda: _sweep_containers(client))
    return swept


def _sweep_containers(client: docker.DockerClient) -> list[str]:
    swept = []
    for container in client.containers.list(all=True, filters={"label": LABEL_OWNER}, ignore_removed=True):
        if is_dead(container.labels[LABEL_OWNER]):
            _remove(client, container.id or "")
            swept.append(container.id or "")
    return swept


def _remove_network(
    client: docker.DockerClient, name: str, *, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Remove a network as soon as nothing is in it; raises TestkitError `not-ready` when that takes too long.

    A container leaves its network a moment after the engine has forgotten it, and one that was being started
    when its owner died enters it late.
    """

    def in_use() -> str | None:
        try:
            client.networks.get(name).remove()
        except docker.errors.NotFound:
            return None  # somebody else swept it
        except docker.errors.APIError as error:
            if "active endpoints" not in str(error):
                raise
            meanwhile()
            return str(error)
        return None

    wait_until(f"nothing to be in the network {name}", in_use, _NETWORK_SECONDS)


def _remove(client: docker.DockerClient, container: str) -> None:
    """Remove a container; when this returns it is gone, whoever removed it, and its network can go too."""
    try:
        client.containers.get(container).remove(force=True, v=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if "already in progress" not in str(error):
            raise
        with contextlib.suppress(docker.errors.NotFound):
            client.containers.get(container).wait(condition="removed")
