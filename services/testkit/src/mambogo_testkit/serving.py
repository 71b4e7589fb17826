"""A service built on the chassis, as its own tests need it: its tables, its database, itself answering.

Needs the chassis, which whoever tests a service has; nothing else of the testkit does. Settings are patient:
on a loaded machine a bound of production's would say how busy it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import httpx
from fastapi import APIRouter
from mambogo_chassis.database import Database, DatabaseSettings
from mambogo_chassis.database.migrate import Migrations, upgrade
from mambogo_chassis.events import CloudEvent, EventData, EventRegistry
from mambogo_chassis.events.envelope import new_event_id, utc_now
from mambogo_chassis.service import Service
from mambogo_chassis.settings import ServiceSettings
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from sqlalchemy import URL

from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.issuing import Issuer

T = TypeVar("T")
S = TypeVar("S", bound=ServiceSettings)
# Far above what anything takes on a loaded machine; only a failing test waits that long.
PATIENCE_SECONDS: Final = 60.0
# Nothing listens there: a service whose test needs no Kafka goes without.
NOWHERE: Final = "127.0.0.1:1"


def database_values(database: FreshDatabase) -> dict[str, Any]:
    """The settings of a service on a test's database."""
    return {
        "db_host": database.host,
        "db_port": database.port,
        "db_name": database.name,
        "db_user": database.user,
        "db_password": SecretStr(database.password),
        "db_pool_wait_seconds": 20,
        "db_pool_queue": 1000,
        "db_connect_timeout_seconds": 20,
        "db_transaction_timeout_seconds": 30,
        "db_lock_timeout_seconds": 30,
        "db_statement_timeout_seconds": 30,
    }


def service_values(
    name: str, tokens: Issuer, database: FreshDatabase, topics: TopicSpace | None = None
) -> dict[str, Any]:
    """The settings of a service with database and events: any port, short pauses, no waiting at the end."""
    return {
        "application_name": name,
        "host": "127.0.0.1",
        "port": 0,
        "drain_seconds": 0,
        "kafka_bootstrap_servers": topics.bootstrap_servers if topics is not None else NOWHERE,
        "kafka_prefix": topics.prefix if topics is not None else "",
        "relay_idle_seconds": 0.1,
        "consumer_retry_seconds": 0.01,
        **tokens.settings,
        **database_values(database),
    }


def migrate(database: FreshDatabase, migrations: Path) -> None:
    """What the migration Job does with the revisions of a folder."""
    url = URL.create(
        "postgresql+psycopg",
        username=database.user,
        password=database.password,
        host=database.host,
        port=database.port,
        database=database.name,
    )
    upgrade(url, Migrations(migrations))


@asynccontextmanager
async def opened(database: FreshDatabase, *, connections: int = 10) -> AsyncIterator[Database]:
    """An open pool on a test's database."""
    settings = DatabaseSettings(**database_values(database), db_pool_max=connections)
    pool = Database(settings, application_name="tests", registry=CollectorRegistry())
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def rows(database: Database, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """All rows."""
    async with database.connection() as connection:
        return await (await connection.execute(query, parameters)).fetchall()


async def eventually(what: str, probe: Callable[[], Awaitable[T]]) -> T:
    """The first truthy value of `probe`; fails with the last one seen."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := await probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {PATIENCE_SECONDS:.0f} s; last seen: {value!r}")
        await asyncio.sleep(0.05)
    return value


def event_of(registry: EventRegistry, data: EventData, *, subject: object, source: str) -> CloudEvent[Any]:
    """An event as `source` sends it."""
    event_type = registry.type_of(type(data))
    return event_type.envelope(
        id=new_event_id(),
        source=source,
        type=event_type.name,
        subject=str(subject),
        time=utc_now(),
        data=data,
    )


@dataclass(frozen=True)
class Answering(Generic[S]):
    """A service that answers."""

    service: Service[S]
    client: httpx.AsyncClient
    tokens: Issuer

    def bearer(self, user: str, *scopes: str, roles: tuple[str, ...] = ()) -> dict[str, str]:
        """Headers of anybody."""
        return {"Authorization": f"Bearer {self.tokens.token(user, *scopes, roles=roles)}"}


@asynccontextmanager
async def answering(
    settings: S, tokens: Issuer, build: Callable[[Service[S]], Sequence[APIRouter]]
) -> AsyncIterator[Answering[S]]:
    """Serve within the test's own event loop, under a real server, for the length of the block."""
    service = Service.of(settings)
    server = service.server(service.app(title="Under test", routers=build(service)))
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not server.started:
                assert not serving.done(), serving  # noqa: S101 - a test's own
                await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield Answering(service, client, tokens)
    finally:
        server.should_exit = True
        await serving
