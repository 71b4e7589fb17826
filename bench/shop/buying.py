"""Buyers: orders one at a time, or at a fixed rate whatever becomes of them (an open loop)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import aiohttp
from mambogo_testkit.issuing import Issuer

# Many enough that no user's list or limit is what is measured.
_USERS = 50
_LINES = 3
_TIMEOUT_SECONDS = 10.0


@dataclass
class Buyers:
    """What they placed: when each acknowledged order was sent, and how many requests had no order."""

    session: aiohttp.ClientSession
    url: str
    issuer: Issuer
    products: Sequence[str]
    sent_at: dict[str, float] = field(default_factory=dict)
    answered_seconds: list[float] = field(default_factory=list)
    refused: int = 0
    _headers: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        scopes = ("orders:read", "orders:write")
        for number in range(_USERS):
            token = self.issuer.token(str(UUID(int=number + 1)), *scopes, seconds=86_400)
            self._headers.append({"Authorization": f"Bearer {token}"})

    async def place(self) -> str | None:
        """One order of three lines; its id, or None where it was refused."""
        wanted = random.sample(self.products, _LINES)
        body = {"lines": [{"product_id": one, "quantity": 1} for one in wanted]}
        headers = random.choice(self._headers) | {"Idempotency-Key": str(uuid4())}  # noqa: S311 - no secret
        sent = time.time()
        try:
            async with self.session.post(f"{self.url}/api/orders", json=body, headers=headers) as answer:
                content = await answer.json()
                if answer.status != 201:
                    self.refused += 1
                    return None
        except (aiohttp.ClientError, TimeoutError):
            self.refused += 1
            return None
        self.answered_seconds.append(time.time() - sent)
        self.sent_at[content["order_id"]] = sent
        return str(content["order_id"])

    async def at_rate(self, rate: float, until: asyncio.Event) -> None:
        """Place orders at random moments, `rate` a second on average, until told to stop."""
        loop = asyncio.get_running_loop()
        under_way: set[asyncio.Task[str | None]] = set()
        due = loop.time()
        while not until.is_set():
            due += random.expovariate(rate)
            await asyncio.sleep(max(due - loop.time(), 0))
            task = asyncio.create_task(self.place())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)


def session() -> aiohttp.ClientSession:
    """As many connections as there are requests under way."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all are not above."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
