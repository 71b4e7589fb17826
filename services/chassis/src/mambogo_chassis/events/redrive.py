"""Sending dead letters to their consumer again, after the cause is gone.

    python -m mambogo_chassis.events.redrive --consumer inventory-service --topic orders [--reason R]
    [--dry-run]

Each matching dead letter goes back to its original topic, key, value and headers as they were, marked as
meant for that consumer: other groups pass it over, and the consumer's inbox lets it take effect once, however
often it is sent. So there is no position to keep: every run reads the whole dead letter topic, up to its end
at the start, and repeating a run does no harm. Why a record was refused is for its reader to judge.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from mambogo_chassis.errors import ChassisError
from mambogo_chassis.events.consuming import to_record
from mambogo_chassis.events.deadletters import (
    CONSUMER,
    EVENT_ID,
    ORIGINAL_TOPIC,
    REASON,
    REDRIVE_FOR,
    REDRIVE_OF,
    TOPIC_SUFFIX,
    original_headers,
)
from mambogo_chassis.events.publishing import producer_config
from mambogo_chassis.events.records import InboundRecord

_TIMEOUT_SECONDS: Final = 10.0
EXIT_FAILED: Final = 1


class RedriveError(ChassisError):
    """The dead letters could not be read or sent; what was sent already does no harm when sent again."""

    code = "redrive"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant."""

    topic: str
    consumer: str
    reason: str | None = None
    event_id: str | None = None

    def matches(self, record: InboundRecord) -> bool:
        """Whether `record` is one of them."""
        return (
            record.header(CONSUMER) == self.consumer
            and (self.reason is None or record.header(REASON) == self.reason)
            and (self.event_id is None or record.header(EVENT_ID) == self.event_id)
        )


def select(bootstrap_servers: str, selection: Selection) -> list[InboundRecord]:
    """The dead letters that are there now; raises RedriveError."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            # Required by the client; nothing is ever committed under it.
            "group.id": f"{selection.consumer}.redrive",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        with _said("the dead letters could not be read"):
            return [
                record
                for record in _read_to_end(consumer, selection.topic + TOPIC_SUFFIX)
                if selection.matches(record)
            ]
    finally:
        consumer.close()


def send(bootstrap_servers: str, letters: Sequence[InboundRecord], *, consumer: str) -> None:
    """Send `letters` to where they came from; returns when all are acknowledged. Raises RedriveError."""
    failures: list[KafkaError] = []
    producer = Producer(producer_config(bootstrap_servers, f"{consumer}.redrive"))
    left = 0
    for number, letter in enumerate(letters, 1):
        with _said(f"{letter.coordinates} could not be sent"):
            if not _enqueued(producer, letter, consumer, failures):
                # What the client can hold at once is on its way; the rest waits for that.
                if producer.flush(_TIMEOUT_SECONDS):
                    left = len(letters) - number + 1
                    break
                _enqueued(producer, letter, consumer, failures)
        producer.poll(0)
    left += producer.flush(_TIMEOUT_SECONDS)
    if left or failures:
        cause = failures[0] if failures else "time is up"
        raise RedriveError(
            f"{left + len(failures)} of {len(letters)} were not acknowledged: {cause}",
            hint="run it again: what arrived takes effect once",
        )


def _enqueued(producer: Producer, letter: InboundRecord, consumer: str, failures: list[KafkaError]) -> bool:
    """Hand a letter over; False when the client's queue is full."""
    marks = ((REDRIVE_FOR, consumer.encode()), (REDRIVE_OF, letter.coordinates.encode()))
    try:
        producer.produce(
            letter.header(ORIGINAL_TOPIC) or letter.topic.removesuffix(TOPIC_SUFFIX),
            letter.value,
            letter.key,
            headers=[*original_headers(letter), *marks],
            on_delivery=lambda error, _: failures.append(error) if error is not None else None,
        )
    except BufferError:
        return False
    return True


@contextmanager
def _said(what: str) -> Iterator[None]:
    """The client's errors as this command's."""
    try:
        yield
    except KafkaException as error:
        raise RedriveError(f"{what}: {error.args[0].str()}", hint="is Kafka there?") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    options = _parser().parse_args(arguments)
    selection = Selection(options.topic, options.consumer, options.reason, options.event_id)
    try:
        letters = select(options.bootstrap_servers, selection)
        for letter in letters:
            sys.stdout.write(f"{letter.coordinates} {letter.header(REASON)} {letter.header(EVENT_ID)}\n")
        if not options.dry_run:
            send(options.bootstrap_servers, letters, consumer=selection.consumer)
    except RedriveError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    sys.stdout.write(f"{len(letters)} {'found' if options.dry_run else 'sent again'}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="redrive", description="Send dead letters to their consumer again.")
    parser.add_argument(
        "--bootstrap-servers", default=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
    )
    parser.add_argument(
        "--topic", required=True, help="the original topic; its dead letters are in TOPIC.dlt"
    )
    parser.add_argument("--consumer", required=True, help="the group that gave them up")
    parser.add_argument("--reason", help="only those refused for this reason")
    parser.add_argument("--event-id", help="only this event")
    parser.add_argument("--dry-run", action="store_true", help="list them and send nothing")
    return parser


def _read_to_end(consumer: Consumer, topic: str) -> Iterator[InboundRecord]:
    remaining = _ends(consumer, topic)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in remaining])
    while remaining:
        message = consumer.poll(_TIMEOUT_SECONDS)
        if message is None:
            raise RedriveError(f"{topic} could not be read to its end", hint="is Kafka there?")
        if record := _within(message, remaining):
            yield record


def _within(message: Message, remaining: dict[int, int]) -> InboundRecord | None:
    """The record, if it was there at the start; takes a partition off `remaining` at its end."""
    error, partition, offset = message.error(), message.partition(), message.offset()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise RedriveError(f"the dead letters could not be read: {error}", hint="is Kafka there?")
    if partition is None or offset is None:
        return None
    is_inside = error is None and offset < remaining.get(partition, 0)
    if error is not None or offset + 1 >= remaining.get(partition, 0):
        remaining.pop(partition, None)
    return to_record(message) if is_inside else None


def _ends(consumer: Consumer, topic: str) -> dict[int, int]:
    """The end of each partition that holds anything."""
    metadata = consumer.list_topics(topic, _TIMEOUT_SECONDS).topics[topic]
    if metadata.error is not None:
        raise RedriveError(
            f"{topic}: {metadata.error}", hint="no dead letter was ever written, or the name is wrong"
        )
    ends = {}
    for partition in metadata.partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), _TIMEOUT_SECONDS)
        if high > low:
            ends[partition] = high
    return ends


if __name__ == "__main__":
    sys.exit(main())
