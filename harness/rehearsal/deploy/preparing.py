"""What must be in the cluster before Tilt: images that it does not build, namespaces, Secrets.

Values of Secrets go from the state folder to the API server, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rehearsal.core.events import Emit, step
from rehearsal.deploy import certificates, credentials
from rehearsal.deploy.manifests import Manifest
from rehearsal.deploy.pushing import ImageRegistry, push_missing

# What `up` waits for longest is Keycloak, which waits for PostgreSQL, which waits for its volume. Their
# images are pulled while Tilt starts and the volume is made, not after.
_PULLED_AHEAD = ("rehearsal/postgres", "rehearsal/keycloak")


class Applier(Protocol):
    """The part of a Kubernetes API client that is needed here."""

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Apply one object server-side."""


class Rendering(Protocol):
    """The part of a renderer that is needed here."""

    def render(self, profile: str) -> list[Manifest]:
        """Return a profile's objects."""

    def references(self) -> list[str]:
        """Return the supplies' images, repository:tag."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """Prepares one cluster; again is as good as once."""

    api: Applier
    registry: ImageRegistry
    state: Path
    emit: Emit

    def run(self, renderer: Rendering, profile: str) -> None:
        """Push images, then apply the profile's namespaces and the Secrets."""
        references = renderer.references()
        push_missing(references, self.registry, self.emit)
        named = {one.rpartition(":")[0]: one for one in references}
        self.registry.pull_ahead([named[name] for name in _PULLED_AHEAD])
        with step(self.emit, "secrets", f"credentials in {self.state / credentials.FILE_NAME}"):
            for one in renderer.render(profile):
                if one["kind"] == "Namespace":
                    self.api.apply(one)
            edge = certificates.keep(self.state)
            for one in credentials.secret_manifests(credentials.keep(self.state), edge):
                self.api.apply(one)
