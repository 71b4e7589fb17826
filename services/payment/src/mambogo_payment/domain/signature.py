"""The provider's signature: `t=<Unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`.

The timestamp is signed too, so that a webhook that was overheard is worth nothing after the window. Several
`v1` are allowed while the secret is changed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

_MAX_HEADER_CHARACTERS = 1024


def is_signed(header: str, body: bytes, *, secrets: Iterable[str], now: float, window_seconds: float) -> bool:
    """Whether one of `secrets` signed `body` within the window; never raises, whatever the header is."""
    fields = [part.partition("=") for part in header[:_MAX_HEADER_CHARACTERS].split(",")]
    timestamps = [value for name, _, value in fields if name == "t"]
    given = [value.encode() for name, _, value in fields if name == "v1"]
    if len(timestamps) != 1 or not _is_timely(timestamps[0], now, window_seconds):
        return False
    expected = [_digest(secret, timestamps[0], body) for secret in secrets]
    return any(hmac.compare_digest(one, other) for one in expected for other in given)


def _is_timely(timestamp: str, now: float, window_seconds: float) -> bool:
    is_number = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12
    return is_number and abs(now - int(timestamp)) <= window_seconds


def _digest(secret: str, timestamp: str, body: bytes) -> bytes:
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest().encode()
