"""Spring Cloud Config: one server per run, application names of its own per test."""

from __future__ import annotations

import io
import json
import secrets
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mambogo_testkit.engine import Engine, Spec
from mambogo_testkit.errors import TestkitError
from mambogo_testkit.images import ensure_image
from mambogo_testkit.running import HOST, Running, Server
from mambogo_testkit.waiting import status_missing

KIND = "config_server"
_REPOSITORY = "/etc/config-server/repository"


@dataclass(frozen=True, slots=True)
class ConfigSpace:
    """Application names that belong to one test, and the files behind them."""

    url: str
    suffix: str
    _put: Callable[[str, bytes], None]

    def name(self, name: str) -> str:
        """Make an application's name this test's own."""
        return f"{name}-{self.suffix}"

    def write(self, application: str, values: Mapping[str, object], *, profile: str | None = None) -> None:
        """Set an application's whole configuration, of one profile or of all (None)."""
        file = f"{application}-{profile}.yml" if profile else f"{application}.yml"
        self._put(file, json.dumps(values).encode())  # JSON is YAML


class ConfigServer(Server):
    """A running config server that reads files, as it does with a mounted ConfigMap."""

    title = "the config server"
    ready_timeout_seconds = 120.0

    @property
    def url(self) -> str:
        """Base URL; configuration is at `/{application}/{profile}`."""
        return f"http://{HOST}:{self.running.ports[KIND]}"

    def missing(self) -> str | None:
        """Ask the readiness endpoint."""
        return status_missing(f"http://{HOST}:{self.running.ports[KIND]}/actuator/health/readiness")

    def space(self) -> ConfigSpace:
        """Give out a name space for one test."""
        return ConfigSpace(self.url, secrets.token_hex(4), self.put)

    def put(self, file: str, content: bytes) -> None:
        """Write a file of the repository; application.yml concerns every test, so on an own server only."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(file)
            entry.size = len(content)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(content))
        if not self._container().put_archive(_REPOSITORY, archive.getvalue()):
            raise TestkitError("config-file", f"{file} was not written", "docker's log says why")


def start(engine: Engine) -> Running:
    """Start a server with an empty repository."""
    image = ensure_image(engine.client, "config-server")

    def spec(_: dict[str, int]) -> Spec:
        return Spec(
            kind=KIND,
            image=image,
            ports={KIND: 8888},
            scratch=("/tmp",),  # noqa: S108 - inside the container
            data=(_REPOSITORY,),
        )

    container, ports = engine.start([KIND], spec)
    return Running(KIND, (container,), ports)
