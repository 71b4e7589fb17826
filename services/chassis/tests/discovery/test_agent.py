"""The agent against a real Eureka, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from mambogo_chassis.client.transport import Transport
from mambogo_chassis.discovery import EurekaAgent, EurekaClient, EurekaError, Registration
from mambogo_chassis.lifecycle import Phase
from mambogo_chassis.metrics import Metrics
from support.faults import Behaviour, Exchange, answer, fault_server, garbage, hang, reset

if TYPE_CHECKING:
    from mambogo_testkit.dependencies.eureka import EurekaApps


class Readiness:
    """What a test says the service's readiness is."""

    def __init__(self, ready: bool = True) -> None:
        self.ready = ready

    async def __call__(self) -> bool:
        return self.ready


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport()
    yield made
    await made.close()


def agent(
    transport: Transport, readiness: Readiness, *urls: str, name: str = "order-service", port: int = 8080
) -> EurekaAgent:
    return EurekaAgent(
        EurekaClient(urls, transport),
        Registration(name, "10.9.8.7", port),
        is_ready=readiness,
        fetch_seconds=lambda: 0.1,
        metrics=Metrics(),
    )


async def eventually(condition: Callable[[], Awaitable[bool] | bool], within_seconds: float = 30.0) -> None:
    deadline = time.monotonic() + within_seconds
    while True:
        outcome = condition()
        if outcome if isinstance(outcome, bool) else await outcome:
            return
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.05)


async def test_registration_status_and_deregistration_are_seen_by_others(
    transport: Transport, eureka_apps: EurekaApps
) -> None:
    name = eureka_apps.name("order")
    readiness = Readiness()
    made = agent(transport, readiness, eureka_apps.url, name=name)
    other = agent(transport, Readiness(), eureka_apps.url)

    async def sees(*urls: str) -> bool:
        return await other.fetch() and tuple(other.cache.base_urls(name)) == urls

    async def registered() -> bool:
        await made.on_phase(Phase.READY)  # again, should the registry be too slow for the first time
        return await sees("http://10.9.8.7:8080")

    await eventually(registered)
    readiness.ready = False
    await made.mirror()
    assert list(eureka_apps.instances(name).values()) == ["DOWN"]
    await eventually(lambda: sees())
    readiness.ready = True
    await made.mirror()
    await eventually(lambda: sees("http://10.9.8.7:8080"))
    await made.on_phase(Phase.DRAINING)
    assert eureka_apps.instances(name) == {}
    await eventually(lambda: sees())


async def test_a_heartbeat_keeps_the_lease_and_a_lost_lease_is_taken_again(
    transport: Transport, eureka_apps: EurekaApps
) -> None:
    name = eureka_apps.name("order")
    made = agent(transport, Readiness(), eureka_apps.url, name=name)
    client = EurekaClient((eureka_apps.url,), transport)
    registration = Registration(name, "10.9.8.7", 8080)
    await made.mirror()
    assert await client.heartbeat(registration)
    await client.deregister(registration)
    assert not await client.heartbeat(registration)
    await made._beat()
    assert list(eureka_apps.instances(name).values()) == ["UP"]


async def test_deltas_and_full_answers_agree(transport: Transport, eureka_apps: EurekaApps) -> None:
    watcher = agent(transport, Readiness(), eureka_apps.url)
    assert await watcher.fetch()  # full
    names = [eureka_apps.name(f"service{number}") for number in range(3)]
    agents = [agent(transport, Readiness(), eureka_apps.url, name=name) for name in names]
    for made in agents:
        await made.mirror()
    assert await watcher.fetch()  # by delta
    fresh = agent(transport, Readiness(), eureka_apps.url)
    assert await fresh.fetch()
    assert [watcher.cache.base_urls(name) for name in names] == [
        fresh.cache.base_urls(name) for name in names
    ]
    assert all(watcher.cache.base_urls(name) for name in names)


