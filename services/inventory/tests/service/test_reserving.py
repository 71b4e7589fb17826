"""What orders' events do to stock, in a real database."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from mambogo_chassis.database import Database
from mambogo_chassis.events import PermanentEventError
from mambogo_testkit.serving import rows

from support.data import Pod, audit, cancelled, confirmed, last_told, numbers, placed, rejected, stocked, told


async def test_all_lines_are_reserved_and_the_order_is_told(pod: Pod, database: Database) -> None:
    first, second = await stocked(database, 5, 5)
    order = uuid4()
    await pod.take(placed(order, (first, 2), (second, 3)))
    assert await numbers(database, first) == (3, 2, 0)
    assert await numbers(database, second) == (2, 3, 0)
    assert await told(database, order) == ["reserved"]
    assert (await last_told(database, order)).keys() == {"order_id", "reservation_id", "expires_at"}
    await audit(database)


async def test_one_short_line_reserves_nothing(pod: Pod, database: Database) -> None:
    first, second = await stocked(database, 5, 1)
    order = uuid4()
    await pod.take(placed(order, (first, 2), (second, 3)))
    assert await numbers(database, first) == (5, 0, 0)
    refused = await last_told(database, order)
    assert refused["reason"] == "out-of-stock"
    assert refused["short"] == [{"product_id": str(second), "requested": 3, "available": 1}]
    await audit(database)


async def test_an_unknown_product_is_refused(pod: Pod, database: Database) -> None:
    order, unknown = uuid4(), uuid4()
    await pod.take(placed(order, (unknown, 1)))
    refused = await last_told(database, order)
    assert refused["reason"] == "unknown-product"
    assert refused["short"] == [{"product_id": str(unknown), "requested": 1, "available": 0}]


@pytest.mark.parametrize("available", [5, 0], ids=["reserved", "refused"])
async def test_an_order_placed_again_is_answered_alike_without_a_second_effect(
    pod: Pod, database: Database, available: int
) -> None:
    (product,) = await stocked(database, available)
    order = uuid4()
    await pod.take(placed(order, (product, 1)))
    first = await last_told(database, order)
    await pod.take(placed(order, (product, 1)))
    assert await last_told(database, order) == first
    assert len(await told(database, order)) == 2
    assert (await numbers(database, product))[1] == min(available, 1)


async def test_a_confirmed_order_is_sold(pod: Pod, database: Database) -> None:
    (product,) = await stocked(database, 5)
    order = uuid4()
    await pod.take(placed(order, (product, 2)), confirmed(order), confirmed(order))
    assert await numbers(database, product) == (3, 0, 2)
    assert await told(database, order) == ["reserved", "sold", "sold"]
    await audit(database)


async def test_a_rejected_order_gives_its_reservation_back(pod: Pod, database: Database) -> None:
    (product,) = await stocked(database, 5)
    order = uuid4()
    await pod.take(placed(order, (product, 2)), rejected(order))
    assert await numbers(database, product) == (5, 0, 0)
    assert (await last_told(database, order))["reason"] == "order-rejected"
    await audit(database)


async def test_a_cancelled_sale_is_restocked_once(pod: Pod, database: Database) -> None:
    (product,) = await stocked(database, 5)
    order = uuid4()
    await pod.take(placed(order, (product, 2)), confirmed(order))
    await pod.take(cancelled(order))
    await pod.take(cancelled(order))
    assert await numbers(database, product) == (5, 0, 0)
    await audit(database)


async def test_an_order_cancelled_before_it_was_placed_never_reserves(pod: Pod, database: Database) -> None:
    (product,) = await stocked(database, 5)
    order = uuid4()
    await pod.take(cancelled(order))
    await pod.take(placed(order, (product, 2)))
    assert await numbers(database, product) == (5, 0, 0)
    assert await told(database, order) == ["released", "released"]


async def test_a_refused_order_that_is_rejected_is_told_nothing_more(pod: Pod, database: Database) -> None:
    (product,) = await stocked(database, 0)
    order = uuid4()
    await pod.take(placed(order, (product, 2)), rejected(order))
    assert await told(database, order) == ["refused"]


async def test_a_confirmation_of_an_unknown_order_is_refused_for_good(pod: Pod, database: Database) -> None:
    with pytest.raises(PermanentEventError, match="nothing was reserved"):
        await pod.take(confirmed(uuid4()))


async def test_the_largest_order_is_one_transaction(pod: Pod, database: Database) -> None:
    products = [UUID(int=number) for number in range(1, 1001)]
    await rows(
        database,
        "INSERT INTO stock SELECT unnest(%s::uuid[]), 0, 0, 0, 0, 0 RETURNING 1",
        products,
    )
    order = uuid4()
    await pod.take(placed(order, *((product, 1) for product in products)))
    assert len((await last_told(database, order))["short"]) == 1000


async def test_metrics_count_what_was_committed_and_no_repetition(pod: Pod, database: Database) -> None:
    (product,) = await stocked(database, 1)
    order, late = uuid4(), uuid4()
    await pod.take(placed(order, (product, 1)), placed(order, (product, 1)), placed(late, (product, 1)))
    await pod.take(confirmed(order))
    shown = pod.metrics.render().decode()
    assert 'inventory_reservations_total{outcome="reserved"} 1.0' in shown
    assert 'inventory_reservations_total{outcome="out-of-stock"} 1.0' in shown
    assert "inventory_oversell_prevented_total 1.0" in shown
    assert 'inventory_reservations_ended_total{state="sold"} 1.0' in shown
