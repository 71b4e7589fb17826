"""What is refused before its transaction commits, and what wakes the relay up."""

from __future__ import annotations

import pytest

from mambogo_chassis.events import EventData
from mambogo_chassis.events.errors import EventTooLargeError, UnregisteredEventError
from mambogo_chassis.events.outbox import MAX_EVENT_BYTES, stored_headers
from mambogo_chassis.events.records import SHARDS, shard_of
from support.data import OrderPlaced, rows, scalar
from support.pipeline import Pipeline


async def test_an_event_that_is_too_large_is_refused_and_nothing_is_written(pipeline: Pipeline) -> None:
    with pytest.raises(EventTooLargeError):
        await pipeline.append("x" * MAX_EVENT_BYTES, subject="o-1")
    assert await scalar(pipeline.database, "SELECT count(*) FROM outbox") == 0


async def test_a_model_that_nobody_registered_is_refused(pipeline: Pipeline) -> None:
    class Unknown(EventData):
        pass

    async def append() -> None:
        async with pipeline.database.transaction() as connection:
            await pipeline.outbox.append(connection, Unknown(), subject="x")

    with pytest.raises(UnregisteredEventError):
        await append()


async def test_listeners_are_told_of_an_append(pipeline: Pipeline) -> None:
    told: list[None] = []
    pipeline.outbox.on_append(lambda: told.append(None))
    await pipeline.append("o-1", "o-2")
    assert len(told) == 2


async def test_headers_survive_the_table(pipeline: Pipeline) -> None:
    headers = (("a", b"\x00\xff"), ("a", b""), ("b", "ü".encode()))
    async with pipeline.database.connection() as connection:
        await pipeline.outbox.append_record(
            connection, "1", topic=pipeline.topic, key=b"\x00", value=b"", headers=headers
        )
    [(stored,)] = await rows(pipeline.database, "SELECT headers FROM outbox")
    assert stored_headers(stored) == headers


async def test_the_traceparent_travels_with_the_event(pipeline: Pipeline) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with pipeline.database.transaction() as connection:
        await pipeline.outbox.append(
            connection, OrderPlaced(order_id="o-1", amount=1), subject="o-1", traceparent=parent
        )
    await pipeline.relay().round()
    [record] = await pipeline.records()
    event = pipeline.events.decode(record.value)
    assert event is not None
    assert event.traceparent == parent


def test_shards_are_the_same_in_every_process() -> None:
    # Rows carry their shard: a change of this function would break the order of what is pending.
    assert [shard_of(f"order-{number}".encode()) for number in range(8)] == [9, 15, 5, 3, 0, 6, 12, 10]
    assert {shard_of(f"{number}".encode()) for number in range(1000)} == set(range(SHARDS))
