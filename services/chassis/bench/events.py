"""How fast the event path is: relay, consumer, idempotency and failpoints, in CPU time per operation.

    python bench/events.py [--events 20000]

Starts PostgreSQL and Kafka by the testkit, in containers of their own. CPU is this process's user and system
time, all threads; the servers' is not counted, the wall clock has it. Prints a table for docs/events.md.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg
from confluent_kafka import Producer
from mambogo_testkit.dependencies.kafka import KafkaBroker, TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer
from mambogo_testkit.engine import connect
from mambogo_testkit.fleet import Fleet
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from mambogo_chassis import failpoints
from mambogo_chassis.database import Connection, Database, DatabaseSettings, schema
from mambogo_chassis.events import (
    CloudEvent,
    EventConsumer,
    EventData,
    EventRegistry,
    EventSettings,
    KafkaPublisher,
    Outbox,
    Relay,
)
from mambogo_chassis.events.envelope import new_event_id, utc_now
from mambogo_chassis.idempotency import Answer, IdempotencyStore, Request


class OrderPlaced(EventData):
    """An event of about the size of a real one: 650 bytes with its envelope."""

    order_id: str
    user_id: str
    total: int
    currency: str
    lines: tuple[dict[str, str | int], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    operations: int
    wall_seconds: float
    cpu_seconds: float

    def __str__(self) -> str:
        wall = self.operations / self.wall_seconds
        core = self.operations / self.cpu_seconds
        micros = self.cpu_seconds / self.operations * 1e6
        return f"| {self.what} | {self.operations} | {wall:,.0f} | {core:,.0f} | {micros:,.2f} |"


def order(number: int) -> OrderPlaced:
    """The n-th order."""
    line: dict[str, str | int] = {"sku": "SKU-000123", "quantity": 2, "unit_price": 1999}
    return OrderPlaced(
        order_id=f"order-{number}", user_id="user-1", total=7996, currency="EUR", lines=(line, line, line)
    )


async def measure(what: str, operations: int, work: Callable[[], Awaitable[object]]) -> Row:
    """Wall and CPU time of `work`."""
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return Row(what, operations, time.perf_counter() - wall, time.process_time() - cpu)


class Bench:
    """Everything on one database and one topic."""

    def __init__(self, database: Database, topics: TopicSpace, events: int) -> None:
        self.database = database
        self.events = events
        self.topic = topics.create("orders", partitions=4)
        self.settings = EventSettings(kafka_bootstrap_servers=topics.bootstrap_servers)
        self.registry = EventRegistry()
        self.registry.event("com.mambogo.order.placed.v1", topic=self.topic)(OrderPlaced)
        self.outbox = Outbox(self.registry, source="/mambogo/bench")
        self.group = topics.name("bench")

    async def append(self) -> None:
        """Fill the outbox, 100 events per transaction."""
        for start in range(0, self.events, 100):
            async with self.database.transaction() as connection:
                for number in range(start, min(start + 100, self.events)):
                    await self.outbox.append(connection, order(number), subject=f"order-{number}")

    async def relay(self) -> None:
        """Empty the outbox."""
        publisher = KafkaPublisher(self.settings.kafka_bootstrap_servers, client_id="bench")
        relay = Relay(self.database, publisher, settings=self.settings, registry=CollectorRegistry())
        while await relay.round():
            pass
        await publisher.close()

    async def consume(
        self, kind: str, handle: Callable[[Connection, CloudEvent[OrderPlaced]], Awaitable[None]]
    ) -> None:
        """Take every event with a database effect, as a group of its own."""
        registry = CollectorRegistry()
        group = f"{self.group}-{kind}"
        consumer = EventConsumer(
            self.database,
            group=group,
            events=self.registry,
            outbox=self.outbox,
            settings=self.settings,
            registry=registry,
        )
        consumer.on(OrderPlaced)(handle)
        task = asyncio.create_task(consumer.run())
        labels = {"group": group, "outcome": "applied"}
        while (registry.get_sample_value("consumer_records_total", labels) or 0) < self.events:
            await asyncio.wait([task], timeout=0.02)
        consumer.stop()
        await task


async def effect(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
    """One row."""
    await connection.execute(
        "INSERT INTO effect (order_id, amount) VALUES (%s, %s)", (event.data.order_id, event.data.total)
    )


async def place_orders(database: Database, operations: int) -> None:
    """An order's own database work: key, row, answer, in one transaction."""
    store = IdempotencyStore(database)

    async def work(connection: Connection) -> Answer:
        await connection.execute("INSERT INTO effect (order_id, amount) VALUES ('o', 1)")
        return Answer(201, b"{}")

    for number in range(operations):
        request = Request.of(user="u", key=f"k-{number}", method="POST", path="/api/orders", body=b"{}")
        await store.execute(request, work)


async def reach(operations: int) -> None:
    """Failpoints that are off."""
    for _ in range(operations):
        await failpoints.reach("bench")


async def codec(registry: EventRegistry, operations: int) -> None:
    """Encode and decode one event."""
    for number in range(operations):
        event = CloudEvent[OrderPlaced](
            id=new_event_id(),
            source="/mambogo/bench",
            type="com.mambogo.order.placed.v1",
            subject="s",
            time=utc_now(),
            data=order(number),
        )
        registry.decode(event.encode())


async def run(database: FreshDatabase, topics: TopicSpace, events: int) -> list[Row]:
    """All measurements."""
    settings = DatabaseSettings(
        db_host=database.host,
        db_port=database.port,
        db_name=database.name,
        db_user=database.user,
        db_password=SecretStr(database.password),
        db_pool_wait_seconds=20,
        db_connect_timeout_seconds=20,
    )
    pool = Database(settings, application_name="bench", registry=CollectorRegistry())
    await pool.open()
    bench = Bench(pool, topics, events)
    rows = [
        await measure("append to the outbox", events, bench.append),
        await measure("relay", events, bench.relay),
        await measure("consume, one insert each", events, lambda: bench.consume("plain", effect)),
        await measure("idempotent order", events // 10, lambda: place_orders(pool, events // 10)),
        await measure("encode and decode", events, lambda: codec(bench.registry, events)),
        await measure("failpoint that is off", 1_000_000, lambda: reach(1_000_000)),
    ]
    await pool.close()
    return rows


def main() -> None:
    """Start the parts, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=20_000)
    options = parser.parse_args()
    fleet, client = Fleet(), connect()
    try:
        postgres = PostgresServer(fleet.get("postgres"), client, shared=True)
        kafka = KafkaBroker(fleet.get("kafka"), client, shared=True)
        with postgres.database() as database, kafka.topics() as topics:
            with psycopg.connect(database.dsn, autocommit=True) as connection:
                for statement in schema.statements(*schema.ALL):
                    connection.execute(statement)
                connection.execute("CREATE TABLE effect (order_id text, amount bigint)")
            # The first produce waits for the broker's coordinator; that is no cost of an event.
            Producer({"bootstrap.servers": topics.bootstrap_servers, "enable.idempotence": True}).flush(1)
            rows = asyncio.run(run(database, topics, options.events))
    finally:
        fleet.close()
        client.close()
    print("| what | operations | per second, wall | per second and core | CPU us each |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
