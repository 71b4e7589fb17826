"""A cart's total and its order, by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambogo_cart.domain.cart import Cart, Item, Price, order_lines

NOW = datetime(2026, 11, 25, tzinfo=UTC)
rows = st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 1_000_000_000)), min_size=1, max_size=50)


def item(number: int, quantity: int, unit_price_minor: int, currency: str = "EUR") -> Item:
    return Item(UUID(int=number), quantity, Price("Mug", currency, unit_price_minor, True, NOW))


def cart(*items: Item) -> Cart:
    return Cart(UUID(int=99), 1, items)


@given(rows)
def test_the_total_is_what_the_order_will_cost(rows: list[tuple[int, int]]) -> None:
    made = cart(*(item(number, quantity, price) for number, (quantity, price) in enumerate(rows)))
    total = sum(quantity * price for quantity, price in rows)
    assert made.total == ("EUR", total)
    assert [(line["quantity"], line["expected_unit_price_minor"]) for line in order_lines(made)] == rows


def test_a_cart_of_two_currencies_or_without_a_price_has_no_total() -> None:
    assert cart(item(1, 1, 1), item(2, 1, 1, "USD")).total is None
    assert cart(item(1, 1, 1), Item(UUID(int=2), 1, None)).total is None
    assert cart().total is None


def test_what_has_no_price_cannot_be_ordered() -> None:
    with pytest.raises(ValueError, match="no price"):
        order_lines(cart(Item(UUID(int=2), 1, None)))


def test_old_and_missing_prices_are_known_as_such() -> None:
    made = cart(item(1, 1, 1), Item(UUID(int=2), 1, None))
    assert made.without_prices_since(NOW) == [UUID(int=2)]
    assert made.without_prices_since(NOW + timedelta(seconds=1)) == [UUID(int=1), UUID(int=2)]
