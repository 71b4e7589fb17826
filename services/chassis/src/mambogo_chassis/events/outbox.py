"""Appending events in the transaction that decides them.

The row commits with the caller's work or not at all: there is no moment at which the order exists and its
event does not. Order within an aggregate is the order of the rows' ids, so whoever appends has to hold the
aggregate's row lock (an UPDATE or INSERT of it in the same transaction does): two transactions that change
one aggregate without it are concurrent, and so are their events. Sending is `relay`'s.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Final

from psycopg.types.json import Jsonb

from mambogo_chassis.database.pool import Connection
from mambogo_chassis.events.envelope import CloudEvent, EventData, new_event_id, utc_now
from mambogo_chassis.events.errors import EventTooLargeError
from mambogo_chassis.events.records import Headers, shard_of
from mambogo_chassis.events.registry import EventRegistry
from mambogo_chassis.http import context

# Brokers refuse batches above 1,048,588 bytes (message.max.bytes); a quarter leaves room for a dead letter's
# headers and says early that an event is no file transfer.
MAX_EVENT_BYTES: Final = 262_144

_INSERT: Final = """
INSERT INTO outbox (event_id, topic, key, shard, value, headers)
VALUES (%s, %s, %s, %s, %s, %s)
"""


class Outbox:
    """The outbox of one service. `source` is its CloudEvents source, such as `/mambogo/order-service`."""

    def __init__(self, registry: EventRegistry, *, source: str) -> None:
        self._registry = registry
        self._source = source
        self._listeners: list[Callable[[], None]] = []

    def on_append(self, listener: Callable[[], None]) -> None:
        """Call `listener` at each append, before the commit: a hint to look soon, not that there is a row."""
        self._listeners.append(listener)

    async def append(
        self,
        connection: Connection,
        data: EventData,
        *,
        subject: str,
        traceparent: str | None = None,
        event_id: str | None = None,
    ) -> str:
        """Append an event of aggregate `subject` and return its id. `connection` is in the caller's
        transaction; the trace is that of the request or event in progress unless another is given.

        Raises UnregisteredEventError and EventTooLargeError.
        """
        event_type = self._registry.type_of(type(data))
        event = CloudEvent[EventData](
            id=event_id or new_event_id(),
            source=self._source,
            type=event_type.name,
            subject=subject,
            time=utc_now(),
            traceparent=traceparent or _current_traceparent(),
            data=data,
        )
        value = event.model_dump_json(exclude_none=True, serialize_as_any=True).encode()
        if len(value) > MAX_EVENT_BYTES:
            raise EventTooLargeError(
                f"{event_type.name} of {len(value)} bytes",
                hint=f"at most {MAX_EVENT_BYTES}: send a reference",
            )
        await self.append_record(
            connection, event.id, topic=event_type.topic, key=subject.encode(), value=value
        )
        return event.id

    async def append_record(
        self,
        connection: Connection,
        event_id: str,
        *,
        topic: str,
        key: bytes,
        value: bytes,
        headers: Headers | None = None,
    ) -> None:
        """Append a record that is no event of this registry, such as a dead letter."""
        stored = (
            None
            if headers is None
            else Jsonb([[name, base64.b64encode(raw).decode()] for name, raw in headers])
        )
        await connection.execute(_INSERT, (event_id, topic, key, shard_of(key), value, stored))
        for listener in self._listeners:
            listener()


def _current_traceparent() -> str | None:
    request = context.current()
    return request.trace.traceparent if request is not None else None


def stored_headers(stored: object) -> Headers:
    """The headers of a row that has its own; the inverse of what `append_record` writes."""
    pairs = json.loads(stored) if isinstance(stored, str) else stored
    assert isinstance(pairs, list)  # noqa: S101 - written by append_record alone
    return tuple((name, base64.b64decode(raw)) for name, raw in pairs)
