"""Many pods at once on the same products."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID, uuid4

from mambogo_chassis.database import Database

from support.data import Pod, audit, cancelled, confirmed, numbers, placed, stocked, told

PODS = 8


async def test_the_last_unit_is_sold_once_to_200_buyers(database: Database) -> None:
    (product,) = await stocked(database, 1)
    buyers = [uuid4() for _ in range(200)]
    pods = [Pod(database) for _ in range(PODS)]

    async def serve(pod: Pod, orders: list[UUID]) -> None:
        for order in orders:
            await pod.take(placed(order, (product, 1)))

    await asyncio.gather(*(serve(pod, buyers[number::PODS]) for number, pod in enumerate(pods)))
    outcomes = [answer for buyer in buyers for answer in await told(database, buyer)]
    assert (outcomes.count("reserved"), outcomes.count("refused")) == (1, 199)
    assert await numbers(database, product) == (0, 1, 0)
    await audit(database)


async def test_orders_that_name_the_same_products_in_any_sequence_never_deadlock(database: Database) -> None:
    products = await stocked(database, *[10_000] * 6)
    pods = [Pod(database) for _ in range(PODS)]

    async def serve(pod: Pod, seed: int) -> None:
        choose = random.Random(seed)  # noqa: S311 - a test's variety
        for _ in range(12):
            batch = []
            for _ in range(10):
                named = choose.sample(products, 3)
                batch.append(placed(uuid4(), *((product, 1) for product in named)))
            await pod.take(*batch)

    # Nobody tries again here: the first deadlock would end the test.
    await asyncio.gather(*(serve(pod, seed) for seed, pod in enumerate(pods)))
    assert sum([(await numbers(database, product))[1] for product in products]) == PODS * 12 * 10 * 3
    await audit(database)


async def test_placing_confirming_cancelling_and_expiring_at_once_keep_the_books(database: Database) -> None:
    products = await stocked(database, 40, 40, 40)
    orders = [uuid4() for _ in range(120)]

    async def serve(pod: Pod, own: list[UUID], seed: int) -> None:
        choose = random.Random(seed)  # noqa: S311 - a test's variety
        for order in own:
            lines = [(product, choose.randint(1, 3)) for product in choose.sample(products, 2)]
            await pod.take(placed(order, *lines))
            if (await told(database, order))[-1] == "reserved" and choose.random() < 0.7:
                await pod.take(confirmed(order))
            if choose.random() < 0.5:
                await pod.take(cancelled(order))

    async def expire(pod: Pod) -> None:
        for _ in range(20):
            await pod.reserving.expire_due(database)

    pods = [Pod(database, hold_seconds=0 if number % 2 else 900) for number in range(4)]
    serving = [serve(pod, orders[number::4], number) for number, pod in enumerate(pods)]
    await asyncio.gather(*serving, expire(Pod(database)), expire(Pod(database)))
    await audit(database)
