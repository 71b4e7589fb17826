"""The sample service with everything in one process, on a real PostgreSQL and a real Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.postgres import PostgresServer

import bookings
from mambogo_chassis import tracing
from mambogo_chassis.events import CloudEvent
from mambogo_chassis.events.envelope import new_event_id, utc_now
from mambogo_chassis.service import Service
from mambogo_chassis.settings.model import MissingSettingsError
from support.booking import SCOPES, BookingSettings, make_booking, records, serving, settings
from support.data import eventually
from support.issuer import AUDIENCE, CLIENT, REALM, Issuer, issuer
from support.running import Running, make_service

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    return postgres_server.template("bookings", lambda database: bookings.migrate(database.dsn))


@pytest.fixture
def tokens() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.fixture
async def sample(
    tokens: Issuer, postgres_database: FreshDatabase, kafka_topics: TopicSpace
) -> AsyncIterator[Running]:
    for topic in ("bookings", "seats", "seats.dlt"):
        kafka_topics.create(topic, partitions=1)
    used = settings(
        tokens, postgres_database, kafka_topics.bootstrap_servers, kafka_prefix=kafka_topics.prefix
    )
    async with serving(used) as made:
        yield made


def assign(kafka_topics: TopicSpace, booking_id: str, traceparent: str | None = None) -> None:
    """Put into the topic what another service would send."""
    event = CloudEvent[bookings.SeatAssigned](
        id=new_event_id(),
        source="/mambogo/tests",
        type="com.mambogo.seat.assigned.v1",
        subject=booking_id,
        time=utc_now(),
        traceparent=traceparent,
        data=bookings.SeatAssigned(booking_id=booking_id),
    )
    producer = Producer({"bootstrap.servers": kafka_topics.bootstrap_servers})
    producer.produce(kafka_topics.name("seats"), event.encode(), booking_id.encode())
    assert producer.flush(30) == 0


async def test_a_booking_is_answered_again_word_for_word(sample: Running, tokens: Issuer) -> None:
    first = await make_booking(sample, tokens)
    again = await make_booking(sample, tokens)
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.content, again.headers["location"]) == (first.content, first.headers["location"])
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("key", "title", "status", "code"),
    [
        (None, "Box 5", 400, "idempotency-key-invalid"),
        ("k-1", "Box 6", 422, "idempotency-key-reused"),
    ],
    ids=["no-key", "another-body"],
)
async def test_a_wrong_key_is_a_problem(
    sample: Running, tokens: Issuer, key: str | None, title: str, status: int, code: str
) -> None:
    await make_booking(sample, tokens)
    refused = await make_booking(sample, tokens, key=key, title=title)
    assert (refused.status_code, refused.json()["type"]) == (status, f"urn:mambogo:problem:{code}")


async def test_the_event_carries_the_trace_of_its_request(
    sample: Running, tokens: Issuer, kafka_topics: TopicSpace
) -> None:
    made = await make_booking(sample, tokens, traceparent=TRACE)
    (event,) = await records(kafka_topics, "bookings", 1)
    assert event["data"] == {"booking_id": made.json()["id"], "seats": 2}
    carried, sent = tracing.parse(event["traceparent"]), tracing.parse(TRACE)
    assert carried is not None
    assert sent is not None
    assert carried.trace_id == sent.trace_id
    assert carried.span_id != sent.span_id


async def test_an_event_takes_effect_and_its_trace_goes_on(
    sample: Running, tokens: Issuer, kafka_topics: TopicSpace
) -> None:
    made = (await make_booking(sample, tokens)).json()
    assign(kafka_topics, made["id"], TRACE)
    *_, confirmed = await records(kafka_topics, "bookings", 2)
    assert (confirmed["type"], confirmed["subject"]) == ("com.mambogo.booking.confirmed.v1", made["id"])
    assert confirmed["traceparent"].split("-")[1] == TRACE.split("-")[1]
    token = tokens.token(scope=SCOPES)
    found = await sample.client.get(
        f"/api/bookings/{made['id']}", headers={"Authorization": f"Bearer {token}"}
    )
    assert found.json() == {**made, "state": "CONFIRMED"}


async def test_every_part_shows_in_health_and_metrics(sample: Running, tokens: Issuer) -> None:
    await make_booking(sample, tokens)

    async def all_up() -> dict[str, Any]:
        health = (await sample.client.get("/actuator/health")).json()
        return health if health["status"] == "UP" else {}

    health = await eventually("all parts to be up", all_up)
    assert {"database", "kafka", "outbox"} <= health["components"].keys()
    assert health["components"]["outbox"]["details"].keys() == {"pending", "ageSeconds", "refused"}
    shown = (await sample.client.get("/actuator/prometheus")).text
    for metric in ("db_pool_connections", "outbox_depth", "outbox_events_total", "consumer_records_total"):
        assert f"\n{metric}{{" in shown or f"\n{metric} " in shown, metric


@pytest.fixture
async def alone(tokens: Issuer) -> AsyncIterator[Running]:
    """The sample with neither database nor Kafka: both addresses refuse."""
    nowhere: dict[str, Any] = {
        "db_host": "127.0.0.1",
        "db_port": 1,
        "db_name": "b",
        "db_user": "b",
        "db_password": "b",
    }
    used = BookingSettings(
        issuer_url=REALM,
        jwks_url=tokens.jwks_url,
        audience=AUDIENCE,
        authorized_parties=(CLIENT,),
        kafka_bootstrap_servers="127.0.0.1:1",
        **nowhere,
    )
    async with serving(used) as made:
        yield made


async def test_without_its_dependencies_a_service_starts_and_says_so(alone: Running) -> None:
    assert (await alone.client.get("/actuator/health/readiness")).status_code == 200
    assert (await alone.client.get("/actuator/health/liveness")).status_code == 200
    health = await alone.client.get("/actuator/health")
    parts = health.json()["components"]
    assert health.status_code == 503
    assert parts["database"] == {"status": "DOWN", "details": {"error": "database-unavailable"}}
    assert parts["kafka"] == {"status": "DOWN", "details": {"error": "kafka-unavailable"}}
    assert parts["outbox"]["status"] == "DOWN"


async def test_without_its_database_an_operation_answers_503_and_when_to_come_again(
    alone: Running, tokens: Issuer
) -> None:
    refused = await make_booking(alone, tokens)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert problem["type"] == "urn:mambogo:problem:database-unavailable"
    assert "127.0.0.1" not in refused.text


async def test_draining_ends_the_consumer_and_the_relay_sends_what_the_last_request_appended(
    tokens: Issuer, postgres_database: FreshDatabase, kafka_topics: TopicSpace
) -> None:
    for topic in ("bookings", "seats"):
        kafka_topics.create(topic, partitions=1)
    used = settings(
        tokens,
        postgres_database,
        kafka_topics.bootstrap_servers,
        kafka_prefix=kafka_topics.prefix,
        drain_seconds=60,
    )
    async with serving(used) as sample:
        sample.server.begin_stop()

        async def consumer_has_ended() -> bool:
            return sample.service.supervisor.is_done("consumer")

        await eventually("the consumer to end", consumer_has_ended)
        made = await make_booking(sample, tokens)
        assert made.headers["connection"] == "close"
        sample.server.begin_stop()
    (event,) = await records(kafka_topics, "bookings", 1)
    assert event["subject"] == made.json()["id"]
    assert sample.service.supervisor.dead == {}


def test_a_part_without_its_settings_is_refused_by_name() -> None:
    service: Service[Any] = make_service()
    with pytest.raises(MissingSettingsError, match="Settings has no DatabaseSettings"):
        bookings.build(service)
