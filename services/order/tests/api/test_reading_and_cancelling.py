"""GET and cancellation: one's own orders only, page by page, and a cancellation that may be repeated."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from mambogo_chassis.http.pagination import encode_cursor
from support.catalogue import PRICE_MINOR
from support.inbound import captured, event, reserved, take
from support.shop import ALICE, BOB, Shop


async def test_a_list_holds_ones_own_orders_the_newest_first(orders: Shop) -> None:
    mine = [await orders.placed() for _ in range(3)]
    await orders.placed(user=BOB)
    answer = await orders.client.get("/api/orders", headers=orders.as_user(ALICE))
    listed = [row["order_id"] for row in answer.json()["items"]]
    assert listed == [str(order_id) for order_id in reversed(mine)]
    assert answer.json()["next_cursor"] is None


async def test_pages_hold_every_order_once_while_new_ones_come(orders: Shop) -> None:
    mine = {str(await orders.placed()) for _ in range(5)}
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await orders.client.get("/api/orders", params=query, headers=orders.as_user(ALICE))).json()
        seen += [row["order_id"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        await orders.placed()
    assert len(seen) == len(set(seen))
    assert set(seen) == mine


@pytest.mark.parametrize(
    "cursor",
    ["AAAA", encode_cursor("x"), encode_cursor([1]), encode_cursor([10**30, str(uuid4())])],
    ids=["garbage", "text", "short", "far-future"],
)
async def test_a_cursor_of_another_list_is_unknown(orders: Shop, cursor: str) -> None:
    answer = await orders.client.get("/api/orders", params={"cursor": cursor}, headers=orders.as_user(ALICE))
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:mambogo:problem:cursor-unknown")


async def test_anothers_order_is_answered_as_one_that_does_not_exist(orders: Shop) -> None:
    order_id = await orders.placed()
    for ask in (orders.get, orders.cancel):
        theirs, nobodys = await ask(order_id, BOB), await ask(uuid4(), BOB)
        assert theirs.status_code == nobodys.status_code == 404
        bodies = [answer.json() | {"request_id": ""} for answer in (theirs, nobodys)]
        assert bodies[0] == bodies[1]
    assert await orders.state(order_id) == "PENDING"


async def test_a_cancelled_order_says_who_and_may_be_cancelled_again(orders: Shop) -> None:
    order_id = await orders.placed()
    first, again = await orders.cancel(order_id), await orders.cancel(order_id)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert (first.json()["state"], first.json()["reason"]) == ("CANCELLED", "by-user")
    assert await orders.told(order_id) == [("placed", 1), ("cancelled", 2)]
    assert orders.metric("orders_total", state="cancelled") == 1


async def test_a_confirmed_order_can_be_cancelled(orders: Shop) -> None:
    order_id = await orders.placed()
    await take(orders.parts.events.consumer, reserved(order_id), captured(order_id, PRICE_MINOR, uuid4()))
    assert (await orders.cancel(order_id)).json()["state"] == "CANCELLED"
    assert (await orders.told(order_id))[-1] == ("cancelled", 4)


async def test_a_rejected_order_cannot_be_cancelled(orders: Shop) -> None:
    order_id = await orders.placed()
    await take(orders.parts.events.consumer, event("inventory.refused", order_id))
    answer = await orders.cancel(order_id)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:mambogo:problem:order-rejected")


async def test_many_cancellations_at_once_cancel_once(orders: Shop) -> None:
    order_id = await orders.placed()
    answers = await asyncio.gather(*(orders.cancel(order_id) for _ in range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert await orders.told(order_id) == [("placed", 1), ("cancelled", 2)]


async def test_a_cancellation_and_a_capture_at_once_leave_one_history_without_a_gap(orders: Shop) -> None:
    consumer = orders.parts.events.consumer
    ids = [await orders.placed() for _ in range(8)]
    await take(consumer, *(reserved(order_id) for order_id in ids))
    captures = [captured(order_id, PRICE_MINOR, uuid4()) for order_id in ids]
    await asyncio.gather(take(consumer, *captures), *(orders.cancel(order_id) for order_id in ids))
    for order_id in ids:
        told = await orders.told(order_id)
        assert [sequence for _, sequence in told] == list(range(1, len(told) + 1))
        assert [verb for verb, _ in told] in (
            ["placed", "reserved", "cancelled"],
            ["placed", "reserved", "confirmed", "cancelled"],
        )
        assert await orders.state(order_id) == "CANCELLED"


@pytest.mark.parametrize("order_id", ["1", "x" * 5000, "00000000-0000-0000-0000-00000000000g"])
async def test_what_is_no_id_is_invalid_input(orders: Shop, order_id: str) -> None:
    assert (await orders.get(order_id)).status_code == 422


async def test_reading_does_not_allow_cancelling(orders: Shop) -> None:
    order_id = await orders.placed()
    token = orders.tokens.token(ALICE, "orders:read")
    headers = {"Authorization": f"Bearer {token}"}
    answer = await orders.client.post(f"/api/orders/{order_id}/cancellation", headers=headers)
    assert answer.status_code == 403
    assert await orders.state(order_id) == "PENDING"
