"""Redis with bounds: what is away, hangs or refuses costs a short, known time, and comes back by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter
from mambogo_testkit.dependencies.redis import RedisServer, RedisSpace
from mambogo_testkit.running import HOST
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from mambogo_chassis.auth import PUBLIC
from mambogo_chassis.redis import Redis, RedisSettings, connect, use_redis
from mambogo_chassis.service import Service
from support.data import eventually
from support.running import Running, Settings, make_service, running

# The bounds of a test that must not fail because the machine is busy.
PATIENT: dict[str, Any] = {"redis_timeout_seconds": 20, "redis_connect_timeout_seconds": 20}


class CacheSettings(Settings, RedisSettings):
    """A service with a Redis."""


def settings_of(space: RedisSpace, **changes: Any) -> CacheSettings:
    values = {
        "redis_host": space.host,
        "redis_port": space.port,
        "redis_database": space.number,
        "redis_password": SecretStr(space.password),
        **PATIENT,
        **changes,
    }
    return CacheSettings(**values)


@asynccontextmanager
async def serving(settings: CacheSettings, *, readiness: bool = False) -> AsyncIterator[Running]:
    service: Service[Any] = make_service(settings)
    cache = use_redis(service, readiness=readiness)
    router = APIRouter()

    @router.get("/count", openapi_extra=PUBLIC)
    async def count() -> int:
        return int(await cache.incr("count"))

    @router.get("/wrong", openapi_extra=PUBLIC)
    async def wrong() -> int:
        await cache.set("text", "no number")
        return int(await cache.incr("text"))

    async with running(router, service=service) as made:
        yield made


@asynccontextmanager
async def connected(settings: CacheSettings) -> AsyncIterator[Redis]:
    client = connect(settings)
    try:
        yield client
    finally:
        await client.aclose(close_connection_pool=True)


async def test_an_operation_uses_it_and_health_and_metrics_show_it(redis_space: RedisSpace) -> None:
    async with serving(settings_of(redis_space)) as service:
        assert (await service.client.get("/count")).json() == 1
        health = (await service.client.get("/actuator/health")).json()
        assert health["components"]["redis"]["status"] == "UP"
        assert (
            'redis_pool_connections{state="idle"} 1.0'
            in (await service.client.get("/actuator/prometheus")).text
        )


async def test_100_first_requests_at_once_share_a_bounded_pool(redis_space: RedisSpace) -> None:
    settings = settings_of(redis_space, redis_pool_max=5, redis_pool_wait_seconds=20)
    async with serving(settings) as service:
        answers = await asyncio.gather(*(service.client.get("/count") for _ in range(100)))
        assert {answer.status_code for answer in answers} == {200}
        shown = (await service.client.get("/actuator/prometheus")).text
    assert 'redis_pool_connections{state="idle"} 5.0' in shown


async def test_a_callers_own_mistake_is_not_answered_as_weather(redis_space: RedisSpace) -> None:
    async with serving(settings_of(redis_space)) as service:
        assert (await service.client.get("/wrong")).status_code == 500


@pytest.mark.parametrize(("readiness", "status"), [(False, 200), (True, 503)])
async def test_its_absence_is_answered_with_503_and_shows_where_it_was_asked_to(
    readiness: bool, status: int
) -> None:
    nowhere = CacheSettings(redis_host=HOST, redis_port=1)
    async with serving(nowhere, readiness=readiness) as service:
        refused = await service.client.get("/count")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["type"] == "urn:mambogo:problem:redis-unavailable"
        assert HOST not in refused.text
        assert (await service.client.get("/actuator/health/readiness")).status_code == status
        health = (await service.client.get("/actuator/health")).json()
        assert health["components"]["redis"]["details"] == {"error": "redis-unavailable"}


async def test_an_absent_server_is_tried_once_and_not_three_times() -> None:
    attempts = 0

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.close()

    server = await asyncio.start_server(refuse, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, connected(CacheSettings(redis_host=HOST, redis_port=port, **PATIENT)) as client:
        with pytest.raises(RedisConnectionError):
            await client.ping()
    assert attempts == 1


async def test_a_full_pool_is_an_error_after_its_bound(redis_space: RedisSpace) -> None:
    settings = settings_of(redis_space, redis_pool_max=1, redis_pool_wait_seconds=0.1)
    async with connected(settings) as client:

        async def occupy() -> None:
            await client.blpop(["nothing"], timeout=15)

        blocked = asyncio.create_task(occupy())

        async def in_use() -> bool:
            return bool(client.connection_pool._in_use_connections)

        await eventually("the connection to be taken", in_use)
        with pytest.raises(RedisConnectionError, match="No connection available"):
            await client.ping()
        blocked.cancel()
        await asyncio.gather(blocked, return_exceptions=True)


async def test_a_server_that_hangs_costs_its_bound_and_is_used_again_when_it_is_back(
    own_redis: RedisServer,
) -> None:
    with own_redis.space() as space:
        settings = settings_of(space, redis_timeout_seconds=0.3, redis_connect_timeout_seconds=0.3)
        async with connected(settings) as client:

            async def answers() -> bool:
                try:
                    return bool(await client.ping())
                except RedisError:
                    return False

            await eventually("the first answer", answers)
            await asyncio.to_thread(own_redis.pause)
            started = time.monotonic()
            with pytest.raises(RedisError):
                await client.ping()
            # Far below what redis-py's defaults would take (5 s, four times).
            assert time.monotonic() - started < 5
            await asyncio.to_thread(own_redis.unpause)
            await eventually("Redis to be used again", answers)


async def test_a_connection_that_died_while_idle_is_not_noticed_by_its_next_user(
    own_redis: RedisServer,
) -> None:
    with own_redis.space() as space:
        async with connected(settings_of(space)) as client:
            assert await client.ping()
            await asyncio.to_thread(own_redis.stop)
            await asyncio.to_thread(own_redis.start)
            assert await client.ping()
