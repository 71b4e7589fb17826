"""What the tests of database, events and idempotency share: settings, tables, sample events, waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import psycopg
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from mambogo_chassis.database import Database, DatabaseSettings, schema
from mambogo_chassis.events import EventData, EventRegistry, EventSettings

T = TypeVar("T")
# Far above what anything here takes on a loaded machine; only a failing test waits that long.
PATIENCE_SECONDS: Final = 30.0
APPLICATION: Final = "chassis-tests"


def database_settings(database: FreshDatabase, **changes: Any) -> DatabaseSettings:
    """Settings for a test's database."""
    return DatabaseSettings(
        **{
            "db_host": database.host,
            "db_port": database.port,
            "db_name": database.name,
            "db_user": database.user,
            "db_password": SecretStr(database.password),
            "db_pool_max": 4,
            # Patient by default: the machine may be loaded. Tests of the bounds set their own.
            "db_pool_wait_seconds": 20,
            "db_connect_timeout_seconds": 20,
            "db_transaction_timeout_seconds": 30,
            **changes,
        }
    )


@asynccontextmanager
async def opened(
    database: FreshDatabase, *, registry: CollectorRegistry | None = None, **changes: Any
) -> AsyncIterator[Database]:
    """An open pool on a test's database."""
    pool = Database(
        database_settings(database, **changes),
        application_name=APPLICATION,
        registry=registry or CollectorRegistry(),
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


def chassis_template(server: PostgresServer) -> str:
    """A template database with the chassis' tables and an effect table for consumers."""
    return server.template("chassis " + "".join(schema.statements(*schema.ALL)), _make_tables)


def _make_tables(database: FreshDatabase) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for statement in schema.statements(*schema.ALL):
            connection.execute(statement)
        # No key on purpose: nothing but the inbox stands between a duplicate delivery and a second row.
        connection.execute(
            "CREATE TABLE effect (order_id text NOT NULL, amount bigint NOT NULL, seq bigserial)"
        )


def end_sessions(database: FreshDatabase) -> None:
    """Have the server end every session of a database.

    Each of them ends when its process next runs, which may be after this returns: only what looks again on
    another connection (`Database.transaction`, `Database.read`) can be sure of an answer then.
    """
    with psycopg.connect(database.dsn) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid != pg_backend_pid()"
        )


async def scalar(database: Database, query: str, *parameters: object) -> Any:
    """The first column of the first row."""
    async with database.connection() as connection:
        row = await (await connection.execute(query, parameters)).fetchone()
        return row[0] if row else None


async def rows(database: Database, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """All rows."""
    async with database.connection() as connection:
        return await (await connection.execute(query, parameters)).fetchall()


async def eventually(
    what: str, probe: Callable[[], Awaitable[T]], *, timeout_seconds: float = PATIENCE_SECONDS
) -> T:
    """The first truthy value of `probe`; fails with the last one seen."""
    deadline = time.monotonic() + timeout_seconds
    while not (value := await probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_seconds:.0f} s; last seen: {value!r}")
        await asyncio.sleep(0.05)
    return value


class OrderPlaced(EventData):
    """The sample event."""

    order_id: str
    amount: int


def event_registry(topic: str) -> EventRegistry:
    """A registry with the sample event on `topic`."""
    registry = EventRegistry()
    registry.event("com.mambogo.order.placed.v1", topic=topic)(OrderPlaced)
    return registry


def event_settings(bootstrap_servers: str, **changes: Any) -> EventSettings:
    """Settings with short pauses."""
    return EventSettings(
        **{
            "kafka_bootstrap_servers": bootstrap_servers,
            "relay_idle_seconds": 0.1,
            # A stop waits for a poll, and a fault of the broker for a socket.
            "consumer_poll_seconds": 0.1,
            "kafka_socket_timeout_seconds": 2.5,
            "consumer_retry_seconds": 0.01,
            "consumer_backoff_seconds": 0.05,
            "consumer_backoff_max_seconds": 0.5,
            **changes,
        }
    )
