"""Events into Redis: at least once, in order, past poison, and through the store's absence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.redis import RedisServer, RedisSpace
from pydantic import SecretStr
from redis.asyncio import Redis

from mambogo_chassis.events import CloudEvent, EventSettings, PermanentEventError, Projection, use_projection
from mambogo_chassis.events.records import InboundRecord
from mambogo_chassis.redis import RedisError, RedisSettings, use_redis
from mambogo_chassis.service import Service
from support.data import OrderPlaced, event_registry, event_settings, eventually
from support.pipeline import committed_lag, event_of, produce, read_all
from support.running import Running, Settings, make_service, running


class ProjectionSettings(Settings, EventSettings, RedisSettings):
    """A service with Kafka and Redis, and no database."""


@dataclass
class Projected:
    """A service that keeps the last amount of each order in Redis, and where its events come from."""

    service: Running
    cache: Redis
    projection: Projection
    topics: TopicSpace
    failures: list[Exception] = field(default_factory=list)

    def produce(self, *values: bytes | None) -> None:
        produce(self.topics.bootstrap_servers, self.topics.name("orders"), *values)

    async def amounts(self) -> dict[bytes, bytes]:
        found: Any = await self.cache.hgetall("amounts")
        return dict(found)

    async def await_amounts(self, number: int) -> dict[bytes, bytes]:
        async def enough() -> dict[bytes, bytes]:
            try:
                found = await self.amounts()
            except RedisError:
                return {}
            return found if len(found) >= number else {}

        return await eventually(f"{number} amounts", enough)

    async def await_dead_letters(self, number: int) -> list[InboundRecord]:
        async def enough() -> list[InboundRecord]:
            found = await asyncio.to_thread(
                read_all, self.topics.bootstrap_servers, self.topics.name("orders.dlt")
            )
            return found if len(found) >= number else []

        return await eventually(f"{number} dead letters", enough)


@asynccontextmanager
async def projected(topics: TopicSpace, space: RedisSpace) -> AsyncIterator[Projected]:
    topics.create("orders", partitions=1)
    topics.create("orders.dlt", partitions=1)
    settings = ProjectionSettings(
        **dict(event_settings(topics.bootstrap_servers, kafka_prefix=topics.prefix)),
        redis_host=space.host,
        redis_port=space.port,
        redis_database=space.number,
        redis_password=SecretStr(space.password),
    )
    service: Service[Any] = make_service(settings)
    cache = use_redis(service)
    projection = use_projection(service, event_registry("orders"), weather=(RedisError,))
    failures: list[Exception] = []

    @projection.on(OrderPlaced)
    async def keep(event: CloudEvent[OrderPlaced]) -> None:
        if event.data.order_id == "bad" and failures:
            raise failures.pop(0)
        await cache.hset("amounts", event.data.order_id, str(event.data.amount))

    async with running(service=service) as made:
        yield Projected(made, cache, projection, topics, failures)


@pytest.fixture
async def sample(kafka_topics: TopicSpace, redis_space: RedisSpace) -> AsyncIterator[Projected]:
    async with projected(kafka_topics, redis_space) as made:
        yield made


async def test_events_take_effect_in_order(sample: Projected) -> None:
    sample.produce(*(event_of("o-1", amount=amount) for amount in range(50)), event_of("o-2"))
    assert await sample.await_amounts(2) == {b"o-1": b"49", b"o-2": b"1"}


async def test_a_stopped_projection_has_committed_what_it_applied(sample: Projected) -> None:
    sample.produce(*(event_of(f"o-{number}") for number in range(20)))
    await sample.await_amounts(20)
    sample.projection.stop()

    async def has_ended() -> bool:
        return sample.service.service.supervisor.is_done("consumer")

    await eventually("the consumer to end", has_ended)
    assert committed_lag(sample.topics.bootstrap_servers, sample.topics.name("orders"), _group(sample)) == 0


async def test_poison_becomes_dead_letters_and_the_partition_moves_on(sample: Projected) -> None:
    sample.failures += [KeyError("secret"), KeyError("secret"), KeyError("secret"), PermanentEventError("no")]
    sample.produce(b"garbage", event_of("bad"), event_of("bad"), event_of("o-1"))
    assert await sample.await_amounts(1) == {b"o-1": b"1"}
    letters = await sample.await_dead_letters(3)
    assert [letter.header("dlt-reason") for letter in letters] == [
        "undecodable",
        "handler-failed",
        "handler-failed",
    ]
    assert [letter.header("dlt-detail") for letter in letters[1:]] == ["builtins.KeyError", "no"]
    assert letters[0].value == b"garbage"
    assert letters[0].header("dlt-consumer") == _group(sample)


async def test_a_handler_that_fails_at_first_takes_effect(sample: Projected) -> None:
    sample.failures += [KeyError("once")]
    sample.produce(event_of("bad"))
    assert await sample.await_amounts(1) == {b"bad": b"1"}
    assert sample.failures == []


async def test_a_store_that_is_away_is_waited_for(own_redis: RedisServer, kafka_topics: TopicSpace) -> None:
    with own_redis.space() as space:
        async with projected(kafka_topics, space) as sample:
            sample.produce(event_of("o-1"))
            await sample.await_amounts(1)
            await asyncio.to_thread(own_redis.stop)
            sample.produce(event_of("o-2"), event_of("o-3"))

            async def was_put_back() -> bool:
                shown = (await sample.service.client.get("/actuator/prometheus")).text
                return any(
                    line.startswith("consumer_rewinds_total{") and float(line.split()[-1]) > 0
                    for line in shown.splitlines()
                )

            await eventually("the batch to be put back", was_put_back)
            assert (await sample.service.client.get("/actuator/health/readiness")).status_code == 200
            await asyncio.to_thread(own_redis.start)
            await sample.await_amounts(3)


def _group(sample: Projected) -> str:
    return sample.topics.name("test-service")
