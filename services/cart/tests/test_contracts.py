"""What cart-service asks of others is what `contract-tests/` says."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from mambogo_cart.adapters.orders import NewOrder, Placed, Problem
from mambogo_cart.adapters.quotes import Answer
from mambogo_cart.domain.cart import MAX_LINES
from mambogo_cart.main import NAME
from mambogo_chassis.events import EventRegistry
from mambogo_chassis.idempotency.store import MAX_KEY_CHARACTERS
from mambogo_testkit.contracts import Call, differences

Key = Annotated[str, msgspec.Meta(pattern="^[!-~]+$", min_length=1, max_length=MAX_KEY_CHARACTERS)]
QUOTES = Call(
    "product-service",
    "GET /api/quotes",
    parameters={
        "query product_id": msgspec.json.schema(
            Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=MAX_LINES)]
        )
    },
    answers={"200": msgspec.json.schema(Answer)},
)
ORDERS = Call(
    "order-service",
    "POST /api/orders",
    parameters={"header Idempotency-Key": msgspec.json.schema(Key)},
    body=msgspec.json.schema(NewOrder),
    answers={"201": msgspec.json.schema(Placed), "4XX": msgspec.json.schema(Problem)},
)


def test_the_committed_contracts_are_what_the_models_say() -> None:
    assert differences(NAME, EventRegistry(), [QUOTES, ORDERS]) == []
