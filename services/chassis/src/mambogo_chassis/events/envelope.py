"""The CloudEvents 1.0 envelope, in structured mode: one JSON document that explains itself.

Structured and not binary mode, because the attributes then survive every tool that drops headers. Writers are
closed (an attribute that the model does not have cannot be sent), readers are open (one that they do not know
is passed over): that is what lets a producer add a field before its consumers know it. Which types exist is
the registry's.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Final, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

TYPE_PATTERN: Final = r"^com\.mambogo\.[a-z][a-z0-9_-]*\.[a-z][a-z0-9_-]*\.v[1-9][0-9]*$"
CONTENT_TYPE: Final = b"application/cloudevents+json; charset=UTF-8"

EventTypeName = Annotated[str, StringConstraints(pattern=TYPE_PATTERN)]
# The specification asks for "non-empty"; the upper bound keeps an inbox key far below a B-tree page.
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class EventData(BaseModel):
    """Base of every event's data: immutable, and strict, so that "12" is never taken for 12."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


DataT = TypeVar("DataT", bound=EventData)


class CloudEvent(BaseModel, Generic[DataT]):
    """One event. `subject` is the aggregate: events of one subject keep their order."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    specversion: Literal["1.0"] = "1.0"
    id: Identifier
    source: Identifier
    type: EventTypeName
    subject: Identifier
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str | None = None
    # CloudEvents' distributed tracing extension.
    traceparent: str | None = Field(default=None, max_length=128)
    data: DataT

    @classmethod
    def decode(cls, value: bytes) -> CloudEvent[DataT]:
        """Read a record tolerantly; raises pydantic.ValidationError."""
        return cls.model_validate_json(value, extra="ignore")

    def encode(self) -> bytes:
        """The record's value."""
        return self.model_dump_json(exclude_none=True).encode()


class EventHeader(BaseModel):
    """The little that is needed to know what a record claims to be."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)

    specversion: Literal["1.0"]
    id: Identifier
    type: Identifier


def new_event_id() -> str:
    """Random: a database that was restored from a backup can then never use an id again."""
    return str(uuid.uuid4())


def utc_now() -> datetime:
    """The time of an event; informative only, order comes from the outbox."""
    return datetime.now(UTC)
