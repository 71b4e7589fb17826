"""What the supplies ask of a container engine, and the adapter to a Docker engine.

`ImageEngine` has one fake, in `rehearsal.supply.testing`; both pass the same contract test. Building from a
Dockerfile is done through a client program (`rehearsal.supply.buildkit`), because the engine's API for
BuildKit is not spoken by the Python package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

LABEL_SUPPLY = "dev.mambogo.supply"
LABEL_KEY = "dev.mambogo.key"
LABEL_SOURCE = "dev.mambogo.source"

PULL_SILENCE_SECONDS = 20.0  # a registry that says nothing for so long is taken for dead
_API_SECONDS = 120.0  # an import of a hundred MB on a slow disk


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image that an engine has."""

    id: str
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    bytes: int
    created: str  # ISO 8601, as the engine says it


class PullFailedError(EnvironmentNotReadyError):
    """An image could not be pulled; the caller may have another source."""

    def __init__(self, reference: str, reason: str) -> None:
        super().__init__(
            "PULL_FAILED",
            f"{reference} could not be pulled: {reason}",
            hint="Check the registry's address and that the engine can reach it.",
        )
        self.reason = reason


class ImageEngine(Protocol):
    """The part of a container engine that supplies need."""

    def find(self, reference: str) -> ImageRecord | None:
        """Return the image with a tag or id, or None."""

    def labelled(self, label: str) -> tuple[ImageRecord, ...]:
        """Return all images that carry a label."""

    def tag(self, image_id: str, reference: str) -> None:
        """Give an image one more tag, or move the tag to it."""

    def untag(self, reference: str) -> bool:
        """Remove a tag, and the image with its last one; False when a container uses it."""

    def pull(self, reference: str) -> ImageRecord:
        """Pull an image; raises PullFailedError, within short time limits."""

    def import_archive(self, archive: Path, labels: Mapping[str, str], reference: str) -> ImageRecord:
        """Make an image of one layer from a tar archive."""


class DockerImages:
    """A Docker engine, through its Python package.

    `connect` returns a client with a time limit in seconds for each answer: the limit is a property of the
    client, and a registry that hangs must not be waited for as long as an import may take.
    """

    def __init__(self, connect: Callable[[float], DockerClient]) -> None:
        self._connect = connect
        self.client = connect(_API_SECONDS)

    def find(self, reference: str) -> ImageRecord | None:
        """Return the image with a tag or id, or None."""
        from docker.errors import ImageNotFound

        try:
            return _record(self.client.images.get(reference))
        except ImageNotFound:
            return None

    def labelled(self, label: str) -> tuple[ImageRecord, ...]:
        """Return all images that carry a label."""
        return tuple(_record(image) for image in self.client.images.list(filters={"label": label}))

    def tag(self, image_id: str, reference: str) -> None:
        """Give an image one more tag, or move the tag to it."""
        repository, _, tag = reference.rpartition(":")
        self.client.images.get(image_id).tag(repository, tag)

    def untag(self, reference: str) -> bool:
        """Remove a tag, and the image with its last one; False when a container uses it."""
        from docker.errors import APIError, ImageNotFound

        try:
            self.client.images.remove(reference)
        except ImageNotFound:
            return True
        except APIError as error:
            if error.status_code == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    def pull(self, reference: str) -> ImageRecord:
        """Pull an image; a registry that is silent for 20 s has failed."""
        from docker.errors import APIError
        from requests import ConnectionError as Disconnected
        from requests import Timeout
        from urllib3.exceptions import HTTPError

        repository, tag = _split(reference)
        client = self._connect(PULL_SILENCE_SECONDS)
        try:
            for line in client.api.pull(repository, tag=tag, stream=True, decode=True):
                if "error" in line:
                    raise PullFailedError(reference, str(line["error"]))
        except (Disconnected, Timeout, HTTPError) as error:
            raise PullFailedError(reference, f"no answer within {PULL_SILENCE_SECONDS:.0f} s") from error
        except APIError as error:
            raise PullFailedError(reference, str(error.explanation or error)) from error
        finally:
            client.close()
        found = self.find(reference)
        if found is None:
            raise PullFailedError(reference, "the engine says it was pulled, but does not have it")
        return found

    def import_archive(self, archive: Path, labels: Mapping[str, str], reference: str) -> ImageRecord:
        """Make an image of one layer from a tar archive."""
        repository, tag = _split(reference)
        changes = [f'LABEL "{name}"="{value}"' for name, value in labels.items()]
        self.client.api.import_image_from_file(str(archive), repository=repository, tag=tag, changes=changes)
        found = self.find(reference)
        if found is None:
            raise EnvironmentNotReadyError(
                "IMPORT_FAILED",
                f"the engine took {archive.name} but has no image {reference}",
                hint="The engine's own log says why; its disk may be full.",
            )
        return found


def connect(timeout_seconds: float) -> DockerClient:
    """Return a client of the engine that the environment names."""
    import docker

    return docker.from_env(timeout=int(timeout_seconds))


def docker_client(engine: ImageEngine) -> DockerClient:
    """Return the client behind an engine, for recipes that run containers.

    Raises HarnessError when the engine is no Docker engine.
    """
    if not isinstance(engine, DockerImages):
        raise HarnessError(
            "ENGINE_NOT_DOCKER", "this recipe runs containers on a Docker engine", hint="Use a Docker engine."
        )
    return engine.client


def _record(image: Image) -> ImageRecord:
    attributes = image.attrs
    return ImageRecord(
        id=str(attributes["Id"]),
        tags=tuple(attributes.get("RepoTags") or ()),
        labels=dict((attributes.get("Config") or {}).get("Labels") or attributes.get("Labels") or {}),
        bytes=int(attributes.get("Size", 0)),
        created=str(attributes.get("Created", "")),
    )


def _split(reference: str) -> tuple[str, str]:
    """Split a reference into repository and tag; a colon before a slash belongs to a port."""
    head, _, tail = reference.rpartition(":")
    return (head, tail) if head and "/" not in tail else (reference, "latest")
