"""The container engine: one contract for the fake and the real one; registries that misbehave."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import tarfile
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import wait_until
from rehearsal.supply import buildkit, debian
from rehearsal.supply.image_engine import (
    LABEL_SOURCE,
    DockerImages,
    ImageEngine,
    PullFailedError,
)

from tests.servers import running
from tests.supply.fakes import FakeImages, Recorder, image_recipe, make_supplies

_START_SECONDS = 60.0


def docker_images() -> DockerImages:
    """Return the machine's engine, or skip."""
    import docker
    from docker.errors import DockerException

    try:
        return DockerImages(docker.from_env(timeout=120))
    except DockerException:
        pytest.skip("no Docker engine answers")


@pytest.fixture(
    params=["fake", pytest.param("docker", marks=[pytest.mark.engine, pytest.mark.enable_socket])]
)
def engine(request: pytest.FixtureRequest) -> ImageEngine:
    return FakeImages() if request.param == "fake" else docker_images()


@pytest.fixture
def repository(engine: ImageEngine) -> Iterator[str]:
    """Name of a repository of this test only."""
    name = f"rehearsal-test/{uuid.uuid4().hex[:12]}"
    yield name
    for record in engine.labelled("dev.mambogo.test"):
        for tag in record.tags:
            if tag.startswith(name):
                engine.untag(tag)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A root file system of one file that no other test has."""
    path = tmp_path / "root.tar"
    with tarfile.open(path, "w") as tar:
        content = uuid.uuid4().bytes
        info = tarfile.TarInfo("unique")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return path


LABELS = {"dev.mambogo.test": "yes", "with": "space and 'quotes'"}


def test_an_imported_image_is_found_with_its_labels(
    engine: ImageEngine, repository: str, archive: Path
) -> None:
    made = engine.import_archive(archive, LABELS, f"{repository}:1")
    found = engine.find(f"{repository}:1")
    assert found == made
    assert found is not None
    assert dict(found.labels) == LABELS
    assert found.bytes > 0


def test_an_image_is_found_by_its_id(engine: ImageEngine, repository: str, archive: Path) -> None:
    made = engine.import_archive(archive, LABELS, f"{repository}:1")
    assert engine.find(made.id) == made


def test_what_is_not_there_is_none(engine: ImageEngine, repository: str) -> None:
    assert engine.find(f"{repository}:none") is None


def test_labelled_finds_by_label_only(engine: ImageEngine, repository: str, archive: Path) -> None:
    made = engine.import_archive(archive, LABELS, f"{repository}:1")
    other = engine.import_archive(archive, {"else": "1"}, f"{repository}:2")
    found = {record.id for record in engine.labelled("dev.mambogo.test")}
    engine.untag(f"{repository}:2")
    assert made.id in found
    assert other.id not in found


def test_a_tag_moves(engine: ImageEngine, repository: str, archive: Path) -> None:
    first = engine.import_archive(archive, LABELS, f"{repository}:1")
    second = engine.import_archive(archive, {**LABELS, "n": "2"}, f"{repository}:2")
    engine.tag(first.id, f"{repository}:moving")
    engine.tag(second.id, f"{repository}:moving")
    moved = engine.find(f"{repository}:moving")
    assert moved is not None
    assert moved.id == second.id


def test_the_last_tag_takes_the_image_with_it(engine: ImageEngine, repository: str, archive: Path) -> None:
    made = engine.import_archive(archive, LABELS, f"{repository}:1")
    engine.tag(made.id, f"{repository}:2")
    assert engine.untag(f"{repository}:1")
    assert engine.find(made.id) is not None
    assert engine.untag(f"{repository}:2")
    assert engine.find(made.id) is None


def test_removing_what_is_not_there_is_no_error(engine: ImageEngine, repository: str) -> None:
    assert engine.untag(f"{repository}:none")


# Registries.


class _Broken(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(500)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def broken_registry() -> Iterator[str]:
    with running(ThreadingHTTPServer(("127.0.0.1", 0), _Broken)) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
def hanging_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry that greets and then never answers."""
    # The real limit would only make the test slow.
    monkeypatch.setattr("rehearsal.supply.image_engine.PULL_SILENCE_SECONDS", 2.0)
    over = threading.Event()

    class Hanging(_Broken):
        def do_GET(self) -> None:
            if self.path != "/v2/":
                over.wait()
            self.send_response(200)
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 - the name is the library's

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Hanging)) as port:
        yield f"127.0.0.1:{port}"
        over.set()


