"""What is published agrees with the domain, and says all that may be answered."""

from __future__ import annotations

from typing import get_args

from mambogo_chassis.http.app import create_app
from mambogo_chassis.http.openapi import lint
from mambogo_order.api.models import Currency
from mambogo_order.domain.model import CURRENCIES
from support.shop import Shop


def test_the_published_currencies_are_the_known_ones() -> None:
    assert get_args(Currency) == CURRENCIES


async def test_the_document_has_nothing_to_stumble_over(orders: Shop) -> None:
    app = create_app(title="Orders", version="1", routers=orders.parts.routers)
    assert lint(app.openapi()) == []
