"""Adapter: the shop's operations by HTTP, through the edge and the gateway.

An answer that did not come is an answer, too: nothing here raises for it, and nothing is asked again.

By aiohttp and not by httpx, which the rest of the harness asks by: a request of httpx among a hundred others
that wait costs 5 ms of CPU and one of aiohttp 1 ms, and the flow shares its machine with the shop.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from rehearsal.shop.answers import Answer, Kind, kind_of
from rehearsal.shop.tokens import Tokens

ADMINISTRATOR = "administrator"
_TIMEOUT_SECONDS = 12.0  # longer than the gateway's longest deadline: it is the one to answer
_PAGE = 100
_MOST_CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order."""

    product_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class NewProduct:
    """A product that a run makes for itself."""

    sku: str
    name: str
    price_minor: int
    category: str = "rehearsal"
    currency: str = "EUR"


class Shop(Protocol):
    """What can be asked of the shop."""

    async def place_order(self, user: str, lines: Sequence[Line], *, key: str) -> Answer:
        """Place an order under an idempotency key."""

    async def order(self, user: str, order_id: str) -> Answer:
        """Get one order."""

    async def orders(self, user: str, cursor: str = "") -> Answer:
        """Get a page of a user's orders."""

    async def create_product(self, product: NewProduct) -> Answer:
        """Add a product to the catalogue."""

    async def set_stock(self, product_id: str, quantity: int) -> Answer:
        """Give a product its first stock."""


class HttpShop:
    """The gateway behind `Shop`."""

    def __init__(self, client: aiohttp.ClientSession, tokens: Tokens) -> None:
        self._client = client
        self._tokens = tokens

    async def sign_in(self, user: str) -> None:
        """Have a token of a user, which its next requests take."""
        await self._tokens.bearer(user)

    async def place_order(
        self, user: str, lines: Sequence[Line], *, key: str, traceparent: str = ""
    ) -> Answer:
        """Place an order under an idempotency key, in a trace of the caller's if one is named."""
        content = {"lines": [{"product_id": one.product_id, "quantity": one.quantity} for one in lines]}
        headers = {"Idempotency-Key": key} | ({"traceparent": traceparent} if traceparent else {})
        return await self._as(user, "POST", "/api/orders", json=content, headers=headers)

    async def order(self, user: str, order_id: str) -> Answer:
        """Get one order."""
        return await self._as(user, "GET", f"/api/orders/{order_id}")

    async def orders(self, user: str, cursor: str = "") -> Answer:
        """Get a page of a user's orders."""
        query = {"limit": str(_PAGE)} | ({"cursor": cursor} if cursor else {})
        return await self._as(user, "GET", "/api/orders", params=query)

    async def create_product(self, product: NewProduct) -> Answer:
        """Add a product to the catalogue."""
        content = {
            "sku": product.sku,
            "name": product.name,
            "category": product.category,
            "currency": product.currency,
            "price_minor": product.price_minor,
        }
        return await self._as(ADMINISTRATOR, "POST", "/api/products", json=content)

    async def set_stock(self, product_id: str, quantity: int) -> Answer:
        """Give a product its first stock."""
        path = f"/api/inventory/{product_id}"
        return await self._as(ADMINISTRATOR, "PUT", path, json={"initial": quantity})

    async def products(self, category: str, cursor: str = "") -> Answer:
        """Get a page of a category's products."""
        query = {"category": category, "limit": str(_PAGE)} | ({"cursor": cursor} if cursor else {})
        return await self._ask("GET", "/api/products", params=query)

    async def search(self, text: str) -> Answer:
        """Get products for sale that have each word of a text in name, SKU or category."""
        return await self._ask("GET", "/api/products", params={"q": text, "limit": str(_PAGE)})

    async def payments_of(self, user: str, order_id: str) -> Answer:
        """Get the payments of an order."""
        return await self._as(user, "GET", "/api/payments", params={"order_id": order_id})

    async def anonymous(self, method: str, path: str) -> Answer:
        """Ask without a token."""
        return await self._ask(method, path)

    async def _as(self, user: str, method: str, path: str, **content: Any) -> Answer:
        bearer = await self._tokens.bearer(user)
        headers = {**content.pop("headers", {}), "Authorization": f"Bearer {bearer}"}
        return await self._ask(method, path, headers=headers, **content)

    async def _ask(self, method: str, path: str, **content: Any) -> Answer:
        try:
            async with self._client.request(method, path, allow_redirects=False, **content) as answer:
                text = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return Answer(Kind.INFO, error=f"{type(error).__name__}: {error}")
        return Answer(
            kind_of(answer.status),
            answer.status,
            _body(text),
            answer.headers.get("X-Served-By", ""),
            cache=answer.headers.get("X-Cache", ""),
            request_id=answer.headers.get("X-Request-Id", ""),
            retry_after_seconds=_seconds(answer.headers.get("Retry-After", "")),
        )


def http_client(base_url: str) -> aiohttp.ClientSession:
    """Return a client of the edge; no proxy of this machine stands between."""
    return aiohttp.ClientSession(
        base_url or None,
        connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS),
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _body(text: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {"items": content}


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0
