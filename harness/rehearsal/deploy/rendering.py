"""The manifests of a profile: the local overlay, configured, localised, scaled and with all of its brokers.

What Tilt applies is exactly this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rehearsal.core.catalogue import Catalogue
from rehearsal.deploy import kustomize
from rehearsal.deploy.brokers import Brokers, add_brokers
from rehearsal.deploy.credentials import secret_names
from rehearsal.deploy.localising import OPTIONAL, SUPPLIED, Locality, localise
from rehearsal.deploy.manifests import Manifest, parse
from rehearsal.deploy.monitoring import configure
from rehearsal.deploy.referring import require_references
from rehearsal.deploy.scaling import Scale, scale
from rehearsal.deploy.validating import require_valid

LOCAL_OVERLAY = Path("k8s", "overlays", "local")
OPTIONAL_OVERLAYS = LOCAL_OVERLAY / "monitoring"  # a folder for each optional supply, of its name
PRODUCTION_OVERLAY = Path("k8s", "overlays", "production")


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders a checkout's manifests."""

    root: Path
    catalogue: Catalogue
    kubectl: Path
    pinned_tag: Callable[[str], str]  # of a supply, by its name
    has_optional: Callable[[str], bool]  # whether a supply that not every machine can have is here
    registry: str  # where the supplies' images are, as the cluster's nodes name it

    def render(self, profile: str) -> list[Manifest]:
        """Return a profile's objects.

        Raises ConfigurationError for what does not fit together, and for what Kubernetes would drop or wait
        for.
        """
        size = Scale.of(self.catalogue, profile)
        objects = configure(kustomize.build(self.kubectl, self.root / LOCAL_OVERLAY))
        for name in filter(self.has_optional, OPTIONAL.values()):
            objects += kustomize.build(self.kubectl, self.root / OPTIONAL_OVERLAYS / name)
        scaled = scale(localise(objects, Locality.of(self.catalogue, self._images())), size)
        rendered = add_brokers(scaled, Brokers.of(self.catalogue, profile))
        require_valid([*rendered, *self.beside()], self.root)
        require_references(rendered, secret_names())
        return rendered

    def beside(self) -> list[Manifest]:
        """Return what the Tiltfile deploys besides, such as the echo service."""
        paths = sorted((self.root / "tilt").glob("*/*.yaml"))
        return [one for path in paths for one in parse(path.read_text(encoding="utf-8"))]

    def production(self) -> list[Manifest]:
        """Return what production applies."""
        return kustomize.build(self.kubectl, self.root / PRODUCTION_OVERLAY)

    def references(self) -> list[str]:
        """Return the supplies' images as the engine has them, repository:tag."""
        return [self.pinned_tag(name) for name in self._supplies()]

    def _images(self) -> dict[str, str]:
        return {name: f"{self.registry}/{self.pinned_tag(name)}" for name in self._supplies()}

    def _supplies(self) -> list[str]:
        return [*SUPPLIED.values(), *filter(self.has_optional, OPTIONAL.values())]
