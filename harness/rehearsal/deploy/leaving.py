"""Whether pods leave after their traffic, and are restarted only for what a restart cures. Pure.

Read from the manifests: of each Deployment of production that a Service sends traffic to. Whether a probe
does what its path says is for the chaos stage to show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rehearsal.deploy.manifests import PRODUCTION, Manifest

# Of the actuator, and of whoever has the same two groups: anything else shows dependencies, too.
_PROCESS_ONLY: Final = ("/liveness", "/livez", "/live")


@dataclass(frozen=True, slots=True)
class Rudeness:
    """One thing about how one workload's pods end."""

    workload: str
    what: str


def served(objects: Sequence[Manifest]) -> list[Manifest]:
    """Return production's Deployments that a Service selects."""
    selectors = [
        one["spec"]["selector"]
        for one in objects
        if one["kind"] == "Service"
        and one["metadata"].get("namespace") == PRODUCTION
        and one["spec"].get("selector")
    ]
    return [
        one
        for one in objects
        if one["kind"] == "Deployment"
        and one["metadata"].get("namespace") == PRODUCTION
        and any(one["spec"]["template"]["metadata"]["labels"].items() >= some.items() for some in selectors)
    ]


def rudenesses(objects: Sequence[Manifest]) -> Iterator[Rudeness]:
    """Yield what would cut off requests, or restart what a restart does not cure."""
    for one in served(objects):
        pod: dict[str, Any] = one["spec"]["template"]["spec"]
        for container in pod["containers"]:
            if container.get("ports"):
                for what in (*_farewell(pod, container), *_restarts(container)):
                    yield Rudeness(str(one["metadata"]["name"]), what)


def _farewell(pod: Manifest, container: Manifest) -> Iterator[str]:
    grace_seconds = int(pod.get("terminationGracePeriodSeconds", 30))  # Kubernetes' own default
    before = container.get("lifecycle", {}).get("preStop")
    if before is None:
        yield "has no preStop: it ends while nodes and callers still send it requests"
    elif int(before.get("sleep", {}).get("seconds", 0)) >= grace_seconds:
        yield f"its preStop takes all of the {grace_seconds} s that it has to end"


def _restarts(container: Manifest) -> Iterator[str]:
    path = container.get("livenessProbe", {}).get("httpGet", {}).get("path")
    if path is not None and not str(path).endswith(_PROCESS_ONLY):
        yield f"its liveness asks {path}, which asks what it depends on: an outage there restarts every pod"
