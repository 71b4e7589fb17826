"""What goes into Kafka and what comes out, free of any client library.

The outbox stores `OutboundRecord`s, publishers send them, consumers read `InboundRecord`s.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from mambogo_chassis.events.envelope import CONTENT_TYPE

Headers = tuple[tuple[str, bytes], ...]

# Fixed for ever: rows carry their shard. 16 relays of one service can work at once; nobody needs more.
SHARDS: Final = 16
EVENT_HEADERS: Final[Headers] = (("content-type", CONTENT_TYPE),)


@dataclass(frozen=True, slots=True)
class OutboundRecord:
    """A record to be sent; `outbox_id` is its place in the outbox."""

    outbox_id: int
    topic: str
    key: bytes
    value: bytes
    headers: Headers = EVENT_HEADERS


@dataclass(frozen=True, slots=True)
class InboundRecord:
    """A record as it came, with where it came from."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def coordinates(self) -> str:
        """Unique among all records of a cluster: stands in for the id of a record that has none."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    def header(self, name: str) -> str | None:
        """The last header of that name, as Kafka clients agree; None where it is absent."""
        values = [value for key, value in self.headers if key == name]
        return values[-1].decode("utf-8", "replace") if values else None


def shard_of(key: bytes) -> int:
    """The shard of an aggregate. CRC and not `hash()`, which differs from process to process."""
    return zlib.crc32(key) % SHARDS
