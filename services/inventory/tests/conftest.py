"""A database with the service's tables."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from mambogo_chassis.database import Database
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer
from mambogo_testkit.serving import migrate, opened

from support.data import MIGRATIONS, Pod


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    return postgres_server.template("inventory-service", lambda database: migrate(database, MIGRATIONS))


@pytest.fixture
async def database(postgres_database: FreshDatabase) -> AsyncIterator[Database]:
    async with opened(postgres_database) as pool:
        yield pool


@pytest.fixture
def pod(database: Database) -> Pod:
    return Pod(database)
