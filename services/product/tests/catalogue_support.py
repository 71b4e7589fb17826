"""What the tests of product-service share: tables, settings, drafts, and the service itself running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.redis import RedisSpace
from support.data import database_settings, event_settings
from support.issuer import AUDIENCE, CLIENT, REALM, Issuer
from support.running import Running, Settings, make_service, running

from mambogo_product.domain.products import Draft
from mambogo_product.settings import Settings as ProductSettings
from mambogo_product.wiring import build

MIGRATIONS = Path(__file__).parents[1] / "migrations"
ADMINISTRATOR: dict[str, Any] = {"scope": "products:write", "realm_access": {"roles": ["shop-admin"]}}


class CatalogueSettings(Settings, ProductSettings):
    """The settings with the tests' defaults: any port, no waiting, patience with a loaded machine."""

    redis_connect_timeout_seconds: float = 10.0
    redis_timeout_seconds: float = 10.0
    redis_pool_wait_seconds: float = 10.0


def redis_settings(space: RedisSpace) -> dict[str, Any]:
    """Where a test's Redis is."""
    return {
        "redis_host": space.host,
        "redis_port": space.port,
        "redis_database": space.number,
        "redis_password": urlsplit(space.url).password,
    }


def settings(
    tokens: Issuer, database: FreshDatabase, space: RedisSpace, bootstrap_servers: str, **changes: Any
) -> CatalogueSettings:
    """Settings for one instance."""
    values: dict[str, Any] = {
        "application_name": "product-service",
        "issuer_url": REALM,
        "jwks_url": tokens.jwks_url,
        "audience": AUDIENCE,
        "authorized_parties": (CLIENT,),
        **dict(database_settings(database)),
        **dict(event_settings(bootstrap_servers)),
        **redis_settings(space),
        **changes,
    }
    return CatalogueSettings(**values)


@asynccontextmanager
async def serving(used: CatalogueSettings) -> AsyncIterator[Running]:
    """product-service, answering."""
    service = make_service(used)
    async with running(*build(service), service=service) as made:
        yield made


def draft(**changes: Any) -> Draft:
    """A tent."""
    values: dict[str, Any] = {
        "sku": "TENT-4P",
        "name": "Tent for four",
        "description": "Stays dry.",
        "category": "tents",
        "currency": "EUR",
        "price_minor": 24_900,
        "status": "ACTIVE",
        **changes,
    }
    return Draft(**values)


def body(**changes: Any) -> dict[str, Any]:
    """What an administrator sends for a tent."""
    made = draft(**changes)
    return {name: getattr(made, name) for name in Draft.__slots__}


async def create(shop: Running, administrator: dict[str, str], **changes: Any) -> dict[str, Any]:
    """Add a product and return it."""
    made = await shop.client.post("/api/products", json=body(**changes), headers=administrator)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"/api/products/{made.json()['id']}"
    product: dict[str, Any] = made.json()
    return product
