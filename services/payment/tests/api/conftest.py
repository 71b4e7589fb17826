"""A service without Kafka, at the real sandbox: events are given to a pod of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.issuing import Issuer, issuer

from support.running import Running, running, settings_for
from support.sandbox import Sandbox


@pytest.fixture
def tokens() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.fixture
async def service(
    tokens: Issuer, postgres_database: FreshDatabase, sandbox: Sandbox
) -> AsyncIterator[Running]:
    async with running(settings_for(tokens, postgres_database, sandbox.url), tokens) as made:
        yield made
