"""Making topics, with their dead letter topics, in a Job before the rollout.

    python -m mambogo_chassis.events.topics --partitions 6 --replication-factor 3 orders inventory

Brokers here make no topic by themselves: a misspelt name would otherwise be a new topic that nobody reads.
Existing topics are left as they are; changing partitions would break the order of every aggregate.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from mambogo_chassis.errors import ChassisError
from mambogo_chassis.events.deadletters import TOPIC_SUFFIX

_TIMEOUT_SECONDS: Final = 15.0
# A dead letter is its original and headers about it: it must fit where the original just did.
_DEAD_LETTER_BYTES: Final = 2 * 1024 * 1024
# Long enough for a person to look on Monday at what died on Friday.
_DEAD_LETTER_RETENTION_MS: Final = 14 * 86_400_000


class TopicError(ChassisError):
    """A topic could not be made."""

    code = "topics"


def ensure_topics(
    bootstrap_servers: str, topics: Iterable[str], *, partitions: int, replication_factor: int
) -> None:
    """Make each of `topics` and its dead letter topic unless it is there; raises TopicError."""
    in_sync = max(replication_factor - 1, 1)
    wanted = []
    for topic in topics:
        config = {"min.insync.replicas": str(in_sync)}
        wanted.append(NewTopic(topic, partitions, replication_factor, config=config))
        dead = config | {
            "max.message.bytes": str(_DEAD_LETTER_BYTES),
            "retention.ms": str(_DEAD_LETTER_RETENTION_MS),
        }
        wanted.append(NewTopic(topic + TOPIC_SUFFIX, 1, replication_factor, config=dead))
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    for topic, future in admin.create_topics(wanted, operation_timeout=_TIMEOUT_SECONDS).items():
        try:
            future.result(_TIMEOUT_SECONDS)
        except (KafkaException, TimeoutError) as error:
            if not _exists_already(error):
                raise TopicError(
                    f"topic {topic} could not be made: {error}", hint="is Kafka there?"
                ) from error


def _exists_already(error: Exception) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS


def main(arguments: Sequence[str] | None = None) -> int:
    """The Job, with the brokers that `KAFKA_BOOTSTRAP_SERVERS` names; its exit code."""
    parser = argparse.ArgumentParser(prog="topics", description="Make topics, each with its dead letters'.")
    parser.add_argument("topics", nargs="+")
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--replication-factor", type=int, required=True)
    options = parser.parse_args(arguments)
    servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        parser.error("KAFKA_BOOTSTRAP_SERVERS is not set")
    try:
        ensure_topics(
            servers,
            options.topics,
            partitions=options.partitions,
            replication_factor=options.replication_factor,
        )
    except TopicError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{', '.join(options.topics)} and their dead letter topics are there\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
