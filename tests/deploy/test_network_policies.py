"""Who reaches whom where the network policies are enforced; the cluster here has no engine for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from rehearsal.deploy.manifests import PRODUCTION, WORKLOADS, Manifest
from rehearsal.deploy.monitoring import MONITORING

from tests.deploy.base import base_objects, rendered

_POLICIES = [one for one in base_objects() if one["kind"] == "NetworkPolicy"]


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as a policy sees it."""

    namespace: str
    labels: Mapping[str, str]
    metrics_port: int | None = None


def _pod(workload: Manifest) -> Pod:
    metadata = workload["spec"]["template"]["metadata"]
    annotations = metadata.get("annotations", {})
    port = annotations.get("prometheus.io/port") if "prometheus.io/scrape" in annotations else None
    return Pod(workload["metadata"]["namespace"], metadata["labels"], int(port) if port else None)


PODS = {
    one["metadata"]["name"]: _pod(one)
    for one in rendered("light")
    if one["kind"] in WORKLOADS and one["metadata"]["namespace"] in {PRODUCTION, MONITORING}
}
# As the guide has it: beside what it watches.
PODS |= {f"guide's {name}": Pod(PRODUCTION, {"app": name}) for name in ("prometheus", "alertmanager")}
STRANGER = Pod("default", {"app": "prometheus"})
SERVICES = sorted(name for name, one in PODS.items() if one.labels.get("tier") == "backend")
SCRAPED = sorted(
    name for name, one in PODS.items() if one.namespace == PRODUCTION and one.metrics_port is not None
)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", ())
    )


def _comes_from(peer: Mapping[str, Any], client: Pod) -> bool:
    namespaces = peer.get("namespaceSelector")
    if namespaces is None:
        near = client.namespace == PRODUCTION
    else:
        near = _selects(namespaces, {"kubernetes.io/metadata.name": client.namespace})
    return near and _selects(peer.get("podSelector", {}), client.labels)


def _lets_in(rule: Mapping[str, Any], client: Pod, port: int) -> bool:
    from_there = not rule.get("from") or any(_comes_from(peer, client) for peer in rule["from"])
    return from_there and port in {one["port"] for one in rule["ports"]}


def reaches(client: Pod, server: Pod, port: int) -> bool:
    """Return whether the policies of production's namespace let a packet through."""
    specs = [one["spec"] for one in _POLICIES if _selects(one["spec"]["podSelector"], server.labels)]
    return any(_lets_in(rule, client, port) for spec in specs for rule in spec.get("ingress", ()))


@pytest.mark.parametrize("prometheus", ["prometheus", "guide's prometheus"])
@pytest.mark.parametrize("name", SCRAPED)
def test_prometheus_reaches_whatever_asks_to_be_scraped(prometheus: str, name: str) -> None:
    assert reaches(PODS[prometheus], PODS[name], PODS[name].metrics_port or 0)


def test_alerts_reach_the_guide_s_alertmanager() -> None:
    assert reaches(PODS["guide's prometheus"], PODS["guide's alertmanager"], 9093)


@pytest.mark.parametrize("name", SERVICES)
def test_the_gateway_and_the_services_reach_a_service(name: str) -> None:
    assert all(reaches(PODS[client], PODS[name], 8080) for client in ("gateway-service", *SERVICES))


@pytest.mark.parametrize(("name", "port"), [("eureka", 8761), ("config-server", 8888)])
def test_everybody_in_the_namespace_reaches_the_platform(name: str, port: int) -> None:
    clients = ("gateway-service", "eureka", "config-server", *SERVICES)
    assert all(reaches(PODS[client], PODS[name], port) for client in clients)


def test_a_stranger_reaches_the_gateway_alone() -> None:
    ports = (8080, 8761, 8888, 9090, 9093)
    reached = {
        name
        for name, one in PODS.items()
        if one.namespace == PRODUCTION and any(reaches(STRANGER, one, port) for port in ports)
    }
    assert reached == {"gateway-service"}


def test_others_of_monitoring_s_namespace_reach_no_service() -> None:
    assert not any(reaches(PODS["alertmanager"], PODS[name], 8080) for name in SERVICES)
