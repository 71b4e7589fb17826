"""What replacing a product's data comes to."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from catalogue_support import draft
from mambogo_product.domain.products import Product, replace

CURRENT = Product(uuid4(), 7, draft())


def test_the_same_data_is_the_same_version() -> None:
    change = replace(CURRENT, draft())
    assert (change.product, change.is_new_version, change.is_new_price) == (CURRENT, False, False)


@pytest.mark.parametrize(
    "difference", [{"name": "Tent"}, {"status": "DISCONTINUED"}, {"category": "camping"}, {"sku": "TENT-5P"}]
)
def test_other_data_is_a_new_version_at_the_old_price(difference: dict[str, Any]) -> None:
    change = replace(CURRENT, draft(**difference))
    assert (change.product.version, change.is_new_version, change.is_new_price) == (8, True, False)


@pytest.mark.parametrize("difference", [{"price_minor": 1}, {"currency": "CHF"}])
def test_another_amount_or_currency_is_a_new_price(difference: dict[str, Any]) -> None:
    change = replace(CURRENT, draft(**difference))
    assert (change.product.version, change.is_new_version, change.is_new_price) == (8, True, True)
