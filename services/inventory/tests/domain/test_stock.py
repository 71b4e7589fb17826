"""The four numbers of a product."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambogo_inventory.domain.stock import MAX_UNITS, Movement, Stock, StockRefusedError

PRODUCT = UUID(int=1)
stocks = st.builds(
    lambda on_hand, reserved, sold: Stock(PRODUCT, on_hand + reserved + sold, on_hand, reserved, sold, 1),
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.integers(0, 1000),
)


@pytest.mark.parametrize("movement", Movement)
def test_a_movement_neither_makes_nor_loses_units(movement: Movement) -> None:
    change = movement.change
    assert change.on_hand + change.reserved + change.sold == 0


@given(stocks, st.integers(-3000, 3000))
def test_an_adjustment_keeps_the_sum_or_is_refused(stock: Stock, quantity: int) -> None:
    try:
        after = stock.adjusted(quantity)
    except StockRefusedError:
        assert stock.on_hand + quantity < 0
        return
    assert after.initial == after.on_hand + after.reserved + after.sold
    assert after.initial == stock.initial + quantity


@given(stocks, st.integers(0, 5000))
def test_an_initial_number_is_reached_exactly(stock: Stock, initial: int) -> None:
    try:
        assert stock.with_initial(initial).initial == initial
    except StockRefusedError:
        assert initial < stock.reserved + stock.sold


def test_more_than_can_be_kept_is_refused() -> None:
    with pytest.raises(StockRefusedError) as refused:
        Stock(PRODUCT).adjusted(MAX_UNITS + 1)
    assert refused.value.code == "stock-too-high"
