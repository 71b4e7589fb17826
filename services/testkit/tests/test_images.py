"""Images are found by tag and built when they are missing; what cannot be built is said clearly."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from mambogo_testkit import TestkitError, images
from mambogo_testkit.images import ensure_image, read_folder

_DOCKERFILE = """
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN --mount=type=secret,id=ca-certificates test -s /run/secrets/ca-certificates && echo made > /made
"""


@pytest.fixture
def folder(
    tmp_path: Path, engine_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Make an images/ folder with one image in it; its tag is removed afterwards."""
    name = f"testkit-{secrets.token_hex(4)}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "Dockerfile").write_text(_DOCKERFILE, encoding="utf-8")
    (tmp_path / name / "image.toml").write_text(
        f'name = "{name}"\nversion = "1"\nsecrets = ["ca-certificates"]\n[bases]\nBASE_IMAGE = "debian"\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(images, "images_root", lambda: tmp_path)
    yield name
    for image in engine_client.images.list(f"rehearsal/{name}"):
        engine_client.images.remove(image.id or "", force=True)


def test_a_missing_image_is_built_on_its_base(folder: str, engine_client: docker.DockerClient) -> None:
    tag = ensure_image(engine_client, folder)
    made = engine_client.containers.run(tag, ["cat", "/made"], remove=True)
    assert made == b"made\n"


def test_an_image_that_is_there_is_not_built_again(
    folder: str, engine_client: docker.DockerClient, tmp_path: Path
) -> None:
    first = engine_client.images.get(ensure_image(engine_client, folder)).id
    (tmp_path / folder / "Dockerfile").write_text("FROM nothing-like-this", encoding="utf-8")
    assert engine_client.images.get(ensure_image(engine_client, folder)).id == first


def test_a_failing_build_shows_the_end_of_its_log(
    folder: str, engine_client: docker.DockerClient, tmp_path: Path
) -> None:
    (tmp_path / folder / "Dockerfile").write_text(
        _DOCKERFILE + "RUN echo the reason >&2 && exit 3\n", encoding="utf-8"
    )
    with pytest.raises(TestkitError, match="the reason"):
        ensure_image(engine_client, folder)


def test_a_declaration_without_a_version_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "image.toml").write_text('name = "x"\n', encoding="utf-8")
    with pytest.raises(TestkitError, match="version"):
        read_folder(tmp_path)


def test_a_missing_base_names_the_command_that_makes_it(
    engine_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(images._SUPPLIED, "debian", "rehearsal/debian:absent")
    with pytest.raises(TestkitError, match="rehearsal supply build debian"):
        ensure_image(engine_client, "debian")
