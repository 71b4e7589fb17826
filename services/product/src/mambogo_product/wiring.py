"""Puts the parts of product-service together; the only module that knows them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import APIRouter
from mambogo_chassis.database import Database, use_database
from mambogo_chassis.events import use_events
from mambogo_chassis.redis import use_redis
from mambogo_chassis.service import Service

from mambogo_product.adapters import events, tables
from mambogo_product.adapters.cache import Load, ProductCache
from mambogo_product.adapters.entries import Entries, Entry
from mambogo_product.api import models
from mambogo_product.api.routes import routes
from mambogo_product.service.catalogue import Catalogue
from mambogo_product.settings import Settings

NAME = "product-service"
TITLE = "Products"


def build(service: Service[Settings]) -> list[APIRouter]:
    """Register what the service runs on; its routers."""
    database = use_database(service)
    made = use_events(service, database, events.registry)
    redis = use_redis(service)
    cache = ProductCache(
        Entries(redis),
        _loading(database),
        fresh_seconds=lambda: service.settings.current.cache_fresh_seconds,
        metrics=service.metrics,
    )
    service.resource("product-cache", lambda: _closing(cache))
    service.task("product-cache", cache.run)
    catalogue = Catalogue(database, made.outbox, cache, encode=models.encode, metrics=service.metrics)
    return routes(catalogue, lambda: service.settings.current.edge_cache_seconds)


def _loading(database: Database) -> Load:
    async def load(product_id: UUID) -> Entry | None:
        async with database.transaction() as connection:
            product = await tables.find(connection, product_id)
        return Entry(product.version, models.encode(product)) if product is not None else None

    return load


@asynccontextmanager
async def _closing(cache: ProductCache) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await cache.close()
