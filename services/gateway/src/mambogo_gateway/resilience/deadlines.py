"""The absolute deadline of a request, as a header and as monotonic time.

`X-Request-Deadline` carries Unix time in milliseconds, so that every hop can say what is left without knowing
when the request began. A client may shorten its route's deadline, never extend it.
"""

from __future__ import annotations

from typing import Final

# From 2001 to 2286, as the chassis reads it; anything else is not a time in milliseconds.
_DIGITS: Final = 13
_MILLISECONDS_PER_SECOND: Final = 1000


def seconds_left(value: bytes, wall_now: float) -> float | None:
    """The time until a deadline header's instant, negative when it has passed; None if it is not one."""
    if not value.isdigit() or len(value) != _DIGITS:
        return None
    return int(value) / _MILLISECONDS_PER_SECOND - wall_now


def deadline_value(wall_now: float, seconds: float) -> int:
    """The header's number for a deadline `seconds` from `wall_now`."""
    return int((wall_now + seconds) * _MILLISECONDS_PER_SECOND)
