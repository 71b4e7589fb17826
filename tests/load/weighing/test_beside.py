"""A pod of an earlier image: as the others in all else, and gone in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rehearsal.core import waiting
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.ledger import Ledger
from rehearsal.load.weighing import beside
from rehearsal.load.weighing.beside import POD_ENTRY, Beside, remove

TEMPLATE = {
    "metadata": {"labels": {"app": "order-service", "version": "v1"}, "annotations": {"a": "b"}},
    "spec": {
        "serviceAccountName": "order",
        "containers": [
            {"name": "order-service", "image": "order:now", "env": [{"name": "A", "value": "1"}]},
            {"name": "beside", "image": "other"},
        ],
    },
}
POD = "/api/v1/namespaces/shop/pods/order-service-before"


@dataclass
class Cluster:
    """Has one Deployment, and starts pods as it is told."""

    ledger: Ledger
    starts: bool = True
    applied: list[Mapping[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return the Deployment, the pods, or the pod."""
        if "/deployments/" in path:
            return {"metadata": {"namespace": "shop"}, "spec": {"template": TEMPLATE}}
        if path == POD:
            waiting = {"reason": "ErrImagePull", "message": "not found"}
            return {"status": {"containerStatuses": [{"state": {"waiting": waiting}}]}}
        return {"items": [self._pod("order-a")] + [self._pod("order-service-before")] * self.starts}

    def _pod(self, name: str) -> Mapping[str, Any]:
        status = {
            "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"containerID": f"containerd://{name}"}],
        }
        return {"metadata": {"name": name}, "spec": {"nodeName": "node"}, "status": status}

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Note it, with what the ledger says at this time."""
        self.applied.append(manifest)
        self.entries = [one.kind for one in self.ledger.entries()]

    def delete(self, path: str) -> None:
        """Note it."""
        self.deleted.append(path)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Return a cluster in which pods start."""
    return Cluster(Ledger(tmp_path))


def _beside(cluster: Cluster) -> Beside:
    return Beside(cluster, cluster.ledger, "shop")


def test_it_is_as_the_others_but_for_its_image(cluster: Cluster) -> None:
    with _beside(cluster).pod("order-service", "order:before") as pod:
        assert pod.name == "order-service-before"
    (manifest,) = cluster.applied
    assert manifest["metadata"]["labels"] == {
        "app": "order-service", "version": "v1", "mambogo.dev/weighed": "before"
    }  # fmt: skip
    own, other = manifest["spec"]["containers"]
    assert own == {"name": "order-service", "image": "order:before", "env": [{"name": "A", "value": "1"}]}
    assert (other["image"], manifest["spec"]["serviceAccountName"]) == ("other", "order")


def test_it_stands_in_the_ledger_before_it_is_made_and_goes_with_the_block(cluster: Cluster) -> None:
    with _beside(cluster).pod("order-service", "order:before"):
        assert cluster.entries == [POD_ENTRY]
        assert cluster.deleted == []
    assert cluster.deleted == [POD]
    assert cluster.ledger.entries() == []


def test_what_a_killed_weighing_left_is_undone_by_its_entry(cluster: Cluster) -> None:
    entry = cluster.ledger.enter(POD_ENTRY, "a pod", namespace="shop", name="order-service-before")
    remove(cluster, entry.arguments)
    assert cluster.deleted == [POD]


def test_pod_that_does_not_start_says_why_and_goes(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_READY_SECONDS", 0.0)
    cluster.starts = False
    with (
        pytest.raises(EnvironmentNotReadyError, match="ErrImagePull: not found"),
        _beside(cluster).pod("order-service", "order:before"),
    ):
        pass
    assert cluster.deleted == [POD]
    assert issubclass(waiting.WaitTimeoutError, EnvironmentNotReadyError)
