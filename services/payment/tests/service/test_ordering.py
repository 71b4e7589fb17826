"""An order's events in the hands of two pods at once, as while a partition changes its owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest
from mambogo_chassis.database import Database
from mambogo_testkit.serving import eventually, rows

from support.data import cancelled, reserved, state, told
from support.pod import Pod

_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def test_of_two_that_make_an_orders_payment_the_second_fails_and_then_finds_it(
    make_pod: Callable[..., Pod], database: Database
) -> None:
    first, second, order = make_pod(), make_pod(), uuid4()
    event = reserved(order)

    async def waits() -> bool:
        return await rows(database, _WAITING) == [(1,)]

    async with database.transaction() as connection:
        await first.ordering.begin(connection, [event])
        await first.ordering.reserved(connection, event)
        taking = asyncio.create_task(second.take(cancelled(order)))
        await eventually("the second to wait for the first's commit", waits)
    # The consumer takes its batch again, record by record.
    with pytest.raises(psycopg.errors.UniqueViolation):
        await taking
    await second.take(cancelled(order))
    assert await state(database, order) == "voided"
    assert await told(database, order) == ["voided"]
    assert await rows(database, "SELECT count(*) FROM payment") == [(1,)]
