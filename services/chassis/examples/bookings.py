"""A complete service with a database, events and idempotency keys, in one file.

A booking is made once per key, in one transaction with its event; when a seat is assigned elsewhere, the
booking is confirmed. `migrate` makes its tables; a real service leaves that to alembic (docs/events.md).
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID, uuid4

import psycopg
from fastapi import APIRouter, Response
from pydantic import Field

from mambogo_chassis.auth import Principal, ensure_owner, requires
from mambogo_chassis.database import Connection, Database, DatabaseSettings, schema, use_database
from mambogo_chassis.events import CloudEvent, EventData, EventRegistry, Events, EventSettings, use_events
from mambogo_chassis.http.openapi import LOCATION
from mambogo_chassis.http.problems import errors, not_found
from mambogo_chassis.http.types import Body, PositiveInt, Text, View
from mambogo_chassis.idempotency import (
    Answer,
    IdempotencyStore,
    Keyed,
    answer,
    keyed_responses,
    respond,
    use_idempotency,
)
from mambogo_chassis.service import Service
from mambogo_chassis.settings import ServiceSettings

NAME = "booking-service"
TABLES = (
    *schema.statements(*schema.ALL),
    """CREATE TABLE IF NOT EXISTS booking (
        id uuid PRIMARY KEY, owner text NOT NULL, title text NOT NULL, seats integer NOT NULL,
        state text NOT NULL DEFAULT 'OPEN')""",
)

registry = EventRegistry()


@registry.event("com.mambogo.booking.made.v1", topic="bookings")
class BookingMade(EventData):
    """What this service tells others."""

    booking_id: str
    seats: int


@registry.event("com.mambogo.booking.confirmed.v1", topic="bookings")
class BookingConfirmed(EventData):
    """And what it tells them later."""

    booking_id: str


@registry.event("com.mambogo.seat.assigned.v1", topic="seats")
class SeatAssigned(EventData):
    """Of what others say, the part that this service uses."""

    booking_id: str


class Settings(ServiceSettings, DatabaseSettings, EventSettings):
    """`DB_HOST`, `KAFKA_BOOTSTRAP_SERVERS` and the like; a service adds its own."""


class BookingBody(Body):
    """What a client sends."""

    title: Annotated[Text, Field(min_length=1)]
    seats: PositiveInt = 1


class BookingView(View):
    """What a client gets."""

    id: UUID
    title: str
    seats: int
    state: Literal["OPEN", "CONFIRMED"]


Reader = Annotated[Principal, requires("bookings:read")]
Writer = Annotated[Principal, requires("bookings:write")]


def routes(database: Database, events: Events, keys: IdempotencyStore) -> APIRouter:
    """The operations, on the parts that they use."""
    router = APIRouter(prefix="/api/bookings", tags=["bookings"])

    @router.post(
        "",
        status_code=201,
        operation_id="makeBooking",
        response_model=BookingView,
        responses=keyed_responses(201, LOCATION),
    )
    async def make_booking(body: BookingBody, principal: Writer, keyed: Keyed) -> Response:
        """Make a booking, once per key."""
        request = keyed.by(principal.subject)
        if (replay := await keys.find(request)) is not None:
            return respond(replay)
        # Here, outside of any transaction, is the place to ask other services.

        async def work(connection: Connection) -> Answer:
            made = BookingView(id=uuid4(), title=body.title, seats=body.seats, state="OPEN")
            await connection.execute(
                "INSERT INTO booking (id, owner, title, seats) VALUES (%s, %s, %s, %s)",
                (made.id, principal.subject, made.title, made.seats),
            )
            event = BookingMade(booking_id=str(made.id), seats=made.seats)
            await events.outbox.append(connection, event, subject=str(made.id))
            return answer(201, made, {"Location": f"/api/bookings/{made.id}"})

        return respond(await keys.execute(request, work))

    @router.get("/{booking_id}", operation_id="getBooking", responses=errors(404))
    async def get_booking(booking_id: UUID, principal: Reader) -> BookingView:
        """Get one booking."""
        async with database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT owner, title, seats, state FROM booking WHERE id = %s", (booking_id,)
            )
            row = await cursor.fetchone()
        if row is None:
            raise not_found("booking")
        owner, title, seats, state = row
        ensure_owner(principal, owner, "booking")
        return BookingView(id=booking_id, title=title, seats=seats, state=state)

    return router


def handle(events: Events) -> None:
    """What this service does when others report."""

    @events.on(SeatAssigned)
    async def confirm(connection: Connection, event: CloudEvent[SeatAssigned]) -> None:
        """Once per event, in the transaction that remembers it; the UPDATE locks the booking's row."""
        cursor = await connection.execute(
            "UPDATE booking SET state = 'CONFIRMED' WHERE id = %s AND state = 'OPEN' RETURNING id",
            (UUID(event.data.booking_id),),
        )
        if await cursor.fetchone() is not None:
            confirmed = BookingConfirmed(booking_id=event.data.booking_id)
            await events.outbox.append(connection, confirmed, subject=event.subject)


def build(service: Service[Settings]) -> list[APIRouter]:
    """Wire the parts; a test calls it with a service of its own settings."""
    database = use_database(service)
    events = use_events(service, database, registry)
    keys = use_idempotency(service, database)
    handle(events)
    return [routes(database, events, keys)]


def migrate(dsn: str) -> None:
    """What a real service's migration Job does."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in TABLES:
            connection.execute(statement)


if __name__ == "__main__":
    loaded = Service.load(Settings, NAME)
    loaded.run(title="Bookings", routers=build(loaded))
