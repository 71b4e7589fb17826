"""product-service on real parts against its own OpenAPI document: all checks, stateful, no exclusions.

Run by `pytest -m contract`, as several users.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.redis import RedisSpace
from mambogo_testkit.fuzzing import Fuzzer, User
from support.issuer import AUDIENCE, CLIENT, REALM, Issuer
from support.processes import service_process

import mambogo_product
from catalogue_support import ADMINISTRATOR, redis_settings

SERVICE = Path(mambogo_product.__file__).with_name("__main__.py")
CONFIG = Path(__file__).parents[2] / "contract" / "schemathesis.toml"
SEEDS = (1, 2, 3)
WRITING = ("POST /api/products", "PUT /api/products/{product_id}")

pytestmark = [pytest.mark.contract, pytest.mark.timeout(4000)]


@pytest.fixture
def environment(
    tokens: Issuer, postgres_database: FreshDatabase, redis_space: RedisSpace, kafka_topics: TopicSpace
) -> dict[str, str]:
    kafka_topics.create("products", partitions=3)
    database = postgres_database
    redis = redis_settings(redis_space)
    return {
        "ISSUER_URL": REALM,
        "JWKS_URL": tokens.jwks_url,
        "AUDIENCE": AUDIENCE,
        "AUTHORIZED_PARTIES": CLIENT,
        "DB_HOST": database.host,
        "DB_PORT": str(database.port),
        "DB_NAME": database.name,
        "DB_USER": database.user,
        "DB_PASSWORD": database.password,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_topics.bootstrap_servers,
        "KAFKA_PREFIX": kafka_topics.prefix,
        **{name.upper(): str(value) for name, value in redis.items()},
    }


def users_of(tokens: Issuer) -> tuple[User, ...]:
    def token(name: str, **claims: Any) -> str:
        return tokens.token(sub=name, exp=int(time.time()) + 86_400, **claims)

    return (
        User("administrator", token("administrator", **ADMINISTRATOR)),
        User("shopper", token("shopper", scope="orders:write"), forbidden=WRITING),
        # The scope without the role.
        User("pretender", token("pretender", scope="products:write"), forbidden=WRITING),
    )


def test_the_service_keeps_its_contract_under_three_seeds(
    tokens: Issuer, environment: dict[str, str], postgres_database: FreshDatabase, tmp_path: Path
) -> None:
    fuzzer = Fuzzer(CONFIG, tmp_path, users_of(tokens))
    with service_process(SERVICE, tmp_path / "log", environment) as service:
        runs = fuzzer.run_all(service.url, SEEDS)
    failed = [run.summary for run in runs if run.failed]
    assert not failed, "\n".join(failed)
    assert not fuzzer.missed
    with psycopg.connect(postgres_database.dsn) as connection:
        row = connection.execute("SELECT count(*), max(version) FROM product").fetchone()
    # A run that was green because it never got anything created would say nothing.
    assert row is not None
    assert row[0] > 10
    assert row[1] > 1
