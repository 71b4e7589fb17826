"""The sample service of `examples/bookings.py`, run by tests with settings of their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase

import bookings
from mambogo_chassis.service import Service
from support.data import database_settings, event_settings, eventually
from support.issuer import AUDIENCE, CLIENT, REALM, Issuer
from support.pipeline import read_all
from support.running import Running, Settings, make_service, running

SCOPES: Final = "bookings:read bookings:write"


class BookingSettings(Settings, bookings.Settings):
    """The sample's settings with the tests' defaults."""


def settings(
    tokens: Issuer, database: FreshDatabase, bootstrap_servers: str, **changes: Any
) -> BookingSettings:
    values: dict[str, Any] = {
        "issuer_url": REALM,
        "jwks_url": tokens.jwks_url,
        "audience": AUDIENCE,
        "authorized_parties": (CLIENT,),
        **dict(database_settings(database)),
        **dict(event_settings(bootstrap_servers)),
        **changes,
    }
    return BookingSettings(**values)


@asynccontextmanager
async def serving(used: BookingSettings) -> AsyncIterator[Running]:
    service: Service[Any] = make_service(used)
    async with running(*bookings.build(service), service=service) as made:
        yield made


async def make_booking(
    sample: Running, tokens: Issuer, *, key: str | None = "k-1", title: str = "Box 5", **headers: str
) -> httpx.Response:
    sent = {"Authorization": f"Bearer {tokens.token(scope=SCOPES)}", **headers}
    if key is not None:
        sent["Idempotency-Key"] = key
    return await sample.client.post("/api/bookings", json={"title": title, "seats": 2}, headers=sent)


async def records(kafka_topics: TopicSpace, topic: str, number: int) -> list[dict[str, Any]]:
    async def enough() -> list[dict[str, Any]]:
        found = await asyncio.to_thread(read_all, kafka_topics.bootstrap_servers, kafka_topics.name(topic))
        return [json.loads(record.value or b"") for record in found] if len(found) >= number else []

    return await eventually(f"{number} records in {topic}", enough)
