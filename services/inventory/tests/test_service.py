"""The whole service, from topic to topic."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from mambogo_chassis.database import Database
from mambogo_chassis.events import CloudEvent
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.issuing import issuer
from mambogo_testkit.realms import Realm
from mambogo_testkit.records import read, send
from mambogo_testkit.serving import eventually

from support.data import audit, cancelled, confirmed, numbers, placed, stocked, told
from support.running import TOPICS, Running, running, settings_for


@pytest.fixture
def topics(kafka_topics: TopicSpace) -> TopicSpace:
    for topic in TOPICS:
        kafka_topics.create(topic, partitions=2)
    return kafka_topics


@pytest.fixture
async def service(topics: TopicSpace, postgres_database: FreshDatabase) -> AsyncIterator[Running]:
    with issuer() as tokens:
        async with running(settings_for(tokens, postgres_database, topics), tokens) as made:
            yield made


async def tell(topics: TopicSpace, *events: CloudEvent[Any] | bytes) -> None:
    """What order-service sends, and what nobody should."""
    records = [
        ("raw", event) if isinstance(event, bytes) else (event.subject, event.encode()) for event in events
    ]
    await asyncio.to_thread(send, topics, "orders", *records)


async def outcomes(database: Database, order: UUID, count: int) -> list[str]:
    async def enough() -> list[str]:
        answers = await told(database, order)
        return answers if len(answers) >= count else []

    return await eventually(f"{count} answers", enough)


async def test_an_order_is_reserved_sold_and_restocked(
    service: Running, topics: TopicSpace, database: Database
) -> None:
    (product,) = await stocked(database, 5)
    order = uuid4()
    await tell(topics, placed(order, (product, 2)), confirmed(order), cancelled(order))
    assert await outcomes(database, order, 3) == ["reserved", "sold", "released"]
    assert await numbers(database, product) == (5, 0, 0)

    async def published() -> list[str]:
        found = await asyncio.to_thread(read, topics, "inventory")
        types = [json.loads(record.value)["type"].split(".")[3] for record in found]
        return types if len(types) == 3 else []

    assert await eventually("the answers in the topic", published) == ["reserved", "sold", "released"]
    await audit(database)


async def test_bad_events_are_dead_letters_with_their_reason_and_stop_nobody(
    service: Running, topics: TopicSpace, database: Database
) -> None:
    (product,) = await stocked(database, 5)
    order = uuid4()
    good = placed(order, (product, 2))
    future = json.loads(good.encode()) | {"id": "f", "type": "com.mambogo.order.placed.v2"}
    negative = json.loads(good.encode()) | {"id": "n"}
    negative["data"]["lines"][0]["quantity"] = -2
    many = json.loads(good.encode()) | {"id": "m"}
    many["data"]["lines"] = many["data"]["lines"] * 10_000
    overflowing = json.loads(good.encode()) | {"id": "o"}
    overflowing["data"]["lines"] = [{"product_id": str(product), "quantity": 10**30}]
    bad = [json.dumps(event).encode() for event in (future, negative, many, overflowing)]
    await tell(topics, *bad, b"[" * 100_000, confirmed(uuid4()), good)
    assert await outcomes(database, order, 1) == ["reserved"]

    async def letters() -> list[str]:
        found = await asyncio.to_thread(read, topics, "orders.dlt")
        return sorted(str(record.header("dlt-reason")) for record in found) if len(found) == 6 else []

    assert await eventually("the dead letters", letters) == [
        *("handler-failed", "invalid-data", "invalid-data", "invalid-data", "undecodable", "unknown-version")
    ]
    assert await numbers(database, product) == (3, 2, 0)


async def test_two_pods_share_the_orders(
    service: Running, topics: TopicSpace, database: Database, postgres_database: FreshDatabase
) -> None:
    products = await stocked(database, 30, 30)
    orders = [uuid4() for _ in range(40)]
    used = settings_for(service.tokens, postgres_database, topics)
    async with running(used, service.tokens):
        for turn, order in enumerate(orders):
            first, second = products if turn % 2 else reversed(products)
            await tell(topics, placed(order, (first, 1), (second, 1)))
        answers = [(await outcomes(database, order, 1))[0] for order in orders]
    assert (answers.count("reserved"), answers.count("refused")) == (30, 10)
    await audit(database)


async def test_keycloaks_tokens_are_taken(postgres_database: FreshDatabase, keycloak_realm: Realm) -> None:
    keycloak_realm.add_scope("inventory:read")
    client = keycloak_realm.add_client("shop", audiences=["mambogo"], scopes=["inventory:read"])
    user = keycloak_realm.add_user("anna")
    tokens = keycloak_realm.user_tokens(client, user, scope="openid inventory:read")
    with issuer() as other:
        identity: dict[str, Any] = {
            "issuer_url": keycloak_realm.issuer,
            "jwks_url": keycloak_realm.jwks_url,
            "audience": "mambogo",
            "authorized_parties": ("shop",),
        }
        async with running(settings_for(other, postgres_database, **identity), other) as made:
            path = f"/api/inventory/{uuid4()}"
            good = {"Authorization": f"Bearer {tokens['access_token']}"}
            assert (await made.client.get(path, headers=good)).status_code == 404
            assert (await made.client.get(path, headers=made.reader())).status_code == 401
