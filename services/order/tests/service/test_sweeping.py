"""The sweeper: orders that wait are driven on, then given up, each by one pod only."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID, uuid4

import pytest

from support.catalogue import PRICE_MINOR
from support.inbound import captured, reserved, take
from support.shop import Shop


async def age(orders: Shop, order_id: UUID, seconds: float) -> None:
    """Make an order older, as if it had waited so long."""
    await orders.execute("ALTER TABLE orders DISABLE TRIGGER guard_order")
    await orders.execute(
        "UPDATE orders SET placed_at = placed_at - %s * interval '1 second',"
        " sweep_at = sweep_at - %s * interval '1 second' WHERE order_id = %s",
        seconds,
        seconds,
        order_id,
    )
    await orders.execute("ALTER TABLE orders ENABLE TRIGGER guard_order")


async def test_an_order_that_has_just_come_is_left_alone(orders: Shop) -> None:
    order_id = await orders.placed()
    assert await orders.parts.sweeper.sweep() == 0
    assert await orders.told(order_id) == [("placed", 1)]


async def test_a_pending_order_is_placed_again_with_the_same_content(orders: Shop) -> None:
    order_id = await orders.placed()
    await age(orders, order_id, 20)
    assert await orders.parts.sweeper.sweep() == 1
    rows = await orders.rows("SELECT value FROM outbox ORDER BY id")
    first, again = (json.loads(value) for (value,) in rows)
    assert first["type"] == again["type"]
    assert first["id"] != again["id"]
    assert again["data"] == first["data"] | {"sequence": 2}
    assert orders.metric("order_sweeps_total", action="resent") == 1


async def test_a_reserved_order_asks_for_its_money_again(orders: Shop) -> None:
    order_id = await orders.placed()
    await take(orders.parts.events.consumer, reserved(order_id))
    await age(orders, order_id, 20)
    await orders.parts.sweeper.sweep()
    assert await orders.told(order_id) == [("placed", 1), ("reserved", 2), ("reserved", 3)]


async def test_a_repetition_is_no_step_of_the_history(orders: Shop) -> None:
    order_id = await orders.placed()
    await age(orders, order_id, 20)
    await orders.parts.sweeper.sweep()
    await take(orders.parts.events.consumer, reserved(order_id))
    history = (await orders.get(order_id)).json()["history"]
    assert [(step["sequence"], step["state"]) for step in history] == [(1, "PENDING"), (3, "RESERVED")]


async def test_pauses_between_repetitions_double(orders: Shop) -> None:
    order_id = await orders.placed()
    pauses = []
    for _ in range(4):
        await age(orders, order_id, 60)
        await orders.parts.sweeper.sweep()
        [(pause,)] = await orders.rows("SELECT extract(epoch FROM sweep_at - now())::float FROM orders")
        pauses.append(pause)
    # What the machine took between the sweep and the question is missing.
    assert pauses == [pytest.approx(30, abs=14), *[pytest.approx(60, abs=14)] * 3]


async def test_past_its_bound_an_order_is_cancelled(orders: Shop) -> None:
    order_id = await orders.placed()
    await age(orders, order_id, 601)
    await orders.parts.sweeper.sweep()
    order = (await orders.get(order_id)).json()
    assert (order["state"], order["reason"]) == ("CANCELLED", "given-up")
    assert await orders.told(order_id) == [("placed", 1), ("cancelled", 2)]
    assert orders.metric("order_sweeps_total", action="given_up") == 1
    assert await orders.parts.sweeper.sweep() == 0


async def test_an_ended_order_is_never_due(orders: Shop) -> None:
    cancelled, confirmed = await orders.placed(), await orders.placed()
    await orders.cancel(cancelled)
    await take(orders.parts.events.consumer, reserved(confirmed), captured(confirmed, PRICE_MINOR, uuid4()))
    assert await orders.rows("SELECT count(*) FROM orders WHERE sweep_at IS NOT NULL") == [(0,)]


async def test_sweepers_at_once_share_the_orders(orders: Shop) -> None:
    ids = [await orders.placed() for _ in range(12)]
    for order_id in ids:
        await age(orders, order_id, 20)
    swept = await asyncio.gather(*(orders.parts.sweeper.sweep() for _ in range(4)))
    assert sum(swept) == len(ids)
    for order_id in ids:
        assert await orders.told(order_id) == [("placed", 1), ("placed", 2)]


async def test_an_order_that_somebody_moves_is_passed_by(orders: Shop) -> None:
    order_id = await orders.placed()
    await age(orders, order_id, 601)
    async with orders.parts.database.transaction() as connection:
        await connection.execute("SELECT 1 FROM orders WHERE order_id = %s FOR UPDATE", (order_id,))
        assert await orders.parts.sweeper.sweep() == 0
    assert await orders.parts.sweeper.sweep() == 1


async def test_the_task_survives_an_absent_database_and_ends_when_it_is_asked_to(orders: Shop) -> None:
    await orders.parts.database.close()
    running = asyncio.create_task(orders.parts.sweeper.run())
    await asyncio.sleep(0)
    orders.parts.sweeper.stop()
    await asyncio.wait_for(running, 30)
