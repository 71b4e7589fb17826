"""What of the topics and the ledger the checkers are given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rehearsal.chaos.proving.collecting import CONSUMERS, collect, key_of, movements_of, steps_of
from rehearsal.chaos.proving.snapshot import Effect, Money, Transition

from tests.chaos.books import Books

READERS = Path(__file__).parents[3] / "contract-tests" / "consumers"

CART = "cart-0e1c8a52-8a0b-4f6e-9f0e-2f6f7c1b9d10"


def entry(
    kind: str, payment_id: str | None, reference: str, amount: int = 5, *, key: str | None = None
) -> dict[str, Any]:
    return {
        "kind": kind,
        "payment_id": payment_id,
        "reference": reference,
        "amount_minor": amount,
        "currency": "EUR",
        "idempotency_key": key or reference,
    }


def test_a_refund_belongs_to_the_order_of_its_payment() -> None:
    ledger = [
        entry("authorised", "pay_1", "payment-a"),
        entry("captured", "pay_1", "payment-a"),
        entry("refunded", "pay_1", "payment-a", key="refund-x"),
        entry("closed", None, "payment-a", 0),
    ]
    assert movements_of(ledger, {"payment-a": "order-a"}) == [
        (Money("order-a", "capture", 5, "EUR"), "payment-a"),
        (Money("order-a", "refund", 5, "EUR"), "refund-x"),
    ]


def test_money_of_nobodys_payment_is_not_dropped() -> None:
    taken = movements_of([entry("captured", "pay_9", "payment-z")], {})
    assert taken == [(Money("payment-z", "capture", 5, "EUR"), "payment-z")]


@pytest.mark.parametrize(
    ("key", "known"),
    [("a-key", "user/a-key"), (f"{CART}-7", f"user/{CART}"), ("cart-of-mine-7", "user/cart-of-mine-7")],
)
def test_a_key_is_its_users_and_a_carts_is_the_cart(key: str, known: str) -> None:
    assert key_of("user", key) == known


def event(id_: str, sequence: int, verb: str) -> dict[str, Any]:
    return {
        "id": id_,
        "type": f"com.mambogo.order.{verb}.v1",
        "data": {"order_id": "o", "sequence": sequence},
    }


def test_copies_of_an_event_are_one_step() -> None:
    events = [event("a", 1, "placed"), event("a", 1, "placed"), event("b", 2, "reserved")]
    assert set(steps_of(iter(events))) == {Transition("o", 1, "PENDING"), Transition("o", 2, "RESERVED")}


def test_two_events_with_one_number_are_two_steps() -> None:
    assert len(steps_of(iter([event("a", 1, "placed"), event("b", 1, "placed")]))) == 2


def test_consumers_take_the_events_that_their_contracts_name() -> None:
    contracts = {path.stem: json.loads(path.read_text()) for path in READERS.glob("*.json")}
    named = {name: set(contract["events"]) for name, contract in contracts.items() if contract["events"]}
    assert {name: set(one.types) for name, one in CONSUMERS.items()} == named


@pytest.fixture
def books() -> Books:
    made = Books()
    made.enter("o-1", "us", "k-1")
    return made


def test_what_a_consumer_takes_of_the_topics_is_acknowledged(books: Books) -> None:
    found = collect(books, quiet_seconds=90.0, raced={})
    # Placed and confirmed for inventory, reserved for payment.
    due = {("inventory-service", "o-1-1"), ("inventory-service", "o-1-3"), ("payment-service", "o-1-2")}
    assert set(found.acknowledged or ()) == {Effect(*one) for one in due}
    assert set(found.acknowledged or ()) == set(found.taken or ())


def test_consumer_that_is_behind_has_acknowledged_nobody_knows_what(books: Books) -> None:
    books.waiting = 1
    assert collect(books, quiet_seconds=90.0, raced={}).acknowledged is None
