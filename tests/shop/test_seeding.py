"""Goods in the shop, once and for all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop.answers import Answer, Kind, kind_of
from rehearsal.shop.client import NewProduct
from rehearsal.shop.seeding import CATEGORY, Seeded, product, seed

_PAGE = 3  # small, so that the shop answers in pages


@dataclass
class FakeWarehouse:
    """A shop that keeps products and stock, and breaks when it is told to."""

    ids: dict[str, str] = field(default_factory=dict)  # by SKU, in the order in which they were made
    discontinued: set[str] = field(default_factory=set)  # SKUs
    hidden: set[str] = field(default_factory=set)  # SKUs of whoever seeds at the same time: not listed yet
    stock: dict[str, int] = field(default_factory=dict)
    writes: int = 0
    breaks_at_write: int | None = None

    def _for_sale(self) -> list[dict[str, str]]:
        skus = [sku for sku in self.ids if sku not in self.discontinued]
        return [{"sku": sku, "id": self.ids[sku]} for sku in reversed(skus)]

    async def products(self, category: str, cursor: str = "") -> Answer:
        assert category == CATEGORY
        start = int(cursor or 0)
        every = [one for one in self._for_sale() if one["sku"] not in self.hidden]
        after = start + _PAGE
        body = {"items": every[start:after], "next_cursor": str(after) if after < len(every) else None}
        return Answer(Kind.OK, 200, body)

    async def search(self, text: str) -> Answer:
        # By how a word begins, as the shop does.
        return Answer(Kind.OK, 200, {"items": [o for o in self._for_sale() if o["sku"].startswith(text)]})

    async def create_product(self, product: NewProduct) -> Answer:
        await asyncio.sleep(0)  # lets another one be quicker
        if not self._writes():
            return Answer(Kind.INFO, 503)
        if product.sku in self.ids:
            return Answer(kind_of(409), 409, {"detail": "Another product has this SKU."})
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

    def stocked(self) -> set[str]:
        """Return the SKUs that are for sale and have stock."""
        return {one["sku"] for one in self._for_sale() if self.stock.get(one["id"])}


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


def test_what_was_discontinued_stays_so_and_gets_a_successor() -> None:
    shop = FakeWarehouse()
    asyncio.run(seed(shop, 8))
    shop.discontinued.add("SEED-0003")
    done = asyncio.run(seed(shop, 8))
    assert (done.added, done.product_ids[2]) == (1, "id-SEED-0003-2")
    assert len(shop.stocked()) == 8


def test_a_successor_is_there_the_next_time() -> None:
    shop = FakeWarehouse()
    asyncio.run(seed(shop, 8))
    shop.discontinued.add("SEED-0003")
    first = asyncio.run(seed(shop, 8))
    second = asyncio.run(seed(shop, 8))
    assert (second.product_ids, second.added) == (first.product_ids, 0)


def test_a_successor_may_have_one_itself() -> None:
    shop = FakeWarehouse()
    asyncio.run(seed(shop, 4))
    for gone in ("SEED-0003", "SEED-0003-2"):
        shop.discontinued.add(gone)
        asyncio.run(seed(shop, 4))
    assert shop.stocked() == {"SEED-0001", "SEED-0002", "SEED-0003-3", "SEED-0004"}


def test_a_successor_that_was_left_without_stock_gets_it() -> None:
    shop = FakeWarehouse()
    asyncio.run(seed(shop, 8))
    shop.discontinued.add("SEED-0003")
    shop.breaks_at_write = shop.writes + 3  # after the SKU that is taken and the successor
    with pytest.raises(EnvironmentNotReadyError):
        asyncio.run(seed(shop, 8))
    asyncio.run(seed(shop, 8))
    assert len(shop.stocked()) == 8


def test_two_at_once_make_each_product_once() -> None:
    shop = FakeWarehouse()

    async def both() -> tuple[Seeded, Seeded]:
        return await asyncio.gather(seed(shop, 8), seed(shop, 8))

    one, other = asyncio.run(both())
    assert one.product_ids == other.product_ids
    assert (one.added + other.added, len(shop.ids), len(shop.stocked())) == (8, 8, 8)


def test_what_another_one_made_meanwhile_has_stock_even_when_that_one_was_killed() -> None:
    shop = FakeWarehouse(ids={"SEED-0002": "id-SEED-0002"}, hidden={"SEED-0002"})
    assert asyncio.run(seed(shop, 3)).added == 2
    assert len(shop.stocked()) == 3


def test_a_shop_that_takes_no_sku_is_not_asked_for_ever() -> None:
    class Full(FakeWarehouse):
        async def create_product(self, product: NewProduct) -> Answer:
            self.writes += 1
            return Answer(kind_of(409), 409, {"detail": "Another product has this SKU."})

    shop = Full()
    with pytest.raises(EnvironmentNotReadyError, match="409"):
        asyncio.run(seed(shop, 1))
    assert shop.writes == 100


@pytest.mark.parametrize(("status", "said"), [(403, "refuses"), (503, "down"), (None, "down")])
def test_who_is_up_and_refuses_is_told_from_who_is_down(status: int | None, said: str) -> None:
    class Refusing(FakeWarehouse):
        async def create_product(self, product: NewProduct) -> Answer:
            return Answer(Kind.FAIL, status, error="" if status else "refused")

    with pytest.raises(EnvironmentNotReadyError) as caught:
        asyncio.run(seed(Refusing(), 1))
    assert said in caught.value.hint


def test_a_product_is_the_same_each_time_and_like_no_other() -> None:
    assert product(17) == product(17)
    assert len({product(number).sku for number in range(1, 1001)}) == 1000


def test_what_was_left_without_stock_gets_it_though_a_successor_is_newer() -> None:
    shop = FakeWarehouse(breaks_at_write=16)  # the product of the eighth is there, its stock is not
    with pytest.raises(EnvironmentNotReadyError):
        asyncio.run(seed(shop, 8))
    shop.discontinued.add("SEED-0003")
    shop.breaks_at_write = 0
    asyncio.run(seed(shop, 4))
    asyncio.run(seed(shop, 8))
    assert len(shop.stocked()) == 8


def test_product_without_an_id_is_an_environment_that_is_not_ready() -> None:
    class Nameless(FakeWarehouse):
        async def create_product(self, product: NewProduct) -> Answer:
            return Answer(Kind.OK, 201, {"product_id": "p-1"})

    with pytest.raises(EnvironmentNotReadyError, match="product-service took SEED-0001"):
        asyncio.run(seed(Nameless(), 1))


@pytest.mark.parametrize("body", [{}, {"items": None}, {"items": [{"sku": "SEED-0001"}]}], ids=str)
def test_list_of_another_form_is_an_environment_that_is_not_ready(body: dict[str, object]) -> None:
    class Other(FakeWarehouse):
        async def products(self, category: str, cursor: str = "") -> Answer:
            return Answer(Kind.OK, 200, body)

    with pytest.raises(EnvironmentNotReadyError, match="product-service answers 200"):
        asyncio.run(seed(Other(), 1))
