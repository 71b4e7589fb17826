"""What cart-service publishes and asks of others is what `contract-tests/` says."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from mambogo_cart.adapters.orders import NewOrder, Placed, Problem
from mambogo_cart.adapters.quotes import Answer
from mambogo_cart.domain.cart import MAX_LINES
from mambogo_cart.main import NAME, TITLE, assemble
from mambogo_cart.settings import CartSettings
from mambogo_chassis.idempotency.store import MAX_KEY_CHARACTERS
from mambogo_chassis.service import Service
from mambogo_testkit.contracts import IDLE, Call, Contract, differences, document_of

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


def test_the_committed_contracts_are_what_the_code_says() -> None:
    service = Service.of(CartSettings(application_name=NAME, redis_host="127.0.0.1", **IDLE))
    document = document_of(service, TITLE, assemble(service).routers)

    assert differences(Contract(NAME, document, calls=(QUOTES, ORDERS))) == []
