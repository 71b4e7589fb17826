"""What is published says all that may be answered."""

from __future__ import annotations

from mambogo_chassis.http.app import create_app
from mambogo_chassis.http.openapi import lint
from support.shop import Shop


async def test_the_document_has_nothing_to_stumble_over(carts: Shop) -> None:
    app = create_app(title="Carts", version="1", routers=carts.parts.routers)
    assert lint(app.openapi()) == []
