"""What a service may do before a batch's first handler, and after its commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from mambogo_chassis.database import Connection, Database
from mambogo_chassis.events import CloudEvent, EventConsumer
from mambogo_chassis.events.polling import Source
from mambogo_chassis.events.records import InboundRecord
from support.data import OrderPlaced, eventually
from support.pipeline import Pipeline


class Batches:
    """Remembers what was announced, handled and committed, in order."""

    def __init__(self, consumer: EventConsumer) -> None:
        self.log: list[tuple[str, list[str]]] = []
        self.failures = 0
        consumer.around_batches(self.before, self.committed)
        consumer.on(OrderPlaced)(self.handle)

    async def before(self, connection: Connection, events: Sequence[CloudEvent[Any]]) -> None:
        self.log.append(("before", [event.data.order_id for event in events]))

    async def handle(self, connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        self.log.append(("handle", [event.data.order_id]))
        if self.failures:
            self.failures -= 1
            raise RuntimeError("once more")

    def committed(self) -> None:
        self.log.append(("committed", []))

    def of(self, kind: str) -> list[str]:
        return [order for what, orders in self.log for order in orders if what == kind]


async def test_each_event_is_announced_before_the_first_handler_of_its_transaction(
    pipeline: Pipeline,
) -> None:
    consumer = pipeline.consumer()
    batches = Batches(consumer)
    orders = [f"o-{number}" for number in range(120)]
    pipeline.produce(*(pipeline.event(order) for order in orders))
    pipeline.run_consumer(consumer)

    async def all_handled() -> bool:
        return len(batches.of("handle")) == 120 and batches.log[-1][0] == "committed"

    await eventually("all events to be handled", all_handled)
    assert batches.of("before") == batches.of("handle") == orders
    assert max(len(announced) for what, announced in batches.log if what == "before") <= 50
    open_events: list[str] = []
    for what, ids in batches.log:
        if what == "before":
            assert open_events == []
            open_events = list(ids)
        elif what == "handle":
            assert open_events.pop(0) == ids[0]


async def test_a_duplicate_is_not_announced(pipeline: Pipeline) -> None:
    consumer = pipeline.consumer()
    batches = Batches(consumer)
    duplicate = pipeline.event("o-1", event_id="same")
    pipeline.produce(duplicate, duplicate, pipeline.event("o-2"))
    pipeline.run_consumer(consumer)

    async def both() -> bool:
        return batches.of("handle") == ["o-1", "o-2"]

    await eventually("both events", both)
    assert sorted(set(batches.of("before"))) == ["o-1", "o-2"]


async def test_a_transaction_that_failed_is_announced_again_and_never_committed(pipeline: Pipeline) -> None:
    consumer = pipeline.consumer()
    batches = Batches(consumer)
    batches.failures = 1
    pipeline.produce(pipeline.event("o-1"))
    pipeline.run_consumer(consumer)

    async def done() -> bool:
        return ("committed", []) in batches.log

    await eventually("the second try", done)
    assert [what for what, _ in batches.log] == ["before", "handle", "before", "handle", "committed"]


async def test_handlers_that_read_nothing_share_a_round_trip(
    pipeline: Pipeline, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = pipeline.consumer()
    async with database.connection() as connection:
        await connection.execute(
            "CREATE TABLE taken (order_id text PRIMARY KEY CHECK (order_id <> 'poison'))"
        )
    seen: list[int] = []

    async def handle(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        await connection.execute("INSERT INTO taken VALUES (%s)", (event.data.order_id,))
        seen.append(len(connection._pipeline.result_queue) if connection._pipeline else 0)

    consumer.on(OrderPlaced)(handle)
    pipeline.produce(*(pipeline.event(order) for order in ("o-1", "o-2", "poison", "o-3")))
    pipeline.run_consumer(consumer)

    async def others_are_there() -> bool:
        effects = await database.read("SELECT order_id FROM taken ORDER BY order_id")
        return effects == [("o-1",), ("o-2",), ("o-3",)]

    await eventually("the others' effects, one by one after the batch failed", others_are_there)
    assert max(seen) > 1  # more than one statement was on its way, and nobody had waited
    await eventually("the poison to be a dead letter", partial(_is_dead, database))


async def _is_dead(database: Database) -> bool:
    return await database.read("SELECT count(*) FROM outbox WHERE topic LIKE '%%.dlt'") == [(1,)]


async def test_events_that_come_close_behind_each_other_are_one_batch(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace_seconds = 0.2
    consumer = pipeline.consumer(consumer_pace_seconds=pace_seconds)
    began: list[float] = []

    process = EventConsumer._process

    async def seen(self: EventConsumer, source: Source, records: Sequence[InboundRecord]) -> None:
        began.append(time.monotonic())
        await process(self, source, records)

    monkeypatch.setattr(EventConsumer, "_process", seen)
    handled = 0

    async def handle(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        nonlocal handled
        handled += 1

    consumer.on(OrderPlaced)(handle)
    pipeline.run_consumer(consumer)

    async def are_handled(number: int) -> None:
        async def done() -> bool:
            return handled == number

        await eventually(f"{number} events to be handled", done)

    pipeline.produce(pipeline.event("the first, which waits for the group"))
    await are_handled(1)
    for number in range(19):
        pipeline.produce(pipeline.event(f"o-{number}"))
        await asyncio.sleep(pace_seconds / 5)
    await are_handled(20)
    assert len(began) > 1
    assert min(later - sooner for sooner, later in pairwise(began)) > pace_seconds * 0.9
