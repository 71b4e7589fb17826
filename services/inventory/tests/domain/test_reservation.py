"""The rules of reservations, under every sequence of events that hypothesis thinks of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambogo_inventory.domain.reservation import (
    Decision,
    ImpossibleEventError,
    Line,
    Reservation,
    State,
    confirm,
    expire,
    give_back,
    merged,
    place,
)
from mambogo_inventory.domain.stock import Movement

PRODUCTS = tuple(UUID(int=number) for number in range(1, 4))
UNKNOWN = UUID(int=99)
ORDERS = tuple(UUID(int=number) for number in range(101, 105))
EXPIRES = datetime(2026, 1, 1, tzinfo=UTC)


def request(order_id: UUID, *lines: Line) -> Reservation:
    return Reservation(
        order_id, UUID(int=order_id.int + 1000), State.RESERVED, merged(lines), expires_at=EXPIRES
    )


class Shop:
    """Stock and reservations as the service keeps them, in memory."""

    def __init__(self, initial: dict[UUID, int]) -> None:
        self.initial = initial
        self.on_hand = dict(initial)
        self.reserved = dict.fromkeys(initial, 0)
        self.sold = dict.fromkeys(initial, 0)
        self.reservations: dict[UUID, Reservation] = {}

    def apply(self, decision: Decision) -> None:
        self.reservations[decision.reservation.order_id] = decision.reservation
        if decision.movement is None:
            return
        change = decision.movement.change
        for line in decision.reservation.lines:
            self.on_hand[line.product_id] += line.quantity * change.on_hand
            self.reserved[line.product_id] += line.quantity * change.reserved
            self.sold[line.product_id] += line.quantity * change.sold

    def event(self, name: str, order_id: UUID, lines: tuple[Line, ...]) -> Decision:
        existing = self.reservations.get(order_id)
        if name == "placed":
            return place(existing, request(order_id, *lines), self.on_hand)
        if name == "confirmed":
            return confirm(existing, self.on_hand)
        if name == "expired":
            return expire(existing) if existing else give_back(existing, request(order_id), "never")
        return give_back(existing, request(order_id), name)


lines = st.lists(
    st.builds(Line, st.sampled_from((*PRODUCTS, UNKNOWN)), st.integers(1, 4)), min_size=1, max_size=4
).map(tuple)
events = st.lists(
    st.tuples(
        st.sampled_from(("placed", "placed", "confirmed", "cancelled", "rejected", "expired")),
        st.sampled_from(ORDERS),
        lines,
    ),
    max_size=40,
)
stocks = st.fixed_dictionaries({product: st.integers(0, 6) for product in PRODUCTS})


def run(shop: Shop, history: list[tuple[str, UUID, tuple[Line, ...]]]) -> Iterator[Decision]:
    for name, order_id, asked in history:
        try:
            decision = shop.event(name, order_id, asked)
        except ImpossibleEventError:
            continue
        shop.apply(decision)
        yield decision


@given(stocks, events)
def test_stock_always_adds_up_and_is_never_negative(
    stock: dict[UUID, int], history: list[tuple[str, UUID, tuple[Line, ...]]]
) -> None:
    shop = Shop(stock)
    for _ in run(shop, history):
        for product, initial in shop.initial.items():
            parts = (shop.on_hand[product], shop.reserved[product], shop.sold[product])
            assert min(parts) >= 0
            assert sum(parts) == initial


@given(stocks, events)
def test_what_is_reserved_and_sold_is_what_the_reservations_say(
    stock: dict[UUID, int], history: list[tuple[str, UUID, tuple[Line, ...]]]
) -> None:
    shop = Shop(stock)
    for _ in run(shop, history):
        for state, numbers in ((State.RESERVED, shop.reserved), (State.SOLD, shop.sold)):
            held = [r for r in shop.reservations.values() if r.state is state]
            for product in PRODUCTS:
                said = sum(line.quantity for r in held for line in r.lines if line.product_id == product)
                assert said == numbers[product]


@given(stocks, events)
def test_an_event_that_comes_again_changes_nothing_and_is_answered_alike(
    stock: dict[UUID, int], history: list[tuple[str, UUID, tuple[Line, ...]]]
) -> None:
    shop = Shop(stock)
    for name, order_id, asked in history:
        try:
            first = shop.event(name, order_id, asked)
        except ImpossibleEventError:
            continue
        shop.apply(first)
        again = shop.event(name, order_id, asked)
        assert again.movement is None
        assert not again.is_new
        assert again.reservation == first.reservation


@given(stocks, events)
def test_each_movement_happens_at_most_once_per_order(
    stock: dict[UUID, int], history: list[tuple[str, UUID, tuple[Line, ...]]]
) -> None:
    moved: list[tuple[UUID, Movement]] = [
        (decision.reservation.order_id, decision.movement)
        for decision in run(Shop(stock), history)
        if decision.movement is not None
    ]
    assert len(moved) == len(set(moved))


def test_one_short_line_refuses_the_whole_order_and_names_it() -> None:
    asked = request(ORDERS[0], Line(PRODUCTS[0], 1), Line(PRODUCTS[1], 5))
    decision = place(None, asked, {PRODUCTS[0]: 9, PRODUCTS[1]: 4})
    assert decision.movement is None
    assert decision.reservation.reason == "out-of-stock"
    assert [(s.product_id, s.requested, s.available) for s in decision.reservation.short] == [
        (PRODUCTS[1], 5, 4)
    ]


def test_an_unknown_product_refuses_the_order_with_its_own_reason() -> None:
    decision = place(None, request(ORDERS[0], Line(UNKNOWN, 1)), {})
    assert decision.reservation.reason == "unknown-product"
    assert decision.reservation.short[0].available == 0


def test_lines_of_one_product_count_together() -> None:
    asked = request(ORDERS[0], Line(PRODUCTS[0], 3), Line(PRODUCTS[0], 3))
    assert place(None, asked, {PRODUCTS[0]: 5}).reservation.state is State.REFUSED


def test_an_order_cancelled_before_it_was_seen_never_reserves() -> None:
    tombstone = give_back(None, request(ORDERS[0]), "order-cancelled").reservation
    decision = place(tombstone, request(ORDERS[0], Line(PRODUCTS[0], 1)), {PRODUCTS[0]: 9})
    assert decision.movement is None
    assert decision.reservation.state is State.RELEASED


def test_a_late_confirmation_takes_the_stock_again() -> None:
    expired = replace(request(ORDERS[0], Line(PRODUCTS[0], 2)), state=State.EXPIRED)
    decision = confirm(expired, {PRODUCTS[0]: 2})
    assert (decision.movement, decision.reservation.state) == (Movement.RETAKE, State.SOLD)


def test_a_late_confirmation_without_stock_is_lost() -> None:
    expired = replace(request(ORDERS[0], Line(PRODUCTS[0], 2)), state=State.EXPIRED)
    decision = confirm(expired, {PRODUCTS[0]: 1})
    assert (decision.movement, decision.reservation.state) == (None, State.LOST)


@pytest.mark.parametrize("existing", [None, replace(request(ORDERS[0]), state=State.REFUSED)])
def test_a_confirmation_without_a_reservation_is_impossible(existing: Reservation | None) -> None:
    with pytest.raises(ImpossibleEventError):
        confirm(existing, {})


@pytest.mark.parametrize("state", [State.REFUSED, State.LOST])
def test_giving_back_what_was_never_held_tells_nobody(state: State) -> None:
    existing = replace(request(ORDERS[0], Line(PRODUCTS[0], 1)), state=state)
    decision = give_back(existing, request(ORDERS[0]), "order-rejected")
    assert not decision.is_told
    assert decision.movement is None
