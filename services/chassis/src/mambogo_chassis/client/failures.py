"""What a call to another service can end with, instead of an answer.

`sent` tells whether the request may have taken effect: only what was surely not sent may be tried again
without an idempotency key. Unhandled, each becomes a 503 or 504 of the calling service.
"""

from __future__ import annotations

from typing import ClassVar

from mambogo_chassis.errors import ChassisError


class UpstreamError(ChassisError):
    """A call that got no usable answer."""

    code = "upstream"
    http_status = 503
    retry_after_seconds: ClassVar[int | None] = 1

    def __init__(self, message: str, *, sent: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sent = sent


class UpstreamUnavailableError(UpstreamError):
    """No connection, or it broke before an answer was complete."""

    code = "upstream-unavailable"


class UpstreamProtocolError(UpstreamError):
    """What came back was no HTTP, or larger than allowed."""

    code = "upstream-protocol"
    http_status = 502
    retry_after_seconds = None


class UpstreamTimeoutError(UpstreamError):
    """No complete answer in time; the work may have been done."""

    code = "upstream-timeout"
    http_status = 504
    retry_after_seconds = None


class CircuitOpenError(UpstreamError):
    """Nothing was sent: the recent calls to every instance have failed."""

    code = "upstream-circuit-open"
