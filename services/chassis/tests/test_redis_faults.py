"""Redis behind a bad way: bounded answers, nobody gets another one's, and all is well when the way is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from fastapi import APIRouter
from mambogo_testkit.dependencies.redis import RedisSpace
from mambogo_testkit.faults import Blackhole, CutReply, Fault, Garbage, Latency
from mambogo_testkit.proxy import FaultProxy
from pydantic import SecretStr

from mambogo_chassis.auth import PUBLIC
from mambogo_chassis.redis import RedisSettings, use_redis
from mambogo_chassis.service import Service
from support.bad_ways import FAULTS
from support.data import eventually
from support.running import Running, Settings, make_service, running

# What a request may take at most, on however loaded a machine: its own bounds are below 1 s.
BOUND_SECONDS = 20.0

# Garbage that begins as Redis' own protocol does, and so is found out later.
NEAR_MISSES: dict[str, Callable[[], Fault]] = {
    "no number": lambda: Garbage(b":12x\r\n"),
    "a length below zero": lambda: Garbage(b"$-7\r\n"),
    "a length without end": lambda: Garbage(b"$99999999999\r\nx"),
    "a key that cannot be one": lambda: Garbage(b"%1\r\n*1\r\n+a\r\n+b\r\n"),
    "a full disk": lambda: Garbage(b"-MISCONF unable to persist to disk\r\n"),
}


def a_word() -> Fault:
    """No answer in mid-handshake; afterwards it is one, and nobody could tell that it is wrong."""
    return Garbage(b"+hello\r\n")


CASES = [
    pytest.param(fault, is_connected, id=f"{name}-{when}")
    for name, fault in {**FAULTS, **NEAR_MISSES, "cut in a reply": lambda: CutReply(3)}.items()
    for is_connected, when in ((True, "in use"), (False, "while connecting"))
]


class CacheSettings(Settings, RedisSettings):
    """A service with a Redis."""


def settings_of(space: RedisSpace, proxy: FaultProxy, **changes: Any) -> CacheSettings:
    values = {
        "redis_host": proxy.host,
        "redis_port": proxy.port,
        "redis_database": space.number,
        "redis_password": SecretStr(space.password),
        **changes,
    }
    return CacheSettings(**values)


@asynccontextmanager
async def serving(settings: CacheSettings) -> AsyncIterator[Running]:
    """A service that gives back what it was told, by way of Redis."""
    service: Service[Any] = make_service(settings)
    cache = use_redis(service)
    router = APIRouter()

    @router.get("/echo/{word}", openapi_extra=PUBLIC)
    async def echo(word: str) -> str:
        await cache.set(f"echo:{word}", word)
        found = await cache.get(f"echo:{word}")
        assert isinstance(found, bytes)
        return found.decode()

    async with running(router, service=service) as made:
        yield made


async def assert_all_is_well(service: Running) -> None:
    """Each word comes back, and never another one; on a busy machine some are first told to come again."""

    async def comes_back(word: str) -> bool:
        answer = await service.client.get(f"/echo/{word}")
        assert answer.status_code == 503 or answer.json() == word
        return answer.status_code == 200

    words = [f"w{number}" for number in range(20)]
    await asyncio.gather(*(eventually(word, partial(comes_back, word)) for word in words))


@pytest.mark.parametrize(
    ("fault", "is_connected"), [*CASES, pytest.param(a_word, False, id="a word-while connecting")]
)
async def test_a_bad_way_costs_a_bounded_time_and_nobody_gets_anothers_answer(
    redis_space: RedisSpace, fault: Callable[[], Fault], is_connected: bool
) -> None:
    with FaultProxy(redis_space.host, redis_space.port) as proxy:
        async with serving(settings_of(redis_space, proxy)) as service:
            if is_connected:
                await assert_all_is_well(service)
            with proxy.inject(fault()):
                started = time.monotonic()
                words = [f"w{number}" for number in range(10)]
                answers = await asyncio.gather(*(service.client.get(f"/echo/{word}") for word in words))
                assert time.monotonic() - started < BOUND_SECONDS
                for word, answer in zip(words, answers, strict=True):
                    assert answer.status_code in (200, 503), answer.text
                    if answer.status_code == 200:
                        assert answer.json() == word
                    else:
                        assert answer.headers["retry-after"] == "1"
                assert (await service.client.get("/actuator/health/readiness")).status_code == 200
                assert (await service.client.get("/actuator/health")).status_code in (200, 503)
            await assert_all_is_well(service)


async def test_a_hundred_first_requests_without_redis_are_told_to_come_again_and_then_served(
    redis_space: RedisSpace,
) -> None:
    with FaultProxy(redis_space.host, redis_space.port) as proxy:
        async with serving(settings_of(redis_space, proxy)) as service:
            with proxy.inject(Blackhole()):
                started = time.monotonic()
                answers = await asyncio.gather(*(service.client.get(f"/echo/{n}") for n in range(100)))
                assert time.monotonic() - started < BOUND_SECONDS
                assert {answer.status_code for answer in answers} == {503}
                assert {answer.headers["retry-after"] for answer in answers} == {"1"}
            await assert_all_is_well(service)


@pytest.mark.parametrize("is_connected", [True, False], ids=["in use", "while connecting"])
async def test_a_request_that_is_given_up_leaves_no_answer_behind_for_the_next(
    redis_space: RedisSpace, is_connected: bool
) -> None:
    with FaultProxy(redis_space.host, redis_space.port) as proxy:
        settings = settings_of(redis_space, proxy, redis_pool_max=1, redis_timeout_seconds=10)
        async with serving(settings) as service:
            if is_connected:
                await assert_all_is_well(service)
            with proxy.inject(Latency(0.4)):
                soon = str(int((time.time() + 0.2) * 1000))
                given_up = await service.client.get("/echo/lost", headers={"X-Request-Deadline": soon})
                assert given_up.status_code == 504
            await assert_all_is_well(service)
