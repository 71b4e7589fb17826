"""A database with the chassis' tables, a topic with its dead letters, and everything between them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer

from mambogo_chassis.database import Database
from support.data import chassis_template, opened
from support.pipeline import Pipeline


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    return chassis_template(postgres_server)


@pytest.fixture
async def database(postgres_database: FreshDatabase) -> AsyncIterator[Database]:
    async with opened(postgres_database, db_pool_max=8) as database:
        yield database


@pytest.fixture
async def pipeline(database: Database, kafka_topics: TopicSpace) -> AsyncIterator[Pipeline]:
    topic = kafka_topics.create("orders", partitions=4)
    kafka_topics.create("orders.dlt", partitions=1)
    pipeline = Pipeline(database, kafka_topics.bootstrap_servers, topic, group=kafka_topics.name("ledger"))
    yield pipeline
    await pipeline.close()
