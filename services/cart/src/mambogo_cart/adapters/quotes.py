"""What products are called and cost now, asked of product-service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from mambogo_cart.domain.cart import Price
from mambogo_chassis.client import HttpClient, UpstreamError
from mambogo_chassis.http.types import MAX_INTEGER

_ON_SALE: Final = "ACTIVE"


class QuotesUnavailableError(Exception):
    """Product-service did not answer, or not with quotes."""


class _Item(msgspec.Struct):
    product_id: UUID
    name: str
    currency: str
    price_minor: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
    status: str


class Answer(msgspec.Struct):
    """What is read of product-service's answer; the rest is passed over."""

    items: list[_Item]


class ProductQuotes:
    """product-service, as far as cart-service knows it. `timeout_seconds` is asked at each call."""

    def __init__(self, client: HttpClient, timeout_seconds: Callable[[], float]) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds

    async def ask(self, product_ids: Sequence[UUID]) -> Mapping[UUID, Price]:
        """What is known of them; what does not exist is left out. Raises QuotesUnavailableError."""
        query = urlencode([("product_id", str(product_id)) for product_id in product_ids])
        try:
            reply = await self._client.call(
                "GET", f"/api/quotes?{query}", timeout_seconds=self._timeout_seconds()
            )
        except UpstreamError as error:
            raise QuotesUnavailableError(str(error)) from error
        if reply.status != 200:
            raise QuotesUnavailableError(f"product-service answered {reply.status}")
        try:
            answer = msgspec.json.decode(reply.body, type=Answer)
        except msgspec.DecodeError as error:
            raise QuotesUnavailableError(f"product-service answered what is no quote: {error}") from error
        now = _now()
        return {
            item.product_id: Price(item.name, item.currency, item.price_minor, item.status == _ON_SALE, now)
            for item in answer.items
        }


def _now() -> datetime:
    """In whole milliseconds, as it is stored: what is shown now must be what is shown later."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
