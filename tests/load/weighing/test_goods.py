"""What is asked for is made first: an order that was confirmed, and a product of which nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import ignore
from rehearsal.load.weighing.goods import prepare
from rehearsal.shop.answers import Answer, Kind

from tests.shop.fakes import FakeShop

USER = "shopper-04"


class PaidShop(FakeShop):
    """A shop in memory with a payment for each order."""

    async def payments_of(self, user: str, order_id: str) -> Answer:
        """Get the payments of an order."""
        items: list[Mapping[str, Any]] = [{"payment_id": f"paid-{order_id}"}]
        return Answer(Kind.OK, 200, {"items": items})


def test_order_is_confirmed_and_paid_and_one_product_is_sold_out() -> None:
    shop = PaidShop()
    goods = asyncio.run(prepare(shop, USER, 10.0, ignore))
    assert shop.stored[goods.order_id] == {"order_id": goods.order_id, "user": USER, "state": "CONFIRMED"}
    assert goods.payment_id == f"paid-{goods.order_id}"
    assert (shop.stock[goods.product_id], shop.stock[goods.sold_out_id]) == (10, 0)


@pytest.mark.parametrize(
    "shop",
    [PaidShop(moves=lambda state: state), PaidShop(trouble=lambda number: Answer(Kind.INFO, 503))],
    ids=["stays", "refused"],
)
def test_without_a_confirmed_order_there_is_nothing_to_weigh(shop: PaidShop) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="an order was not confirmed"):
        asyncio.run(prepare(shop, USER, 0.3, ignore))
