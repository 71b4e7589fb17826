"""The absolute deadline that a request carries through all hops.

`X-Request-Deadline: 1795435200123` is the moment, in Unix milliseconds (UTC, 13 decimal digits), after
which nobody waits for the answer. A duration would lose the time spent on the way; an absolute one does
not, and the clocks of one cluster are kept far closer than any deadline is long. A hop turns it into its
monotonic clock once, on entry, so that a clock that steps in the middle changes nothing. A hop may shorten
it, never lengthen.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final

from mambogo_chassis.errors import ChassisError

HEADER: Final = "X-Request-Deadline"
HEADER_BYTES: Final = b"x-request-deadline"
_FORMAT: Final = re.compile(rb"[0-9]{13}")


class DeadlineExceededError(ChassisError):
    """The work cannot be done, or was not done, before its deadline. Whether it took effect is not known."""

    code = "deadline-exceeded"
    http_status = 504


class MalformedDeadlineError(ChassisError):
    """The header is there and is not 13 decimal digits."""

    code = "deadline-malformed"
    http_status = 400


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on two clocks: the world's, to be told to others, and this process's monotonic one."""

    epoch_milliseconds: int
    monotonic_seconds: float

    @property
    def header(self) -> str:
        """The value of `X-Request-Deadline` for the next hop."""
        return str(self.epoch_milliseconds)

    def remaining_seconds(self) -> float:
        """What is left; negative when it has passed."""
        return self.monotonic_seconds - time.monotonic()

    def require(self, seconds: float) -> None:
        """Refuse work that needs `seconds`. Raises DeadlineExceededError before anything was done."""
        remaining = self.remaining_seconds()
        if remaining < seconds:
            raise DeadlineExceededError(
                f"{max(remaining, 0.0) * 1000:.0f} ms are left, the work needs {seconds * 1000:.0f} ms",
                hint="nothing was done; send the request again with more time",
            )

    def shortened(self, seconds: float) -> Deadline:
        """The earlier of this one and `seconds` from now."""
        own = deadline_in(seconds)
        return own if own.monotonic_seconds < self.monotonic_seconds else self


def deadline_in(seconds: float) -> Deadline:
    """A deadline `seconds` from now."""
    return Deadline(int((time.time() + seconds) * 1000), time.monotonic() + seconds)


def deadline_of(header: bytes | None, longest_seconds: float) -> Deadline:
    """The caller's deadline, at most `longest_seconds` away; that itself when the caller named none.

    Raises MalformedDeadlineError. A moment in the past is a valid deadline that has passed.
    """
    if header is None:
        return deadline_in(longest_seconds)
    if _FORMAT.fullmatch(header) is None:
        raise MalformedDeadlineError(
            f"{HEADER} is not a Unix time in milliseconds", hint="send 13 decimal digits, or leave it out"
        )
    epoch = int(header)
    remaining = epoch / 1000 - time.time()
    if remaining > longest_seconds:
        return deadline_in(longest_seconds)
    return Deadline(epoch, time.monotonic() + remaining)
