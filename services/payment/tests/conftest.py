"""A database with the service's tables, and a provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from mambogo_chassis.client.transport import Transport
from mambogo_chassis.database import Database
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer
from mambogo_testkit.serving import migrate, opened

from support.data import MIGRATIONS
from support.pod import Pod
from support.sandbox import Sandbox
from support.sandbox import sandbox as started


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    return postgres_server.template("payment-service", lambda database: migrate(database, MIGRATIONS))


@pytest.fixture
async def database(postgres_database: FreshDatabase) -> AsyncIterator[Database]:
    async with opened(postgres_database) as pool:
        yield pool


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with started(tmp_path_factory.mktemp("sandbox")) as made:
        yield made


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """A provider that behaves; it knows other tests' payments too."""
    running_sandbox.switch()
    return running_sandbox


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport()
    yield made
    await made.close()


@pytest.fixture
def make_pod(database: Database, sandbox: Sandbox, transport: Transport) -> Callable[..., Pod]:
    def make(**bounds: Any) -> Pod:
        return Pod(database, sandbox, transport=transport, **bounds)

    return make


@pytest.fixture
def pod(make_pod: Callable[..., Pod]) -> Pod:
    return make_pod()
