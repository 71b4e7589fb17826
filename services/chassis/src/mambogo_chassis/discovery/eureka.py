"""Eureka's REST operations on one of several servers; decides nothing.

https://github.com/Netflix/eureka/wiki/Eureka-REST-operations, as Spring Cloud serves it below `/eureka`. A
server that does not answer is left for the next one, and kept for later.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from mambogo_chassis.client.failures import UpstreamError
from mambogo_chassis.client.transport import Reply, Transport
from mambogo_chassis.discovery.registry import Change, InstanceStatus, parse_applications
from mambogo_chassis.errors import ChassisError

# One answer has some 1.5 KiB per instance; with 30 instances it takes single milliseconds.
REQUEST_TIMEOUT_SECONDS: Final = 2.0

__all__ = ["EurekaClient", "EurekaError", "InstanceStatus", "Registration"]


class EurekaError(ChassisError):
    """No server gave a usable answer."""

    code = "eureka"


@dataclass(frozen=True, slots=True)
class Registration:
    """This instance, as others are to find it."""

    application: str
    host: str
    port: int
    lease_seconds: int = 30
    heartbeat_seconds: int = 10

    @property
    def instance_id(self) -> str:
        """Unique per pod, and the same after its container's restart."""
        return f"{self.host}:{self.application}:{self.port}"

    def document(self, status: InstanceStatus) -> bytes:
        """The body of a registration."""
        base = f"http://{self.host}:{self.port}/actuator"
        now = str(int(time.time() * 1000))
        instance: dict[str, Any] = {
            "instanceId": self.instance_id,
            "app": self.application.upper(),
            "hostName": self.host,
            "ipAddr": self.host,
            "vipAddress": self.application,
            "secureVipAddress": self.application,
            "status": status,
            "port": {"$": self.port, "@enabled": "true"},
            "securePort": {"$": 443, "@enabled": "false"},
            "healthCheckUrl": f"{base}/health",
            "statusPageUrl": f"{base}/info",
            "homePageUrl": f"http://{self.host}:{self.port}/",
            "dataCenterInfo": {
                "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
                "name": "MyOwn",
            },
            "leaseInfo": {
                "renewalIntervalInSecs": self.heartbeat_seconds,
                "durationInSecs": self.lease_seconds,
            },
            "lastUpdatedTimestamp": now,
            "lastDirtyTimestamp": now,
        }
        return msgspec.json.encode({"instance": instance})


class EurekaClient:
    """Talks to the first server that answers; `urls` end in `/eureka`."""

    def __init__(self, urls: tuple[str, ...], transport: Transport) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._transport = transport
        self._last_changes: bytes | None = None

    async def register(self, registration: Registration, status: InstanceStatus) -> None:
        """Register, or register again with another status: what the Java client does for its health."""
        path = f"/apps/{quote(registration.application.upper())}"
        self._expect(await self._ask("POST", path, registration.document(status)), 200, 204)

    async def heartbeat(self, registration: Registration) -> bool:
        """Renew the lease; False when the server does not know the instance and it has to register again."""
        reply = await self._ask("PUT", self._instance_path(registration))
        if reply.status == 404:
            return False
        self._expect(reply, 200)
        return True

    async def deregister(self, registration: Registration) -> None:
        """Cancel the lease. An instance that the server does not know is deregistered already."""
        self._expect(await self._ask("DELETE", self._instance_path(registration)), 200, 404)

    async def applications(self) -> tuple[str, list[Change]]:
        """All applications, with the hash of the whole."""
        return self._parsed(await self._ask("GET", "/apps/"))

    async def changes(self) -> tuple[str, list[Change]] | None:
        """What has changed lately; None when that is word for word what the last call returned.

        A server repeats each change for minutes, and reading it again each second would be most of what an
        idle service does.
        """
        reply = await self._ask("GET", "/apps/delta")
        if reply.status == 200 and reply.body == self._last_changes:
            return None
        parsed = self._parsed(reply)
        self._last_changes = reply.body
        return parsed

    def _parsed(self, reply: Reply) -> tuple[str, list[Change]]:
        self._expect(reply, 200)
        try:
            return parse_applications(msgspec.json.decode(reply.body))
        except (msgspec.DecodeError, ValueError) as error:
            raise EurekaError(f"the registry's answer is malformed: {error}") from error

    def _instance_path(self, registration: Registration) -> str:
        return f"/apps/{quote(registration.application.upper())}/{quote(registration.instance_id, safe='')}"

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> Reply:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        failures = []
        for _ in range(len(self._urls)):
            try:
                reply = await self._transport.exchange(
                    method,
                    self._urls[0] + path,
                    headers=headers,
                    body=body,
                    timeout_seconds=REQUEST_TIMEOUT_SECONDS,
                )
                if reply.status < 500:
                    return reply
                failures.append(f"{self._urls[0]} answered {reply.status}")
            except UpstreamError as error:
                failures.append(error.message)
            # The next request starts with the server that is next in turn.
            self._urls.append(self._urls.pop(0))
        raise EurekaError(
            f"no registry server answered: {'; '.join(failures)}", hint="are EUREKA_URLS right?"
        )

    @staticmethod
    def _expect(reply: Reply, *statuses: int) -> None:
        if reply.status not in statuses:
            raise EurekaError(f"the registry answered {reply.status}")
