"""What the supplies ask of a container engine, and the adapter to a Docker engine.

`ImageEngine` has one fake, in `tests.supply.fakes`; both pass the same contract test. Building from a
Dockerfile is done through a client program (`rehearsal.supply.buildkit`), because the engine's API for
BuildKit is not spoken by the Python package.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
    """A Docker engine, through its Python package."""

    def __init__(self, client: DockerClient) -> None:
        self.client = client

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
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        try:
            for line in self._pull_events(reference):
                if "error" in line:
                    raise PullFailedError(reference, str(line["error"]))
        except APIError as error:
            raise PullFailedError(reference, str(error.explanation or error)) from error
        except (RequestException, HTTPError) as error:
            raise PullFailedError(reference, f"no answer within {PULL_SILENCE_SECONDS:.0f} s") from error
        found = self.find(reference)
        if found is None:
            raise PullFailedError(reference, "the engine says it was pulled, but does not have it")
        return found

    def _pull_events(self, reference: str) -> Iterator[dict[str, object]]:
        """Yield what the engine says while it pulls.

        The package's own `pull` waits for ever, whatever the client's time limit, so the request is ours.
        """
        from docker.auth import get_config_header, resolve_repository_name
        from docker.errors import create_api_error_from_http_exception
        from requests import HTTPError

        api = self.client.api
        repository, tag = _split(reference)
        header = get_config_header(api, resolve_repository_name(repository)[0])
        with api.post(
            f"{api.base_url}/v{api.api_version}/images/create",
            params={"fromImage": repository, "tag": tag},
            headers={"X-Registry-Auth": header} if header else {},
            stream=True,
            timeout=PULL_SILENCE_SECONDS,
        ) as answer:
            try:
                answer.raise_for_status()
            except HTTPError as error:
                create_api_error_from_http_exception(error)
            for line in answer.iter_lines():
                if line:
                    yield json.loads(line)

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
