"""order-service as an application, with its real database and without background tasks.

Relay, consumer and sweeper do not run by themselves: a test calls what it wants to see, and reads the outbox.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
from pydantic import SecretStr

from mambogo_chassis.service import Service
from mambogo_order.main import NAME, Parts, assemble
from mambogo_order.settings import OrderSettings
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.issuing import Issuer
from support.catalogue import Catalogue

ALICE = "8d0b2f3e-alice"
BOB = "1f4c7a90-bob"
# Nobody listens there: what runs without background tasks never asks.
NO_KAFKA = "127.0.0.1:9"


def settings_for(
    database: FreshDatabase, tokens: Issuer, products: Catalogue, **changes: Any
) -> OrderSettings:
    """Settings on real parts; patient where a loaded machine would time out."""
    return OrderSettings(
        **{
            "application_name": NAME,
            "host": "127.0.0.1",
            "port": 0,
            "drain_seconds": 0.0,
            "db_host": database.host,
            "db_port": database.port,
            "db_name": database.name,
            "db_user": database.user,
            "db_password": SecretStr(database.password),
            "db_pool_wait_seconds": 20,
            "db_connect_timeout_seconds": 20,
            "db_transaction_timeout_seconds": 30,
            "db_lock_timeout_seconds": 20,
            "db_statement_timeout_seconds": 25,
            "kafka_bootstrap_servers": NO_KAFKA,
            "service_addresses": (f"product-service={products.server.url}",),
            **tokens.settings,
            **changes,
        }
    )


def process_environment_for(
    database: FreshDatabase, tokens: Issuer, products: Catalogue, kafka: str
) -> dict[str, str]:
    """The environment of an order-service that is a process."""
    return {
        "DB_HOST": database.host,
        "DB_PORT": str(database.port),
        "DB_NAME": database.name,
        "DB_USER": database.user,
        "DB_PASSWORD": database.password,
        "DB_POOL_WAIT_SECONDS": "20",
        "DB_CONNECT_TIMEOUT_SECONDS": "20",
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        # On a loaded machine a restart can take longer than the sweeper's patience.
        "ORDER_RESEND_AFTER_SECONDS": "3600",
        "SERVICE_ADDRESSES": f"product-service={products.server.url}",
        **tokens.environment,
    }


@dataclass
class Shop:
    """An order-service, and the tools to look into it."""

    service: Service[OrderSettings]
    parts: Parts
    client: httpx.AsyncClient
    tokens: Issuer
    products: Catalogue
    headers: dict[str, dict[str, str]] = field(default_factory=dict)

    def as_user(self, user: str) -> dict[str, str]:
        """Headers of a user who may do everything with orders."""
        if user not in self.headers:
            token = self.tokens.token(user, "orders:read", "orders:write")
            self.headers[user] = {"Authorization": f"Bearer {token}"}
        return self.headers[user]

    async def place(
        self, *lines: dict[str, Any], user: str = ALICE, key: str | None = None, **body: Any
    ) -> httpx.Response:
        """POST /api/orders; by default one of a new product."""
        wanted = list(lines) or [{"product_id": str(self.products.add()), "quantity": 1}]
        return await self.client.post(
            "/api/orders",
            json={"lines": wanted, **body},
            headers={**self.as_user(user), "Idempotency-Key": key or str(uuid4())},
        )

    async def placed(self, user: str = ALICE) -> UUID:
        """The id of a new order."""
        answer = await self.place(user=user)
        assert answer.status_code == 201, answer.text
        return UUID(answer.json()["order_id"])

    async def get(self, order_id: object, user: str = ALICE) -> httpx.Response:
        """GET /api/orders/{order_id}."""
        return await self.client.get(f"/api/orders/{order_id}", headers=self.as_user(user))

    async def cancel(self, order_id: object, user: str = ALICE) -> httpx.Response:
        """POST /api/orders/{order_id}/cancellation."""
        return await self.client.post(f"/api/orders/{order_id}/cancellation", headers=self.as_user(user))

    async def state(self, order_id: UUID) -> str:
        """Where the order stands, from the database."""
        found = await self.rows("SELECT state FROM orders WHERE order_id = %s", order_id)
        return str(found[0][0])

    async def told(self, order_id: UUID) -> list[tuple[str, int]]:
        """The events about an order in the outbox: (verb, sequence)."""
        found = await self.rows(
            "SELECT value FROM outbox WHERE key = %s AND topic = 'orders' ORDER BY id",
            str(order_id).encode(),
        )
        events = [json.loads(value) for (value,) in found]
        return [(event["type"].split(".")[3], event["data"]["sequence"]) for event in events]

    async def rows(self, query: str, *parameters: object) -> Sequence[tuple[Any, ...]]:
        """All rows of a query."""
        async with self.parts.database.transaction() as connection:
            return await (await connection.execute(query, parameters)).fetchall()

    async def execute(self, query: str, *parameters: object) -> None:
        """A statement without rows."""
        async with self.parts.database.transaction() as connection:
            await connection.execute(query, parameters)

    def metric(self, name: str, **labels: str) -> float:
        """A sample of the service's metrics."""
        return self.service.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def shop(
    database: FreshDatabase, tokens: Issuer, products: Catalogue, **changes: Any
) -> AsyncIterator[Shop]:
    """An order-service for the length of the block."""
    service = Service.of(settings_for(database, tokens, products, **changes))
    parts = assemble(service)
    app = service.app(title="Orders", routers=parts.routers)
    await parts.database.open()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://orders", timeout=60) as client:
            yield Shop(service, parts, client, tokens, products)
    finally:
        await parts.database.close()
        await service.transport.close()
