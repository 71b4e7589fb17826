"""Tables from the migrations, a pool on them, an issuer of tokens, and the service on real parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from mambogo_chassis.database import Database
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer
from mambogo_testkit.dependencies.redis import RedisSpace
from mambogo_testkit.serving import migrate
from support.data import opened
from support.issuer import Issuer, issuer
from support.running import Running

from catalogue_support import ADMINISTRATOR, MIGRATIONS, serving, settings


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    return postgres_server.template("product-service", lambda database: migrate(database, MIGRATIONS))


@pytest.fixture
async def database(postgres_database: FreshDatabase) -> AsyncIterator[Database]:
    async with opened(postgres_database) as database:
        yield database


@pytest.fixture(scope="session")
def tokens() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.fixture
def administrator(tokens: Issuer) -> dict[str, str]:
    """The headers of one who may change the catalogue."""
    return {"Authorization": f"Bearer {tokens.token(**ADMINISTRATOR)}"}


@pytest.fixture
async def shop(
    tokens: Issuer, postgres_database: FreshDatabase, redis_space: RedisSpace, kafka_topics: TopicSpace
) -> AsyncIterator[Running]:
    kafka_topics.create("products", partitions=3)
    used = settings(
        tokens,
        postgres_database,
        redis_space,
        kafka_topics.bootstrap_servers,
        kafka_prefix=kafka_topics.prefix,
    )
    async with serving(used) as made:
        yield made
