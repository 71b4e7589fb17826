"""The gateway on real Eureka, Keycloak and Redis, with pods on the chassis that register themselves.

Every part is a process or a container of its own; what they are asked about is what production relies on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mambogo_testkit import EurekaServer, KeycloakServer, Realm, RedisServer
from processes import Process
from rig import Answer, Client, get, run

_HERE = Path(__file__).parent
_AUDIENCE, _CLIENT = "shop", "web"
# Waiting ends with the condition; this is for a machine that is busy with something else.
_PATIENCE_SECONDS = 60.0
# The issue's promise. A busy machine only ever adds to what is measured.
_NEW_POD_SECONDS = 3.0
# So many answers by others in a row are no coincidence when one of two pods could have been chosen.
_IN_A_ROW = 60


class Platform:
    """A gateway and its pods, on whatever dependencies a test gives them."""

    def __init__(self, directory: Path, **environment: str) -> None:
        routes = directory / "routes.yaml"
        limits = {"per_user": {"per_second": 0.01, "burst": 20}, "lease_tokens": 5, "fallback_share": 0.5}
        items = {"id": "items", "path": "/api/items/**", "service": "item-service"}
        public = {"id": "open", "path": "/api/open/**", "service": "item-service", "public_methods": ["GET"]}
        routes.write_text(yaml.safe_dump({"routes": [items, public], "limits": limits}))
        # A drain of 10 s: much longer than the word needs to get around, however busy the machine.
        self._environment = {"DRAIN_SECONDS": "10", **environment}
        gateway = {**self._environment, "ROUTES_FILE": str(routes)}
        self.gateway = Process(["-m", "mambogo_gateway.main"], gateway)
        self._started = [self.gateway]

    def pod(self) -> Process:
        """A pod that starts now."""
        environment = {**self._environment, "SERVICE_NAME": "item-service"}
        made = Process([str(_HERE / "chassis_pod.py")], environment)
        self._started.append(made)
        made.start()
        return made

    def kill(self) -> None:
        """End everything."""
        for process in self._started:
            process.kill()

    @contextlib.asynccontextmanager
    async def door(self) -> AsyncIterator[Door]:
        """A client of the started gateway."""
        self.gateway.start()
        await self.gateway.ready()
        door = Door(self.gateway.port)
        try:
            yield door
        finally:
            door.close()


class Door:
    """One kept connection to the gateway."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._client: Client | None = None

    async def ask(self, path: str = "/api/open/1", token: str | None = None) -> Answer:
        """One request."""
        if self._client is None:
            self._client = Client(*await asyncio.open_connection("127.0.0.1", self._port))
        fields = () if token is None else (f"Authorization: Bearer {token}",)
        return await self._client.ask(get(path, *fields))

    async def metric(self, sample: str) -> float:
        """A sample of the gateway's, 0.0 when it is not there."""
        answer = await self.ask("/actuator/prometheus")
        for line in answer.body.decode().splitlines():
            if line.startswith(sample + " "):
                return float(line.rpartition(" ")[2])
        return 0.0

    async def until_served_by(self, pods: Iterable[Process]) -> dict[str, float]:
        """Ask until each pod has answered; when each did for the first time, by the monotonic clock."""
        waiting, seen = {pod.address for pod in pods}, dict[str, float]()
        end = time.monotonic() + _PATIENCE_SECONDS
        while waiting - seen.keys():
            assert time.monotonic() < end, f"never served by {waiting - seen.keys()}"
            served_by = (await self.ask()).field("X-Served-By")
            if served_by is not None:
                seen.setdefault(served_by, time.monotonic())
            await asyncio.sleep(0.02)
        return seen

    async def until_not_served_by(self, pod: Process) -> set[int]:
        """Ask until a pod has had no request for long; the statuses of all answers."""
        statuses, in_a_row = set[int](), 0
        end = time.monotonic() + _PATIENCE_SECONDS
        while in_a_row < _IN_A_ROW:
            assert time.monotonic() < end, "it is still being served by"
            answer = await self.ask()
            statuses.add(answer.status)
            in_a_row = 0 if answer.field("X-Served-By") == pod.address else in_a_row + 1
            await asyncio.sleep(0.01)
        return statuses

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.abort()


async def _ready_at(pod: Process) -> float:
    await pod.ready()
    return time.monotonic()


