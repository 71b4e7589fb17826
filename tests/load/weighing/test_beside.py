"""A pod of an earlier image: as the others in all else, and gone in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.ledger import Ledger
from rehearsal.load.weighing import beside
from rehearsal.load.weighing.beside import POD_ENTRY, Beside, remove

from tests.load.weighing.ready import ready_pod

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
PODS = "/api/v1/namespaces/shop/pods"


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
        if path.startswith(f"{PODS}/"):
            waiting = {"reason": "ErrImagePull", "message": "not found"}
            return {"status": {"containerStatuses": [{"state": {"waiting": waiting}}]}}
        made = [one["metadata"]["name"] for one in self.applied if self.starts]
        return {"items": [ready_pod(name) for name in ("order-a", *made)]}

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Note it, with what the ledger says at this time."""
        self.applied.append(manifest)
        self.entries = [one.kind for one in self.ledger.entries()]

    @property
    def made(self) -> str:
        """The path of the pod that was made last."""
        return f"{PODS}/{self.applied[-1]['metadata']['name']}"

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
        assert pod.name.startswith("order-service-before-")
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
    assert cluster.deleted == [cluster.made]
    assert cluster.ledger.entries() == []


def test_what_a_killed_weighing_left_is_undone_by_its_entry(cluster: Cluster) -> None:
    entry = cluster.ledger.enter(POD_ENTRY, "a pod", namespace="shop", name="order-service-before-1")
    remove(cluster, entry.arguments)
    assert cluster.deleted == [f"{PODS}/order-service-before-1"]


def test_pod_that_does_not_start_says_why_and_goes(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_READY_SECONDS", 0.0)
    cluster.starts = False
    with (
        pytest.raises(EnvironmentNotReadyError, match="ErrImagePull: not found"),
        _beside(cluster).pod("order-service", "order:before"),
    ):
        pass
    assert cluster.deleted == [cluster.made]


def test_one_that_is_ending_is_not_taken_for_the_next(cluster: Cluster) -> None:
    for _ in range(2):
        with _beside(cluster).pod("order-service", "order:before"):
            pass
    assert len({one["metadata"]["name"] for one in cluster.applied}) == 2
