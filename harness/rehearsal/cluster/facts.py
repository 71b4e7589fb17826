"""What is there: frozen facts about nodes, networks and the API, as the adapters see them.

Planners take these and nothing else, so that every situation can be written down in a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network


class ContainerState(StrEnum):
    """States of a container as Docker names them."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """One container, a node's or the registry's."""

    name: str
    id: str
    state: ContainerState
    addresses: Mapping[str, IPv4Address | None]  # by Docker network; None while it has none
    image: str
    pinned: Mapping[str, IPv4Address] = field(default_factory=dict)  # addresses it asks for at every start
    labels: Mapping[str, str] = field(default_factory=dict)
    started: datetime | None = None  # the last time; None when it never was


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """One Docker network."""

    name: str
    subnet: IPv4Network | None
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node as the API server knows it."""

    name: str
    ready: bool
    pod_cidr: IPv4Network | None
    address: IPv4Address | None


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One pod, as its node's kubelet described it last."""

    namespace: str
    name: str
    node: str
    running_since: datetime | None  # of its oldest running container, in whole seconds; None when none runs
    ready: bool


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """One Deployment, StatefulSet or DaemonSet."""

    namespace: str
    name: str
    wanted: int
    ready: int
    created: datetime | None = None

    @property
    def healthy(self) -> bool:
        """Whether all wanted replicas are ready."""
        return self.ready >= self.wanted
