"""Finding the Docker engine: where it is looked for, whether it answers, whose it is.

Changes nothing and raises nothing for an engine that is not there. Starting one is for `engine_start`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from rehearsal.supply import capabilities
from rehearsal.supply.engine_home import EngineHome, owned_by

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_SOCKET = Path("/var/run/docker.sock")
_CONNECT_TIMEOUT_SECONDS = 2.0  # a local socket answers at once or never
_API_TIMEOUT_SECONDS = 10.0  # `info` counts images and containers; slow on a loaded host


class Origin(StrEnum):
    """Whose an engine is."""

    OURS = "started by rehearsal"
    USERS = "the user's"


class Silence(StrEnum):
    """Why nothing answers at an endpoint."""

    ABSENT = "nobody listens"
    DENIED = "access is denied"
    BROKEN = "it does not answer"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine is looked for, and who says so."""

    host: str
    source: str
    chosen_by_user: bool  # by DOCKER_HOST or a context; then no other engine will do

    @property
    def socket(self) -> Path | None:
        """The Unix socket, if it is one."""
        scheme, _, path = self.host.partition("://")
        return Path(path) if scheme == "unix" else None


@dataclass(frozen=True, slots=True)
class Silent:
    """An endpoint at which no engine answered."""

    endpoint: Endpoint
    why: Silence
    detail: str


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answered, as it describes itself."""

    endpoint: Endpoint
    origin: Origin
    pid: int | None  # of the daemon; None behind TCP, SSH or another PID namespace
    version: str
    api_version: str
    cgroup_driver: str
    cgroup_version: str
    storage_driver: str
    data_root: Path
    default_runtime: str
    missing_capabilities: tuple[str, ...]  # of the daemon's bounding set; empty when it cannot be read

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs in order to use this engine."""
        return {} if self.endpoint.chosen_by_user else {"DOCKER_HOST": self.endpoint.host}


def connect(endpoint: Endpoint, *, timeout_seconds: float = 60.0) -> DockerClient:
    """Return a client; raises docker.errors.DockerException when nothing answers."""
    # 0.3 s of imports that a machine without an engine need not pay.
    import docker
    from docker.constants import DEFAULT_DOCKER_API_VERSION
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    environment = dict(os.environ)
    if not endpoint.chosen_by_user:
        environment["DOCKER_HOST"] = endpoint.host

    def client(version: str) -> DockerClient:
        return docker.from_env(environment=environment, timeout=int(timeout_seconds), version=version)

    # A client that is told no version asks for it when made; without an answer its socket stays open.
    with closing(client(DEFAULT_DOCKER_API_VERSION)) as probe:
        try:
            version = str(probe.version(api_version=False)["ApiVersion"])
        except (RequestException, KeyError) as error:
            raise DockerException(f"{endpoint.host} does not say its version: {error}") from error
    return client(version)


def choose_endpoint(home: EngineHome, environ: Mapping[str, str]) -> Endpoint:
    """Return where to look: DOCKER_HOST, else a chosen context, else the socket of `home`."""
    if home.socket != DEFAULT_SOCKET:
        return Endpoint(home.host, "own socket", chosen_by_user=False)
    if host := environ.get("DOCKER_HOST"):
        return Endpoint(host, "DOCKER_HOST", chosen_by_user=True)
    context = environ.get("DOCKER_CONTEXT") or _current_context(environ)
    if context not in ("", "default"):
        from docker.context import ContextAPI

        host = ContextAPI.kwargs_from_context(context).get("base_url", "")
        return Endpoint(host or f"context:{context}", f"Docker context {context!r}", chosen_by_user=True)
    return Endpoint(home.host, "default socket", chosen_by_user=False)


def find_engine(home: EngineHome, environ: Mapping[str, str] | None = None) -> Engine | Silent:
    """Look for an engine; changes nothing."""
    endpoint = choose_endpoint(home, os.environ if environ is None else environ)
    pid = None
    if endpoint.socket is not None:
        try:
            pid = _listener(endpoint.socket)
        except PermissionError as error:
            return Silent(endpoint, Silence.DENIED, str(error))
        except OSError as error:
            return Silent(endpoint, Silence.ABSENT, error.strerror or str(error))
    return _describe(endpoint, home, pid)


def _current_context(environ: Mapping[str, str]) -> str:
    """Return what `docker context use` has chosen, without importing the docker package."""
    folder = environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    try:
        settings = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # No file, or one that docker itself would not read: then no context was chosen.
        return ""
    return str(settings.get("currentContext", "")) if isinstance(settings, dict) else ""


def _listener(path: Path) -> int | None:
    """Connect to a Unix socket and return the process that listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_TIMEOUT_SECONDS)
        connection.connect(str(path))
        # struct ucred of unix(7): the credentials of the process that called listen().
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", credentials)[0]
    return pid or None


def _describe(endpoint: Endpoint, home: EngineHome, pid: int | None) -> Engine | Silent:
    import docker.errors
    import requests.exceptions

    try:
        client = connect(endpoint, timeout_seconds=_API_TIMEOUT_SECONDS)
        try:
            info, version = client.info(), client.version()
        finally:
            client.close()
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        return Silent(endpoint, Silence.BROKEN, str(error))
    return Engine(
        endpoint=endpoint,
        origin=Origin.OURS if pid is not None and owned_by(home, pid) else Origin.USERS,
        pid=pid,
        version=str(version.get("Version", "unknown")),
        api_version=str(version.get("ApiVersion", "unknown")),
        cgroup_driver=str(info.get("CgroupDriver", "unknown")),
        cgroup_version=str(info.get("CgroupVersion", "1")),
        storage_driver=str(info.get("Driver", "unknown")),
        data_root=Path(str(info.get("DockerRootDir", "/var/lib/docker"))),
        default_runtime=str(info.get("DefaultRuntime", "runc")),
        missing_capabilities=_missing(pid),
    )


def _missing(pid: int | None) -> tuple[str, ...]:
    if pid is None:
        return ()
    try:
        return capabilities.missing_for_process(pid)
    except OSError:
        # Hidden by hidepid or gone since: nothing is known, and kind will tell.
        return ()
