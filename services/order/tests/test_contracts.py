"""What order-service writes, reads and asks of others is what `contract-tests/` says."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from mambogo_order.adapters.events import registry
from mambogo_order.adapters.quotes import Answer
from mambogo_order.domain.model import MAX_LINES
from mambogo_order.main import NAME
from mambogo_testkit.contracts import Call, differences

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


def test_the_committed_contracts_are_what_the_models_say() -> None:
    assert differences(NAME, registry, [QUOTES]) == []
