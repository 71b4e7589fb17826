"""cart-service as an application on a real Redis, between a product-service and an order-service to play."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
from pydantic import SecretStr

from mambogo_cart.main import NAME, Parts, assemble
from mambogo_cart.settings import CartSettings
from mambogo_chassis.service import Service
from mambogo_testkit.issuing import Issuer
from mambogo_testkit.peers import Peer, PeerReply, PeerRequest, peer

ALICE = "8d0b2f3e-alice"
BOB = "1f4c7a90-bob"
PRICE_MINOR = 1250


@dataclass
class Catalogue:
    """A product-service: its products by id, as (price, currency, status)."""

    server: Peer
    products: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    is_away: bool = False

    def add(self, price_minor: int = PRICE_MINOR, currency: str = "EUR", status: str = "ACTIVE") -> UUID:
        """A product."""
        product_id = uuid4()
        self.products[str(product_id)] = (price_minor, currency, status)
        return product_id

    def answer(self, request: PeerRequest) -> PeerReply:
        """What product-service answers to a request for quotes."""
        if self.is_away:
            return PeerReply(503)
        asked = request.query["product_id"]
        known = [product_id for product_id in asked if product_id in self.products]
        items = [quote(product_id, *self.products[product_id]) for product_id in known]
        return PeerReply(200, {"items": items, "unknown": [name for name in asked if name not in known]})


def quote(product_id: str, price_minor: int, currency: str, status: str) -> dict[str, object]:
    """A quote as product-service writes it."""
    return {
        "product_id": product_id,
        "sku": f"SKU-{product_id[:8]}",
        "name": "Mug",
        "currency": currency,
        "price_minor": price_minor,
        "status": status,
    }


@dataclass
class Orders:
    """An order-service: orders by key, one for each, and what it does instead when a test says so."""

    server: Peer
    catalogue: Catalogue
    by_key: dict[str, tuple[bytes, dict[str, Any]]] = field(default_factory=dict)
    instead: list[PeerReply] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def answer(self, request: PeerRequest) -> PeerReply:
        """POST /api/orders, as order-service does it."""
        if self.instead:
            return self.instead.pop(0)
        key = request.headers["idempotency-key"]
        with self._lock:
            if key not in self.by_key:
                lines = request.json()["lines"]
                prices = [self.catalogue.products[line["product_id"]][0] for line in lines]
                if [line["expected_unit_price_minor"] for line in lines] != prices:
                    return problem(409, "price-changed")
                total = sum(line["quantity"] * price for line, price in zip(lines, prices, strict=True))
                self.by_key[key] = (request.body, _order(total))
            body, order = self.by_key[key]
        return PeerReply(201, order) if body == request.body else problem(422, "idempotency-key-reused")


def problem(status: int, code: str) -> PeerReply:
    """A problem as order-service writes it."""
    content = {"type": f"urn:mambogo:problem:{code}", "status": status, "detail": "So it is."}
    return PeerReply(status, content, {"Content-Type": "application/problem+json"})


def _order(total_minor: int) -> dict[str, Any]:
    return {
        "order_id": str(uuid4()),
        "state": "PENDING",
        "currency": "EUR",
        "total_minor": total_minor,
        "lines": [],
        "history": [],
    }


@dataclass
class Neighbours:
    """Both of them."""

    catalogue: Catalogue
    orders: Orders

    @property
    def addresses(self) -> tuple[str, ...]:
        """For the settings."""
        return (
            f"product-service={self.catalogue.server.url}",
            f"order-service={self.orders.server.url}",
        )


@contextmanager
def neighbours() -> Iterator[Neighbours]:
    """A product-service and an order-service for the length of the block."""

    def not_yet(request: PeerRequest) -> PeerReply:
        return PeerReply(503)

    with peer(not_yet) as products, peer(not_yet) as orders:
        catalogue = Catalogue(products)
        made = Neighbours(catalogue, Orders(orders, catalogue))
        products.behaviour = catalogue.answer
        orders.behaviour = made.orders.answer
        yield made


@dataclass
class Shop:
    """A cart-service, and the tools to look into it."""

    service: Service[CartSettings]
    parts: Parts
    client: httpx.AsyncClient
    tokens: Issuer
    neighbours: Neighbours
    headers: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def catalogue(self) -> Catalogue:
        """Product-service."""
        return self.neighbours.catalogue

    @property
    def orders(self) -> Orders:
        """Order-service."""
        return self.neighbours.orders

    def as_user(self, user: str) -> dict[str, str]:
        """Headers of a user who may fill and order a cart."""
        if user not in self.headers:
            token = self.tokens.token(user, "carts:write", "orders:write")
            self.headers[user] = {"Authorization": f"Bearer {token}"}
        return self.headers[user]

    async def get(self, user: str = ALICE) -> dict[str, Any]:
        """The user's cart."""
        answer = await self.client.get("/api/carts/current", headers=self.as_user(user))
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    async def put(self, product_id: object, quantity: object = 1, user: str = ALICE) -> httpx.Response:
        """PUT an item."""
        return await self.client.put(
            f"/api/carts/current/items/{product_id}",
            json={"quantity": quantity},
            headers=self.as_user(user),
        )

    async def filled(self, *prices: int, user: str = ALICE) -> list[UUID]:
        """A cart with one of each of new products."""
        products = [self.catalogue.add(price) for price in prices or (PRICE_MINOR,)]
        for product_id in products:
            assert (await self.put(product_id, user=user)).status_code == 200
        return products

    async def remove(self, product_id: object, user: str = ALICE) -> int:
        """DELETE an item; the status."""
        answer = await self.client.delete(
            f"/api/carts/current/items/{product_id}", headers=self.as_user(user)
        )
        return answer.status_code

    async def check_out(self, user: str = ALICE) -> httpx.Response:
        """POST the checkout."""
        return await self.client.post("/api/carts/current/checkout", headers=self.as_user(user))

    def metric(self, name: str, **labels: str) -> float:
        """A sample of the service's metrics."""
        return self.service.metrics.registry.get_sample_value(name, labels) or 0.0


