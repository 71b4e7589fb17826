"""order-service as a process with real Kafka: the whole way of an order, and deaths on that way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from confluent_kafka import Consumer, Producer

from mambogo_chassis.events.records import InboundRecord
from mambogo_chassis.events.topics import ensure_topics
from mambogo_chassis.failpoint_actions import CRASH_STATUS
from mambogo_testkit.dependencies.kafka import KafkaBroker
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.issuing import Issuer
from mambogo_testkit.processes import ServiceProcess, service_process
from mambogo_testkit.waiting import wait_until
from support.catalogue import PRICE_MINOR, Catalogue
from support.inbound import captured, reserved
from support.shop import ALICE, process_environment_for

MODULE = "mambogo_order.main"
PATIENCE_SECONDS = 60.0


@pytest.fixture
def headers(tokens: Issuer) -> dict[str, str]:
    token = tokens.token(ALICE, "orders:read", "orders:write")
    return {"Authorization": f"Bearer {token}", "Idempotency-Key": "the-key"}


@pytest.fixture
def broker(kafka_broker: KafkaBroker) -> str:
    """The shop's own topics: no other test of this suite uses them."""
    ensure_topics(
        kafka_broker.bootstrap_servers,
        ("orders", "inventory", "payments"),
        partitions=3,
        replication_factor=1,
    )
    return kafka_broker.bootstrap_servers


def order_body(products: Catalogue) -> dict[str, Any]:
    return {"lines": [{"product_id": str(products.add()), "quantity": 1}]}


def await_state(service: ServiceProcess, order_id: UUID, headers: dict[str, str], state: str) -> None:
    def missing() -> str | None:
        found = httpx.get(
            f"{service.url}/api/orders/{order_id}", headers=headers, timeout=PATIENCE_SECONDS
        ).json()["state"]
        return None if found == state else str(found)

    wait_until(f"order {order_id} to be {state}", missing, PATIENCE_SECONDS)


def send(broker: str, record: InboundRecord) -> None:
    producer = Producer({"bootstrap.servers": broker})
    producer.produce(record.topic, record.value, record.key)
    assert producer.flush(PATIENCE_SECONDS) == 0


def read(broker: str, count: int) -> list[tuple[str, int]]:
    """The first `count` events on `orders`: (verb, sequence)."""
    consumer = Consumer(
        {"bootstrap.servers": broker, "group.id": str(uuid4()), "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["orders"])
    messages = consumer.consume(count, PATIENCE_SECONDS)
    consumer.close()
    events = [json.loads(message.value() or b"") for message in messages]
    return [(event["type"].split(".")[3], event["data"]["sequence"]) for event in events]


def test_an_order_is_confirmed_over_kafka_and_the_process_stops_in_order(
    broker: str,
    postgres_database: FreshDatabase,
    tokens: Issuer,
    products: Catalogue,
    headers: dict[str, str],
    tmp_path: Path,
) -> None:
    environment = process_environment_for(postgres_database, tokens, products, broker)
    with service_process(MODULE, environment, log=tmp_path / "log") as service:
        placed = httpx.post(
            f"{service.url}/api/orders", json=order_body(products), headers=headers, timeout=PATIENCE_SECONDS
        )
        order_id = UUID(placed.json()["order_id"])
        assert read(broker, 1) == [("placed", 1)]
        send(broker, reserved(order_id))
        await_state(service, order_id, headers, "RESERVED")
        send(broker, captured(order_id, PRICE_MINOR, uuid4()))
        await_state(service, order_id, headers, "CONFIRMED")
        assert read(broker, 3) == [("placed", 1), ("reserved", 2), ("confirmed", 3)]
        assert service.terminate() == 0, service.log


@pytest.mark.parametrize("place", ["order.inserted", "idempotency.committed"])
def test_wherever_placing_dies_a_repetition_makes_one_order(
    place: str,
    process_environment: dict[str, str],
    postgres_database: FreshDatabase,
    products: Catalogue,
    headers: dict[str, str],
    tmp_path: Path,
) -> None:
    body = order_body(products)
    dying = {"MAMBOGO_FAILPOINTS": f"{place}=crash", "SPRING_PROFILES_ACTIVE": "test"}
    with service_process(MODULE, process_environment | dying, log=tmp_path / "log") as service:
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{service.url}/api/orders", json=body, headers=headers, timeout=PATIENCE_SECONDS)
        assert service.wait() == CRASH_STATUS, service.log
    with service_process(MODULE, process_environment, log=tmp_path / "log") as service:
        again = httpx.post(f"{service.url}/api/orders", json=body, headers=headers, timeout=PATIENCE_SECONDS)
    assert again.status_code == 201
    with psycopg.connect(postgres_database.dsn) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM outbox)"
        ).fetchone()
    assert row == (1, 1)


def test_a_cancellation_that_dies_has_either_not_happened_or_is_told(
    process_environment: dict[str, str],
    postgres_database: FreshDatabase,
    products: Catalogue,
    headers: dict[str, str],
    tmp_path: Path,
) -> None:
    dying = {"MAMBOGO_FAILPOINTS": "order.moved=crash", "SPRING_PROFILES_ACTIVE": "test"}
    with service_process(MODULE, process_environment | dying, log=tmp_path / "log") as service:
        placed = httpx.post(
            f"{service.url}/api/orders", json=order_body(products), headers=headers, timeout=PATIENCE_SECONDS
        )
        with pytest.raises(httpx.TransportError):
            httpx.post(
                f"{service.url}{placed.headers['location']}/cancellation",
                headers=headers,
                timeout=PATIENCE_SECONDS,
            )
        assert service.wait() == CRASH_STATUS, service.log
    with psycopg.connect(postgres_database.dsn) as connection:
        row = connection.execute(
            "SELECT state, sequence, (SELECT count(*) FROM outbox) FROM orders"
        ).fetchone()
    assert row == ("PENDING", 1, 1)