@pytest.fixture
def absent_registry() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def local_registry(tmp_path: Path) -> Iterator[str]:
    """A real registry as a process."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = tmp_path / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path / 'blobs'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with subprocess.Popen([program, "serve", str(config)], stderr=subprocess.DEVNULL) as process:
        wait_until(
            "the registry", lambda: _listens(port), timeout_seconds=_START_SECONDS, hint="see its stderr"
        )
        yield f"127.0.0.1:{port}"
        process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.engine
@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("which", "reason"),
    [
        ("broken_registry", "500"),
        ("hanging_registry", "no answer within 2 s"),
        ("absent_registry", "refused"),
    ],
)
def test_a_registry_that_cannot_serve_is_an_error_with_its_reason(
    request: pytest.FixtureRequest, which: str, reason: str
) -> None:
    engine, address = docker_images(), request.getfixturevalue(which)
    with pytest.raises(PullFailedError) as caught:
        engine.pull(f"{address}/debian:bookworm")
    assert reason in caught.value.reason


@pytest.mark.engine
@pytest.mark.enable_socket
def test_the_base_is_pulled_where_a_registry_has_it_and_labelled_as_ours(
    tmp_path: Path, local_registry: str, archive: Path
) -> None:
    engine, reference = docker_images(), f"{local_registry}/debian:test"
    pushed = engine.import_archive(archive, {"dev.mambogo.test": "pushed"}, reference)
    engine.client.images.push(f"{local_registry}/debian", tag="test")
    engine.untag(reference)
    assert engine.find(pushed.id) is None
    recipe = debian.recipe("test", reference)
    supplies = make_supplies(tmp_path, images=(recipe,), engine=engine, search_path=os.environ["PATH"])
    made = supplies.image("debian")
    record = engine.find(made.pinned)
    engine.untag(made.tag)
    engine.untag(made.pinned)
    engine.untag(reference)
    assert record is not None
    assert record.labels[LABEL_SOURCE] == "pulled"


def test_a_base_that_cannot_be_pulled_is_built_instead_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, built = Recorder(), image_recipe("debian", "built")
    monkeypatch.setattr(debian, "_bootstrap", lambda context, suite: built.make(context))
    supplies = make_supplies(
        tmp_path,
        images=(debian.recipe("bookworm", "127.0.0.1:1/debian"),),
        engine=FakeImages(),
        emit=recorder,
    )
    supplies.image("debian")
    assert "is built from packages instead" in recorder.notices[0]


def test_an_empty_reference_never_asks_a_registry() -> None:
    assert debian.recipe("bookworm", "").sources == ("built",)


# The client program.


def client(folder: Path, body: str) -> str:
    folder.mkdir(parents=True)
    (folder / "docker").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "docker").chmod(0o755)
    return str(folder)


_LEGACY = 'echo "Docker version 20.10.24+dfsg1, build 297e128"'
_MODERN = 'case "$1" in --version) echo "Docker version 28.1.1, build 4eba377";; buildx) %s;; esac'


@pytest.mark.parametrize(
    ("body", "with_buildx"), [(_LEGACY, False), (_MODERN % "echo github.com/docker/buildx v0.20", True)]
)
def test_a_client_that_can_build_is_taken(tmp_path: Path, body: str, with_buildx: bool) -> None:
    assert buildkit.find_client(client(tmp_path / "bin", body)).with_buildx is with_buildx


def test_a_client_that_cannot_is_passed_over_for_one_that_can(tmp_path: Path) -> None:
    first, second = client(tmp_path / "a", _MODERN % "exit 1"), client(tmp_path / "b", _LEGACY)
    assert buildkit.find_client(f"{first}:{second}").program == Path(second) / "docker"


def test_without_any_the_error_names_each_and_why(tmp_path: Path) -> None:
    path = client(tmp_path / "a", _MODERN % "exit 1")
    with pytest.raises(EnvironmentNotReadyError, match=r"28\.1\.1 has no buildx plug-in"):
        buildkit.find_client(path)


# Debian's archives, as apt knows them.

_LINES = (
    "http://mirror.test/debian\tbookworm\tbookworm\tmain",
    "http://mirror.test/debian\tbookworm\tbookworm\tcontrib",
    "http://mirror.test/debian\tbookworm-updates\tbookworm-updates\tmain",
    "http://security.test/debian-security\tbookworm-security\tbookworm-security\tmain",
    "http://mirror.test/debian\tbookworm-backports\tbookworm-backports\tmain",
    "http://other.test/tools\tnodistro\t\tmain",
)


def test_archives_are_the_suite_its_updates_and_its_security_fixes() -> None:
    found = debian.parse_archives(_LINES, "bookworm")
    assert [str(archive) for archive in found] == [
        "deb http://mirror.test/debian bookworm main contrib",
        "deb http://mirror.test/debian bookworm-updates main",
        "deb http://security.test/debian-security bookworm-security main",
    ]


def test_a_moving_release_name_is_known_by_its_code_name() -> None:
    found = debian.parse_archives(["http://mirror.test/debian\tstable\tbookworm\tmain"], "bookworm")
    assert [archive.suite for archive in found] == ["bookworm"]


def test_updates_without_the_suite_itself_are_not_enough() -> None:
    assert debian.parse_archives(_LINES[2:], "bookworm") == ()
