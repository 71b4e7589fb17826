"""Finding the images by their tag, and building what is missing.

The folders in `images/` describe themselves in an image.toml (see images/README.md). The Debian base
is not built here: the harness supplies it. Neither is an image rebuilt because its folder changed: that
is `rehearsal supply build`, which knows all inputs.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import docker
import docker.errors

from mambogo_testkit.errors import TestkitError

# The bundle that a build step may need to trust the way to the package registries.
_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_SUPPLIED = {"debian": "rehearsal/debian:bookworm"}  # without a folder
_BUILD_TIMEOUT_SECONDS = 1800  # a cold Maven repository on a slow line
_LOG_TAIL_LINES = 30


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """One folder of `images/`, as its image.toml declares it."""

    path: Path
    tag: str
    bases: dict[str, str]  # build argument -> folder
    secrets: tuple[str, ...]


def ensure_image(client: docker.DockerClient, name: str) -> str:
    """Return the tag of the image in folder `name`, building it and what it stands on when missing."""
    if name in _SUPPLIED:
        return _require(client, name)
    folder = read_folder(images_root() / name)
    if not _exists(client, folder.tag):
        arguments = {argument: ensure_image(client, base) for argument, base in folder.bases.items()}
        build_image(folder, arguments)
    return folder.tag


def build_image(folder: ImageFolder, arguments: dict[str, str]) -> None:
    """Build one folder with BuildKit; raises TestkitError `image-build` with the log's last lines."""
    command = [_buildkit_client(), "build", "--network=host", "--tag", folder.tag]
    for argument, tag in sorted(arguments.items()):
        command += ["--build-arg", f"{argument}={tag}"]
    for secret in folder.secrets:
        command += ["--secret", f"id={secret},src={_ca_bundle()}"]
    done = subprocess.run(
        [*command, str(folder.path)],
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_BUILD_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-_LOG_TAIL_LINES:])
        raise TestkitError(
            "image-build", f"{folder.tag} was not built:\n{tail}", f"see {folder.path}/Dockerfile"
        )


def read_folder(path: Path) -> ImageFolder:
    """Read the image.toml of one folder."""
    try:
        declared = tomllib.loads((path / "image.toml").read_text(encoding="utf-8"))
        return ImageFolder(
            path=path,
            tag=f"rehearsal/{declared['name']}:{declared['version']}",
            bases=dict(declared.get("bases", {})),
            secrets=tuple(declared.get("secrets", [])),
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise TestkitError(
            "image-declaration",
            f"{path}/image.toml cannot be used: {error!r}",
            "images/README.md has its fields",
        ) from error


def images_root() -> Path:
    """Find the repository's images/ folder: above this file, else above the working directory."""
    for start in (Path(__file__).resolve(), Path.cwd()):
        for parent in start.parents:
            if (parent / "images" / "postgres" / "image.toml").exists():
                return parent / "images"
    raise TestkitError(
        "image-folder", "no images/ folder was found", "run the tests from inside the repository"
    )


def _require(client: docker.DockerClient, name: str) -> str:
    tag = _SUPPLIED[name]
    if not _exists(client, tag):
        raise TestkitError(
            "image-missing", f"{tag} is not there", f"make it with: rehearsal supply build {name}"
        )
    return tag


def _exists(client: docker.DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except docker.errors.ImageNotFound:
        return False
    return True


def _ca_bundle() -> str:
    for bundle in (os.environ.get("SSL_CERT_FILE"), *_CA_BUNDLES):
        if bundle and Path(bundle).exists():
            return bundle
    raise TestkitError("ca-bundle", "no bundle of certificate authorities was found", "set SSL_CERT_FILE")


@functools.cache
def _buildkit_client() -> str:
    """Choose a docker client that can talk to BuildKit: with buildx, or older than the split of the two."""
    for client in _docker_clients():
        if subprocess.run([client, "buildx", "version"], capture_output=True, check=False).returncode == 0:
            return client
        version = subprocess.run([client, "--version"], capture_output=True, text=True, check=False).stdout
        if _major(version) in range(18, 23):
            return client
    raise TestkitError(
        "no-buildkit", "no docker client on PATH can build with BuildKit", "install the docker buildx plugin"
    )


def _docker_clients() -> Iterator[str]:
    for directory in os.get_exec_path():
        if found := shutil.which("docker", path=directory):
            yield found


def _major(version: str) -> int:
    digits = version.removeprefix("Docker version ").partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def image_id(client: docker.DockerClient, tag: str) -> str:
    """Return the identifier of the content that a tag names."""
    return cast("str", client.images.get(tag).id)
