"""Placing an order in the user's name.

Order-service checks the user's token itself; the key makes any number of tries one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import msgspec

from mambogo_cart.domain.cart import MAX_LINES, MAX_QUANTITY
from mambogo_chassis.client import HttpClient, UpstreamError
from mambogo_chassis.http.deadlines import DeadlineExceededError
from mambogo_chassis.http.types import MAX_INTEGER

_PROBLEM: Final = "urn:mambogo:problem:"


class OrdersUnavailableError(Exception):
    """Order-service gave no answer that settles anything: the order may exist, or not. Ask again."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no order: order-service's status, its problem's code, and what it says."""

    status: int
    code: str
    detail: str


class NewLine(msgspec.Struct):
    """A line of the order that a cart asks for, at the price that it shows."""

    product_id: UUID
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MAX_QUANTITY)]
    expected_unit_price_minor: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]


class NewOrder(msgspec.Struct):
    """The order that a cart asks for."""

    lines: Annotated[list[NewLine], msgspec.Meta(min_length=1, max_length=MAX_LINES)]


class Placed(msgspec.Struct):
    """An order that exists; the part of it that a cart's user is shown."""

    order_id: UUID
    state: str
    currency: str
    total_minor: int


class Problem(msgspec.Struct):
    """What is read of a refusal."""

    type: str = ""
    detail: str | None = None


def encoded(lines: Sequence[dict[str, object]]) -> bytes:
    """The body of an order with `lines`, as `order_lines` makes them."""
    return msgspec.json.encode(msgspec.convert({"lines": lines}, NewOrder))


class OrderService:
    """order-service, as far as cart-service knows it."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def place(self, body: bytes, *, key: str, token: str) -> Placed | Refusal:
        """Place the order under `key`. Raises OrdersUnavailableError."""
        try:
            reply = await self._client.call(
                "POST", "/api/orders", json=msgspec.Raw(body), idempotency_key=key, token=token
            )
        except (UpstreamError, DeadlineExceededError) as error:
            raise OrdersUnavailableError(str(error)) from error
        try:
            if reply.status == 201:
                return msgspec.json.decode(reply.body, type=Placed)
            if 400 <= reply.status < 500 and reply.status not in (408, 425, 429):
                problem = msgspec.json.decode(reply.body, type=Problem)
                return Refusal(reply.status, problem.type.removeprefix(_PROBLEM), problem.detail or "")
        except msgspec.DecodeError as error:
            raise OrdersUnavailableError(f"order-service answered {reply.status} and no JSON") from error
        raise OrdersUnavailableError(f"order-service answered {reply.status}")