def settings_for(redis_url: str, tokens: Issuer, addresses: tuple[str, ...], **changes: Any) -> CartSettings:
    """Settings on real parts; patient where a loaded machine would time out, and with no price ever fresh."""
    parts = urlsplit(redis_url)
    return CartSettings(
        **{
            "application_name": NAME,
            "redis_host": parts.hostname,
            "redis_port": parts.port,
            "redis_password": SecretStr(parts.password) if parts.password else None,
            "redis_database": int(parts.path.strip("/") or 0),
            "redis_timeout_seconds": 20,
            "redis_connect_timeout_seconds": 20,
            "redis_pool_wait_seconds": 20,
            "price_fresh_seconds": 0,
            "price_timeout_seconds": 20,
            "service_addresses": addresses,
            **tokens.settings,
            **changes,
        }
    )


def process_environment_for(redis_url: str, tokens: Issuer, addresses: tuple[str, ...]) -> dict[str, str]:
    """The environment of a cart-service that is a process."""
    parts = urlsplit(redis_url)
    return {
        "REDIS_HOST": str(parts.hostname),
        "REDIS_PORT": str(parts.port),
        "REDIS_PASSWORD": parts.password or "",
        "REDIS_DATABASE": parts.path.strip("/") or "0",
        "REDIS_TIMEOUT_SECONDS": "20",
        "REDIS_POOL_WAIT_SECONDS": "20",
        "PRICE_TIMEOUT_SECONDS": "20",
        "SERVICE_ADDRESSES": ",".join(addresses),
        **tokens.environment,
    }


@asynccontextmanager
async def shop(settings: CartSettings, tokens: Issuer, near: Neighbours) -> AsyncIterator[Shop]:
    """A cart-service for the length of the block."""
    service = Service.of(settings)
    parts = assemble(service)
    app = service.app(title="Carts", routers=parts.routers)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://carts", timeout=60) as client:
            yield Shop(service, parts, client, tokens, near)
    finally:
        await parts.redis.aclose()
        await service.transport.close()