async def test_nothing_registers_again_after_leaving(transport: Transport, eureka_apps: EurekaApps) -> None:
    name = eureka_apps.name("order")
    made = agent(transport, Readiness(), eureka_apps.url, name=name)
    await made.mirror()
    await made.leave()
    await made.mirror()
    await made._beat()
    assert eureka_apps.instances(name) == {}


async def test_a_registration_under_way_does_not_land_after_the_deregistration(transport: Transport) -> None:
    async def slow(exchange: Exchange) -> None:
        if exchange.method == "POST":
            await asyncio.sleep(0.3)
        await answer(b"", 204 if exchange.method == "POST" else 200)(exchange)

    with fault_server(slow) as server:
        made = agent(transport, Readiness(), server.url)
        registering = asyncio.create_task(made.mirror())
        await eventually(lambda: bool(server.requests))
        await made.leave()
        await registering
        assert [request.method for request in server.requests] == ["POST", "DELETE"]
        assert made._status is None


async def test_a_service_that_is_not_ready_does_not_register(
    transport: Transport, eureka_apps: EurekaApps
) -> None:
    name = eureka_apps.name("order")
    await agent(transport, Readiness(False), eureka_apps.url, name=name).mirror()
    assert eureka_apps.instances(name) == {}


@pytest.mark.parametrize(
    "behaviour", [hang, garbage, reset, answer(b"<html>"), answer(b"{}"), answer(b"", 500)]
)
async def test_a_registry_that_misbehaves_costs_only_freshness(
    transport: Transport, behaviour: Behaviour
) -> None:
    body = b"""{"applications": {"apps__hashcode": "UP_1_", "application": [{"name": "CART", "instance": [
      {"instanceId": "i", "hostName": "h", "ipAddr": "10.0.0.1", "status": "UP", "port": {"$": 8080}}]}]}}"""
    with fault_server(answer(body)) as server:
        made = agent(transport, Readiness(), server.url)
        assert await made.fetch()
        server.behaviour = behaviour
        assert not await made.fetch()
        assert made.resolve("cart") == ("http://10.0.0.1:8080",)


async def test_an_unknown_service_is_called_by_its_name_in_the_cluster(transport: Transport) -> None:
    made = agent(transport, Readiness(), "http://127.0.0.1:1")
    assert made.resolve("cart-service") == ("http://cart-service:8080",)


async def test_the_next_server_is_asked_when_one_is_gone(transport: Transport) -> None:
    with fault_server() as gone, fault_server(answer(b"", 204)) as sound:
        gone.stop_listening()
        client = EurekaClient((gone.url, sound.url), transport)
        registration = Registration("cart", "10.0.0.1", 8080)
        await client.register(registration, "UP")
        await client.register(registration, "UP")
        assert len(sound.requests) == 2


async def test_with_all_servers_gone_the_error_names_each(transport: Transport) -> None:
    with fault_server() as one, fault_server() as two:
        one.stop_listening()
        two.stop_listening()
        with pytest.raises(EurekaError, match=rf"{one.port}.*{two.port}"):
            await EurekaClient((one.url, two.url), transport).applications()


async def test_leaving_is_bounded_when_the_registry_hangs(transport: Transport) -> None:
    with fault_server(hang) as server:
        made = agent(transport, Readiness(), server.url)
        before = time.monotonic()
        await made.leave()
    assert time.monotonic() - before < 10


async def test_an_outage_is_reported_once(transport: Transport, caplog: pytest.LogCaptureFixture) -> None:
    with fault_server() as server:
        made = agent(transport, Readiness(), server.url)
        server.stop_listening()
        for _ in range(5):
            await made.fetch()
    assert caplog.text.count("fetch failed") == 1


async def test_a_delta_whose_hash_does_not_fit_leads_to_a_full_fetch(transport: Transport) -> None:
    empty = b'{"applications": {"apps__hashcode": "UP_3_", "application": []}}'
    with fault_server(answer(empty)) as server:
        made = agent(transport, Readiness(), server.url)
        await made.fetch()
        await made.fetch()
        assert [request.path for request in server.requests] == ["/apps/", "/apps/delta", "/apps/"]
