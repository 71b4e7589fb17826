"""A database that the service's own migrations made, an issuer of tokens, and a product-service to play."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer
from mambogo_testkit.issuing import Issuer, issuer
from mambogo_testkit.serving import migrate
from support.catalogue import Catalogue, catalogue
from support.shop import NO_KAFKA, Shop, process_environment_for, shop

MIGRATIONS = Path(__file__).parents[1] / "migrations"

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    source = "".join(path.read_text() for path in sorted((MIGRATIONS / "versions").glob("*.py")))
    return postgres_server.template("order-service " + source, lambda database: migrate(database, MIGRATIONS))


@pytest.fixture(scope="session")
def tokens() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.fixture
def products() -> Iterator[Catalogue]:
    with catalogue() as made:
        yield made


@pytest.fixture
async def orders(
    postgres_database: FreshDatabase, tokens: Issuer, products: Catalogue
) -> AsyncIterator[Shop]:
    async with shop(postgres_database, tokens, products) as made:
        yield made


@pytest.fixture
def process_environment(
    postgres_database: FreshDatabase, tokens: Issuer, products: Catalogue
) -> dict[str, str]:
    return process_environment_for(postgres_database, tokens, products, NO_KAFKA)
