"""Who holds what: listeners on the catalogue's ports, and the engine's networks and published ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import psutil

from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths
from rehearsal.stages.doctor.facts import PortFacts, PortHolder
from rehearsal.supply.engine_finding import Engine, connect

_KIND_LABEL = "io.x-k8s.kind.cluster"
_LOCAL = frozenset({"127.0.0.1", "0.0.0.0", "::", "::1"})  # noqa: S104 - compared with, not bound to
_TIMEOUT_SECONDS = 5.0  # for two short lists


@dataclass(frozen=True, slots=True)
class Published:
    """A port of this host that a container publishes."""

    port: int
    container: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EngineUse:
    """What the engine holds of this host."""

    networks: tuple[tuple[str, IPv4Network], ...]
    published: tuple[Published, ...]


def look_at_engine(engine: Engine) -> EngineUse:
    """Ask the engine for its networks and published ports."""
    client = connect(engine.endpoint, timeout_seconds=_TIMEOUT_SECONDS)
    try:
        networks, containers = client.api.networks(), client.api.containers()
    finally:
        client.close()
    return EngineUse(
        tuple(
            (network["Name"], IPv4Network(part["Subnet"]))
            for network in networks
            for part in (network.get("IPAM") or {}).get("Config") or []
            if "." in part.get("Subnet", "")
        ),
        tuple(
            Published(port["PublicPort"], item["Names"][0].lstrip("/"), item.get("Labels") or {})
            for item in containers
            for port in item.get("Ports") or []
            if port.get("PublicPort")
        ),
    )


def find_ports(catalogue: Catalogue, use: EngineUse, paths: Paths) -> tuple[PortFacts, ...]:
    """Return each port of the catalogue with its holder."""
    wanted: dict[str, int] = catalogue.ports.model_dump()
    listeners = _listeners(set(wanted.values()))
    published = {one.port: one for one in use.published}
    return tuple(
        PortFacts(name, port, _holder(port, published.get(port), listeners, catalogue.cluster.name, paths))
        for name, port in wanted.items()
    )


def _holder(
    port: int, published: Published | None, listeners: Mapping[int, int | None], cluster: str, paths: Paths
) -> PortHolder | None:
    if published is not None:
        ours = published.labels.get(_KIND_LABEL) == cluster or published.container == f"{cluster}-registry"
        return PortHolder(f"container {published.container}", None, published.container, ours)
    if port not in listeners:
        return None
    pid = listeners[port]
    if pid is None:
        return PortHolder("a program of another user", None, None, ours=False)
    try:
        process = psutil.Process(pid)
        name, program = process.name(), process.exe()
    except psutil.Error:
        # Gone or not ours to look at; the number is known nevertheless.
        return PortHolder("a program that cannot be looked at", pid, None, ours=False)
    return PortHolder(f"program {name}", pid, None, ours=Path(program).is_relative_to(paths.cache))


def _listeners(ports: set[int]) -> dict[int, int | None]:
    """Return who listens on a local address; the process is None where only root may see it."""
    found: dict[int, int | None] = {}
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status != psutil.CONN_LISTEN or not connection.laddr:
            continue
        if connection.laddr.port in ports and connection.laddr.ip in _LOCAL:
            found[connection.laddr.port] = connection.pid
    return found
