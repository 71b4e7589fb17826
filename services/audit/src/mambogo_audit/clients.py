"""Shoppers: 32 at once place orders, repeat them, look at them, cancel some, and write down what they saw."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp
from mambogo_testkit.issuing import Issuer
from rehearsal.shop.answers import Kind, kind_of
from rehearsal.shop.history import History

ENDED: Final = ("CONFIRMED", "REJECTED", "CANCELLED")
# A shopper's patience with one order, placed and ended; beyond any restart.
_PATIENCE_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 0.2
_TIMEOUT_SECONDS: Final = 10.0
_SHOPPER: Final = ("orders:read", "orders:write", "inventory:read", "payments:read")
_KEPT: Final = (
    "order_id",
    "state",
    "reason",
    "total_minor",
    "currency",
    "initial",
    "on_hand",
    "reserved",
    "sold",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    kind: Kind
    status: int | None
    body: Mapping[str, Any]


class Shoppers:
    """All of them, on one history."""

    def __init__(
        self,
        urls: Mapping[str, str],
        issuer: Issuer,
        history: History,
        products: Sequence[str],
        raced: Sequence[str],
    ) -> None:
        self._urls = urls
        self._issuer = issuer
        self._history = history
        self._products = products
        self._raced = raced
        self._number = 0

    async def run(self, orders: int, clients: int, seed: int) -> None:
        """Place so many orders, by so many at once, and see each of them end."""
        numbers = iter(range(orders))
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:

            async def shop(client: int) -> None:
                shopper = _Shopper(self, session, client)
                for number in numbers:
                    draw = random.Random(f"{seed} {number}")  # noqa: S311 - a seed decides what is bought
                    await shopper.buy(number, draw)

            await asyncio.gather(*(shop(client) for client in range(clients)))


class _Shopper:
    """One of them: one thing after the other."""

    def __init__(self, all_: Shoppers, session: aiohttp.ClientSession, client: int) -> None:
        self._all = all_
        self._session = session
        self._process = f"shopper-{client}"
        token = all_._issuer.token(str(UUID(int=client + 1)), *_SHOPPER, seconds=86_400)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._attempts = 0

    async def buy(self, number: int, draw: random.Random) -> None:
        raced = draw.random() < 0.05
        wanted = draw.sample(list(self._all._products), draw.randint(1, 3))
        lines = (
            [[draw.choice(self._all._raced), 1]] if raced else [[one, draw.randint(1, 3)] for one in wanted]
        )
        op_id, key = f"order-{number}", str(uuid4())
        placed = await self._until_clear(op_id, key, lines)
        if placed.kind is not Kind.OK:
            return
        order_id = str(placed.body["order_id"])
        if draw.random() < 0.1:
            await self._place(op_id, key, lines)
        if draw.random() < 0.05:
            await self._place(op_id, key, [[wanted[0], 999]])
        if not raced and draw.random() < 0.1:
            await self._cancel(op_id, order_id)
        await self._see_it_end(op_id, order_id)
        if raced:
            await self._stock(op_id, str(lines[0][0]))

    async def _until_clear(self, op_id: str, key: str, lines: list[list[Any]]) -> Answer:
        loop = asyncio.get_running_loop()
        end = loop.time() + _PATIENCE_SECONDS
        while True:
            answer = await self._place(op_id, key, lines)
            if answer.kind is not Kind.INFO or loop.time() > end:
                return answer
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _see_it_end(self, op_id: str, order_id: str) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + _PATIENCE_SECONDS
        while loop.time() < end:
            path = f"/api/orders/{order_id}"
            answer = await self._ask("get_order", op_id, "GET", "order", path, {"order_id": order_id})
            if answer.kind is Kind.OK and answer.body.get("state") in ENDED:
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _place(self, op_id: str, key: str, lines: list[list[Any]]) -> Answer:
        body = {"lines": [{"product_id": one, "quantity": quantity} for one, quantity in lines]}
        return await self._ask(
            "place_order", op_id, "POST", "order", "/api/orders", {"lines": lines}, body, key
        )

    async def _cancel(self, op_id: str, order_id: str) -> None:
        path = f"/api/orders/{order_id}/cancellation"
        await self._ask("cancel_order", op_id, "POST", "order", path, {"order_id": order_id}, None, "")

    async def _stock(self, op_id: str, product_id: str) -> None:
        path = f"/api/inventory/{product_id}"
        await self._ask("get_stock", op_id, "GET", "inventory", path, {"product_id": product_id})

    async def _ask(
        self,
        f: str,
        op_id: str,
        method: str,
        service: str,
        path: str,
        asked: Mapping[str, Any],
        body: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> Answer:
        self._attempts += 1
        said: dict[str, Any] = {
            "process": self._process,
            "op_id": op_id,
            "f": f,
            "idem_key": key,
            "req_hash": hashlib.sha256(repr(asked).encode()).hexdigest()[:16],
            "attempt": self._attempts,
        }
        history = self._all._history
        history.append(type="invoke", value=asked, **said)
        headers = {**self._headers, **({"Idempotency-Key": key} if key else {})}
        try:
            async with self._session.request(
                method, f"{self._all._urls[service]}{path}", json=body, headers=headers
            ) as reply:
                content = await reply.json(content_type=None)
                answer = Answer(kind_of(reply.status), reply.status, content or {})
        except (aiohttp.ClientError, TimeoutError, ValueError):
            answer = Answer(Kind.INFO, None, {})
        value = {name: answer.body[name] for name in _KEPT if name in answer.body}
        history.append(type=answer.kind.value, value=value, http_status=answer.status, **said)
        return answer
