"""Adapter: images of supplies in the cluster's registry, under tags that say their content.

What is there under its tag is never pushed again. Images that Tilt builds are Tilt's to push.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Emit, step

if TYPE_CHECKING:
    from docker import DockerClient

_ANSWER_SECONDS = 10.0
_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
)


class ImageRegistry(Protocol):
    """The part of engine and registry that is needed here."""

    def has(self, reference: str) -> bool:
        """Return whether the registry has an image, by repository:tag."""

    def push(self, reference: str) -> None:
        """Push the engine's image of that repository:tag."""


@dataclass(frozen=True, slots=True)
class LocalRegistry:
    """The cluster's registry on 127.0.0.1, filled by the Docker engine."""

    client: DockerClient
    port: int

    def has(self, reference: str) -> bool:
        """Return whether the registry has an image; raises EnvironmentNotReadyError without an answer."""
        repository, _, tag = reference.rpartition(":")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_SECONDS)
        try:
            connection.request("HEAD", f"/v2/{repository}/manifests/{tag}", headers={"Accept": _MANIFESTS})
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(str(error)) from error
        finally:
            connection.close()

    def push(self, reference: str) -> None:
        """Push an image; raises EnvironmentNotReadyError with the engine's reason."""
        from docker.errors import DockerException

        repository, _, tag = reference.rpartition(":")
        target = f"localhost:{self.port}/{repository}"
        try:
            self.client.images.get(reference).tag(target, tag)
            for line in self.client.images.push(target, tag=tag, stream=True, decode=True):
                if "error" in line:
                    raise self._silent(str(line["error"]))
        except DockerException as error:
            raise self._silent(str(error)) from error

    def _silent(self, why: str) -> EnvironmentNotReadyError:
        return EnvironmentNotReadyError(
            "REGISTRY_UNUSABLE",
            f"the registry on 127.0.0.1:{self.port} cannot be used: {why}",
            hint="`rehearsal cluster up` brings it back and leaves a healthy cluster alone.",
        )


def push_missing(references: Iterable[str], registry: ImageRegistry, emit: Emit) -> None:
    """Push the images that the registry does not have."""
    missing = [one for one in references if not registry.has(one)]
    with step(emit, "push images", f"{len(missing)} to push") as doing:
        if not missing:
            doing.unchanged("all are there")
        for one in missing:
            doing.progress(one)
            registry.push(one)
