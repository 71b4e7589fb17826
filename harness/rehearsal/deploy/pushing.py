"""Adapter: images of supplies in the cluster's registry, under tags that say their content.

What is there under its tag is never pushed again. Images that Tilt builds are Tilt's to push.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Emit, step

if TYPE_CHECKING:
    from docker import DockerClient


class ImageRegistry(Protocol):
    """The part of engine and registry that is needed here."""

    def has(self, reference: str) -> bool:
        """Return whether the registry has an image, by repository:tag."""

    def push(self, reference: str) -> None:
        """Push the engine's image of that repository:tag."""


@dataclass(frozen=True, slots=True)
class EngineRegistry:
    """The cluster's registry, asked and filled by the Docker engine: with its certificates and its login."""

    client: DockerClient
    name: str  # host and path, as the cluster's nodes name it

    def has(self, reference: str) -> bool:
        """Return whether the registry has an image; raises EnvironmentNotReadyError without an answer."""
        from docker.errors import APIError, DockerException
        from requests import RequestException

        try:
            self.client.images.get_registry_data(f"{self.name}/{reference}")
        except (DockerException, RequestException) as error:
            if isinstance(error, APIError) and error.is_client_error():
                # Not there, or a registry that says so of nothing to whom it does not know: pushing tells.
                return False
            raise self._silent(str(error)) from error
        return True

    def push(self, reference: str) -> None:
        """Push an image; raises EnvironmentNotReadyError with the engine's reason."""
        from docker.errors import DockerException
        from requests import RequestException

        repository, _, tag = reference.rpartition(":")
        target = f"{self.name}/{repository}"
        try:
            self.client.images.get(reference).tag(target, tag)
            for line in self.client.images.push(target, tag=tag, stream=True, decode=True):
                if "error" in line:
                    raise self._silent(str(line["error"]))
        except (DockerException, RequestException) as error:
            # The client lets through what it meets on its way to the engine.
            raise self._silent(str(error)) from error

    def _silent(self, why: str) -> EnvironmentNotReadyError:
        return EnvironmentNotReadyError(
            "REGISTRY_UNUSABLE",
            f"the registry {self.name} cannot be used: {why}",
            hint="`rehearsal cluster up` brings the project's own back and leaves a healthy cluster alone; "
            "another one may need `docker login`.",
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
