"""Outbox, relay, topic and consumer of one test, on real parts."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from prometheus_client import CollectorRegistry

from mambogo_chassis.database import Connection, Database, DatabaseError
from mambogo_chassis.events import CloudEvent, EventConsumer, KafkaPublisher, Outbox, Relay
from mambogo_chassis.events.consuming import to_record
from mambogo_chassis.events.envelope import new_event_id, utc_now
from mambogo_chassis.events.records import InboundRecord
from mambogo_chassis.tracing import Tracer
from support.data import (
    PATIENCE_SECONDS,
    OrderPlaced,
    event_registry,
    event_settings,
    eventually,
    rows,
    scalar,
)

_COORDINATOR_MOVES = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
)


@dataclass(frozen=True, slots=True)
class Member:
    """A running consumer."""

    consumer: EventConsumer
    task: asyncio.Task[None]

    async def stop(self) -> None:
        """Stop as a service does when it drains."""
        self.consumer.stop()
        await self.task


class Pipeline:
    """The way of an event from append to effect."""

    def __init__(self, database: Database, bootstrap_servers: str, topic: str, *, group: str) -> None:
        self.database = database
        self.bootstrap_servers = bootstrap_servers
        self.topic = topic
        self.group = group
        self.events = event_registry(topic)
        self.outbox = Outbox(self.events, source="/mambogo/tests")
        self._running: list[tuple[Relay | EventConsumer, asyncio.Task[None]]] = []

    def relay(
        self, *, registry: CollectorRegistry | None = None, tracer: Tracer | None = None, **settings: Any
    ) -> Relay:
        """A relay of its own producer; not running."""
        return Relay(
            self.database,
            KafkaPublisher(self.bootstrap_servers, client_id="tests"),
            settings=event_settings(self.bootstrap_servers, **settings),
            outbox=self.outbox,
            registry=registry or CollectorRegistry(),
            tracer=tracer,
        )

    def run_relay(self, relay: Relay | None = None) -> asyncio.Task[None]:
        """Run a relay until the end of the test."""
        relay = relay or self.relay()
        task = asyncio.create_task(relay.run())
        self._running.append((relay, task))
        return task

    def consumer(
        self,
        *,
        registry: CollectorRegistry | None = None,
        group: str | None = None,
        database: Database | None = None,
        tracer: Tracer | None = None,
        **settings: Any,
    ) -> EventConsumer:
        """A consumer whose effect is a row in `effect`; not running."""
        consumer = EventConsumer(
            database or self.database,
            group=group or self.group,
            events=self.events,
            outbox=self.outbox,
            settings=event_settings(self.bootstrap_servers, **settings),
            registry=registry or CollectorRegistry(),
            tracer=tracer,
        )
        consumer.on(OrderPlaced)(write_effect)
        return consumer

    def run_consumer(self, consumer: EventConsumer | None = None) -> Member:
        """Run a consumer until it is stopped or the test ends."""
        consumer = consumer or self.consumer()
        task = asyncio.create_task(consumer.run())
        self._running.append((consumer, task))
        return Member(consumer, task)

    async def append(self, *order_ids: str, subject: str | None = None) -> None:
        """Append one event per order, in one transaction."""
        async with self.database.transaction() as connection:
            for number, order_id in enumerate(order_ids):
                event = OrderPlaced(order_id=order_id, amount=number)
                await self.outbox.append(connection, event, subject=subject or order_id)

    def produce(
        self, *values: bytes | None, key: bytes = b"k", headers: dict[str, bytes] | None = None
    ) -> None:
        """Put raw records into the topic."""
        produce(self.bootstrap_servers, self.topic, *values, key=key, headers=headers)

    def event(self, order_id: str, **changes: Any) -> bytes:
        """A well-formed record; `changes` are those of `event_of`."""
        return event_of(order_id, **changes)

    async def effects(self) -> list[str]:
        """The orders that took effect, in the order in which they did."""
        return [row[0] for row in await rows(self.database, "SELECT order_id FROM effect ORDER BY seq")]

    async def await_effects(self, number: int) -> list[str]:
        """The effects, once there are at least `number`."""

        async def enough() -> bool:
            try:
                return bool(await scalar(self.database, "SELECT count(*) FROM effect") >= number)
            except DatabaseError:  # its bounds are short in some tests, and the machine may be busy
                return False

        await eventually(f"{number} effects", enough, timeout_seconds=3 * PATIENCE_SECONDS)
        return await self.effects()

    async def await_published(self) -> None:
        """Return when nothing is pending in the outbox."""

        async def empty() -> bool:
            # `read` gets by connections that the server has ended.
            [[pending]] = await self.database.read("SELECT count(*) FROM outbox WHERE published_at IS NULL")
            return bool(pending == 0)

        await eventually("the outbox to be empty", empty)

    async def records(self, topic: str | None = None) -> list[InboundRecord]:
        """Everything that is in a topic now."""
        return await asyncio.to_thread(read_all, self.bootstrap_servers, topic or self.topic)

    async def committed_lag(self) -> int:
        """Records that the group has not committed yet."""
        return await asyncio.to_thread(committed_lag, self.bootstrap_servers, self.topic, self.group)

    async def close(self) -> None:
        """Stop what runs."""
        for running, _ in self._running:
            running.stop()
        for _, task in self._running:
            with suppress(asyncio.CancelledError):
                await task


def produce(
    bootstrap_servers: str,
    topic: str,
    *values: bytes | None,
    key: bytes = b"k",
    headers: dict[str, bytes] | None = None,
) -> None:
    """Put raw records into a topic."""
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    for value in values:
        producer.produce(topic, value, key, headers=list((headers or {}).items()))
    assert producer.flush(30) == 0


def event_of(
    order_id: str, *, event_id: str | None = None, amount: int = 1, traceparent: str | None = None
) -> bytes:
    """A well-formed record of the sample event."""
    return CloudEvent[OrderPlaced](
        id=event_id or new_event_id(),
        source="/mambogo/tests",
        type="com.mambogo.order.placed.v1",
        subject=order_id,
        time=utc_now(),
        traceparent=traceparent,
        data=OrderPlaced(order_id=order_id, amount=amount),
    ).encode()


async def write_effect(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
    """The effect: a row that nothing but the inbox keeps from being written twice."""
    await connection.execute(
        "INSERT INTO effect (order_id, amount) VALUES (%s, %s)", (event.data.order_id, event.data.amount)
    )


def read_all(bootstrap_servers: str, topic: str) -> list[InboundRecord]:
    """Everything that is in a topic now, partition by partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "tests-read-all"})
    try:
        found: list[InboundRecord] = []
        for partition in consumer.list_topics(topic, 10).topics[topic].partitions:
            _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), 10)
            consumer.assign([TopicPartition(topic, partition, 0)])
            count = 0
            while count < high:
                for message in consumer.consume(1000, 0.2):
                    assert message.error() is None
                    found.append(to_record(message))
                    count += 1
        return found
    finally:
        consumer.close()


def committed_lag(bootstrap_servers: str, topic: str, group: str) -> int:
    """Records between a group's committed offsets and the ends."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group})
    try:
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        committed = _committed(consumer, [TopicPartition(topic, number) for number in partitions])
        ends = [consumer.get_watermark_offsets(position, 10)[1] for position in committed]
        return sum(end - max(position.offset, 0) for position, end in zip(committed, ends, strict=True))
    finally:
        consumer.close()


def _committed(consumer: Consumer, positions: list[TopicPartition]) -> list[TopicPartition]:
    # A broker that has just started, or is loaded, may have to move its group coordinator first.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return consumer.committed(positions, 10)
        except KafkaException as error:
            if error.args[0].code() not in _COORDINATOR_MOVES or time.monotonic() > deadline:
                raise
        consumer.poll(0.1)
