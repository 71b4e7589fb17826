"""Pods, a Deployment and its controller in memory, driven by the test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.chaos.injecting import Injector, Kind, Workload
from rehearsal.core.ledger import Ledger
from rehearsal.deploy.manifests import OWN_LABEL

INVENTORY = Workload("mambogo-production", "inventory-service")
ORDERS = Workload("mambogo-production", "order-service")
BROKER = Workload("mambogo-managed", "kafka", Kind.STATEFUL_SET)


@dataclass
class FakeDatabases:
    """`Databases`: which of them let nobody in."""

    refusing: set[str] = field(default_factory=set)

    def refuse(self, database: str) -> None:
        """Close a database."""
        self.refusing.add(database)

    def admit(self, database: str) -> None:
        """Open it again."""
        self.refusing.discard(database)


@dataclass
class FakeCluster:
    """`PodApi`: deleted pods are replaced after so many looks."""

    wanted: int = 2
    looks_until_back: int = 3
    labels: dict[str, str] = field(default_factory=lambda: dict([OWN_LABEL]))
    ignores_deletes: bool = False
    deployed: bool = True
    status_trails: bool = False  # the status still counts pods that are gone
    deleted: list[str] = field(default_factory=list)
    scaled: list[tuple[str, int]] = field(default_factory=list)
    pods: list[dict[str, Any]] = field(default_factory=list)
    _made: int = 0
    _looks: int = 0

    def __post_init__(self) -> None:
        self._fill()

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Answer as the API server does; each look lets the controller work."""
        if path in (f"/api/v1/namespaces/{one.namespace}" for one in (ORDERS, BROKER)):
            return {"metadata": {"labels": self.labels}}
        if "/deployments/" in path or "/statefulsets/" in path:
            return self._deployment() if self.deployed else None
        assert "labelSelector=app%3D" in path
        return {"items": list(self.pods)}

    def delete(self, path: str, *, grace_seconds: int, uid: str) -> None:
        """Delete a pod at once, if it is the one that is meant."""
        assert grace_seconds == 0
        name = path.rsplit("/", 1)[1]
        self.deleted.append(name)
        if not self.ignores_deletes:
            meant = {"name": name, "uid": uid}
            self.pods = [pod for pod in self.pods if pod["metadata"] != meant]
            self._looks = 0

    def scale(self, path: str, replicas: int) -> None:
        """Want another number of replicas; pods that are too many go at once."""
        self.scaled.append((path, replicas))
        self.wanted = replicas
        self.pods = self.pods[:replicas]
        self._looks = 0

    def _deployment(self) -> Mapping[str, Any]:
        self._looks += 1
        if self._looks >= self.looks_until_back:
            self._fill()
        count = self.wanted if self.status_trails else len(self.pods)
        status = {"readyReplicas": count, "updatedReplicas": count, "replicas": count}
        return {"spec": {"replicas": self.wanted}, "status": status}

    def _fill(self) -> None:
        while len(self.pods) < self.wanted:
            self._made += 1
            self.pods.append(
                {
                    "metadata": {"name": f"order-{self._made}", "uid": f"uid-{self._made}"},
                    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
                }
            )


def injector_on(cluster: FakeCluster, ledger: Ledger, databases: FakeDatabases | None = None) -> Injector:
    """Return what makes faults on it."""
    return Injector(cluster, ledger, databases or FakeDatabases())
