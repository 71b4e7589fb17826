"""A database with the chassis' tables."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer

from mambogo_chassis.database import Database
from support.data import chassis_template, opened


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    return chassis_template(postgres_server)


@pytest.fixture
async def database(postgres_database: FreshDatabase) -> AsyncIterator[Database]:
    async with opened(postgres_database, db_pool_max=8) as database:
        yield database
