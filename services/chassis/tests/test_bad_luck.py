"""A whole service while the way to its database or its broker is bad: bounded waits, back without restart.

One booking under one key goes through each fault, tried again until it is answered: it exists once, and its
event is sent. What a single part does in each case is tested where the part is.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mambogo_testkit.dependencies.kafka import KafkaBroker, TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer
from mambogo_testkit.faults import Blackhole, Fault
from mambogo_testkit.proxy import FaultProxy

import bookings
from mambogo_chassis.database import DatabaseSettings
from support.bad_ways import FAULTS
from support.booking import make_booking, records, serving, settings
from support.data import PATIENCE_SECONDS, eventually
from support.issuer import Issuer, issuer
from support.processes import EXAMPLES, service_process
from support.running import Running

# A proxy in front of the one broker is used by a few tests at a time, so many workers wait for each other.
pytestmark = pytest.mark.timeout(300)

# The sum of a request's own bounds is about 7 s (pool, BEGIN, transaction); the rest is for a busy machine.
BOUND_SECONDS = 30.0


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    return postgres_server.template("bookings", lambda database: bookings.migrate(database.dsn))


@pytest.fixture
def tokens() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.fixture
def topics(kafka_topics: TopicSpace) -> TopicSpace:
    for topic in ("bookings", "seats", "seats.dlt"):
        kafka_topics.create(topic, partitions=1)
    return kafka_topics


async def statuses_until_booked(sample: Running, tokens: Issuer) -> list[int]:
    """Try with one key until the booking is made; every answer on the way."""
    seen: list[int] = []

    async def booked() -> bool:
        answer = await make_booking(sample, tokens)
        seen.append(answer.status_code)
        return answer.status_code == 201

    await eventually(f"the booking: {seen}", booked)
    return seen


def short_bounds(**changes: Any) -> dict[str, Any]:
    """The bounds of production instead of the tests' patient ones."""
    names = ("db_pool_wait_seconds", "db_connect_timeout_seconds", "db_transaction_timeout_seconds")
    return {name: DatabaseSettings.model_fields[name].default for name in names} | changes


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_bad_way_to_the_database_costs_a_bounded_time(
    tokens: Issuer, postgres_database: FreshDatabase, topics: TopicSpace, fault: Callable[[], Fault]
) -> None:
    with FaultProxy(postgres_database.host, postgres_database.port) as proxy:
        used = settings(
            tokens,
            postgres_database,
            topics.bootstrap_servers,
            kafka_prefix=topics.prefix,
            **short_bounds(db_host=proxy.host, db_port=proxy.port),
        )
        async with serving(used) as sample:
            await eventually("a first connection", lambda: _is_up(sample, "database"))
            with proxy.inject(fault()):
                started = time.monotonic()
                answer = await make_booking(sample, tokens)
                assert time.monotonic() - started < BOUND_SECONDS
                assert answer.status_code in (201, 503)
                assert answer.status_code == 201 or answer.headers["retry-after"] == "1"
                assert (await sample.client.get("/actuator/health/readiness")).status_code == 200
                assert (await sample.client.get("/actuator/health/liveness")).status_code == 200
            assert set(await statuses_until_booked(sample, tokens)) <= {201, 503, 409}
            assert len(await records(topics, "bookings", 1)) == 1


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_bad_way_to_the_broker_costs_requests_nothing_and_events_a_delay(
    tokens: Issuer,
    postgres_database: FreshDatabase,
    kafka_broker: KafkaBroker,
    topics: TopicSpace,
    fault: Callable[[], Fault],
) -> None:
    with kafka_broker.proxied() as proxy:
        used = settings(
            tokens,
            postgres_database,
            proxy.address,
            kafka_prefix=topics.prefix,
            relay_publish_timeout_seconds=2,
        )
        async with serving(used) as sample:
            await eventually("a first connection", lambda: _is_up(sample, "kafka"))
            with proxy.inject(fault()) as injected:
                made = await make_booking(sample, tokens)
                assert made.status_code == 201
                assert (await sample.client.get("/actuator/health/readiness")).status_code == 200

                async def acted() -> bool:
                    return injected.acted > 0

                await eventually("the fault to meet traffic", acted)
            events = await records(topics, "bookings", 1)
            assert {event["subject"] for event in events} == {made.json()["id"]}
            await eventually("the broker to be seen again", lambda: _is_up(sample, "kafka"))
            assert (await sample.client.get("/actuator/health/liveness")).status_code == 200


