"""What keeps an HPA from scaling its workload, as the manifests alone show it. Pure.

Read from production's manifests: the local ones are made to fit. What only shows under load is the load
stage's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rehearsal.deploy.manifests import WORKLOADS, Manifest, identity, mebibytes

_AUTOSCALER = "HorizontalPodAutoscaler"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that keeps one workload's HPA from its work."""

    workload: str
    what: str


def autoscalers(objects: Sequence[Manifest]) -> list[Manifest]:
    """Return the HPAs among objects."""
    return [one for one in objects if one["kind"] == _AUTOSCALER]


def target_name(autoscaler: Manifest) -> str:
    """Return the name of the workload that an HPA scales."""
    return str(autoscaler["spec"]["scaleTargetRef"]["name"])


def obstacles(objects: Sequence[Manifest], working_set_mib: Mapping[str, int]) -> Iterator[Obstacle]:
    """Yield what keeps HPAs from their work; `working_set_mib` is what an idle pod uses, measured."""
    workloads = {
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]): one
        for one in objects
        if one["kind"] in WORKLOADS
    }
    found = autoscalers(objects)
    for name, times in Counter(map(target_name, found)).items():
        if times > 1:
            yield Obstacle(name, f"{times} HPAs scale it against each other")
    for one in found:
        reference = one["spec"]["scaleTargetRef"]
        workload = workloads.get((reference["kind"], one["metadata"].get("namespace"), reference["name"]))
        if workload is None:
            yield Obstacle(target_name(one), f"{identity(one)} scales what is not there")
            continue
        for what in _of_workload(one, workload, working_set_mib.get(target_name(one))):
            yield Obstacle(target_name(one), what)


def _of_workload(autoscaler: Manifest, workload: Manifest, idle_mib: int | None) -> Iterator[str]:
    if "replicas" in workload["spec"]:
        count = workload["spec"]["replicas"]
        yield f"its manifest says {count} replicas, and takes the HPA's away when it is applied"
    metrics = autoscaler["spec"].get("metrics", [])
    if not metrics:
        yield "its HPA has no metric"
    for metric in metrics:
        resource = metric.get("resource", {})
        share = resource.get("target", {}).get("averageUtilization")
        if share is not None:
            yield from _of_metric(resource["name"], int(share), autoscaler, workload, idle_mib)


def _of_metric(
    resource: str, share_percent: int, autoscaler: Manifest, workload: Manifest, idle_mib: int | None
) -> Iterator[str]:
    containers = workload["spec"]["template"]["spec"]["containers"]
    requests = [one.get("resources", {}).get("requests", {}).get(resource) for one in containers]
    for container, request in zip(containers, requests, strict=True):
        if request is None:
            name = container["name"]
            yield f"container {name} requests no {resource}, of which its HPA's target is a share"
    if resource != "memory" or idle_mib is None or None in requests:
        return
    idle_percent = 100 * idle_mib / sum(map(mebibytes, requests))
    floor = int(autoscaler["spec"].get("minReplicas", 1))
    # From m + 1 pods it goes down to its floor m only if usage / target <= m / (m + 1).
    most_percent = share_percent * floor / (floor + 1)
    if idle_percent > most_percent:
        yield (
            f"an idle pod has {idle_percent:.0f} % of the memory that it requests; with a target of "
            f"{share_percent} % its HPA goes back to {floor} replicas only below {most_percent:.0f} %"
        )
