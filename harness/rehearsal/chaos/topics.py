"""Adapter: what is in Kafka's topics, and how far their readers are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from rehearsal.core.errors import EnvironmentNotReadyError

_POLL_SECONDS: Final = 5.0
_KAFKA_SECONDS: Final = (
    30.0  # for every answer, also for the next record: a broker that was just away is slow
)
# Its offsets are never committed: who reads leaves no trace.
_GROUP: Final = "rehearsal-audit"


@dataclass(frozen=True, slots=True)
class Topics:
    """A broker, by its address."""

    bootstrap_servers: str

    def read(self, topic: str) -> Iterator[Mapping[str, Any]]:
        """Yield every record that is in a topic now, as JSON; one without a value is empty.

        Raises EnvironmentNotReadyError when the broker does not give all of them.
        """
        with closing(self._consumer(_GROUP)) as consumer, _explained(topic):
            left = _ends(consumer, topic)
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in left])
            last = monotonic()
            while left:
                message = consumer.poll(_POLL_SECONDS)
                if message is None:
                    if monotonic() - last < _KAFKA_SECONDS:
                        continue
                    raise _unread(topic, f"nothing more came, and {left} are the ends of its partitions")
                if error := message.error():
                    raise _unread(topic, str(error))
                yield json.loads(message.value() or b"{}")
                last = monotonic()
                partition = message.partition()
                if partition in left and (message.offset() or 0) + 1 >= left[partition]:
                    del left[partition]

    def ends(self, topic: str) -> dict[int, int]:
        """Return where the next record of each partition will be. Raises EnvironmentNotReadyError."""
        with closing(self._consumer(_GROUP)) as consumer, _explained(topic):
            return {partition: end for partition, _, end in _bounds(consumer, topic)}

    def since(
        self, topic: str, ends: Mapping[int, int], within_seconds: float
    ) -> Iterator[Mapping[str, Any]]:
        """Yield every record that comes after these ends, as JSON, until the time is over.

        Raises EnvironmentNotReadyError when the broker refuses.
        """
        end = monotonic() + within_seconds
        with closing(self._consumer(_GROUP)) as consumer, _explained(topic):
            consumer.assign([TopicPartition(topic, *one) for one in ends.items()])
            while (left := end - monotonic()) > 0:
                message = consumer.poll(min(left, _POLL_SECONDS))
                if message is None:
                    continue
                if error := message.error():
                    raise _unread(topic, str(error))
                yield json.loads(message.value() or b"{}")

    def lag(self, group: str, topics: Sequence[str]) -> int:
        """Return how many records of some topics a consumer group has not taken yet.

        Raises EnvironmentNotReadyError when the broker does not say.
        """
        with closing(self._consumer(group)) as consumer, _explained(", ".join(topics)):
            places = [
                TopicPartition(topic, partition) for topic in topics for partition in _ends(consumer, topic)
            ]
            committed = consumer.committed(places, timeout=_KAFKA_SECONDS)
            ends = [consumer.get_watermark_offsets(place, timeout=_KAFKA_SECONDS)[1] for place in committed]
            return sum(end - max(place.offset, 0) for place, end in zip(committed, ends, strict=True))

    def _consumer(self, group: str) -> Consumer:
        return Consumer(
            {"bootstrap.servers": self.bootstrap_servers, "group.id": group, "enable.auto.commit": False}
        )


def _ends(consumer: Consumer, topic: str) -> dict[int, int]:
    """The end of each partition that has records."""
    return {partition: end for partition, start, end in _bounds(consumer, topic) if end > start}


def _bounds(consumer: Consumer, topic: str) -> Iterator[tuple[int, int, int]]:
    """Yield each partition with its first record and the next one to come."""
    known = consumer.list_topics(topic, timeout=_KAFKA_SECONDS).topics[topic]
    if known.error:
        # One that nobody knows has no partitions: it would pass for an empty one.
        raise _unread(topic, str(known.error))
    for partition in known.partitions:
        place = TopicPartition(topic, partition)
        yield partition, *consumer.get_watermark_offsets(place, timeout=_KAFKA_SECONDS)


@contextmanager
def _explained(topic: str) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise _unread(topic, str(error)) from error


def _unread(topic: str, why: str) -> EnvironmentNotReadyError:
    return EnvironmentNotReadyError(
        "TOPIC_UNREAD", f"{topic} was not read to its end: {why}", hint="Is the broker well? Its log says so."
    )
