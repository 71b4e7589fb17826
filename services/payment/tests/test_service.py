"""The whole service from topic to topic, at a real provider whose webhooks come over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from mambogo_chassis.database import Database
from mambogo_chassis.events import CloudEvent
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.issuing import issuer
from mambogo_testkit.ports import free_port
from mambogo_testkit.records import Record, read, send
from mambogo_testkit.serving import eventually, rows

from support.data import cancelled, payment_id, rejected, reserved, state, told, until
from support.running import TOPICS, Running, running, settings_for
from support.sandbox import API_KEY, Sandbox
from support.sandbox import sandbox as started

WEBHOOKS = "/api/payments/webhooks/provider"


@pytest.fixture
def topics(kafka_topics: TopicSpace) -> TopicSpace:
    for topic in TOPICS:
        kafka_topics.create(topic, partitions=2)
    return kafka_topics


@pytest.fixture
def port() -> int:
    """The service's: the provider has to know it before the service knows the provider's."""
    return free_port()


@pytest.fixture
def provider(port: int, tmp_path: Path) -> Iterator[Sandbox]:
    with started(tmp_path, webhook_url=f"http://127.0.0.1:{port}{WEBHOOKS}") as made:
        yield made


@pytest.fixture
async def service(
    topics: TopicSpace, postgres_database: FreshDatabase, provider: Sandbox, port: int
) -> AsyncIterator[Running]:
    with issuer() as tokens:
        used = settings_for(tokens, postgres_database, provider.url, topics, port=port)
        async with running(used, tokens) as made:
            yield made


async def tell(topics: TopicSpace, *events: CloudEvent[Any]) -> None:
    """What order-service sends."""
    records = [(event.subject, event.encode()) for event in events]
    await asyncio.to_thread(send, topics, "orders", *records)


async def in_topic(topics: TopicSpace, topic: str, count: int) -> list[Record]:
    """The records of a topic, once there are so many."""

    async def enough() -> list[Record]:
        found = await asyncio.to_thread(read, topics, topic)
        return found if len(found) >= count else []

    return await eventually(f"{count} records in {topic}", enough)


async def webhooks(service: Running) -> dict[str, int]:
    """How many webhooks came, by what they came to."""
    shown = (await service.client.get("/actuator/prometheus")).text
    lines = [line for line in shown.splitlines() if line.startswith("payment_webhooks_total{")]
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in lines}


async def heard(service: Running, count: int, outcome: str | None = None) -> dict[str, int]:
    """The numbers of webhooks, once so many came, or so many to this outcome."""

    async def enough() -> dict[str, int]:
        found = await webhooks(service)
        came = found[outcome] if outcome is not None else sum(found.values())
        return found if came >= count else {}

    return await eventually(f"{count} webhooks", enough)


async def test_a_reserved_order_is_captured_from_topic_to_topic(
    service: Running, topics: TopicSpace, database: Database, provider: Sandbox
) -> None:
    wanted = uuid4()
    await tell(topics, reserved(wanted, 4200))
    [record] = await in_topic(topics, "payments", 1)
    payment = await payment_id(database, wanted)
    event = json.loads(record.value)
    assert (record.key, event["subject"]) == (str(wanted).encode(), str(wanted))
    assert event["type"] == "com.mambogo.payment.captured.v1"
    assert event["data"] == {
        **{"order_id": str(wanted), "payment_id": str(payment)},
        **{"amount_minor": 4200, "currency": "EUR"},
    }
    taken = [(entry["kind"], entry["amount_minor"]) for entry in provider.entries(str(payment))]
    assert taken == [("authorised", 4200), ("captured", 4200)]


async def test_a_declined_and_a_cancelled_order_are_told_of_their_money(
    service: Running, topics: TopicSpace, database: Database, provider: Sandbox
) -> None:
    provider.switch(decline_amounts_ending=("13",))
    poor, fickle = uuid4(), uuid4()
    await tell(topics, reserved(poor, 1013), reserved(fickle), cancelled(fickle), rejected(poor))
    await until(database, fickle, "refunded", "voided")
    await until(database, poor, "declined", "voided")
    outcomes = {await state(database, poor), await state(database, fickle)}
    assert outcomes <= {"declined", "voided", "refunded"}
    money = [entry["kind"] for entry in provider.entries(str(await payment_id(database, fickle)))]
    assert money.count("captured") == money.count("refunded")


async def test_an_event_that_comes_again_takes_no_money_again(
    service: Running, topics: TopicSpace, database: Database, provider: Sandbox
) -> None:
    wanted = uuid4()
    once = reserved(wanted)
    # The same record twice, and the same order in a new envelope, as the sweeper sends it.
    await tell(topics, once, once, reserved(wanted))
    await until(database, wanted, "captured")
    found = await in_topic(topics, "payments", 1)
    assert {json.loads(record.value)["type"] for record in found} == {"com.mambogo.payment.captured.v1"}
    assert provider.kinds(await payment_id(database, wanted)) == ["authorised", "captured"]


async def test_bad_events_are_dead_letters_with_their_reason_and_stop_nobody(
    service: Running, topics: TopicSpace, database: Database
) -> None:
    wanted = uuid4()
    good = reserved(wanted)
    future = json.loads(good.encode()) | {"id": "f", "type": "com.mambogo.order.reserved.v2"}
    unpaid = json.loads(good.encode()) | {"id": "u"}
    unpaid["data"] = unpaid["data"] | {"total_minor": -1}
    huge = json.loads(good.encode()) | {"id": "h"}
    huge["data"] = huge["data"] | {"total_minor": 10**30}
    bad = [json.dumps(event).encode() for event in (future, unpaid, huge)]
    await asyncio.to_thread(send, topics, "orders", *(("bad", value) for value in (*bad, b"[" * 100_000)))
    await tell(topics, good)
    await until(database, wanted, "captured")
    letters = await in_topic(topics, "orders.dlt", 4)
    assert sorted(str(letter.header("dlt-reason")) for letter in letters) == [
        *("invalid-data", "invalid-data", "undecodable", "unknown-version")
    ]


async def test_webhooks_that_come_many_times_take_money_once(
    service: Running, topics: TopicSpace, database: Database, provider: Sandbox
) -> None:
    provider.switch(duplicate_webhooks=3)
    wanted = uuid4()
    await tell(topics, reserved(wanted))
    await until(database, wanted, "captured")
    assert (await heard(service, 8))["refused"] == 0
    assert await told(database, wanted) == ["captured"]
    assert provider.kinds(await payment_id(database, wanted)) == ["authorised", "captured"]


async def test_webhooks_in_the_wrong_order_and_late_change_nothing(
    service: Running, topics: TopicSpace, database: Database, provider: Sandbox
) -> None:
    # Late enough that the money is back before the first of them says that it was authorised.
    provider.switch(reorder_webhooks=True, webhook_delay_seconds=2.0)
    wanted = uuid4()
    await tell(topics, reserved(wanted))
    await until(database, wanted, "captured")
    await tell(topics, cancelled(wanted))
    await until(database, wanted, "refunded")
    assert (await heard(service, 3))["refused"] == 0
    assert await state(database, wanted) == "refunded"
    assert await told(database, wanted) == ["captured", "refunded"]
    assert provider.kinds(await payment_id(database, wanted)) == ["authorised", "captured", "refunded"]


async def test_a_webhook_is_heard_while_the_providers_answers_do_not_come(
    service: Running, topics: TopicSpace, database: Database, provider: Sandbox
) -> None:
    provider.switch(slow_seconds=600)
    wanted = uuid4()
    await tell(topics, reserved(wanted))

    async def doubted() -> bool:
        query = "SELECT outcome_unknown FROM payment WHERE order_id = %s"
        return (True,) in await rows(database, query, wanted)

    await eventually("a call whose outcome is not known", doubted)
    payment = await payment_id(database, wanted)
    await asyncio.to_thread(capture, provider, payment)
    await heard(service, 1, "hint")
    provider.switch()
    await until(database, wanted, "captured")
    assert await told(database, wanted) == ["captured"]
    assert provider.kinds(payment) == ["authorised", "captured"]


async def test_a_forgers_webhooks_are_refused_and_move_nothing(
    service: Running, topics: TopicSpace, database: Database, provider: Sandbox, port: int, tmp_path: Path
) -> None:
    provider.switch(decline=True)
    wanted = uuid4()
    await tell(topics, reserved(wanted))
    await until(database, wanted, "declined")
    payment = await payment_id(database, wanted)
    before = (await webhooks(service))["hint"]
    folder = tmp_path / "forger"
    folder.mkdir()
    # A provider of the same make, that took the money, and does not know the secret.
    with started(folder, webhook_url=f"http://127.0.0.1:{port}{WEBHOOKS}", secret="guessed") as forger:
        await asyncio.to_thread(authorise, forger, payment)
        await asyncio.to_thread(capture, forger, payment)
        found = await heard(service, 2, "refused")
    assert found["hint"] == before
    assert (await state(database, wanted), await told(database, wanted)) == ("declined", ["declined"])


def authorise(provider: Sandbox, reference: UUID) -> None:
    """A payment under somebody's reference."""
    call(provider, "/v1/payments", {"reference": str(reference), "amount_minor": 1999, "currency": "EUR"})


def capture(provider: Sandbox, reference: UUID) -> None:
    """Take the money of the first payment under a reference."""
    [made, *_] = provider.entries(str(reference))
    call(provider, f"/v1/payments/{made['payment_id']}/capture", None)


def call(provider: Sandbox, path: str, body: object) -> None:
    """What is asked is done at once; a slow provider's answer is not waited for."""
    headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": "theirs"}
    with suppress(httpx.ReadTimeout):
        httpx.post(f"{provider.url}{path}", json=body, headers=headers, timeout=1.0).raise_for_status()
