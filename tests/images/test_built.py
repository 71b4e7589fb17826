"""What the built images hold, and that each lives with nothing writable but what its image.toml names."""

from __future__ import annotations

import re
import stat
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

import docker
import pytest
from docker import DockerClient
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from docker.types import Mount
from rehearsal.core.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.enable_socket]

IMAGES = Path(__file__).resolve().parents[2] / "images"
UID = 65532
RUNNING = (
    "postgres",
    "redis",
    "kafka",
    "keycloak",
    "eureka",
    "config-server",
    "registry",
    "nginx",
    "victoria-logs-server",
    "zipkin",
    "collector",
)
JAVA = ("kafka", "keycloak", "eureka", "config-server", "zipkin")
# Keycloak needs a database; the services' suites start it as these are started here. NGINX listens where its
# deployment tells it to, and the collector collects what its deployment says (`test_collector.py`).
ALONE = tuple(name for name in RUNNING if name not in ("keycloak", "nginx", "collector"))
ENVIRONMENT = {"postgres": {"POSTGRES_PASSWORD": "of-this-test-only"}}
# A loaded machine takes a minute for a JVM that needs two seconds of CPU.
HEALTHY_SECONDS = 240.0

# Compilers, linkers, build tools, installers of a language's packages. dpkg and apt are the base's own.
BUILD_TOOLS = frozenset(
    ("ar", "as", "c++", "cc", "cpp", "g++", "gcc", "git", "go", "jar", "javac", "jlink", "jmod", "ld")
) | {"make", "mvn", "npm", "objcopy", "patch", "pip", "pip3", "strip", "unzip"}
CACHES = (
    r"root/\.(m2|cache|npm)/",
    r"var/cache/maven/.",
    r"var/cache/apt/(archives/.*\.deb|.*\.bin)$",
    r"var/lib/apt/lists/.",
    r"var/cache/debconf/.*-old$",
    r"var/cache/ldconfig/aux-cache$",
    r"var/log/.",
    r"build/",
    r"tmp/.",
)


@dataclass(frozen=True, slots=True)
class Built:
    """An image as the engine has it, and as its folder declares it."""

    name: str
    client: DockerClient

    @property
    def declared(self) -> dict[str, Any]:
        return tomllib.loads((IMAGES / self.name / "image.toml").read_text(encoding="utf-8"))

    @property
    def tag(self) -> str:
        return f"rehearsal/{self.name}:{self.declared['version']}"

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.client.images.get(self.tag).attrs)

    @property
    def config(self) -> dict[str, Any]:
        return dict(self.attributes["Config"])

    @property
    def layers(self) -> list[str]:
        return list(self.attributes["RootFS"]["Layers"])

    @property
    def writable(self) -> list[str]:
        return list(self.declared["writable"])

    def entries(self) -> list[tarfile.TarInfo]:
        """Everything in the root file system, all layers together."""
        container = self.client.containers.create(self.tag)
        try:
            with tempfile.TemporaryFile() as file:
                for chunk in cast("Iterator[bytes]", container.export()):  # typed as text
                    file.write(chunk)
                file.seek(0)
                with tarfile.open(fileobj=file) as archive:
                    return archive.getmembers()
        finally:
            container.remove(force=True, v=True)


@pytest.fixture(scope="module")
def built() -> Iterator[Callable[[str], Built]]:
    """Find an image by its tag, or skip: `rehearsal supply build` makes it."""
    try:
        client = docker.from_env(timeout=120)
    except DockerException:
        pytest.skip("no Docker engine answers")

    def find(name: str) -> Built:
        image = Built(name, client)
        try:
            client.images.get(image.tag)
        except ImageNotFound:
            pytest.skip(f"{image.tag} is not built")
        return image

    yield find
    client.close()


@pytest.fixture(scope="module")
def entries_of(built: Callable[[str], Built]) -> Callable[[str], list[tarfile.TarInfo]]:
    """The files of an image, read once: an export moves a few hundred MB."""
    known: dict[str, list[tarfile.TarInfo]] = {}

    def read(name: str) -> list[tarfile.TarInfo]:
        if name not in known:
            known[name] = built(name).entries()
        return known[name]

    return read


Find = Callable[[str], Built]
Entries = Callable[[str], list[tarfile.TarInfo]]


@pytest.mark.parametrize("name", RUNNING)
def test_it_runs_as_nobody_in_particular(built: Find, name: str) -> None:
    assert built(name).config["User"] == f"{UID}:{UID}"


