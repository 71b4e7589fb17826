"""Putting records into a test's topics, and reading everything that is in one.

    send(topics, "orders", (key, value), (key, value))
    assert [record.value for record in read(topics, "payments")] == [...]

Both block: a test with an event loop reads in a thread. What records mean is the test's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.errors import TestkitError

_SECONDS = 30.0
_POLL_SECONDS = 0.2
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read; of a header that is there twice the last one."""

    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """A header's text; None where it is absent."""
        raw = self.headers.get(name)
        return raw.decode() if raw is not None else None


def send(topics: TopicSpace, topic: str, *records: tuple[str, bytes]) -> None:
    """Put records, as (key, value), into a topic; raises TestkitError unless all are acknowledged."""
    producer = Producer({"bootstrap.servers": topics.bootstrap_servers})
    for key, value in records:
        producer.produce(topics.name(topic), value, key)
    if left := producer.flush(_SECONDS):
        raise TestkitError("not-sent", f"{left} records were not acknowledged", "is the broker there?")


def read(topics: TopicSpace, topic: str) -> list[Record]:
    """Everything that is in a topic now, partition by partition."""
    consumer = Consumer({"bootstrap.servers": topics.bootstrap_servers, "group.id": topics.name("reader")})
    name = topics.name(topic)
    found: list[Record] = []
    try:
        for partition in consumer.list_topics(name, _SECONDS).topics[name].partitions:
            found += _of_partition(consumer, TopicPartition(name, partition, 0))
    finally:
        consumer.close()
    return found


def _of_partition(consumer: Consumer, start: TopicPartition) -> list[Record]:
    _, end = consumer.get_watermark_offsets(start, _SECONDS)
    consumer.assign([start])
    found: list[Record] = []
    while len(found) < end:
        found += [_record(message) for message in consumer.consume(_AT_ONCE, _POLL_SECONDS)]
    return found


def _record(message: Message) -> Record:
    if (error := message.error()) is not None:
        raise TestkitError("not-read", str(error), "is the broker there?")
    headers = message.headers()
    pairs = headers if isinstance(headers, list) else []
    return Record(
        _bytes(message.key()),
        _bytes(message.value()) or b"",
        {name: _bytes(value) or b"" for name, value in pairs},
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