async def test_a_hundred_first_requests_are_served_or_told_to_come_again(
    tokens: Issuer, postgres_database: FreshDatabase, topics: TopicSpace
) -> None:
    used = settings(
        tokens, postgres_database, topics.bootstrap_servers, kafka_prefix=topics.prefix, db_pool_queue=50
    )
    async with serving(used) as sample:
        answers = await asyncio.gather(
            *(make_booking(sample, tokens, key=f"k-{number}") for number in range(100))
        )
        served = [answer for answer in answers if answer.status_code == 201]
        refused = [answer for answer in answers if answer.status_code == 503]
        assert len(served) + len(refused) == 100
        assert served
        assert all(answer.headers["retry-after"] == "1" for answer in refused)
        assert len(tokens.server.requests) == 1  # the keys were read once for all of them
        assert len(await records(topics, "bookings", len(served))) == len(served)


@pytest.mark.parametrize("way", ["refused", "hanging"])
async def test_a_hundred_first_requests_without_a_database_are_told_to_come_again_and_then_served(
    tokens: Issuer, postgres_database: FreshDatabase, topics: TopicSpace, way: str
) -> None:
    keys = [f"k-{number}" for number in range(100)]
    with FaultProxy(postgres_database.host, postgres_database.port) as proxy, ExitStack() as away:
        used = settings(
            tokens,
            postgres_database,
            topics.bootstrap_servers,
            kafka_prefix=topics.prefix,
            **short_bounds(db_host=proxy.host, db_port=proxy.port),
        )
        away.enter_context(proxy.refuse() if way == "refused" else proxy.inject(Blackhole()))
        async with serving(used) as sample:
            started = time.monotonic()
            answers = await asyncio.gather(*(make_booking(sample, tokens, key=key) for key in keys))
            assert time.monotonic() - started < BOUND_SECONDS
            assert {answer.status_code for answer in answers} == {503}
            assert {answer.headers["retry-after"] for answer in answers} == {"1"}
            assert (await sample.client.get("/actuator/health/readiness")).status_code == 200
            assert (await sample.client.get("/actuator/health/liveness")).status_code == 200
            away.close()
            # Few at a time: that the service is back is to be shown, and not how much it can take.
            few = asyncio.Semaphore(4)
            await asyncio.gather(*(book(sample, tokens, key, few) for key in keys))
            assert len(await records(topics, "bookings", 100)) == 100


async def book(sample: Running, tokens: Issuer, key: str, few: asyncio.Semaphore) -> None:
    """Try as a client does that heeds what it is told, until it is served."""

    async def booked() -> bool:
        answer = await make_booking(sample, tokens, key=key)
        assert answer.status_code in (201, 409, 503), answer.text
        await asyncio.sleep(float(answer.headers.get("retry-after", "0")))
        return answer.status_code == 201

    async with few:
        await eventually(f"the booking of {key}", booked, timeout_seconds=4 * PATIENCE_SECONDS)


def test_sigterm_ends_a_service_whose_database_and_broker_hang(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        environment = {
            "DB_HOST": "127.0.0.1",
            "DB_PORT": port,
            "DB_NAME": "b",
            "DB_USER": "b",
            "DB_PASSWORD": "b",
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
        }
        with service_process(EXAMPLES / "bookings.py", tmp_path / "log", environment) as service:
            assert service.terminate() == 0


async def _is_up(sample: Running, part: str) -> bool:
    health = (await sample.client.get("/actuator/health")).json()
    return bool(health["components"][part]["status"] == "UP")
