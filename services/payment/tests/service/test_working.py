"""Payments at the real sandbox: each captured once and refunded once, whatever the provider does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from mambogo_chassis.database import Database
from mambogo_testkit.serving import eventually, rows

from support.data import cancelled, payment_id, rejected, reserved, told, until
from support.pod import Pod, working
from support.sandbox import Sandbox


async def audit(database: Database, sandbox: Sandbox, orders: list[UUID]) -> None:
    """Both sides' books agree: one capture at most, given back exactly when the payment says so."""
    entries = sandbox.entries()
    for order in orders:
        [(payment, state)] = await rows(
            database, "SELECT payment_id, state FROM payment WHERE order_id = %s", order
        )
        kinds = [entry["kind"] for entry in entries if entry["reference"] == str(payment)]
        captured, refunded = kinds.count("captured"), kinds.count("refunded")
        expected = {"captured": (1, 0), "refunded": (1, 1), "voided": (0, 0), "declined": (0, 0)}
        assert (captured, refunded) == expected[state], (state, kinds)


async def test_a_reserved_order_is_captured_once_under_its_own_key(
    pod: Pod, database: Database, sandbox: Sandbox
) -> None:
    order = uuid4()
    async with working(pod):
        await pod.take(reserved(order, 1234))
        await until(database, order, "captured")
    payment = await payment_id(database, order)
    entries = sandbox.entries(str(payment))
    assert [(entry["kind"], entry["amount_minor"]) for entry in entries] == [
        ("authorised", 1234),
        ("captured", 1234),
    ]
    assert {entry["idempotency_key"] for entry in entries} == {str(payment)}
    assert await told(database, order) == ["captured"]


async def test_an_order_reserved_again_is_answered_again_and_not_charged_again(
    pod: Pod, database: Database, sandbox: Sandbox
) -> None:
    order = uuid4()
    async with working(pod):
        await pod.take(reserved(order), reserved(order))
        await until(database, order, "captured")
        await pod.take(reserved(order))
    assert await told(database, order) == ["captured", "captured"]
    await audit(database, sandbox, [order])


async def test_a_declined_payment_says_why(pod: Pod, database: Database, sandbox: Sandbox) -> None:
    sandbox.switch(decline_amounts_ending=["13"])
    order = uuid4()
    async with working(pod):
        await pod.take(reserved(order, 1013))
        await until(database, order, "declined")
        await pod.take(rejected(order))
    assert await told(database, order) == ["declined"]
    assert await rows(database, "SELECT decline_reason FROM payment") == [("insufficient-funds",)]


async def test_a_currency_that_the_provider_does_not_know_is_declined(pod: Pod, database: Database) -> None:
    order = uuid4()
    event = reserved(order)
    foreign = event.model_copy(update={"data": event.data.model_copy(update={"currency": "XXX"})})
    async with working(pod):
        await pod.take(foreign)
        await until(database, order, "declined")
    assert await rows(database, "SELECT decline_reason FROM payment") == [("unknown-currency",)]


async def test_every_reply_lost_still_charges_once(pod: Pod, database: Database, sandbox: Sandbox) -> None:
    sandbox.switch(lost_reply_every=1)
    orders = [uuid4() for _ in range(3)]
    async with working(pod):
        await pod.take(*(reserved(order) for order in orders))
        for order in orders:
            await until(database, order, "captured")
    await audit(database, sandbox, orders)
    shown = pod.metrics.render().decode()
    assert 'payment_provider_calls_total{operation="authorise",outcome="unknown"} 0.0' not in shown


async def test_a_provider_that_is_down_only_delays(pod: Pod, database: Database, sandbox: Sandbox) -> None:
    sandbox.switch(down=True)
    order = uuid4()
    async with working(pod):
        await pod.take(reserved(order))

        async def is_doubtful() -> bool:
            return await rows(database, "SELECT outcome_unknown FROM payment") == [(True,)]

        await eventually("a call without an answer", is_doubtful)
        assert await told(database, order) == []
        sandbox.switch()
        await until(database, order, "captured")
    assert await rows(database, "SELECT outcome_unknown, due_at FROM payment") == [(False, None)]
    await audit(database, sandbox, [order])


async def test_a_provider_slower_than_our_patience_charges_once(
    make_pod: Callable[..., Pod], database: Database, sandbox: Sandbox
) -> None:
    sandbox.switch(slow_seconds=2)
    pod = make_pod(timeout_seconds=0.3)
    order = uuid4()
    async with working(pod):
        await pod.take(reserved(order))

        async def is_authorised() -> bool:
            return "authorised" in sandbox.kinds(await payment_id(database, order))

        await eventually("work whose answer comes too late", is_authorised)
        sandbox.switch()
        await until(database, order, "captured")
    await audit(database, sandbox, [order])


