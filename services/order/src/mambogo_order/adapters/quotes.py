"""What products cost now, asked of product-service.

Asked outside of any transaction and within the request's deadline. Whatever keeps product-service from
answering becomes one answer: not now, come again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from mambogo_chassis.client import HttpClient, UpstreamError
from mambogo_chassis.http.problems import Problem, unavailable
from mambogo_order.domain.model import MAX_TOTAL_MINOR
from mambogo_order.domain.placing import Quote

_ON_SALE: Final = "ACTIVE"

logger = logging.getLogger(__name__)


class _Item(msgspec.Struct):
    product_id: UUID
    currency: str
    price_minor: Annotated[int, msgspec.Meta(ge=1, le=MAX_TOTAL_MINOR)]
    status: str


class Answer(msgspec.Struct):
    """What is read of product-service's answer; the rest is passed over."""

    items: list[_Item]


class ProductQuotes:
    """product-service, as far as order-service knows it."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def ask(self, product_ids: Sequence[UUID]) -> Mapping[UUID, Quote]:
        """Quotes of those that are on sale. Raises a 503 Problem, and DeadlineExceededError."""
        query = urlencode([("product_id", str(product_id)) for product_id in product_ids])
        try:
            reply = await self._client.call("GET", f"/api/quotes?{query}")
        except UpstreamError as error:
            raise _not_now(str(error)) from error
        if reply.status != 200:
            raise _not_now(f"product-service answered {reply.status}")
        try:
            answer = msgspec.json.decode(reply.body, type=Answer)
        except msgspec.DecodeError as error:
            raise _not_now(f"product-service answered what is no quote: {error}") from error
        return {
            item.product_id: Quote(item.product_id, item.currency, item.price_minor)
            for item in answer.items
            if item.status == _ON_SALE
        }


def _not_now(why: str) -> Problem:
    logger.warning("no quotes: %s", why)
    return unavailable("Prices cannot be asked for now.")
