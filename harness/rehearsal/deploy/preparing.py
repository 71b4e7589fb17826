"""What must be in the cluster before Tilt: images that it does not build, namespaces, Secrets, first volumes.

Values of Secrets go from the state folder to the API server, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rehearsal.core.errors import ConfigurationError
from rehearsal.core.events import Emit, step
from rehearsal.deploy import certificates, credentials
from rehearsal.deploy.claims import claims
from rehearsal.deploy.manifests import OWN_LABEL, Manifest
from rehearsal.deploy.pushing import ImageRegistry, push_missing

_CLAIM = "/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"


class Applier(Protocol):
    """The part of a Kubernetes API client that is needed here."""

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Apply one object server-side."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers; None when nothing is there."""


class Rendering(Protocol):
    """The part of a renderer that is needed here."""

    def render(self, profile: str) -> list[Manifest]:
        """Return a profile's objects."""

    def beside(self) -> list[Manifest]:
        """Return what Tilt deploys besides."""

    def references(self) -> list[str]:
        """Return the supplies' images, repository:tag."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """Prepares one cluster; again is as good as once."""

    api: Applier
    registry: ImageRegistry
    state: Path
    emit: Emit
    only_node: str | None
    """Where every pod will run; None where a pod may come to another node."""
    shared: bool = False
    """Whether others may use the cluster: what is theirs is not taken over."""

    def run(self, renderer: Rendering, profile: str) -> None:
        """Push images, then apply the profile's namespaces, the first volumes' claims and the Secrets.

        Raises ConfigurationError when a namespace on a shared cluster is somebody else's.
        """
        # First: a manifest that is not well is said before anything is pushed.
        objects = renderer.render(profile)
        if self.shared:
            self._require_own([*objects, *renderer.beside()])
        push_missing(renderer.references(), self.registry, self.emit)
        with step(self.emit, "secrets", f"credentials in {self.state / credentials.FILE_NAME}"):
            for one in objects:
                if one["kind"] == "Namespace":
                    self.api.apply(one)
            if self.only_node is not None:
                self._claim(self.only_node, objects)
            edge = certificates.keep(self.state)
            for one in credentials.secret_manifests(credentials.keep(self.state), edge):
                self.api.apply(one)

    def _require_own(self, objects: Sequence[Manifest]) -> None:
        key, value = OWN_LABEL
        for name in (one["metadata"]["name"] for one in objects if one["kind"] == "Namespace"):
            found = self.api.get(f"/api/v1/namespaces/{name}")
            if found is not None and found["metadata"].get("labels", {}).get(key) != value:
                raise ConfigurationError(
                    "NAMESPACE_TAKEN",
                    f"namespace {name} is there and does not carry {key}={value}: nothing is deployed",
                    hint="What is in it would be replaced. Choose another cluster; if it may be replaced, "
                    f"`kubectl label namespace {name} {key}={value}`.",
                )

    def _claim(self, node: str, objects: Sequence[Manifest]) -> None:
        """Have volumes made while Tilt starts, not when all other pods start as well.

        What the start waits for longest is Keycloak, which waits for PostgreSQL, which waited 10 s for them.
        """
        for one in claims(objects, node):
            if self.api.get(_CLAIM.format(**one["metadata"])) is None:
                self.api.apply(one)
