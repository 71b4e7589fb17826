"""Goods of a run's own: what has no clear answer is asked again, a few times, and said; a refusal stands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Event, Notice
from rehearsal.shop import stocking
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.client import NewProduct
from rehearsal.shop.stocking import stock_up

from tests.shop.fakes import SILENT, FakeShop, refusing


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stocking, "_PAUSES_SECONDS", (0.0,) * len(stocking._PAUSES_SECONDS))


@dataclass
class Troubled(FakeShop):
    """A shop that gives other answers first, also where it did what it was asked for."""

    to_products: list[Answer] = field(default_factory=list)
    to_stock: list[Answer] = field(default_factory=list)
    skus: list[str] = field(default_factory=list)

    async def create_product(self, product: NewProduct) -> Answer:
        """Make a product, and say so when there is nothing else to say."""
        self.skus.append(product.sku)
        made = await super().create_product(product)
        return self.to_products.pop(0) if self.to_products else made

    async def set_stock(self, product_id: str, quantity: int) -> Answer:
        """Set a stock, unless there is something else to say."""
        return self.to_stock.pop(0) if self.to_stock else await super().set_stock(product_id, quantity)


def _stock(shop: FakeShop, events: list[Event] | None = None, products: int = 1) -> tuple[str, ...]:
    say = [] if events is None else events
    return asyncio.run(stock_up(shop, "load", products=products, units=100, emit=say.append))


def test_shop_is_stocked_with_products_of_the_runs_own() -> None:
    shop, said = FakeShop(), list[Event]()

    assert dict.fromkeys(_stock(shop, said, products=3), 100) == shop.stock
    assert said == []


@pytest.mark.parametrize("unclear", [refusing(503), refusing(429), SILENT], ids=str)
def test_stock_without_a_clear_answer_is_given_again_and_that_is_said(unclear: Answer) -> None:
    said: list[Event] = []
    shop = Troubled(to_stock=[unclear])

    assert dict.fromkeys(_stock(shop, said), 100) == shop.stock
    (notice,) = said
    assert isinstance(notice, Notice)
    assert str(unclear) in notice.message


def test_product_that_may_have_been_made_is_made_again_under_another_sku() -> None:
    shop = Troubled(to_products=[SILENT])
    (product_id,) = _stock(shop)

    assert len(set(shop.skus)) == 2
    assert shop.stock[product_id] == 100


def test_shop_that_never_gives_a_clear_answer_is_an_environment_that_is_not_ready() -> None:
    said: list[Event] = []
    with pytest.raises(EnvironmentNotReadyError, match="503"):
        _stock(Troubled(to_stock=[refusing(503)] * 100), said)

    assert len(said) == len(stocking._PAUSES_SECONDS)


def test_clear_refusal_is_not_asked_again() -> None:
    shop = Troubled(to_products=[refusing(403)] * 100)
    with pytest.raises(EnvironmentNotReadyError, match="403"):
        _stock(shop)

    assert len(shop.skus) == 1


@pytest.mark.parametrize("body", [{}, {"id": None}, {"product_id": "p-1"}], ids=str)
def test_product_without_an_id_is_an_environment_that_is_not_ready(body: dict[str, object]) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="product-service took load 0 with 201"):
        _stock(Troubled(to_products=[Answer(Kind.OK, 201, body)]))
