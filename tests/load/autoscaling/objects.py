"""Objects of the Kubernetes API as a cluster answers them, and a reader that serves them from memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.core.errors import EnvironmentNotReadyError

STARTED = "2026-01-02T03:04:05Z"

AUTOSCALER: dict[str, Any] = {
    "metadata": {"name": "order-service-hpa"},
    "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": "order-service"},
        "minReplicas": 2,
        "maxReplicas": 6,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": percent}},
            }
            for name, percent in (("cpu", 70), ("memory", 80))
        ],
    },
    "status": {
        "desiredReplicas": 2,
        "conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}],
    },
}


def pod(name: str, **status: Any) -> dict[str, Any]:
    """Return a pod that is ready."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": STARTED}
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"resources": {"requests": {"cpu": "20m", "memory": "318Mi"}}}]},
        "status": {"phase": "Running", "startTime": STARTED, "podIP": "10.0.0.7", "conditions": [ready]}
        | status,
    }


def metrics(name: str, cpu: str = "4500001n", memory: str = "97280Ki") -> dict[str, Any]:
    """Return what the metrics API says of a pod."""
    return {
        "metadata": {"name": name},
        "timestamp": "2026-01-02T03:14:05Z",
        "window": "10.05s",
        "containers": [{"name": "main", "usage": {"cpu": cpu, "memory": memory}}],
    }


@dataclass
class FakeReader:
    """The API server, as far as a look asks it; replicas may be changed while it is looked at."""

    replicas: int = 2
    desired: int = 2
    ready: int | None = None  # how many pods are; all of them by default
    measured: bool = True
    answers: bool = True
    asked: list[str] = field(default_factory=list)

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Answer one path."""
        self.asked.append(path)
        names = [f"order-{number}" for number in range(self.replicas)]
        if not self.answers:
            raise EnvironmentNotReadyError("API_UNREACHABLE", "no answer", hint="look")
        if "horizontalpodautoscalers/order-service-hpa" in path:
            return AUTOSCALER | {"status": {"desiredReplicas": self.desired}}
        if path.endswith("deployments/order-service/scale"):
            return {"spec": {"replicas": self.replicas}, "status": {"selector": "app=order-service"}}
        if "metrics.k8s.io" in path:
            return self._metrics(names)
        if "/pods?labelSelector=app%3Dorder-service" in path:
            unready = {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": STARTED}]}
            ready = self.replicas if self.ready is None else self.ready
            return {"items": [pod(one, **({} if n < ready else unready)) for n, one in enumerate(names)]}
        return None

    def _metrics(self, names: list[str]) -> Mapping[str, Any]:
        if not self.measured:
            raise EnvironmentNotReadyError("API_REFUSED", "503", hint="look")
        return {"items": [metrics(name) for name in names]}


@dataclass
class Breathing(FakeReader):
    """An HPA that asks for more when it is told to, and for its least after a number of looks."""

    looks: int = 0

    def grow(self) -> None:
        """Ask for four."""
        self.replicas = self.desired = 4
        self.looks = 4

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Answer one path; each look begins with the HPA."""
        if "horizontalpodautoscalers" in path and self.looks:
            self.looks -= 1
            if not self.looks:
                self.replicas = self.desired = 2
        return super().get(path)
