"""The state of a machine in memory, shared by all fakes; the harness can be cut off anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

from rehearsal.cluster.facts import ContainerFacts, ContainerState, NetworkFacts
from rehearsal.cluster.plan import ClusterSpec
from rehearsal.core.errors import EnvironmentNotReadyError

KIND_CLUSTER_LABEL = "io.x-k8s.kind.cluster"
WAYS_OUT = ("to_services", "to_pods", "refused")  # counters of kind/node-image's `node-network guard`
HOLDS_ADDRESS = (ContainerState.RUNNING, ContainerState.PAUSED)
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 3  # how often a fake is found not ready before the test is told instead of its time limit


class Killed(BaseException):
    """The harness ends here."""


class NeverReadyError(AssertionError):
    """What is waited for will not come, because nothing in the machine changes by itself."""


def refused(what: str) -> EnvironmentNotReadyError:
    """Return the error with which adapters report a refusal."""
    return EnvironmentNotReadyError("ENGINE_REFUSED", what, hint="")


@dataclass(slots=True)
class Link:
    """A container's end of a network."""

    pinned: IPv4Address | None = None
    address: IPv4Address | None = None  # while it runs


@dataclass(slots=True)
class Container:
    """A container as the engine keeps it."""

    name: str
    id: str
    image: str
    labels: Mapping[str, str]
    state: ContainerState = ContainerState.CREATED
    links: dict[str, Link] = field(default_factory=dict)
    join_file: str = ""  # what kubeadm was last given
    guarded: bool = True  # its nftables table is there
    network_config: str = ""  # what `node-network ensure` was last told: on the disk of the node
    started: datetime | None = None
    pods_since: datetime | None = None  # from when on its pods run, as its kubelet said last
    silent_looks: int = 0  # as many looks at its pods from now on show what the kubelet said before
    # Packets by what the node's rules did with them: `node-network status`.
    packets: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS_OUT, 0))

    def facts(self) -> ContainerFacts:
        """Return what the engine tells of it."""
        return ContainerFacts(
            name=self.name,
            id=self.id,
            state=self.state,
            addresses={name: link.address or link.pinned for name, link in self.links.items()},
            image=self.image,
            pinned={name: link.pinned for name, link in self.links.items() if link.pinned},
            labels=self.labels,
            started=self.started,
        )


@dataclass(slots=True)
class Kubernetes:
    """What etcd holds; it is gone with the control plane's container."""

    authority: str
    spec: ClusterSpec
    members: dict[str, IPv4Address]  # nodes, under the addresses that their certificates and etcd know
    applied: dict[tuple[str, str, str], Mapping[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Machine:
    """Everything that outlives the harness, and the moments at which it may be killed."""

    containers: dict[str, Container] = field(default_factory=dict)
    networks: dict[str, NetworkFacts] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=set)
    kubernetes: dict[str, Kubernetes] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)  # whatever was really changed
    slow_boots: int = 0  # as many nodes from now on do not boot in time
    late_kubelets: int = 0  # for as many looks kubelets are silent after a start
    late_answers: int = 0  # as many requests from now on end before the API server has come to them
    moments: int = 0  # that have passed
    kill_at: int | None = None
    impatience: int = 0
    _ids: Iterator[int] = field(default_factory=itertools.count)
    _minutes: Iterator[int] = field(default_factory=itertools.count)

    def moment(self) -> None:
        """Let a moment pass; the harness ends here when it is the one."""
        if self.kill_at == self.moments:
            raise Killed(f"moment {self.moments}, after {self.changes[-1:]}")
        self.moments += 1

    @contextmanager
    def changing(self, what: str) -> Iterator[None]:
        """Frame one change: the harness may be killed before it and after it."""
        self.moment()
        yield
        self.impatience = 0
        self.changes.append(what)
        self.moment()

    def new_id(self) -> str:
        """Return an id that was never used."""
        return f"id{next(self._ids)}"

    def not_ready(self, why: str) -> None:
        """Note that something was found not ready; it will not get ready by itself."""
        self.impatience += 1
        if self.impatience > PATIENCE:
            raise NeverReadyError(why)

    def create(self, name: str, *, image: str, labels: Mapping[str, str], network: str) -> Container:
        """Create a container on a network."""
        if name in self.containers:
            raise refused(f"the name {name} is in use")
        if network not in self.networks:
            raise refused(f"there is no network {network}")
        made = Container(name, self.new_id(), image, labels, links={network: Link()})
        self.containers[name] = made
        return made

    def start(self, container: Container) -> None:
        """Run a container; each of its links gets its pinned address, or the first free one."""
        if container.state is ContainerState.PAUSED:
            raise refused("cannot start a paused container")
        for network, link in container.links.items():
            link.address = self.allocate(network, link.pinned)
        container.state = ContainerState.RUNNING
        container.started = _EPOCH + timedelta(minutes=next(self._minutes))
        container.pods_since = container.pods_since or container.started
        container.silent_looks = self.late_kubelets

    def allocate(self, network: str, pinned: IPv4Address | None) -> IPv4Address:
        """Return an address that nobody holds."""
        held = {
            one.links[network].address
            for one in self.containers.values()
            if network in one.links and one.state in HOLDS_ADDRESS
        }
        subnet = self.networks[network].subnet
        assert subnet, "the fakes' networks have a subnet"
        if pinned:
            if pinned in held:
                raise refused(f"address {pinned} is already in use")
            return pinned
        free = (one for one in itertools.islice(subnet.hosts(), 1, None) if one not in held)
        return next(free)

    def stop(self, name: str) -> None:
        """Stop a container, as by hand."""
        container = self.containers[name]
        container.state = ContainerState.EXITED
        for link in container.links.values():
            link.address = None

    def pause(self, name: str) -> None:
        """Pause a container, as by hand."""
        self.containers[name].state = ContainerState.PAUSED

    def delete(self, name: str) -> None:
        """Remove a container, as by hand; a control plane takes its cluster's data along."""
        container = self.containers.pop(name)
        if name.endswith("-control-plane"):
            self.kubernetes.pop(container.labels[KIND_CLUSTER_LABEL], None)

    def restart_engine(self) -> None:
        """Restart the daemon: pinned addresses come back, the others in another order than before."""
        ran = [one for one in self.containers.values() if one.state in HOLDS_ADDRESS]
        for one in ran:
            self.stop(one.name)
        pinned = [one for one in ran if any(link.pinned for link in one.links.values())]
        for one in pinned + sorted((one for one in ran if one not in pinned), key=lambda one: one.name)[::-1]:
            self.start(one)
