"""Events as others would send them, taken by the service's own consumer from a source in memory.

Everything behind the source is real: inbox, handlers, dead letters, transactions.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from mambogo_chassis.events.consumer import EventConsumer
from mambogo_chassis.events.records import InboundRecord

_offsets = itertools.count()
_TOPICS = {"inventory": "inventory", "payment": "payments"}


def event(
    verb: str, order_id: UUID | str, *, event_id: str | None = None, version: int = 1, **data: Any
) -> InboundRecord:
    """`event("inventory.reserved", order_id)`, as its writer would send it."""
    topic = _TOPICS[verb.partition(".")[0]]
    content = {
        "specversion": "1.0",
        "id": event_id or str(uuid4()),
        "source": f"/mambogo/{topic}",
        "type": f"com.mambogo.{verb}.v{version}",
        "subject": str(order_id),
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": {"order_id": str(order_id), **{name: _plain(value) for name, value in data.items()}},
    }
    return InboundRecord(
        topic=topic,
        partition=0,
        offset=next(_offsets),
        timestamp_ms=0,
        key=str(order_id).encode(),
        value=json.dumps(content).encode(),
        headers=(),
    )


def reserved(order_id: UUID, **envelope: Any) -> InboundRecord:
    """`inventory.reserved`, with a field that this service does not use."""
    return event("inventory.reserved", order_id, reservation_id=uuid4(), **envelope)


def captured(
    order_id: UUID, amount_minor: int, payment_id: UUID, currency: str = "EUR", **envelope: Any
) -> InboundRecord:
    """`payment.captured`."""
    data: dict[str, Any] = {"payment_id": payment_id, "amount_minor": amount_minor, "currency": currency}
    return event("payment.captured", order_id, **data, **envelope)


async def take(consumer: EventConsumer, *records: InboundRecord) -> None:
    """Let the consumer take these records as one batch; it can be told more later."""
    source = Memory(list(records))
    running = asyncio.create_task(consumer.run(source))
    drained = asyncio.create_task(source.drained.wait())
    try:
        await asyncio.wait({running, drained}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert drained.done(), "the consumer did not come back for more"
    finally:
        for task in (running, drained):
            task.cancel()
        await asyncio.gather(running, drained, return_exceptions=True)


class Memory:
    """A source that gives all it has at once, and is drained when it is asked again."""

    def __init__(self, records: list[InboundRecord]) -> None:
        self._records = records
        self.drained = asyncio.Event()

    async def open(self) -> None: ...

    async def fetch(self, limit: int) -> list[InboundRecord]:
        if not self._records:
            self.drained.set()
            await asyncio.Event().wait()
        records, self._records = self._records, []
        return records

    async def commit(self, offsets: object) -> None: ...

    async def rewind(self, offsets: object) -> None:
        raise AssertionError("the batch was put back")

    async def lag(self) -> dict[tuple[str, int], int]:
        return {}

    async def close(self) -> None: ...


def _plain(value: object) -> object:
    return str(value) if isinstance(value, UUID) else value