async def test_an_order_cancelled_before_it_was_reserved_is_never_charged(
    pod: Pod, database: Database, sandbox: Sandbox
) -> None:
    order = uuid4()
    async with working(pod):
        await pod.take(cancelled(order))
        await pod.take(reserved(order))
    assert await told(database, order) == ["voided"]
    assert sandbox.kinds(await payment_id(database, order)) == []


async def test_an_order_cancelled_before_the_first_call_needs_no_call(
    pod: Pod, database: Database, sandbox: Sandbox
) -> None:
    order = uuid4()
    await pod.take(reserved(order), cancelled(order), cancelled(order))
    assert await told(database, order) == ["voided", "voided"]
    assert sandbox.kinds(await payment_id(database, order)) == []


async def test_a_cancelled_order_gets_its_money_back_once(
    pod: Pod, database: Database, sandbox: Sandbox
) -> None:
    order = uuid4()
    async with working(pod):
        await pod.take(reserved(order))
        await until(database, order, "captured")
        sandbox.switch(lost_reply_every=1)
        await pod.take(cancelled(order), cancelled(order), rejected(order))
        await until(database, order, "refunded")
        await pod.take(cancelled(order))
    assert await told(database, order) == ["captured", "refunded", "refunded"]
    await audit(database, sandbox, [order])


async def test_a_cancellation_while_the_provider_is_silent_leaves_no_charge(
    make_pod: Callable[..., Pod], database: Database, sandbox: Sandbox
) -> None:
    sandbox.switch(down=True)
    pod = make_pod()
    order = uuid4()
    async with working(pod):
        await pod.take(reserved(order))

        async def was_tried() -> bool:
            return bool((await rows(database, "SELECT attempts FROM payment"))[0][0])

        await eventually("a first call", was_tried)
        await pod.take(cancelled(order))
        sandbox.switch()
        await until(database, order, "voided", "refunded")
    await audit(database, sandbox, [order])


async def test_cancellations_that_race_with_captures_leave_no_charge(
    make_pod: Callable[..., Pod], database: Database, sandbox: Sandbox
) -> None:
    sandbox.switch(slow_seconds=0.02, lost_reply_every=5)
    pods = [make_pod() for _ in range(3)]
    orders = [uuid4() for _ in range(40)]
    choose = random.Random(1)  # noqa: S311 - a test's variety

    async def shop(order: UUID) -> None:
        await pods[0].take(reserved(order))
        await asyncio.sleep(choose.uniform(0, 0.2))
        await pods[1].take(cancelled(order))

    async with working(*pods):
        await asyncio.gather(*(shop(order) for order in orders))
        ended = [await until(database, order, "voided", "refunded") for order in orders]
    await audit(database, sandbox, orders)
    for order, state in zip(orders, ended, strict=True):
        assert await told(database, order) == (["voided"] if state == "voided" else ["captured", "refunded"])


async def test_many_pods_charge_each_order_once(
    make_pod: Callable[..., Pod], database: Database, sandbox: Sandbox
) -> None:
    pods = [make_pod() for _ in range(4)]
    orders = [uuid4() for _ in range(60)]
    async with working(*pods):
        for number, order in enumerate(orders):
            await pods[number % 4].take(reserved(order))
        for order in orders:
            await until(database, order, "captured")
    await audit(database, sandbox, orders)
    assert [await told(database, order) for order in orders] == [["captured"]] * 60


async def test_a_claim_that_nobody_finishes_is_taken_over(
    make_pod: Callable[..., Pod], database: Database, sandbox: Sandbox
) -> None:
    sandbox.switch(slow_seconds=600)
    held_up, other = make_pod(lease_seconds=0.5, timeout_seconds=600), make_pod()
    order = uuid4()
    await held_up.take(reserved(order))
    stuck = asyncio.create_task(held_up.worker.run())

    async def is_authorised() -> bool:
        return "authorised" in sandbox.kinds(await payment_id(database, order))

    await eventually("the first worker's call", is_authorised)
    stuck.cancel()
    sandbox.switch()
    async with working(other):
        await until(database, order, "captured")
    await audit(database, sandbox, [order])
    with pytest.raises(asyncio.CancelledError):
        await stuck


async def test_metrics_count_money_once(pod: Pod, database: Database) -> None:
    order = uuid4()
    async with working(pod):
        await pod.take(reserved(order, 500))
        await until(database, order, "captured")
        await pod.take(reserved(order, 500), cancelled(order))
        await until(database, order, "refunded")
    shown = pod.metrics.render().decode()
    assert 'payment_revenue_minor_total{currency="EUR"} 500.0' in shown
    assert 'payment_refunded_minor_total{currency="EUR"} 500.0' in shown
    assert 'payments_total{outcome="captured"} 1.0' in shown
    assert "payment_unknown_outcomes 0.0" in shown
