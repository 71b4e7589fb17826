"""Builds the images of a release and pushes them to a registry, as production's pipeline does.

Tilt builds the same Dockerfiles for the cluster here; a test holds both lists together. Signing in to the
registry is left to whoever calls (`docker login`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rehearsal.core.errors import ConfigurationError
from rehearsal.core.events import Emit, step
from rehearsal.deploy.releasing import Version
from rehearsal.supply.building import BuildContext
from rehearsal.supply.buildkit import BuildKitClient, DockerfileBuild, build

_PUSH_SECONDS = 900.0  # a few hundred MB over a slow line
_TAG_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Release:
    """One image that a release consists of: built from a folder below services/, or a supply."""

    name: str
    folder: str = ""
    supply: str = ""
    also: tuple[str, ...] = ()  # further names of the same image: a Job is never updated in place


RELEASED = (
    Release("gateway-service", folder="gateway"),
    Release("product-service", folder="product", also=("product-migrations",)),
    Release("cart-service", folder="cart"),
    Release("order-service", folder="order", also=("order-migrations", "topics")),
    Release("payment-service", folder="payment", also=("payment-migrations",)),
    Release("inventory-service", folder="inventory", also=("inventory-migrations",)),
    Release("config-server", supply="config-server"),
    Release("eureka-server", supply="eureka"),
)


def chosen(names: Iterable[str]) -> tuple[Release, ...]:
    """Return the images with these names, all of them for none.

    Raises ConfigurationError for an unknown one.
    """
    known = {one.name: one for one in RELEASED}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigurationError(
            "IMAGE_UNKNOWN", f"no release has an image {unknown[0]}", hint=f"There are: {', '.join(known)}."
        )
    return tuple(known[name] for name in names) or RELEASED


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes from one checkout."""

    root: Path
    client: BuildKitClient
    supply_tag: Callable[[str], str]  # makes a supply's image and returns a tag of it
    logs: Path
    emit: Emit

    def publish(self, release: Release, version: Version) -> tuple[str, ...]:
        """Build and push one image under all of its names; return their references.

        Raises EnvironmentNotReadyError with the last lines of what failed.
        """
        references = tuple(version.reference(name) for name in (release.name, *release.also))
        with (
            step(self.emit, f"publish {release.name}", references[0]) as doing,
            TemporaryDirectory() as scratch,
        ):
            context = BuildContext(
                name=release.name,
                target=Path(scratch),
                scratch=Path(scratch),
                log=self.logs / f"publish-{release.name}.log",
                step=doing,
                supply=lambda name: Path(scratch),
            )
            source = (
                self.supply_tag(release.supply)
                if release.supply
                else self._built(context, release, references[0])
            )
            for reference in references:
                if reference != source:
                    self._docker(context, "tag", source, reference, seconds=_TAG_SECONDS)
                self._docker(context, "push", reference, seconds=_PUSH_SECONDS)
        return references

    def _built(self, context: BuildContext, release: Release, reference: str) -> str:
        wanted = DockerfileBuild(
            self.root / "services", reference, labels={}, file=f"{release.folder}/Dockerfile"
        )
        build(context, self.client, wanted)
        return reference

    def _docker(self, context: BuildContext, *words: str, seconds: float) -> None:
        context.run(
            f"docker {words[0]} {words[-1]}", [str(self.client.program), *words], timeout_seconds=seconds
        )
