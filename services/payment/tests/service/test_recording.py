"""Answers of the provider that come together: one transaction, and each its own fate."""

from __future__ import annotations

import asyncio
from typing import NoReturn
from uuid import uuid4

import pytest
from mambogo_chassis.database import Connection, Database, DatabaseUnavailableError
from mambogo_testkit.serving import rows

from mambogo_payment.adapters import tables
from mambogo_payment.adapters.tables import Claim
from mambogo_payment.domain.payment import Fact, Payment
from mambogo_payment.service.recording import Recorder
from support.data import reserved, told
from support.pod import Pod

CAPTURED = Fact("at-the-provider", "captured")


async def leave(connection: Connection, payment: Payment, fact: Fact | None) -> None:
    """What is unchanged stays as it is; an answer that there is nothing is this test's trouble."""
    if fact is None:
        raise RuntimeError("trouble")


@pytest.fixture
def recorder(pod: Pod, database: Database) -> Recorder:
    return Recorder(database, pod.outbox, leave=leave)


async def claimed(pod: Pod, number: int) -> list[Claim]:
    """Payments of so many new orders, claimed."""
    await pod.take(*(reserved(uuid4()) for _ in range(number)))
    async with pod.database.transaction() as connection:
        return await tables.claim(connection, limit=number, lease_seconds=60)


async def test_answers_that_come_together_are_written_in_one_transaction(
    pod: Pod, database: Database, recorder: Recorder
) -> None:
    claims = await claimed(pod, 5)
    changes = await asyncio.gather(*(recorder.record(claim, CAPTURED) for claim in claims))
    assert [change.payment.payment_id for change in changes] == [claim.payment.payment_id for claim in claims]
    assert await rows(database, "SELECT DISTINCT state FROM payment") == [("captured",)]
    assert await rows(database, "SELECT count(DISTINCT xmin::text) FROM payment") == [(1,)]
    for claim in claims:
        assert await told(database, claim.payment.order_id) == ["captured"]


async def test_an_answer_that_cannot_be_written_leaves_the_others_alone(
    pod: Pod, database: Database, recorder: Recorder
) -> None:
    first, bad, last = await claimed(pod, 3)
    answers = [(first, CAPTURED), (bad, None), (last, CAPTURED)]
    outcomes = await asyncio.gather(
        *(recorder.record(claim, fact) for claim, fact in answers), return_exceptions=True
    )
    assert [isinstance(outcome, RuntimeError) for outcome in outcomes] == [False, True, False]
    for claim, state in ((first, "captured"), (bad, "open"), (last, "captured")):
        [(found,)] = await rows(
            database, "SELECT state FROM payment WHERE payment_id = %s", claim.payment.payment_id
        )
        assert found == state


async def test_the_second_answer_about_a_payment_finds_what_the_first_did(
    pod: Pod, database: Database, recorder: Recorder
) -> None:
    [claim] = await claimed(pod, 1)
    changes = await asyncio.gather(*(recorder.record(claim, CAPTURED) for _ in range(2)))
    assert [change.is_new for change in changes] == [True, False]
    assert await told(database, claim.payment.order_id) == ["captured"]


async def test_without_its_database_all_are_told_at_once(
    pod: Pod, database: Database, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = await claimed(pod, 3)
    tries: list[str] = []

    def away() -> NoReturn:
        tries.append("transaction")
        raise DatabaseUnavailableError("away", hint="")

    monkeypatch.setattr(database, "transaction", away)
    outcomes = await asyncio.gather(
        *(recorder.record(claim, CAPTURED) for claim in claims), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailableError] * 3
    assert tries == ["transaction"]


async def test_a_worker_that_stops_waiting_costs_its_neighbour_nothing(
    pod: Pod, database: Database, recorder: Recorder
) -> None:
    given_up, waiting = await claimed(pod, 2)
    tasks = [asyncio.create_task(recorder.record(claim, CAPTURED)) for claim in (given_up, waiting)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert (await tasks[1]).is_new
    assert await rows(database, "SELECT DISTINCT state FROM payment") == [("captured",)]
