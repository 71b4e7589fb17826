"""The one waiting primitive.

Nothing else in the harness sleeps: every wait names what it waits for, and its error shows the last value
seen, the time spent and the command to run next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from rehearsal.core.errors import EnvironmentNotReadyError

T = TypeVar("T")


class WaitTimeoutError(EnvironmentNotReadyError):
    """What was waited for did not come in time."""

    def __init__(self, what: str, *, seconds: float, last: object, hint: str) -> None:
        seen = "nothing was seen" if last is None else f"last seen: {last}"
        super().__init__("WAIT_TIMEOUT", f"{what}: not within {seconds:.0f} s; {seen}", hint=hint)
        self.last = last


class NotYet(Exception):  # noqa: N818 - a signal to the wait, not an error anybody reports
    """Raised by a probe: not there yet, and this is what it saw."""


def wait_until(
    what: str,
    probe: Callable[[], T | None],
    *,
    timeout_seconds: float,
    hint: str,
    interval_seconds: float = 0.2,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return the first truthy value of `probe`.

    A probe says "not yet" by a falsy value or, with what it saw, by raising `NotYet`. Any other exception
    ends the wait at once. The probe is asked at least once, and once more after the deadline has passed, so
    that a long pause of this process is not taken for a late answer.

    Raises WaitTimeoutError after `timeout_seconds`.
    """
    started = clock()
    last: object = None
    while True:
        overdue = clock() - started >= timeout_seconds
        try:
            value = probe()
        except NotYet as signal:
            last = str(signal)
        else:
            if value:
                return value
            last = value if value is not None else last
        if overdue:
            raise WaitTimeoutError(what, seconds=clock() - started, last=last, hint=hint)
        sleep(interval_seconds)
