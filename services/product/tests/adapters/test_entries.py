"""Which entry may replace which, in a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from mambogo_chassis.redis import Redis, RedisSettings, connect
from mambogo_testkit.dependencies.redis import RedisSpace

from catalogue_support import redis_settings
from mambogo_product.adapters.entries import Entries, Entry, Held

PRODUCT = uuid4()


@pytest.fixture
async def redis(redis_space: RedisSpace) -> AsyncIterator[Redis]:
    client = connect(RedisSettings(**redis_settings(redis_space), redis_timeout_seconds=10))
    yield client
    await client.aclose(close_connection_pool=True)


@pytest.fixture
def entries(redis: Redis) -> Entries:
    return Entries(redis)


async def put(entries: Entries, version: int, body: bytes = b"{}", product_id: UUID = PRODUCT) -> bool:
    return await entries.put(product_id, Entry(version, body), fresh_until_ms=1234, keep_seconds=60)


async def test_what_was_put_is_held_byte_for_byte(entries: Entries) -> None:
    body = '{"name":"Zelt\\n","x":"ü 1 2"}\n\n'.encode()
    await put(entries, 3, body)
    assert await entries.get(PRODUCT) == Held(Entry(3, body), 1234)


async def test_an_older_version_does_not_come_back(entries: Entries) -> None:
    await put(entries, 10, b"new")
    assert not await put(entries, 9, b"old")
    held = await entries.get(PRODUCT)
    assert held is not None
    assert held.entry == Entry(10, b"new")


async def test_a_mark_hides_what_it_makes_old_and_lets_nothing_old_back(entries: Entries) -> None:
    await put(entries, 1)
    await entries.mark(PRODUCT, 2)
    assert await entries.get(PRODUCT) is None
    assert not await put(entries, 1)
    assert await entries.get(PRODUCT) is None
    assert await put(entries, 2)
    assert await entries.get(PRODUCT) is not None


async def test_a_late_mark_does_not_hide_a_newer_version(entries: Entries) -> None:
    await put(entries, 3)
    await entries.mark(PRODUCT, 2)
    assert await entries.get(PRODUCT) is not None


async def test_one_of_two_gets_the_claim(entries: Entries) -> None:
    assert await entries.claim(PRODUCT)
    assert not await entries.claim(PRODUCT)
    await entries.release(PRODUCT)
    assert await entries.claim(PRODUCT)


async def test_everything_runs_out(entries: Entries, redis: Redis) -> None:
    await put(entries, 1)
    await entries.claim(PRODUCT)
    await entries.mark(uuid4(), 1)
    keys = await redis.keys("*")
    assert len(keys) == 3
    assert all([0 < await redis.pttl(key) <= 60_000 for key in keys])