@pytest.mark.parametrize("name", RUNNING)
def test_its_first_process_is_no_shell_and_its_health_is_checked(built: Find, name: str) -> None:
    config = built(name).config
    assert config["Entrypoint"][0] not in ("sh", "/bin/sh", "bash", "/bin/bash")
    assert config["Healthcheck"]["Test"][0] in ("CMD", "CMD-SHELL")


@pytest.mark.parametrize("name", RUNNING)
def test_it_stands_on_the_shared_base(built: Find, name: str) -> None:
    base = built("jre").layers if name in JAVA else list(_debian(built(name).client))
    assert built(name).layers[: len(base)] == base


def _debian(client: DockerClient) -> list[str]:
    try:
        return list(client.images.get("rehearsal/debian:bookworm").attrs["RootFS"]["Layers"])
    except ImageNotFound:
        pytest.skip("rehearsal/debian:bookworm is not built")


@pytest.mark.parametrize("name", RUNNING)
def test_it_holds_no_build_tool(entries_of: Entries, name: str) -> None:
    programs = {PurePosixPath(one.name).name for one in entries_of(name) if _is_program(one)}
    assert not programs & BUILD_TOOLS


def _is_program(entry: tarfile.TarInfo) -> bool:
    return (entry.isfile() or entry.issym()) and PurePosixPath(entry.name).parent.name in ("bin", "sbin")


@pytest.mark.parametrize("name", RUNNING)
def test_it_holds_no_cache_and_no_log(entries_of: Entries, name: str) -> None:
    pattern = re.compile("|".join(f"^{one}" for one in CACHES))
    assert not [one.name for one in entries_of(name) if not one.isdir() and pattern.search(one.name)]


@pytest.mark.parametrize("name", RUNNING)
def test_its_user_owns_nothing_but_what_is_writable(built: Find, entries_of: Entries, name: str) -> None:
    owned = [f"/{one.name.strip('/')}" for one in entries_of(name) if one.uid == UID]
    assert not [path for path in owned if not path.startswith(tuple(built(name).writable))]


@pytest.mark.parametrize("name", RUNNING)
def test_nothing_in_it_is_everybodys_but_the_sticky_directories(entries_of: Entries, name: str) -> None:
    wide = [
        one for one in entries_of(name) if one.mode & stat.S_IWOTH and not one.issym() and not one.isdev()
    ]
    assert not [one.name for one in wide if not (one.isdir() and one.mode & stat.S_ISVTX)]


@pytest.mark.parametrize("name", JAVA)
def test_java_finds_its_archive_of_loaded_classes(built: Find, entries_of: Entries, name: str) -> None:
    archives = [one.name for one in entries_of(name) if one.name.endswith(".jsa")]
    # Quarkus loads Keycloak's classes by a loader of its own, which no archive serves.
    assert len(archives) == (1 if name == "keycloak" else 2)


@pytest.mark.parametrize("name", ALONE)
def test_it_becomes_healthy_on_a_read_only_root(built: Find, name: str) -> None:
    with started(built(name)) as container:
        wait_until(
            f"{name} to be healthy",
            lambda: _health(container) == "healthy",
            timeout_seconds=HEALTHY_SECONDS,
            hint="Its log says why not.",
        )
        assert _shell_and_children(container) == []


@contextmanager
def started(image: Built) -> Iterator[Container]:
    """Run an image hardened: no capability, no new privilege, a read-only root with its named directories."""
    scratch = [path for path in image.writable if path == "/tmp"]
    kept = [path for path in image.writable if path not in scratch]
    container = image.client.containers.run(
        image.tag,
        detach=True,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        environment=ENVIRONMENT.get(image.name, {}),
        tmpfs=dict.fromkeys(scratch, f"uid={UID},gid={UID},mode=0700,exec"),
        mounts=[Mount(target=path, source=None, type="volume") for path in kept],
    )
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def _health(container: Container) -> str:
    container.reload()
    state = container.attrs["State"]
    assert state["Status"] == "running", container.logs().decode(errors="replace")[-2000:]
    return str(state["Health"]["Status"])


def _shell_and_children(container: Container) -> list[str]:
    """The first process if it is a shell: whoever starts it would signal the shell and not the server."""
    listed = container.top(ps_args="-eo pid,comm")
    first = listed["Processes"][0][listed["Titles"].index("COMMAND")]
    return [first] if first in ("sh", "bash", "dash") else []
