"""Whether the shop has come to rest: nobody has anything left to do."""

from __future__ import annotations

import asyncio
from typing import Final

import psycopg
from confluent_kafka import Consumer, TopicPartition

from mambogo_audit.parts import WITH_DATABASE, Parts

_PENDING: Final = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
_WAITING: Final = {
    "order": ("orders that wait", "SELECT count(*) FROM orders WHERE sweep_at IS NOT NULL"),
    "payment": ("payments that are due", "SELECT count(*) FROM payment WHERE due_at IS NOT NULL"),
}
# services/README.md, "Events": who reads which topics.
_READERS: Final = {
    "order-service": ("inventory", "payments"),
    "inventory-service": ("orders",),
    "payment-service": ("orders",),
}
_PAUSE_SECONDS: Final = 1.0
_KAFKA_SECONDS: Final = 30.0


async def settle(parts: Parts, at_most_seconds: float) -> bool:
    """Wait until the shop rests, twice in a row; whether it does."""
    loop = asyncio.get_running_loop()
    end, rested = loop.time() + at_most_seconds, 0
    while rested < 2:
        if loop.time() > end:
            return False
        await asyncio.sleep(_PAUSE_SECONDS)
        rested = 0 if await asyncio.to_thread(unsettled, parts) else rested + 1
    return True


def unsettled(parts: Parts) -> list[str]:
    """What is left to be done."""
    counts: dict[str, int] = {}
    for name in WITH_DATABASE:
        with psycopg.connect(parts.databases[name].dsn) as connection:
            counts[f"events in {name}'s outbox"] = _count(connection, _PENDING)
            if name in _WAITING:
                what, query = _WAITING[name]
                counts[what] = _count(connection, query)
    for service, topics in _READERS.items():
        counts[f"events that {service} has not taken"] = _lag(parts, service, topics)
    return [f"{count} {what}" for what, count in counts.items() if count]


def _count(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row is not None else 0


def _lag(parts: Parts, service: str, topics: tuple[str, ...]) -> int:
    consumer = Consumer(
        {"bootstrap.servers": parts.topics.bootstrap_servers, "group.id": parts.topics.name(service)}
    )
    try:
        places = [
            TopicPartition(name, partition)
            for name in map(parts.topics.name, topics)
            for partition in consumer.list_topics(name, timeout=_KAFKA_SECONDS).topics[name].partitions
        ]
        committed = consumer.committed(places, timeout=_KAFKA_SECONDS)
        ends = [consumer.get_watermark_offsets(place, timeout=_KAFKA_SECONDS)[1] for place in committed]
        return sum(end - max(place.offset, 0) for place, end in zip(committed, ends, strict=True))
    finally:
        consumer.close()
