"""Goods in the shop, once and for all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.client import NewProduct
from rehearsal.shop.seeding import CATEGORY, product, seed

_PAGE = 3  # small, so that the shop answers in pages


@dataclass
class FakeWarehouse:
    """A shop that keeps products and stock, and breaks when it is told to."""

    ids: dict[str, str] = field(default_factory=dict)  # by SKU
    stock: dict[str, int] = field(default_factory=dict)
    writes: int = 0
    breaks_at_write: int | None = None

    async def products(self, category: str, cursor: str = "") -> Answer:
        assert category == CATEGORY
        start = int(cursor or 0)
        every = [{"sku": sku, "id": product_id} for sku, product_id in sorted(self.ids.items())]
        after = start + _PAGE
        body = {"items": every[start:after], "next_cursor": str(after) if after < len(every) else None}
        return Answer(Kind.OK, 200, body)

    async def create_product(self, product: NewProduct) -> Answer:
        if not self._writes():
            return Answer(Kind.INFO, 503)
        if product.sku in self.ids:
            return Answer(Kind.FAIL, 409)
        self.ids[product.sku] = f"id-{product.sku}"
        return Answer(Kind.OK, 201, {"id": self.ids[product.sku]})

    async def set_stock(self, product_id: str, quantity: int) -> Answer:
        if not self._writes():
            return Answer(Kind.INFO, 503)
        self.stock[product_id] = quantity
        return Answer(Kind.OK, 201)

    def _writes(self) -> bool:
        self.writes += 1
        return self.writes != self.breaks_at_write


def test_an_empty_shop_gets_all_of_them_with_stock() -> None:
    shop = FakeWarehouse()
    done = asyncio.run(seed(shop, 8))
    assert (len(done.product_ids), done.added) == (8, 8)
    assert set(shop.stock) == set(done.product_ids)


def test_a_second_time_nothing_is_added() -> None:
    shop = FakeWarehouse()
    first = asyncio.run(seed(shop, 8))
    second = asyncio.run(seed(shop, 8))
    assert (second.product_ids, second.added) == (first.product_ids, 0)


def test_more_of_them_are_added_to_those_that_are_there() -> None:
    shop = FakeWarehouse()
    asyncio.run(seed(shop, 4))
    assert asyncio.run(seed(shop, 7)).added == 3


@pytest.mark.parametrize("write", range(1, 9))
def test_wherever_it_is_cut_off_the_next_run_completes_it(write: int) -> None:
    shop = FakeWarehouse(breaks_at_write=write)
    with pytest.raises(EnvironmentNotReadyError, match="503"):
        asyncio.run(seed(shop, 4))
    done = asyncio.run(seed(shop, 4))
    assert set(shop.stock) == set(done.product_ids) == set(shop.ids.values())


def test_a_product_is_the_same_each_time_and_like_no_other() -> None:
    assert product(17) == product(17)
    assert len({product(number).sku for number in range(1, 1001)}) == 1000
