"""Eureka: one server per run, application names of its own per test."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import httpx

from mambogo_testkit.engine import Engine, Spec
from mambogo_testkit.images import ensure_image
from mambogo_testkit.running import HOST, Running, Server
from mambogo_testkit.waiting import status_missing

KIND = "eureka"
_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class EurekaApps:
    """Application names that belong to one test, and what the registry says of them."""

    url: str
    suffix: str

    def name(self, name: str) -> str:
        """Make an application's name this test's own, in the upper case that Eureka keeps."""
        return f"{name}-{self.suffix}".upper()

    def instances(self, name: str) -> dict[str, str]:
        """Return instance id -> status of an application (its name as `name` returned it)."""
        answer = httpx.get(
            f"{self.url}apps/{name}", headers={"Accept": "application/json"}, timeout=_TIMEOUT_SECONDS
        )
        if answer.status_code == httpx.codes.NOT_FOUND:
            return {}
        answer.raise_for_status()
        return {entry["instanceId"]: entry["status"] for entry in answer.json()["application"]["instance"]}


class EurekaServer(Server):
    """A running Eureka server without peers."""

    title = "Eureka"
    ready_timeout_seconds = 120.0

    @property
    def url(self) -> str:
        """Service URL, as a client's `defaultZone`."""
        return f"http://{HOST}:{self.running.ports[KIND]}/eureka/"

    def missing(self) -> str | None:
        """Ask the readiness endpoint."""
        return status_missing(f"http://{HOST}:{self.running.ports[KIND]}/actuator/health/readiness")

    def apps(self) -> EurekaApps:
        """Give out a name space for one test. Instances that a test leaves behind expire by themselves."""
        return EurekaApps(self.url, secrets.token_hex(4))


def start(engine: Engine) -> Running:
    """Start a server that knows no instance."""
    image = ensure_image(engine.client, "eureka")

    def spec(_: dict[str, int]) -> Spec:
        return Spec(
            kind=KIND,
            image=image,
            ports={KIND: 8761},
            scratch=("/tmp",),  # noqa: S108 - inside the container
        )

    container, ports = engine.start([KIND], spec)
    return Running(KIND, (container,), ports)
