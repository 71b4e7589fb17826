"""Administrators: products, stock and prices before the doors open, and changes of all of them afterwards."""

from __future__ import annotations

import asyncio
import random
from itertools import count
from typing import Any, Final
from uuid import uuid4

import aiohttp
from rehearsal.chaos.proving.operations import STOCK
from rehearsal.shop.answers import Kind

from mambogo_audit.asking import TIMEOUT_SECONDS, Asker, Entry, Request
from mambogo_audit.planning import LAST_UNITS, Stall
from mambogo_audit.shopping import Market

PRODUCTS: Final = 20
_PLENTY: Final = 1_000_000
_PRICES_MINOR: Final = (1_900, 2_100)
# Between two changes: a shop's catalogue is changed now and then, not all the time.
_PAUSE_SECONDS: Final = 0.5
# What is refused (a payment that was refunded meanwhile) is not asked for again and again.
_PATIENCE_SECONDS: Final = 15.0
_SCOPES: Final = ("products:write", "inventory:write", "inventory:read", "payments:write")


class Administrator:
    """One of them."""

    def __init__(self, market: Market, session: aiohttp.ClientSession, seed: int) -> None:
        token = market.issuer.token("administrator", *_SCOPES, roles=("shop-admin",), seconds=86_400)
        self._market = market
        self._asker = Asker(
            session, market.urls, market.history, process="administrator", token=token, attempts=count(1)
        )
        self._random = random.Random(f"{seed} administrator")  # noqa: S311 - a seed decides what is changed
        self._changes = 0

    async def stock_up(self, scarce: int) -> Stall:
        """Make all products, with plenty of most and the last units of `scarce` ones."""
        made = [await self._make(number, _PLENTY) for number in range(PRODUCTS)]
        few = [await self._make(PRODUCTS + number, LAST_UNITS) for number in range(scarce)]
        return Stall(made, few)

    async def run(self) -> None:
        """Change prices and stock, and give money back, until cancelled."""
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            self._changes += 1
            op_id = f"change-{self._changes}"
            # In turn: each service that keeps keys of administrators is asked as often as the others.
            match self._changes % 3:
                case 0:
                    await self._change_price(op_id)
                case 1:
                    await self._adjust_stock(op_id)
                case _ if self._market.unhappy:
                    await self._refund(op_id, self._market.unhappy.pop(0))

    async def _make(self, number: int, initial: int) -> str:
        op_id = f"product-{number}"
        body = _product(number, self._random.randint(*_PRICES_MINOR))
        made = await self._asker.ask(
            Entry("create_product", op_id, body), Request("POST", "product", "/api/products", body)
        )
        if made.kind is not Kind.OK:
            raise RuntimeError(f"no product was made: {made}")
        product_id = str(made.body["id"])
        stocked = await self._asker.ask(
            Entry("put_stock", op_id, {"product_id": product_id, "initial": initial}),
            Request("PUT", "inventory", f"/api/inventory/{product_id}", {"initial": initial}),
        )
        if stocked.kind is not Kind.OK:
            raise RuntimeError(f"no stock was put: {stocked}")
        return product_id

    async def _change_price(self, op_id: str) -> None:
        product_id = self._random.choice(self._market.stall.plenty)
        path = f"/api/products/{product_id}"
        entry = Entry("get_product", op_id, {"product_id": product_id})
        found = await self._asker.until_clear(entry, Request("GET", "product", path))
        if found.kind is not Kind.OK:
            return
        price_minor = self._random.randint(*_PRICES_MINOR)
        kept = {name: found.body[name] for name in ("sku", "name", "category", "currency", "status")}
        request = Request(
            "PUT",
            "product",
            path,
            {**kept, "price_minor": price_minor},
            headers={"If-Match": f'"{found.body["version"]}"'},
        )
        asked = {"product_id": product_id, "price_minor": price_minor}
        await self._asker.ask(Entry("change_price", op_id, asked), request)

    async def _adjust_stock(self, op_id: str) -> None:
        product_id = self._random.choice(self._market.stall.plenty)
        body = {"quantity": self._random.randint(1, 9), "reason": "delivery"}
        key = str(uuid4())
        path = f"/api/inventory/{product_id}"
        request = Request("POST", "inventory", f"{path}/adjustments", body, key)
        entry = Entry("adjust_stock", op_id, {"product_id": product_id, **body}, key)
        await self._asker.until_clear(entry, request)
        look = Entry(STOCK, op_id, {"product_id": product_id})
        await self._asker.ask(look, Request("GET", "inventory-2", path))

    async def _refund(self, op_id: str, payment_id: str) -> None:
        key = str(uuid4())
        request = Request(
            "POST", "payment", f"/api/payments/{payment_id}/refunds", {"reason": "unhappy"}, key
        )
        entry = Entry("refund", op_id, {"payment_id": payment_id}, key)
        await self._asker.until_clear(entry, request, patience_seconds=_PATIENCE_SECONDS)


def _product(number: int, price_minor: int) -> dict[str, Any]:
    return {
        "sku": f"AUDIT-{number:04}",
        "name": f"Product {number}",
        "category": "audit",
        "currency": "EUR",
        "price_minor": price_minor,
    }


def session() -> aiohttp.ClientSession:
    """For an administrator; a context manager."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
