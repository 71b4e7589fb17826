"""What is in the cluster before Tilt."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rehearsal.core.errors import ConfigurationError
from rehearsal.core.events import Event
from rehearsal.deploy.credentials import keep
from rehearsal.deploy.manifests import OWN_LABEL, Manifest, parse
from rehearsal.deploy.preparing import Preparation

from tests.deploy.base import ROOT, local_objects

NODE = "mambogo-control-plane"


@dataclass
class FakeRegistry:
    """A registry that remembers."""

    there: set[str]
    pushed: list[str] = field(default_factory=list)

    def has(self, reference: str) -> bool:
        return reference in self.there

    def push(self, reference: str) -> None:
        self.there.add(reference)
        self.pushed.append(reference)


@dataclass
class FakeApplier:
    """An API server that takes everything."""

    there: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    applied: list[Mapping[str, Any]] = field(default_factory=list)

    def apply(self, manifest: Mapping[str, Any]) -> None:
        self.applied.append(manifest)

    def get(self, path: str) -> Mapping[str, Any] | None:
        return self.there.get(path)

    def claims(self) -> list[str]:
        return [one["metadata"]["name"] for one in self.applied if one["kind"] == "PersistentVolumeClaim"]


class FakeRenderer:
    """Renders the checkout's objects."""

    def render(self, profile: str) -> list[Manifest]:
        return local_objects()

    def beside(self) -> list[Manifest]:
        return parse((ROOT / "tilt" / "echo" / "echo.yaml").read_text(encoding="utf-8"))

    def references(self) -> list[str]:
        return ["rehearsal/kafka:1", "rehearsal/keycloak:1", "rehearsal/postgres:1", "rehearsal/redis:1"]


def _run(
    state: Path, *, there: Mapping[str, Mapping[str, Any]] | None = None, only_node: str | None = NODE
) -> tuple[FakeApplier, FakeRegistry, list[Event]]:
    api, events = FakeApplier(there or {}), list[Event]()
    registry = FakeRegistry({"rehearsal/kafka:1", "rehearsal/keycloak:1", "rehearsal/redis:1"})
    Preparation(api, registry, state, events.append, only_node).run(FakeRenderer(), "light")
    return api, registry, events


def test_only_missing_images_are_pushed(tmp_path: Path) -> None:
    _, registry, _ = _run(tmp_path)
    assert registry.pushed == ["rehearsal/postgres:1"]


def test_volumes_are_asked_for_as_the_statefulsets_would(tmp_path: Path) -> None:
    api, _, _ = _run(tmp_path)
    asked = {one["metadata"]["name"]: one for one in api.applied if one["kind"] == "PersistentVolumeClaim"}
    assert set(asked) == {"archive-postgres-0", "data-postgres-0", "data-kafka-0", "data-redis-0"}
    claim = asked["data-postgres-0"]
    assert claim["metadata"] == {
        "name": "data-postgres-0",
        "namespace": "mambogo-managed",
        "labels": {"app": "postgres"},
        "annotations": {"volume.kubernetes.io/selected-node": NODE},
    }
    assert claim["spec"]["resources"] == {"requests": {"storage": "4Gi"}}


def test_a_volume_that_is_there_is_left_alone(tmp_path: Path) -> None:
    there = "/api/v1/namespaces/mambogo-managed/persistentvolumeclaims/data-postgres-0"
    api, _, _ = _run(tmp_path, there={there: {}})
    assert "data-postgres-0" not in api.claims()
    assert "data-kafka-0" in api.claims()


def test_nothing_goes_ahead_where_pods_may_come_to_another_node(tmp_path: Path) -> None:
    api, _, _ = _run(tmp_path, only_node=None)
    assert api.claims() == []


def test_a_namespace_is_there_before_its_secrets(tmp_path: Path) -> None:
    api, _, _ = _run(tmp_path)
    kinds = [one["kind"] for one in api.applied]
    assert kinds == sorted(kinds)
    assert set(kinds) == {"Namespace", "PersistentVolumeClaim", "Secret"}


def test_no_value_is_in_an_event(tmp_path: Path) -> None:
    _, _, events = _run(tmp_path)
    assert keep(tmp_path).postgres_password not in repr(events)


def test_the_authority_s_key_stays_at_home(tmp_path: Path) -> None:
    api, _, _ = _run(tmp_path)
    key = (tmp_path / "authority" / "ca-key.pem").read_bytes()
    assert b64encode(key).decode() not in repr(api.applied)
    assert b64encode((tmp_path / "authority" / "edge-key.pem").read_bytes()).decode() in repr(api.applied)


def _shared(state: Path, namespace: str, labels: Mapping[str, str]) -> tuple[FakeApplier, FakeRegistry]:
    api = FakeApplier({f"/api/v1/namespaces/{namespace}": {"metadata": {"labels": labels}}})
    registry = FakeRegistry(set())
    Preparation(api, registry, state, list[Event]().append, None, shared=True).run(FakeRenderer(), "light")
    return api, registry


@pytest.mark.parametrize("namespace", ["mambogo-production", "mambogo-monitoring", "rehearsal-echo"])
@pytest.mark.parametrize("labels", [{}, {OWN_LABEL[0]: "mambogo"}])
def test_somebody_else_s_namespace_on_a_shared_cluster_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: str, labels: Mapping[str, str]
) -> None:
    touched: list[str] = []
    monkeypatch.setattr(FakeApplier, "apply", lambda api, manifest: touched.append(manifest["kind"]))
    monkeypatch.setattr(FakeRegistry, "push", lambda registry, reference: touched.append(reference))

    with pytest.raises(ConfigurationError, match=f"namespace {namespace} is there") as caught:
        _shared(tmp_path, namespace, labels)

    assert (touched, caught.value.code) == ([], "NAMESPACE_TAKEN")


def test_own_namespace_on_a_shared_cluster_is_deployed_to_again(tmp_path: Path) -> None:
    api, registry = _shared(tmp_path, "mambogo-production", dict([OWN_LABEL]))

    assert registry.pushed
    assert "mambogo-production" in {one["metadata"]["name"] for one in api.applied}
