"""The whole service under a real server, within the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from mambogo_chassis.service import Service
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.issuing import Issuer

from mambogo_payment.main import NAME, build
from mambogo_payment.settings import Settings
from support.data import PATIENCE_SECONDS, database_values
from support.sandbox import API_KEY, WEBHOOK_SECRET

TOPICS = ("orders", "orders.dlt", "payments")
# Nothing listens there: a service whose test needs no Kafka goes without.
NOWHERE = "127.0.0.1:1"


@dataclass(frozen=True)
class Running:
    """A service that answers."""

    service: Service[Settings]
    client: httpx.AsyncClient
    tokens: Issuer

    def reader(self, user: str = "anna") -> dict[str, str]:
        """Headers of a shopper."""
        return self.bearer(user, "payments:read")

    def administrator(self, key: str | None = None) -> dict[str, str]:
        """Headers of an administrator."""
        headers = self.bearer("admin", "payments:read", "payments:write", roles=("shop-admin",))
        return headers | ({"Idempotency-Key": key} if key is not None else {})

    def bearer(self, user: str, *scopes: str, roles: tuple[str, ...] = ()) -> dict[str, str]:
        """Headers of anybody."""
        return {"Authorization": f"Bearer {self.tokens.token(user, *scopes, roles=roles)}"}


def settings_for(
    tokens: Issuer,
    database: FreshDatabase,
    provider_url: str,
    topics: TopicSpace | None = None,
    **changes: Any,
) -> Settings:
    """Settings of a test's service: any port, short pauses, no waiting at the end."""
    values: dict[str, Any] = {
        "application_name": NAME,
        "host": "127.0.0.1",
        "port": 0,
        "drain_seconds": 0,
        "kafka_bootstrap_servers": topics.bootstrap_servers if topics is not None else NOWHERE,
        "kafka_prefix": topics.prefix if topics is not None else "",
        "relay_idle_seconds": 0.1,
        "consumer_retry_seconds": 0.01,
        "provider_url": provider_url,
        "provider_api_key": API_KEY,
        "provider_webhook_secret": WEBHOOK_SECRET,
        "worker_idle_seconds": 0.05,
        **tokens.settings,
        **database_values(database),
        **changes,
    }
    return Settings(**values)


@asynccontextmanager
async def running(settings: Settings, tokens: Issuer) -> AsyncIterator[Running]:
    """Serve for the length of the block."""
    service = Service.of(settings)
    server = service.server(service.app(title="Payments", routers=build(service)))
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not server.started:
                assert not serving.done(), serving
                await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield Running(service, client, tokens)
    finally:
        server.should_exit = True
        await serving
