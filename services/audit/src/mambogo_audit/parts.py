"""What the services stand on: databases with their tables, topics, a Redis, an issuer of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mambogo_testkit.dependencies.kafka import KafkaBroker, TopicSpace
from mambogo_testkit.dependencies.postgres import Database, PostgresServer
from mambogo_testkit.dependencies.redis import RedisServer, RedisSpace
from mambogo_testkit.engine import connect
from mambogo_testkit.fleet import Fleet
from mambogo_testkit.issuing import Issuer, issuer
from mambogo_testkit.serving import migrate
from rehearsal.chaos.proving.collecting import TOPICS, WITH_DATABASE

from mambogo_audit.tree import Tree

_PARTITIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Ground:
    """The running servers; several shops, one after the other, stand on them."""

    postgres: PostgresServer
    kafka: KafkaBroker
    redis: RedisServer


@dataclass(frozen=True, slots=True)
class Parts:
    """What one shop has for itself."""

    databases: Mapping[str, Database]
    topics: TopicSpace
    redis: RedisSpace
    issuer: Issuer
    folder: Path


@contextmanager
def ground() -> Iterator[Ground]:
    """Containers for the length of the block."""
    with ExitStack() as stack:
        client = connect()
        stack.callback(client.close)
        fleet = Fleet()
        stack.callback(fleet.close)
        yield Ground(
            PostgresServer(fleet.get("postgres"), client, shared=True),
            KafkaBroker(fleet.get("kafka"), client, shared=True),
            RedisServer(fleet.get("redis"), client, shared=True),
        )


@contextmanager
def parts_on(ground: Ground, tree: Tree, folder: Path) -> Iterator[Parts]:
    """Empty databases with the tables of `tree`, and empty topics."""
    with ExitStack() as stack:
        databases = {name: stack.enter_context(ground.postgres.database()) for name in WITH_DATABASE}
        for name, database in databases.items():
            migrate(database, tree.migrations(name))
        topics = stack.enter_context(ground.kafka.topics())
        for topic in TOPICS:
            topics.create(topic, partitions=_PARTITIONS)
            topics.create(f"{topic}.dlt", partitions=1)
        redis = stack.enter_context(ground.redis.space())
        yield Parts(databases, topics, redis, stack.enter_context(issuer()), folder)
