"""What order-service publishes, writes, reads and asks of others is what `contract-tests/` says."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from mambogo_chassis.service import Service
from mambogo_order.adapters.events import registry
from mambogo_order.adapters.quotes import Answer
from mambogo_order.domain.model import MAX_LINES
from mambogo_order.main import NAME, TITLE, assemble
from mambogo_order.settings import OrderSettings
from mambogo_testkit.contracts import IDLE_WITH_EVENTS, Call, Contract, differences, document_of

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


def test_the_committed_contracts_are_what_the_code_says() -> None:
    service = Service.of(OrderSettings(application_name=NAME, **IDLE_WITH_EVENTS))
    document = document_of(service, TITLE, assemble(service).routers)

    assert differences(Contract(NAME, document, registry, (QUOTES,))) == []