@pytest.mark.timeout(450)
def test_pods_come_drain_die_and_outlive_their_registry(own_eureka: EurekaServer, tmp_path: Path) -> None:
    async def test() -> None:
        platform = Platform(tmp_path, EUREKA_URLS=own_eureka.url, **_NO_ISSUER)
        try:
            async with platform.door() as door:
                pods = [platform.pod() for _ in range(3)]
                served = asyncio.ensure_future(door.until_served_by(pods))
                ready = await asyncio.gather(*(_ready_at(pod) for pod in pods))
                first = await served
                # The quickest of three: what a busy machine adds to the others is not the gateway's.
                waited = [first[pod.address] - at for pod, at in zip(pods, ready, strict=True)]
                assert min(waited) < _NEW_POD_SECONDS

                draining, dying, staying = pods
                # While no pod was registered, the service's name in the cluster was tried.
                retries = 'gateway_retries_total{route="/api/open/**"}'
                before = await door.metric(retries)
                draining.terminate()
                assert await door.until_not_served_by(draining) == {200}
                assert draining.is_running  # it got nothing new long before it would have refused it
                assert await draining.ended() == 0
                assert await door.metric(retries) == before

                dying.kill()
                assert await door.until_not_served_by(dying) == {200}
                # One connect failed, and no second request was risked on that pod.
                assert await door.metric(retries) <= before + 1
                label = f'{{pod="{dying.address}",service="item-service"}}'
                assert await door.metric(f"gateway_pod_ejected{label}") == 1

                own_eureka.kill()
                await _until_stale(door)
                statuses = Counter([(await door.ask()).status for _ in range(50)])
                assert statuses == {200: 50}
                assert (await door.ask()).field("X-Served-By") == staying.address
        finally:
            platform.kill()

    run(test(), seconds=400)


async def _until_stale(door: Door) -> None:
    """Wait until several fetches from the registry have failed."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while await door.metric("discovery_cache_age_seconds") < 4:
        assert time.monotonic() < end, "the cache does not age"
        await asyncio.sleep(0.2)


# The gateway does not start without an issuer; these requests need no token, so nobody asks it.
_NO_ISSUER = {
    "ISSUER_URL": "http://127.0.0.1:9/realms/none",
    "JWKS_URL": "http://127.0.0.1:9/certs",
    "AUDIENCE": _AUDIENCE,
}


def _issued_by(realm: Realm) -> dict[str, str]:
    return {
        "ISSUER_URL": realm.issuer,
        "JWKS_URL": realm.jwks_url,
        "AUDIENCE": _AUDIENCE,
        "AUTHORIZED_PARTIES": f"{_CLIENT}-alice,{_CLIENT}-bob",
    }


def _logged_in(realm: Realm, name: str) -> tuple[str, dict[str, Any]]:
    """The subject of a new user, and what it gets at a login, through a client of its own."""
    client = realm.add_client(f"{_CLIENT}-{name}", audiences=[_AUDIENCE])
    user = realm.add_user(name)
    return user.subject, realm.user_tokens(client, user)


@pytest.mark.timeout(450)
def test_a_realms_tokens_open_the_door_and_redis_may_leave(
    keycloak_server: KeycloakServer, keycloak_realm: Realm, own_redis: RedisServer, tmp_path: Path
) -> None:
    subject, tokens = _logged_in(keycloak_realm, "alice")
    _, bobs = _logged_in(keycloak_realm, "bob")
    with keycloak_server.realm() as other_realm, own_redis.space() as space:
        _, foreign = _logged_in(other_realm, "alice")

        async def test() -> None:
            platform = Platform(tmp_path, REDIS_URL=space.url, **_issued_by(keycloak_realm))
            try:
                pod = platform.pod()
                platform.gateway.environment["SERVICE_ADDRESSES"] = f"item-service=http://{pod.address}"
                await pod.ready()
                async with platform.door() as door:
                    await _check_tokens(door, subject, tokens, foreign["access_token"])
                    # The burst of 20, and what one lease may overshoot; one was spent by the check.
                    await _spend(door, tokens["access_token"], at_least=19, at_most=25)
                    own_redis.kill()
                    # Half of the burst, and a lease's credit that was given before Redis was missed.
                    await _spend(door, bobs["access_token"], at_least=10, at_most=16)
                    assert await door.metric('gateway_limiter_local{limit="user"}') == 1
            finally:
                platform.kill()

        run(test(), seconds=400)


async def _check_tokens(door: Door, subject: str, tokens: dict[str, Any], foreign: str) -> None:
    answer = await door.ask("/api/items/1", tokens["access_token"])
    assert (answer.status, answer.body) == (200, b'{"subject":"%b"}' % subject.encode())
    for token in (foreign, tokens["id_token"], tokens["refresh_token"], "nonsense"):
        assert (await door.ask("/api/items/1", token)).status == 401
    assert (await door.ask("/api/items/1")).status == 401


async def _spend(door: Door, token: str, *, at_least: int, at_most: int) -> None:
    """Ask until the limit says no; how often it said yes before is bounded."""
    answers = [await door.ask("/api/items/1", token) for _ in range(40)]
    admitted = sum(answer.status == 200 for answer in answers)
    assert {answer.status for answer in answers} <= {200, 429}
    assert at_least <= admitted <= at_most
    assert answers[-1].status == 429
    assert answers[-1].field("Retry-After") is not None
