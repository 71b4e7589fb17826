"""Dead letters: records that a consumer gave up, with the reason, where an operator can find them.

A dead letter goes through the outbox, in the transaction that remembers the record as dead: there is exactly
one, whatever crashes, and the consumer needs no producer. Key and value are the original's bytes; what is
said about them is in headers. Sending them again is `redrive`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mambogo_chassis.database.pool import Connection
from mambogo_chassis.events.errors import Reason
from mambogo_chassis.events.inbox import Inbox
from mambogo_chassis.events.outbox import Outbox
from mambogo_chassis.events.records import Headers, InboundRecord, OutboundRecord

TOPIC_SUFFIX: Final = ".dlt"
# Enough for a message with its cause; a header is no place for a stack.
_DETAIL_CHARACTERS: Final = 500

CONSUMER: Final = "dlt-consumer"
REASON: Final = "dlt-reason"
DETAIL: Final = "dlt-detail"
EVENT_ID: Final = "dlt-event-id"
ORIGINAL_TOPIC: Final = "dlt-original-topic"
# On a re-driven record: whom it is for, and which dead letter it was.
REDRIVE_FOR: Final = "redrive-for"
REDRIVE_OF: Final = "redrive-of"
_OWN_HEADERS: Final = ("dlt-", "redrive-")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a record is given up, and by whose id it is remembered."""

    reason: Reason
    detail: str
    event_id: str


class DeadLetters:
    """The dead letters of one consumer group."""

    def __init__(self, consumer: str, *, inbox: Inbox, outbox: Outbox) -> None:
        self._consumer = consumer
        self._inbox = inbox
        self._outbox = outbox

    async def bury(self, connection: Connection, record: InboundRecord, verdict: Verdict) -> bool:
        """Give `record` up in the caller's transaction; False when it already was.

        A re-driven record is remembered by the dead letter it was: failing again makes a new dead letter.
        """
        redrive = record.header(REDRIVE_OF)
        delivery = f"{verdict.event_id}#{redrive}" if redrive else verdict.event_id
        if not await self._inbox.bury(connection, delivery):
            return False
        letter = letter_of(self._consumer, record, verdict)
        await self._outbox.append_record(
            connection,
            delivery,
            topic=letter.topic,
            key=letter.key,
            value=letter.value,
            headers=letter.headers,
        )
        return True


def letter_of(consumer: str, record: InboundRecord, verdict: Verdict) -> OutboundRecord:
    """The dead letter of `record`: its bytes, with what is said about them in headers."""
    facts = {
        CONSUMER: consumer,
        REASON: verdict.reason,
        DETAIL: verdict.detail[:_DETAIL_CHARACTERS],
        EVENT_ID: verdict.event_id,
        ORIGINAL_TOPIC: record.topic,
        "dlt-original-partition": str(record.partition),
        "dlt-original-offset": str(record.offset),
        "dlt-original-timestamp-ms": str(record.timestamp_ms),
        "dlt-at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    headers = original_headers(record) + tuple((name, value.encode()) for name, value in facts.items())
    return OutboundRecord(0, record.topic + TOPIC_SUFFIX, record.key or b"", record.value or b"", headers)


def original_headers(record: InboundRecord) -> Headers:
    """The headers that the producer set."""
    return tuple((name, value) for name, value in record.headers if not name.startswith(_OWN_HEADERS))
