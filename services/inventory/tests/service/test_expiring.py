"""Reservations whose time is over, and confirmations that come after it."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from mambogo_chassis.database import Database
from mambogo_testkit.serving import eventually, rows

from mambogo_inventory.service.expiring import Expiring
from support.data import Pod, audit, cancelled, confirmed, numbers, placed, stocked, told


@pytest.fixture
def hasty(database: Database) -> Pod:
    """A pod whose reservations are over at once."""
    return Pod(database, hold_seconds=0)


async def test_an_expired_reservation_is_free_again_and_the_order_is_told(
    hasty: Pod, database: Database
) -> None:
    (product,) = await stocked(database, 5)
    order = uuid4()
    await hasty.take(placed(order, (product, 2)))
    assert await hasty.reserving.expire_due(database) == 1
    assert await hasty.reserving.expire_due(database) == 0
    assert await numbers(database, product) == (5, 0, 0)
    assert await told(database, order) == ["reserved", "expired"]
    await audit(database)


async def test_a_reservation_in_time_is_left_alone(pod: Pod, database: Database) -> None:
    (product,) = await stocked(database, 5)
    await pod.take(placed(uuid4(), (product, 2)))
    assert await pod.reserving.expire_due(database) == 0


async def test_what_is_sold_does_not_expire(hasty: Pod, database: Database) -> None:
    (product,) = await stocked(database, 5)
    order = uuid4()
    await hasty.take(placed(order, (product, 2)), confirmed(order))
    assert await hasty.reserving.expire_due(database) == 0
    assert await numbers(database, product) == (3, 0, 2)


async def test_a_late_confirmation_takes_the_stock_again(hasty: Pod, database: Database) -> None:
    (product,) = await stocked(database, 2)
    order = uuid4()
    await hasty.take(placed(order, (product, 2)))
    await hasty.reserving.expire_due(database)
    await hasty.take(confirmed(order))
    assert await numbers(database, product) == (0, 0, 2)
    assert await told(database, order) == ["reserved", "expired", "sold"]
    await audit(database)


async def test_a_late_confirmation_of_what_is_gone_is_lost(hasty: Pod, database: Database) -> None:
    (product,) = await stocked(database, 2)
    late, quick = uuid4(), uuid4()
    await hasty.take(placed(late, (product, 2)))
    await hasty.reserving.expire_due(database)
    await hasty.take(placed(quick, (product, 1)), confirmed(quick))
    await hasty.take(confirmed(late))
    await hasty.take(confirmed(late))
    assert await told(database, late) == ["reserved", "expired", "lost", "lost"]
    assert await numbers(database, product) == (1, 0, 1)
    await audit(database)


async def test_a_cancellation_after_the_end_moves_nothing(hasty: Pod, database: Database) -> None:
    (product,) = await stocked(database, 2)
    order = uuid4()
    await hasty.take(placed(order, (product, 2)))
    await hasty.reserving.expire_due(database)
    await hasty.take(cancelled(order), confirmed(order))
    assert await numbers(database, product) == (2, 0, 0)
    await audit(database)


async def test_many_pods_expire_each_reservation_once(hasty: Pod, database: Database) -> None:
    (product,) = await stocked(database, 1000)
    orders = [uuid4() for _ in range(250)]
    await hasty.take(*(placed(order, (product, 1)) for order in orders))
    pods = [Pod(database) for _ in range(4)]
    ended = 0
    while batch := sum(await asyncio.gather(*(pod.reserving.expire_due(database) for pod in pods))):
        ended += batch
    assert ended == 250
    assert await numbers(database, product) == (1000, 0, 0)
    await audit(database)


async def test_the_task_expires_what_is_due_and_ends_when_asked(hasty: Pod, database: Database) -> None:
    (product,) = await stocked(database, 5)
    expiring = Expiring(database, hasty.reserving, interval_seconds=0.01)
    running = asyncio.create_task(expiring.run())
    await hasty.take(placed(uuid4(), (product, 2)))

    async def is_free() -> bool:
        return await numbers(database, product) == (5, 0, 0)

    await eventually("the stock to be free", is_free)
    expiring.stop()
    await running
    assert await rows(database, "SELECT state FROM reservation") == [("expired",)]
