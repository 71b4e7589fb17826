"""What can go wrong with events, as types a caller may catch."""

from __future__ import annotations

from typing import Literal

from mambogo_chassis.errors import ChassisError

# Why a record was refused, as the dead letter's header says it.
Reason = Literal["undecodable", "unknown-version", "invalid-data", "handler-failed", "contention"]


class EventError(ChassisError):
    """Root of the errors of this package."""

    code = "event"


class EventTooLargeError(EventError):
    """An event that no broker would take; refused before its transaction commits."""

    code = "event-too-large"


class UnregisteredEventError(EventError):
    """A model that the registry does not know, or knows under another name."""

    code = "event-unregistered"


class RefusedEventError(EventError):
    """A record that can never be taken, with the reason that its dead letter gives."""

    code = "event-refused"

    def __init__(self, reason: Reason, message: str, *, event_id: str | None = None) -> None:
        super().__init__(message, hint="see the dead letter; re-drive it after the cause is gone")
        self.reason: Reason = reason
        self.event_id = event_id


class PermanentEventError(EventError):
    """Raised by a handler: this event can never be applied, so do not try again."""

    code = "event-permanent"
