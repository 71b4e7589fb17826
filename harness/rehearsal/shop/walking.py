"""One order through the whole shop, hop by hop, as a person would try it.

Times of the hops inside of the shop are those of its own history; everything else is measured here, from
outside: how it divides is in the shop's logs, under the request's id.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from time import monotonic
from typing import Protocol, TypeVar

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.client import Line

_Answered = TypeVar("_Answered")

GOOD_END = "CONFIRMED"
_BAD_ENDS = ("REJECTED", "CANCELLED")
_ENDS = (GOOD_END, *_BAD_ENDS)
_LOOK_SECONDS = 0.1
# Who moves an order to a state (services/README.md).
_MOVERS = {
    "RESERVED": "inventory-service reserves its goods",
    "CONFIRMED": "payment-service takes the money",
    "REJECTED": "it is refused",
    "CANCELLED": "it is given up",
}


class Counter(Protocol):
    """The part of the shop that is needed here."""

    async def anonymous(self, method: str, path: str) -> Answer:
        """Ask without a token."""

    async def sign_in(self, user: str) -> None:
        """Have a token of a user. Raises EnvironmentNotReadyError when none can be had."""

    async def place_order(self, user: str, lines: list[Line], *, key: str, traceparent: str) -> Answer:
        """Place an order under an idempotency key, in the caller's trace."""

    async def order(self, user: str, order_id: str) -> Answer:
        """Get one order."""

    async def payments_of(self, user: str, order_id: str) -> Answer:
        """Get the payments of an order."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A step of the way; `good` is false where it went wrong."""

    what: str
    seconds: float
    said: str
    good: bool = True
    cache: str = ""  # what the edge said about it
    request_id: str = ""  # empty for what was no request, and for what the edge had kept


@dataclass(frozen=True, slots=True)
class Walk:
    """One customer's way through the shop."""

    shop: Counter
    user: str
    product_id: str
    key: str
    end_seconds: float  # how long the order may take to its end
    # Of the order; the shop records it whatever share it samples of others.
    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))

    async def hops(self) -> AsyncIterator[Hop]:
        """Yield the hops as they are gone; the first that is not good is the last.

        Raises EnvironmentNotReadyError when nobody answers.
        """
        looked, seconds = await _timed(self.shop.anonymous("GET", f"/api/products/{self.product_id}"))
        yield _hop("look at the product", seconds, looked)
        if looked.kind is not Kind.OK:
            return
        # Apart from the order, which would seem to have taken the identity provider's time.
        _, seconds = await _timed(self.shop.sign_in(self.user))
        yield Hop("sign in", seconds, f"Keycloak gives {self.user} a token")
        lines = [Line(self.product_id, 1)]
        asking = self.shop.place_order(self.user, lines, key=self.key, traceparent=self._traceparent())
        placed, seconds = await _timed(asking)
        yield _hop("place the order", seconds, placed)
        if placed.kind is not Kind.OK:
            return
        order_id = str(placed.body.get("order_id", ""))
        if not order_id:
            yield Hop("follow the order", 0.0, "the answer has no order_id", good=False)
            return
        async for hop in self._inside(order_id):
            yield hop

    def _traceparent(self) -> str:
        return f"00-{self.trace_id}-{secrets.token_hex(8)}-01"

    async def _inside(self, order_id: str) -> AsyncIterator[Hop]:
        order, seconds = await _timed(self._followed(order_id))
        state = str(order.body.get("state", ""))
        for before, step in pairwise(_history(order)):
            seconds_inside = (step[1] - before[1]).total_seconds()
            yield Hop(_MOVERS[step[0]], seconds_inside, step[0], step[0] not in _BAD_ENDS)
        if state not in _ENDS:
            yield Hop("wait for its end", seconds, f"still {state or order}", good=False)
        if state != GOOD_END:
            return
        paid, seconds = await _timed(self.shop.payments_of(self.user, order_id))
        yield _hop("look at the payment", seconds, paid, _payment(paid))

    async def _followed(self, order_id: str) -> Answer:
        until = monotonic() + self.end_seconds
        while True:
            order = await self.shop.order(self.user, order_id)
            if order.body.get("state") in _ENDS or monotonic() > until:
                return order
            await asyncio.sleep(_LOOK_SECONDS)


async def _timed(asking: Awaitable[_Answered]) -> tuple[_Answered, float]:
    started = monotonic()
    return await asking, monotonic() - started


def _hop(what: str, seconds: float, answer: Answer, said: str = "") -> Hop:
    if answer.status is None:
        raise EnvironmentNotReadyError(
            "SHOP_SILENT",
            f"{what}: no answer from the edge ({answer.error})",
            hint="`rehearsal up --ci` brings the shop up; `kubectl get pods -A` shows what is there.",
        )
    by = f", served by {answer.pod}" if answer.pod else ""
    cache = f", cache {answer.cache}" if answer.cache else ""
    said = (said or str(answer)) + by + cache
    return Hop(what, seconds, said, answer.kind is Kind.OK, answer.cache, answer.request_id)


def _history(order: Answer) -> list[tuple[str, datetime]]:
    steps = [(str(one["state"]), datetime.fromisoformat(one["at"])) for one in order.body.get("history", ())]
    # An event that was sent again stands there once more, in the same state.
    return [step for number, step in enumerate(steps) if number == 0 or step[0] != steps[number - 1][0]]


def _payment(answer: Answer) -> str:
    states = [str(one.get("state", one.get("status", ""))) for one in answer.body.get("items", ())]
    return ", ".join(states) or str(answer)
