"""What of the topics and the ledger the checkers are given."""

from __future__ import annotations

from typing import Any

import pytest
from rehearsal.chaos.proving.snapshot import Effect, Money

from mambogo_audit import collecting
from mambogo_audit.collecting import due, money_of


@pytest.mark.parametrize(
    ("type_", "readers"),
    [
        ("com.mambogo.order.placed.v1", ["inventory"]),
        ("com.mambogo.order.cancelled.v1", ["inventory", "payment"]),
        ("com.mambogo.payment.captured.v1", ["order"]),
        ("com.mambogo.inventory.sold.v1", []),
    ],
)
def test_an_event_is_due_at_its_readers(type_: str, readers: list[str]) -> None:
    assert list(due({"type": type_, "id": "e"})) == [Effect(reader, "e") for reader in readers]


def entry(kind: str, payment_id: str | None, reference: str, amount: int = 5) -> dict[str, Any]:
    return {
        "kind": kind,
        "payment_id": payment_id,
        "reference": reference,
        "amount_minor": amount,
        "currency": "EUR",
    }


def test_a_refund_belongs_to_the_order_of_its_payment() -> None:
    ledger = [
        entry("authorised", "pay_1", "payment-a"),
        entry("captured", "pay_1", "payment-a"),
        entry("refunded", "pay_1", "refund-x"),
        entry("closed", None, "payment-a", 0),
    ]
    assert list(money_of(ledger, {"payment-a": "order-a"})) == [
        Money("order-a", "capture", 5, "EUR"),
        Money("order-a", "refund", 5, "EUR"),
    ]


def test_money_of_nobodys_payment_is_not_dropped() -> None:
    taken = list(collecting.money_of([entry("captured", "pay_9", "payment-z")], {}))
    assert taken == [Money("payment-z", "capture", 5, "EUR")]
