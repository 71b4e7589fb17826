"""A PostgreSQL image whose data directory already holds Keycloak's schema and master realm.

Keycloak needs 13 to 30 seconds to make these, and six when it finds them. The image is made once for
each pair of PostgreSQL and Keycloak images, and stays on this machine; the generated credentials in
it open nothing but containers on this machine's loopback address.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docker
import docker.errors

from mambogo_testkit.engine import Engine
from mambogo_testkit.images import image_id

_REPOSITORY = "rehearsal/testkit-keycloak-database"
_LABEL_DETAILS = "com.mambogo.testkit.details"
_RECIPE = "1"  # counts up when this module bakes differently


@dataclass(frozen=True, slots=True)
class Baked:
    """The image and the credentials that are inside."""

    image: str
    database_password: str = field(repr=False)
    admin_password: str = field(repr=False)


def find(client: docker.DockerClient, images: tuple[str, str]) -> Baked | None:
    """Return the baked image of this pair of (PostgreSQL, Keycloak) images, if it is there."""
    tag = _tag(client, images)
    try:
        labels = client.images.get(tag).labels
    except docker.errors.ImageNotFound:
        return None
    details = json.loads(labels[_LABEL_DETAILS])
    return Baked(tag, details["database_password"], details["admin_password"])


def new_credentials() -> Baked:
    """Make credentials for a bake; the image's name is not known yet."""
    return Baked("", secrets.token_urlsafe(18), secrets.token_urlsafe(18))


def commit(engine: Engine, images: tuple[str, str], container: str, credentials: Baked) -> Baked:
    """Make the image from a stopped PostgreSQL container, and remove those of earlier pairs."""
    tag = _tag(engine.client, images)
    details = {
        "database_password": credentials.database_password,
        "admin_password": credentials.admin_password,
    }
    label = json.dumps(json.dumps(details))  # quoted once more, as a Dockerfile's line wants it
    engine.client.containers.get(container).commit(tag, changes=f"LABEL {_LABEL_DETAILS}={label}")
    _remove_stale(engine.client, tag)
    return Baked(tag, credentials.database_password, credentials.admin_password)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one process of this machine bake; the others wait and then find the result."""
    with (Path(tempfile.gettempdir()) / "mambogo-testkit-bake.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _tag(client: docker.DockerClient, images: tuple[str, str]) -> str:
    inputs = "\n".join([_RECIPE, *(image_id(client, image) for image in images)])
    return f"{_REPOSITORY}:{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"


def _remove_stale(client: docker.DockerClient, current: str) -> None:
    for image in client.images.list(_REPOSITORY):
        for tag in image.tags:
            # One that a container of another run still uses stays until the next bake.
            if tag != current:
                with contextlib.suppress(docker.errors.APIError):
                    client.images.remove(tag)
