"""A database with the tables of the chassis and of the sample service."""

from __future__ import annotations

import psycopg
import pytest
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer

from mambogo_chassis.database import schema

# No key on purpose, but the order's own: nothing in the tables hides what the chassis lets through.
_TABLES = """
CREATE TABLE orders (order_id text PRIMARY KEY, reference text NOT NULL, amount bigint NOT NULL);
CREATE TABLE ledger (order_id text NOT NULL, amount bigint NOT NULL);
"""


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    return postgres_server.template(
        "crash " + _TABLES + "".join(schema.statements(*schema.ALL)), _make_tables
    )


def _make_tables(database: FreshDatabase) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for statement in schema.statements(*schema.ALL):
            connection.execute(statement)
        connection.execute(_TABLES)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of these tests: they start and kill processes for a minute."""
    config.addinivalue_line("markers", "crash: kills and restarts processes of a sample service")
