"""Prices, totals and currencies, by themselves."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambogo_order.domain.model import CURRENCIES, MAX_QUANTITY, MAX_TOTAL_MINOR
from mambogo_order.domain.placing import (
    CurrencyError,
    DuplicateProductError,
    PriceChangedError,
    ProductUnavailableError,
    Quote,
    TotalTooLargeError,
    Wish,
    draft,
)

prices = st.integers(0, 1_000_000_000)
quantities = st.integers(1, MAX_QUANTITY)


def product(number: int) -> UUID:
    return UUID(int=number)


def quotes(*prices_minor: int, currency: str = "EUR") -> dict[UUID, Quote]:
    return {
        product(number): Quote(product(number), currency, price) for number, price in enumerate(prices_minor)
    }


@given(st.lists(st.tuples(prices, quantities), min_size=1, max_size=100), st.sampled_from(CURRENCIES))
def test_the_total_is_the_sum_of_its_lines(rows: list[tuple[int, int]], currency: str) -> None:
    wishes = [Wish(product(number), quantity) for number, (_, quantity) in enumerate(rows)]
    made = draft(wishes, quotes(*(price for price, _ in rows), currency=currency), None)
    assert made.total_minor == sum(price * quantity for price, quantity in rows)
    assert made.currency == currency
    assert [line.product_id for line in made.lines] == [wish.product_id for wish in wishes]


@given(prices, prices)
def test_an_expected_price_is_the_price_or_a_refusal(expected: int, price: int) -> None:
    wishes = [Wish(product(0), 1, expected)]
    if expected == price:
        assert draft(wishes, quotes(price), None).total_minor == price
    else:
        with pytest.raises(PriceChangedError):
            draft(wishes, quotes(price), None)


def test_the_largest_total_is_taken_and_one_more_is_not() -> None:
    wishes = [Wish(product(0), 1), Wish(product(1), 1)]
    assert draft(wishes, quotes(MAX_TOTAL_MINOR - 1, 1), None).total_minor == MAX_TOTAL_MINOR
    with pytest.raises(TotalTooLargeError):
        draft(wishes, quotes(MAX_TOTAL_MINOR, 1), None)


def test_a_product_without_a_quote_is_named() -> None:
    with pytest.raises(ProductUnavailableError, match=str(product(1))):
        draft([Wish(product(0), 1), Wish(product(1), 1)], quotes(5), None)


def test_one_product_in_two_lines_is_refused() -> None:
    with pytest.raises(DuplicateProductError):
        draft([Wish(product(0), 1), Wish(product(0), 2)], quotes(5), None)


@pytest.mark.parametrize(("sold", "wanted"), [("EUR", "USD"), ("XXX", None), ("XXX", "XXX")])
def test_a_currency_that_is_not_known_or_not_wanted_is_refused(sold: str, wanted: str | None) -> None:
    with pytest.raises(CurrencyError):
        draft([Wish(product(0), 1)], quotes(5, currency=sold), wanted)


def test_two_currencies_are_no_order() -> None:
    mixed = quotes(5) | {product(1): Quote(product(1), "USD", 5)}
    with pytest.raises(CurrencyError, match="EUR and USD"):
        draft([Wish(product(0), 1), Wish(product(1), 1)], mixed, None)
