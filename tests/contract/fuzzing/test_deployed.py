"""Who may what, by the committed documents: what shoppers must never succeed in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rehearsal.contract.fuzzing.deployed import PARTS, forbidden

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("service", "operations"),
    [
        ("product-service", {"POST /api/products", "PUT /api/products/{product_id}"}),
        ("cart-service", set()),
        ("order-service", set()),
        (
            "inventory-service",
            {"PUT /api/inventory/{product_id}", "POST /api/inventory/{product_id}/adjustments"},
        ),
        ("payment-service", {"POST /api/payments/{payment_id}/refunds"}),
    ],
)
def test_what_needs_more_than_a_shoppers_token_is_forbidden_to_shoppers(
    service: str, operations: set[str]
) -> None:
    path = ROOT / "contract-tests" / "openapi" / f"{service}.json"

    assert {*forbidden(json.loads(path.read_text(encoding="utf-8")))} == operations


def test_every_service_has_a_configuration() -> None:
    assert all((ROOT / part.config).is_file() for part in PARTS)
