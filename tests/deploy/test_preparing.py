"""What is in the cluster before Tilt."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal.core.events import Event
from rehearsal.deploy.credentials import keep
from rehearsal.deploy.manifests import Manifest
from rehearsal.deploy.preparing import Preparation

from tests.deploy.base import local_objects


@dataclass
class FakeRegistry:
    """A registry that remembers."""

    there: set[str]
    pushed: list[str] = field(default_factory=list)
    pulled_ahead: list[str] = field(default_factory=list)

    def has(self, reference: str) -> bool:
        return reference in self.there

    def push(self, reference: str) -> None:
        self.there.add(reference)
        self.pushed.append(reference)

    def pull_ahead(self, references: Sequence[str]) -> None:
        assert self.there.issuperset(references)
        self.pulled_ahead.extend(references)


@dataclass
class FakeApplier:
    """An API server that takes everything."""

    applied: list[Mapping[str, Any]] = field(default_factory=list)

    def apply(self, manifest: Mapping[str, Any]) -> None:
        self.applied.append(manifest)


class FakeRenderer:
    """Renders the checkout's objects."""

    def render(self, profile: str) -> list[Manifest]:
        return local_objects()

    def references(self) -> list[str]:
        return ["rehearsal/keycloak:1", "rehearsal/postgres:1", "rehearsal/redis:1"]


def _run(state: Path) -> tuple[FakeApplier, FakeRegistry, list[Event]]:
    api, events = FakeApplier(), list[Event]()
    registry = FakeRegistry({"rehearsal/keycloak:1", "rehearsal/redis:1"})
    Preparation(api, registry, state, events.append).run(FakeRenderer(), "light")
    return api, registry, events


def test_only_missing_images_are_pushed(tmp_path: Path) -> None:
    _, registry, _ = _run(tmp_path)
    assert registry.pushed == ["rehearsal/postgres:1"]


def test_what_is_waited_for_longest_is_pulled_ahead(tmp_path: Path) -> None:
    _, registry, _ = _run(tmp_path)
    assert registry.pulled_ahead == ["rehearsal/postgres:1", "rehearsal/keycloak:1"]


def test_a_namespace_is_there_before_its_secrets(tmp_path: Path) -> None:
    api, _, _ = _run(tmp_path)
    kinds = [one["kind"] for one in api.applied]
    assert kinds == sorted(kinds)
    assert set(kinds) == {"Namespace", "Secret"}


def test_no_value_is_in_an_event(tmp_path: Path) -> None:
    _, _, events = _run(tmp_path)
    assert keep(tmp_path).postgres_password not in repr(events)


def test_the_authority_s_key_stays_at_home(tmp_path: Path) -> None:
    api, _, _ = _run(tmp_path)
    key = (tmp_path / "authority" / "ca-key.pem").read_bytes()
    assert b64encode(key).decode() not in repr(api.applied)
    assert b64encode((tmp_path / "authority" / "edge-key.pem").read_bytes()).decode() in repr(api.applied)
