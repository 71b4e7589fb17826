"""The OpenAPI document, and that the bytes of the fast path are what it says."""

from __future__ import annotations

import json
from uuid import uuid4

import httpx
from mambogo_chassis.http.openapi import lint
from support.running import Running

from catalogue_support import draft
from mambogo_product.api import models
from mambogo_product.domain.products import Product


async def test_the_document_is_sound(shop: Running) -> None:
    document = (await shop.client.get("/openapi.json")).json()
    assert lint(document) == []
    assert set(document["paths"]) == {
        "/api/categories",
        "/api/products",
        "/api/products/{product_id}",
        "/api/products/{product_id}/prices",
        "/api/quotes",
    }


def test_the_cached_bytes_are_the_documented_model() -> None:
    product = Product(uuid4(), 3, draft(name='Zelt "Übermut"\n'))
    encoded = models.encode(product)
    assert models.ProductView.model_validate_json(encoded, strict=False) == models.ProductView.of(product)
    assert json.loads(encoded) == models.ProductView.of(product).model_dump(mode="json")


async def test_the_health_names_every_part(shop: Running) -> None:
    health: httpx.Response = await shop.client.get("/actuator/health")
    assert {"database", "kafka", "outbox", "redis"} <= health.json()["components"].keys()
