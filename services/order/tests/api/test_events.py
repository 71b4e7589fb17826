"""The events that order-service reads: each moves an order once, in whatever way it comes."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from mambogo_chassis.events.records import InboundRecord
from support.catalogue import PRICE_MINOR
from support.inbound import captured, event, reserved, take
from support.shop import Shop


async def tell(orders: Shop, *records: InboundRecord) -> None:
    await take(orders.parts.events.consumer, *records)


async def confirmed(orders: Shop) -> tuple[UUID, UUID]:
    """A confirmed order and its payment."""
    order_id, payment_id = await orders.placed(), uuid4()
    await tell(orders, reserved(order_id), captured(order_id, PRICE_MINOR, payment_id))
    return order_id, payment_id


async def dead_letters(orders: Shop) -> list[tuple[str, str]]:
    """(topic, reason) of each."""
    rows = await orders.rows("SELECT topic, headers FROM outbox WHERE topic LIKE '%%.dlt' ORDER BY id")
    return [(topic, _decoded(headers)["dlt-reason"]) for topic, headers in rows]


async def dead_letter_detail(orders: Shop) -> str:
    [(headers,)] = await orders.rows("SELECT headers FROM outbox WHERE topic LIKE '%%.dlt'")
    return _decoded(headers)["dlt-detail"]


def _decoded(headers: list[list[str]]) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in headers}


async def test_stock_and_money_confirm_an_order(orders: Shop) -> None:
    order_id, payment_id = await confirmed(orders)
    order = (await orders.get(order_id)).json()
    assert (order["state"], order["payment_id"], order["reason"]) == ("CONFIRMED", str(payment_id), None)
    assert [(step["sequence"], step["state"]) for step in order["history"]] == [
        (1, "PENDING"),
        (2, "RESERVED"),
        (3, "CONFIRMED"),
    ]
    assert await orders.told(order_id) == [("placed", 1), ("reserved", 2), ("confirmed", 3)]


async def test_a_confirmation_is_counted_with_its_money_and_its_time(orders: Shop) -> None:
    await confirmed(orders)
    assert orders.metric("orders_total", state="confirmed") == 1
    assert orders.metric("orders_revenue_minor_total", currency="EUR", kind="confirmed") == PRICE_MINOR
    assert orders.metric("order_confirmation_seconds_count") == 1


@pytest.mark.parametrize(
    ("verbs", "state", "reason"),
    [
        (["inventory.refused"], "REJECTED", "out-of-stock"),
        (["inventory.reserved", "payment.declined"], "REJECTED", "payment-declined"),
        (["inventory.reserved", "inventory.expired"], "CANCELLED", "reservation-expired"),
        (["inventory.expired"], "CANCELLED", "reservation-expired"),
    ],
)
async def test_an_order_ends_where_its_events_lead(
    orders: Shop, verbs: list[str], state: str, reason: str
) -> None:
    order_id = await orders.placed()
    await tell(orders, *(event(verb, order_id) for verb in verbs))
    order = (await orders.get(order_id)).json()
    assert (order["state"], order["reason"]) == (state, reason)
    verb, sequence = (await orders.told(order_id))[-1]
    assert (verb, sequence) == (state.lower(), len(verbs) + 1)


async def test_the_same_event_in_the_same_and_in_a_new_envelope_has_no_second_effect(orders: Shop) -> None:
    order_id, payment_id = await confirmed(orders)
    again = captured(order_id, PRICE_MINOR, payment_id)
    await tell(orders, again, again, captured(order_id, PRICE_MINOR, payment_id), reserved(order_id))
    await tell(orders, again)
    assert await orders.state(order_id) == "CONFIRMED"
    assert await orders.told(order_id) == [("placed", 1), ("reserved", 2), ("confirmed", 3)]
    assert await dead_letters(orders) == []


@pytest.mark.parametrize(
    "verb",
    ["inventory.reserved", "inventory.refused", "inventory.expired", "inventory.lost", "payment.declined"],
)
async def test_what_comes_too_late_moves_nothing(orders: Shop, verb: str) -> None:
    order_id = await orders.placed()
    await orders.cancel(order_id)
    await tell(orders, event(verb, order_id))
    assert await orders.told(order_id) == [("placed", 1), ("cancelled", 2)]
    assert await dead_letters(orders) == []


async def test_a_capture_for_a_cancelled_order_is_left_to_compensation(orders: Shop) -> None:
    order_id, payment_id = await orders.placed(), uuid4()
    await tell(orders, reserved(order_id))
    await orders.cancel(order_id)
    await tell(orders, captured(order_id, PRICE_MINOR, payment_id))
    assert await orders.state(order_id) == "CANCELLED"
    assert await orders.told(order_id) == [("placed", 1), ("reserved", 2), ("cancelled", 3)]
    await tell(
        orders,
        event(
            "payment.refunded", order_id, payment_id=payment_id, refund_id=uuid4(), amount_minor=PRICE_MINOR
        ),
    )
    assert (await orders.get(order_id)).json()["refunded_minor"] == PRICE_MINOR


async def test_a_reservation_that_expires_after_confirmation_changes_nothing(orders: Shop) -> None:
    order_id, _ = await confirmed(orders)
    await tell(orders, event("inventory.expired", order_id))
    assert await orders.state(order_id) == "CONFIRMED"


async def test_lost_stock_cancels_a_confirmed_order(orders: Shop) -> None:
    order_id, _ = await confirmed(orders)
    await tell(orders, event("inventory.lost", order_id))
    order = (await orders.get(order_id)).json()
    assert (order["state"], order["reason"]) == ("CANCELLED", "stock-lost")
    assert (await orders.told(order_id))[-1] == ("cancelled", 4)
    assert orders.metric("orders_revenue_minor_total", currency="EUR", kind="reversed") == PRICE_MINOR


async def test_a_part_of_the_money_back_leaves_the_order_confirmed(orders: Shop) -> None:
    order_id, payment_id = await confirmed(orders)
    first = event("payment.refunded", order_id, payment_id=payment_id, refund_id=uuid4(), amount_minor=1)
    await tell(orders, first)
    order = (await orders.get(order_id)).json()
    assert (order["state"], order["refunded_minor"]) == ("CONFIRMED", 1)


async def test_all_of_the_money_back_cancels_the_order_and_each_refund_counts_once(orders: Shop) -> None:
    order_id, payment_id = await confirmed(orders)
    half, rest = uuid4(), uuid4()

    def refund(refund_id: UUID, amount_minor: int) -> InboundRecord:
        data: dict[str, Any] = {
            "payment_id": payment_id,
            "refund_id": refund_id,
            "amount_minor": amount_minor,
        }
        return event("payment.refunded", order_id, **data)

    await tell(orders, refund(half, 250), refund(half, 250), refund(half, 250), refund(half, 250))
    assert await orders.state(order_id) == "CONFIRMED"
    await tell(orders, refund(rest, PRICE_MINOR - 250))
    order = (await orders.get(order_id)).json()
    assert (order["state"], order["reason"], order["refunded_minor"]) == (
        "CANCELLED",
        "refunded",
        PRICE_MINOR,
    )


async def test_an_event_for_an_order_that_nobody_placed_is_a_dead_letter(orders: Shop) -> None:
    unknown = uuid4()
    await tell(orders, reserved(unknown))
    assert await dead_letters(orders) == [("inventory.dlt", "handler-failed")]
    assert await dead_letter_detail(orders) == f"there is no order {unknown}"


async def test_a_refund_for_an_order_that_nobody_placed_is_a_dead_letter(orders: Shop) -> None:
    lost = event("payment.refunded", uuid4(), payment_id=uuid4(), refund_id=uuid4(), amount_minor=1)
    await tell(orders, lost)
    assert await dead_letters(orders) == [("payments.dlt", "handler-failed")]


async def test_an_event_of_a_future_version_is_a_dead_letter(orders: Shop) -> None:
    order_id = await orders.placed()
    await tell(orders, event("inventory.reserved", order_id, version=2))
    assert await dead_letters(orders) == [("inventory.dlt", "unknown-version")]
    assert await orders.state(order_id) == "PENDING"


@pytest.mark.parametrize(
    "amount",
    [0, -1, "1250", 1250.5, None, True, 10**30],
    ids=["zero", "negative", "text", "fraction", "null", "bool", "overflowing"],
)
async def test_a_capture_of_no_sound_amount_is_a_dead_letter(orders: Shop, amount: object) -> None:
    order_id = await orders.placed()
    await tell(orders, reserved(order_id))
    bad = event("payment.captured", order_id, payment_id=uuid4(), amount_minor=amount, currency="EUR")
    await tell(orders, bad)
    assert [topic for topic, _ in await dead_letters(orders)] == ["payments.dlt"]
    assert await orders.state(order_id) == "RESERVED"


@pytest.mark.parametrize(("amount", "currency"), [(PRICE_MINOR - 1, "EUR"), (PRICE_MINOR, "USD")])
async def test_a_capture_of_another_amount_confirms_nothing(orders: Shop, amount: int, currency: str) -> None:
    order_id = await orders.placed()
    await tell(orders, reserved(order_id), captured(order_id, amount, uuid4(), currency))
    assert await orders.state(order_id) == "RESERVED"
    assert await dead_letters(orders) == [("payments.dlt", "handler-failed")]


async def test_a_second_capture_is_a_dead_letter(orders: Shop) -> None:
    order_id, payment_id = await confirmed(orders)
    await tell(orders, captured(order_id, PRICE_MINOR, uuid4()))
    assert await dead_letters(orders) == [("payments.dlt", "handler-failed")]
    assert (await orders.get(order_id)).json()["payment_id"] == str(payment_id)


@pytest.mark.parametrize("verb", ["payment.declined", "inventory.lost"])
async def test_what_cannot_be_true_of_a_pending_order_is_a_dead_letter(orders: Shop, verb: str) -> None:
    order_id = await orders.placed()
    await tell(orders, event(verb, order_id))
    assert await orders.state(order_id) == "PENDING"
    assert [reason for _, reason in await dead_letters(orders)] == ["handler-failed"]


async def test_a_poisonous_event_costs_its_neighbours_nothing(orders: Shop) -> None:
    order_id = await orders.placed()
    broken = event("inventory.reserved", "no-uuid")
    await tell(orders, reserved(uuid4()), broken, reserved(order_id))
    assert await orders.state(order_id) == "RESERVED"
    assert sorted(reason for _, reason in await dead_letters(orders)) == ["handler-failed", "invalid-data"]


async def test_every_event_is_told_in_the_order_of_its_sequence(orders: Shop) -> None:
    order_id, _ = await confirmed(orders)
    await orders.cancel(order_id)
    rows = await orders.rows("SELECT value FROM outbox ORDER BY id")
    sequences = [json.loads(value)["data"]["sequence"] for (value,) in rows]
    assert sequences == [1, 2, 3, 4]
