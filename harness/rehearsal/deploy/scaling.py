"""The scale model: production's sizes and counts, as a profile wants them. Pure.

Only what production runs itself is scaled; what it buys has local sizes from the start, and a Job runs once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from rehearsal.core.catalogue import Catalogue
from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.manifests import (
    PRODUCTION,
    WORKLOADS,
    Manifest,
    as_cpu,
    as_memory,
    mebibytes,
    millicores,
    named,
)

_HPA_HEADROOM = 2.0  # an HPA that watches memory must have room above an idle pod
_HEADROOM = 1.3  # without one it only has to fit
_REGISTRY = "eureka"


@dataclass(frozen=True, slots=True)
class Scale:
    """How large one profile is."""

    factor: float
    cpu_limits: bool
    replicas: Mapping[str, tuple[int, int]]  # `others` for those not named; empty: production's
    working_set_mib: Mapping[str, int]

    @classmethod
    def of(cls, catalogue: Catalogue, profile: str) -> Scale:
        """Return a profile's scale; raises ConfigurationError for an unknown profile."""
        chosen = catalogue.profile(profile)
        return cls(chosen.factor, chosen.cpu_limits, chosen.replicas, catalogue.working_set_mib)

    def range_of(self, name: str) -> tuple[int, int] | None:
        """Return the least and the most pods of a workload; None for production's."""
        return self.replicas.get(name) or self.replicas.get("others")


def scale(objects: Sequence[Manifest], by: Scale) -> list[Manifest]:
    """Return the objects in a profile's size; the given ones stay as they are."""
    scaled = deepcopy(list(objects))
    autoscaled = {one["spec"]["scaleTargetRef"]["name"]: one for one in scaled if _is_autoscaler(one)}
    for name, autoscaler in autoscaled.items():
        if limits := by.range_of(name):
            autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"] = limits
    for one in scaled:
        if one["kind"] in WORKLOADS and one["metadata"].get("namespace") == PRODUCTION:
            _scale_workload(one, by, autoscaled.get(one["metadata"]["name"]))
    _follow_registry(scaled)
    return scaled


def _is_autoscaler(one: Manifest) -> bool:
    return bool(one["kind"] == "HorizontalPodAutoscaler")


def _headroom(autoscaler: Manifest) -> float:
    """Return how many times its working set a pod must request.

    With n pods at a share u of their request and a target t the HPA wants ceil(n * u / t): it goes down from
    m + 1 to the floor m only if u / t <= m / (m + 1). Idle pods would else be kept for their memory alone.
    """
    spec = autoscaler["spec"]
    for metric in spec["metrics"]:
        if metric["resource"]["name"] == "memory":
            target = int(metric["resource"]["target"]["averageUtilization"]) / 100
            floor = int(spec["minReplicas"])
            return max(_HPA_HEADROOM, (floor + 1) / floor / target)
    return _HEADROOM


def _scale_workload(one: Manifest, by: Scale, autoscaler: Manifest | None) -> None:
    name = one["metadata"]["name"]
    limits = by.range_of(name)
    if autoscaler is None and limits:
        one["spec"]["replicas"] = min(one["spec"]["replicas"], limits[0])
    working_set = by.working_set_mib.get(name)
    if working_set is None:
        raise ConfigurationError(
            "WORKING_SET_MISSING",
            f"nobody says how much memory {name} uses",
            hint="Measure it after load and add it to working_set_mib in rehearsal.toml.",
        )
    least_mib = working_set * (_headroom(autoscaler) if autoscaler else _HEADROOM)
    for container in one["spec"]["template"]["spec"]["containers"]:
        production = container.get("resources", {})
        scaled = _resources(production, by, least_mib)
        if autoscaler is None and "cpu" in scaled["limits"]:
            # Nobody measures these under load, and a JVM's start at 40 m would outlast its startup probe.
            scaled["limits"]["cpu"] = production["limits"]["cpu"]
        container["resources"] = scaled


def _resources(production: Manifest, by: Scale, least_mib: float) -> Manifest:
    """Return sizes of what is said in production; what is not stays so, for the checks to see."""
    requests, limits = production.get("requests", {}), production.get("limits", {})
    sizes = {
        name: _size(name, requests[name], by, least_mib) for name in ("cpu", "memory") if name in requests
    }
    scaled_limits = {
        # The ratio of limit to request stays production's.
        name: _QUANTITIES[name][1](size * _ratio(name, limits, requests))
        for name, size in sizes.items()
        if name in limits and (name == "memory" or by.cpu_limits)
    }
    return {
        "requests": {name: _QUANTITIES[name][1](size) for name, size in sizes.items()},
        "limits": scaled_limits,
    }


def _size(name: str, quantity: str, by: Scale, least_mib: float) -> float:
    scaled = _QUANTITIES[name][0](quantity) * by.factor
    return max(scaled, least_mib) if name == "memory" else scaled


def _ratio(name: str, limits: Manifest, requests: Manifest) -> float:
    read = _QUANTITIES[name][0]
    return read(limits[name]) / read(requests[name])


# How a quantity of a resource is read, and how it is written.
_QUANTITIES: Mapping[str, tuple[Callable[[str], float], Callable[[float], str]]] = {
    "cpu": (millicores, as_cpu),
    "memory": (mebibytes, as_memory),
}


def _follow_registry(objects: Iterable[Manifest]) -> None:
    """Name as many registry servers as there are: one that is not there would be asked again and again."""
    objects = list(objects)
    count = named(objects, "StatefulSet", _REGISTRY)["spec"]["replicas"]
    peers = named(objects, "ConfigMap", "eureka-peers")["data"]
    urls = ",".join(peers["urls"].split(",")[:count])
    peers.update(peered="true" if count > 1 else "false", urls=urls)
    named(objects, "ConfigMap", "service-environment")["data"]["EUREKA_URLS"] = urls
