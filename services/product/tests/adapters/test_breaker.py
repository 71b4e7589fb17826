"""Going on without Redis: who asks, and when."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from mambogo_product.adapters.breaker import AwayError, Breaker


class Server:
    """A Redis that is there or not, on a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.is_there = True
        self.asked = 0
        self.told = 0
        self.gate: asyncio.Event | None = None
        self.breaker = Breaker(self.tell, clock=lambda: self.now)

    async def tell(self) -> None:
        self.told += 1

    async def ask(self) -> str:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if not self.is_there:
            raise RedisConnectionError("refused")
        return "PONG"

    async def fails(self) -> bool:
        try:
            await self.breaker.call(self.ask)
        except AwayError:
            return True
        return False


@pytest.fixture
def server() -> Server:
    return Server()


async def test_a_redis_that_is_there_is_asked(server: Server) -> None:
    assert await server.breaker.call(server.ask) == "PONG"
    assert server.told == 0


async def test_after_a_failure_nobody_asks_for_a_moment(server: Server) -> None:
    server.is_there = False
    assert [await server.fails() for _ in range(10)] == [True] * 10
    assert server.asked == 1


async def test_pauses_double_up_to_a_bound(server: Server) -> None:
    server.is_there = False
    pauses = []
    for _ in range(6):
        assert await server.fails()
        pauses.append(server.breaker.pause_seconds)
        server.now += server.breaker.pause_seconds
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]


async def test_one_of_many_asks_a_redis_that_hangs(server: Server) -> None:
    server.is_there = False
    assert await server.fails()
    server.now += 10
    server.gate = asyncio.Event()
    first = asyncio.create_task(server.fails())
    await asyncio.sleep(0)
    assert [await server.fails() for _ in range(10)] == [True] * 10
    server.gate.set()
    assert await first
    assert server.asked == 2


async def test_it_is_told_what_it_missed_before_it_is_asked_again(server: Server) -> None:
    server.is_there = False
    assert await server.fails()
    server.is_there = True
    server.now += 10
    assert await server.breaker.call(server.ask) == "PONG"
    assert (server.told, server.breaker.is_away) == (1, False)


async def test_failures_of_one_moment_are_one_failure(server: Server) -> None:
    server.gate = asyncio.Event()
    server.is_there = False
    asking = [asyncio.create_task(server.fails()) for _ in range(20)]
    await asyncio.sleep(0)
    server.gate.set()
    assert await asyncio.gather(*asking) == [True] * 20
    assert server.breaker.pause_seconds == 0.25
