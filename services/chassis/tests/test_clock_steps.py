"""The database's clock steps: what is remembered stays so, and nothing is held up for the length of a step.

A step of the clock is shown by its exact equivalent: every stored time moves the other way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer
from prometheus_client import CollectorRegistry

from mambogo_chassis.database import Database
from mambogo_chassis.events import inbox
from mambogo_chassis.idempotency import Answer, IdempotencyStore, KeyReusedError, Request
from support.data import OrderPlaced, chassis_template, opened, scalar
from support.pipeline import Pipeline

HOUR: Final = 3600.0
_TIMES: Final = {
    "outbox": ("created_at", "published_at", "not_before"),
    "inbox": ("received_at",),
    "idempotency": ("created_at", "expires_at"),
}


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    return chassis_template(postgres_server)


@pytest.fixture
async def database(postgres_database: FreshDatabase) -> AsyncIterator[Database]:
    async with opened(postgres_database) as database:
        yield database


@pytest.fixture
async def pipeline(database: Database, kafka_topics: TopicSpace) -> AsyncIterator[Pipeline]:
    topic = kafka_topics.create("orders", partitions=1)
    made = Pipeline(database, kafka_topics.bootstrap_servers, topic, group=kafka_topics.name("g"))
    yield made
    await made.close()


async def step_clock(database: Database, seconds: float) -> None:
    """From now on the clock is `seconds` ahead of what it would have been."""
    async with database.transaction() as connection:
        for table, columns in _TIMES.items():
            moved = ", ".join(f"{name} = {name} - %(seconds)s * interval '1 second'" for name in columns)
            await connection.execute(f"UPDATE {table} SET {moved}", {"seconds": seconds})  # noqa: S608


def request(body: bytes = b"{}") -> Request:
    return Request.of(user="alice", key="k-1", method="POST", path="/", body=body)


async def created(_: object) -> Answer:
    return Answer(201, b"made", {})


@pytest.mark.parametrize("step", [HOUR, -HOUR, 23 * HOUR])
async def test_a_key_is_remembered_through_a_step(database: Database, step: float) -> None:
    store = IdempotencyStore(database)
    await store.execute(request(), created)
    await step_clock(database, step)
    assert await store.purge() == 0
    assert (await store.execute(request(), created)).is_replay
    with pytest.raises(KeyReusedError):
        await store.execute(request(b"another"), created)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_an_event_is_taken_once_through_a_step(pipeline: Pipeline, step: float) -> None:
    event = pipeline.event("o-1", event_id="same")
    pipeline.produce(event)
    member = pipeline.run_consumer()
    await pipeline.await_effects(1)
    await step_clock(pipeline.database, step)
    assert await inbox.purge(pipeline.database, retention_seconds=7 * 24 * HOUR) == 0
    pipeline.produce(event, pipeline.event("o-2"))
    assert await pipeline.await_effects(2) == ["o-1", "o-2"]
    await member.stop()


async def test_the_age_of_the_outbox_is_never_below_zero(pipeline: Pipeline) -> None:
    registry = CollectorRegistry()
    relay = pipeline.relay(registry=registry)
    await pipeline.append("o-1")
    await step_clock(pipeline.database, -HOUR)
    await relay._keep_house()
    assert registry.get_sample_value("outbox_age_seconds") == 0


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_pending_events_are_sent_through_a_step(pipeline: Pipeline, step: float) -> None:
    await pipeline.append("o-1", "o-2")
    await step_clock(pipeline.database, step)
    relay = pipeline.relay()
    assert await relay.round() == 2
    await step_clock(pipeline.database, step)
    assert await relay.purge() == (2 if step > 0 else 0)


async def test_a_refused_event_does_not_wait_for_a_clock_that_was_ahead(
    pipeline: Pipeline, kafka_topics: TopicSpace
) -> None:
    relay = pipeline.relay()
    async with pipeline.database.transaction() as connection:
        event = OrderPlaced(order_id="o-1", amount=1)
        await pipeline.outbox.append(connection, event, subject="o-1")
        # The longest of pauses: it is not over before it is looked at, however slow the machine.
        await connection.execute("UPDATE outbox SET topic = %s, attempts = 10", (kafka_topics.name("later"),))
    assert await relay.round() == 1
    assert await scalar(pipeline.database, "SELECT not_before > now() FROM outbox")
    kafka_topics.create("later", partitions=1)
    await step_clock(pipeline.database, -HOUR)
    # Another relay: the first one's producer takes a while to hear of the new topic.
    assert await pipeline.relay().round() == 1
    assert await scalar(pipeline.database, "SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0


async def test_a_refused_event_waits_out_its_pause_where_the_clock_is_steady(
    pipeline: Pipeline, kafka_topics: TopicSpace
) -> None:
    relay = pipeline.relay()
    await pipeline.append("o-1")
    async with pipeline.database.connection() as connection:
        await connection.execute(
            "UPDATE outbox SET topic = %s, attempts = 10", (kafka_topics.name("missing"),)
        )
    assert await relay.round() == 1
    assert await relay.round() == 0
